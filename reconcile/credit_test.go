package reconcile_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/payments/paytest"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/statements/statementstest"
)

// notify delivers SePay's notice of a credit and returns the status of the answer.
func (w *world) notify(id int, reference, content string, amount int64) int {
	w.T.Helper()
	body := fmt.Sprintf(`{"id":%d,"gateway":"VietinBank","transactionDate":"%s","accountNumber":%q,"code":null,"content":%q,
		"transferType":"in","transferAmount":%d,"accumulated":0,"subAccount":null,"referenceCode":%q,"description":""}`,
		id, w.Clock.Now().In(time.FixedZone("", 7*3600)).Format(time.DateTime), paytest.Account, content, amount, reference)
	stamp := fmt.Sprint(w.Clock.Now().Unix())
	mac := hmac.New(sha256.New, []byte(paytest.HookSecret))
	mac.Write([]byte(stamp + "." + body))
	reply := w.Callbacks.Receive(w.T.Context(), "sepay", w.Desk.Bank.ID.String(), providers.RawCallback{
		Method: http.MethodPost, Body: []byte(body), ReceivedAt: w.Clock.Now(), Header: http.Header{
			"X-Sepay-Timestamp": {stamp}, "X-Sepay-Signature": {"sha256=" + hex.EncodeToString(mac.Sum(nil))},
		},
	})
	return reply.Status
}

// A bank credit is one thing: a notice in another spelling after the statement
// adds no capture and proposes no refund. Another credit of the same amount counts.
func TestCreditInAnotherSpelling(t *testing.T) {
	t.Parallel()
	for _, spelling := range []string{"FT24123000001", "ft24123000001", "MBVCB.FT24123000001", `FT24123000001\BNK`} {
		t.Run(spelling, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p, other := w.Payment("vietqr", 60_000), w.Payment("vietqr", 60_000)
			w.Ingest(bank, statementstest.Bank(paytest.Account, day, 0, 60_000,
				statementstest.Entry{Ref: "FT24123000001", Amount: 60_000, Content: p.Reference}))
			w.Run(bank, day)
			same(t, "answer", w.notify(92704, spelling, p.Reference, 60_000), http.StatusOK)
			same(t, "answer to the credit of another payment", w.notify(92705, spelling, other.Reference, 60_000), http.StatusOK)
			same(t, "captured", w.Details(p.ID).Captured, 60_000)
			same(t, "captured for another payment", w.Details(other.ID).Captured, 0)
			same(t, "proposals", len(w.Queued("propose_excess_refund")), 0)
			same(t, "answer to a second credit", w.notify(92706, "FT24123000002", other.Reference, 60_000), http.StatusOK)
			same(t, "status of its payment", w.Details(other.ID).Status, payments.Captured)
		})
	}
}

// A number that a bank uses again weeks later is another credit.
func TestBankNumberUsedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, second := w.Payment("vietqr", 60_000), w.Payment("vietqr", 60_000)
	same(t, "first", w.notify(92704, "123456", first.Reference, 60_000), http.StatusOK)
	w.Clock.Advance(10 * 24 * time.Hour)
	same(t, "second", w.notify(92801, "123456", second.Reference, 60_000), http.StatusOK)
	same(t, "captured", w.Details(first.ID).Captured+w.Details(second.ID).Captured, 120_000)
}
