// Package sepay plays SePay, which notifies the owner of an account of each
// credit. Packages simulator and bank call it. It stores nothing.
//
// Invariant: every repeat of a notice carries the same bytes.
package sepay

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
	"github.com/doisoat/doisoat/providers/simulator"
	"github.com/doisoat/doisoat/providers/simulator/bank"
)

// Name is SePay's word in scripts, deliveries and faults.
const Name = "sepay"

// Side plays SePay. Package simulator holds its lock.
type Side struct {
	core  *simulator.Core
	hooks map[string]*hook
}

// hook is the address that the owner of an account has set in SePay's portal. The
// caller registers it at each start, so that the state file holds no secret.
type hook struct {
	callback string
	secret   string
	apiKey   string
}

// New makes the side; the caller registers it with [simulator.Core.Start].
func New(core *simulator.Core) *Side { return &Side{core: core, hooks: map[string]*hook{}} }

// Register sets the hook of an account. A webhookSecret selects HMAC mode; without
// it an apiKey selects API-key mode. With an empty callbackURL the side sends no notice.
func (s *Side) Register(account, callbackURL, webhookSecret, apiKey string) {
	s.core.Lock()
	defer s.core.Unlock()
	s.hooks[account] = &hook{callback: callbackURL, secret: webhookSecret, apiKey: apiKey}
	s.core.Nudge()
}

// Name returns [Name].
func (s *Side) Name() string { return Name }

// Retries returns SePay's schedule.
func (s *Side) Retries() []time.Duration {
	return []time.Duration{
		time.Minute, time.Minute, 2 * time.Minute, 3 * time.Minute, 5 * time.Minute, 8 * time.Minute, 13 * time.Minute,
	}
}

// Knows reports whether the account has a hook.
func (s *Side) Knows(account string) bool { return s.hooks[account] != nil }

// FaultWords: scripts may also say vietqr, because SePay speaks for VietQR accounts.
func (s *Side) FaultWords() simulator.FaultWords { return simulator.FaultWords{Alias: "vietqr"} }

// Accepted reports whether SePay stops: at 200 or 201 with {"success":true}.
func (s *Side) Accepted(status int, raw []byte) bool {
	var body struct {
		Success bool `json:"success"`
	}
	return (status == http.StatusOK || status == http.StatusCreated) &&
		json.Unmarshal(raw, &body) == nil && body.Success
}

// bankNames by BIN, as SePay writes the gateway.
var bankNames = map[string]string{
	"970415": "VietinBank", "970436": "Vietcombank", "970418": "BIDV", "970405": "Agribank", "970407": "Techcombank",
	"970422": "MBBank", "970416": "ACB", "970432": "VPBank", "970403": "Sacombank", "970423": "TPBank",
	"970443": "SHB", "970441": "VIB", "970437": "HDBank",
}

func bankName(bin string) string {
	if name, ok := bankNames[bin]; ok {
		return name
	}
	return "NAPAS " + bin
}

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

// Number is SePay's id of a credit.
func (s *Side) Number(m *bank.Movement) int64 { return firstNotice + m.Number }

// paymentCode is the form of payment codes that the account's owner has set in
// SePay's portal: our payment references.
var paymentCode = regexp.MustCompile(`(?:^|[^0-9A-Z])(DS[0-9A-Z]{10})(?:$|[^0-9A-Z])`)

// Notice prints a movement once. All repeats send the same bytes.
func (s *Side) Notice(a *bank.Account, m *bank.Movement, balance int64) *simulator.Delivery {
	if h := s.hooks[a.Number]; h == nil || h.callback == "" {
		return nil
	}
	n := notice{
		ID: s.Number(m), Gateway: bankName(a.BIN),
		TransactionDate: m.At.In(calendar.HoChiMinh).Format(time.DateTime), AccountNumber: m.Account,
		Content: m.Content, TransferType: "in", TransferAmount: m.Amount, Accumulated: balance,
		ReferenceCode: m.Reference, Description: "BankAPINotify " + m.Content,
	}
	if found := paymentCode.FindStringSubmatch(strings.ToUpper(m.Content)); found != nil {
		n.Code = &found[1]
	}
	raw, err := json.Marshal(n)
	if err != nil {
		panic(err) // cannot happen: the notice holds only strings and numbers
	}
	return &simulator.Delivery{Sender: Name, Owner: a.Number, Reference: m.Reference, Body: string(raw)}
}

// Request builds the call in the mode of the hook. It signs with the time of the
// machine, because the receiver compares the timestamp with its own clock.
func (s *Side) Request(ctx context.Context, d *simulator.Delivery, spoil bool) (*http.Request, error) {
	h := s.hooks[d.Owner]
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.callback, strings.NewReader(d.Body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	for name, value := range noticeHeaders(h, d.Body, s.core.MachineNow().Unix(), spoil) {
		request.Header.Set(name, value)
	}
	return request, nil
}

func noticeHeaders(h *hook, body string, seconds int64, spoil bool) map[string]string {
	if h.secret == "" {
		key := h.apiKey
		if spoil {
			key += "-wrong"
		}
		return map[string]string{"Authorization": "Apikey " + key}
	}
	timestamp := strconv.FormatInt(seconds, 10)
	mac := hmac.New(sha256.New, []byte(h.secret))
	mac.Write([]byte(timestamp + "." + body))
	hash := hex.EncodeToString(mac.Sum(nil))
	if spoil {
		hash = simulator.Spoiled(hash)
	}
	return map[string]string{"X-SePay-Timestamp": timestamp, "X-SePay-Signature": "sha256=" + hash}
}
