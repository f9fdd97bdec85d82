package simulator

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/doisoat/doisoat/internal/calendar"
)

// notice is SePay's message of a credit (fact sheet SePay, section 1).
type notice struct {
	ID              int64   `json:"id"`
	Gateway         string  `json:"gateway"`
	TransactionDate string  `json:"transactionDate"`
	AccountNumber   string  `json:"accountNumber"`
	Code            *string `json:"code"`
	Content         string  `json:"content"`
	TransferType    string  `json:"transferType"`
	TransferAmount  int64   `json:"transferAmount"`
	Accumulated     int64   `json:"accumulated"`
	SubAccount      *string `json:"subAccount"`
	ReferenceCode   string  `json:"referenceCode"`
	Description     string  `json:"description"`
}

// firstNotice keeps SePay's ids apart from the bank's numbers.
const firstNotice = 92_700

func noticeID(m *movement) int64 { return firstNotice + m.Number }

// paymentCode is the shape of code that the account's owner has set in SePay's
// portal: our payment references.
var paymentCode = regexp.MustCompile(`(?:^|[^0-9A-Z])(DS[0-9A-Z]{10})(?:$|[^0-9A-Z])`)

// noticeBody prints a movement as SePay tells it, once: every repeat carries the
// same bytes. It is called right after the movement is booked. The caller holds mu.
func (s *Simulator) noticeBody(b *bank, m *movement) string {
	n := notice{
		ID: noticeID(m), Gateway: bankName(b.bin),
		TransactionDate: m.At.In(calendar.HoChiMinh).Format(time.DateTime), AccountNumber: m.Account,
		Content: m.Content, TransferType: "in", TransferAmount: m.Amount, Accumulated: s.totals[m.Account],
		ReferenceCode: m.Reference, Description: "BankAPINotify " + m.Content,
	}
	if found := paymentCode.FindStringSubmatch(strings.ToUpper(m.Content)); found != nil {
		n.Code = &found[1]
	}
	raw, err := json.Marshal(n)
	if err != nil {
		panic(err) // plain strings and numbers
	}
	return string(raw)
}

// newNotice builds SePay's call in the mode the owner has set; spoil makes its
// proof of origin wrong.
func newNotice(ctx context.Context, b *bank, body string, now time.Time, spoil bool) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, b.callback, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	for name, value := range noticeHeaders(b, body, now.Unix(), spoil) {
		request.Header.Set(name, value)
	}
	return request, nil
}

func noticeHeaders(b *bank, body string, seconds int64, spoil bool) map[string]string {
	if b.secret == "" {
		key := b.apiKey
		if spoil {
			key += "-wrong"
		}
		return map[string]string{"Authorization": "Apikey " + key}
	}
	timestamp := strconv.FormatInt(seconds, 10)
	mac := hmac.New(sha256.New, []byte(b.secret))
	mac.Write([]byte(timestamp + "." + body))
	hash := hex.EncodeToString(mac.Sum(nil))
	if spoil {
		hash = spoiled(hash)
	}
	return map[string]string{"X-SePay-Timestamp": timestamp, "X-SePay-Signature": "sha256=" + hash}
}
