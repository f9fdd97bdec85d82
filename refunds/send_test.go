package refunds_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/refunds"
)

// Accounts after a payment of 150 000 for one phí and one lệ phí, as memo and real parts.
func bookAfter(changes map[string]int64) map[string]int64 {
	book := map[string]int64{
		"A-CLR-vnpay": 150_000, "L-TAMTHU-PHI": 100_000, "L-TAMTHU-LEPHI": 50_000, "M-OBLIGATION": 150_000, "M-COLLECTED": 150_000,
	}
	for code, change := range changes {
		if book[code] += change; book[code] == 0 {
			delete(book, code)
		}
	}
	return book
}

var (
	untouched = bookAfter(nil)
	promised  = bookAfter(map[string]int64{"L-TAMTHU-PHI": -100_000, "L-TAMTHU-LEPHI": -50_000, "L-REFUND": 150_000})
	givenBack = map[string]int64{}
)

func TestSendIsPendingThenDone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, p := w.paid(phi, lePhi)
	w.book(untouched)
	r := w.approved(d)
	w.book(promised)
	if diff := cmp.Diff(w.jobs("send_refund"), []string{`{"refund": "` + r.ID.String() + `", "authority": "H41"}`}); diff != "" {
		t.Errorf("jobs (-got +want):\n%s", diff)
	}
	w.send(r.ID)
	w.status(r.ID, refunds.Sent)
	w.book(promised)
	w.inquire(r.ID) // still 05
	w.status(r.ID, refunds.Sent)
	w.clock.advance(3 * time.Second)
	w.inquire(r.ID)
	got := w.refund(r.ID)
	if got.Status != refunds.Done || got.DoneAt == nil || got.SentAt == nil || got.NextInquiry != nil {
		t.Errorf("refund: got %+v, want it done, with its times and no next inquiry", got)
	}
	w.book(givenBack)
	w.send(r.ID) // a repeated job
	w.inquire(r.ID)
	w.requestsSeen(1)
	if sent := w.far.requests("refund")[0]; sent["vnp_RequestId"] != r.Reference || sent["vnp_TransactionType"] != "02" || sent["vnp_TxnRef"] != p.Reference {
		t.Errorf("request: got %v, want reference %s of a full refund of %s", sent, r.Reference, p.Reference)
	}
	want := []string{"refund.request", "refund.approve", "refund.reserve", "refund.send", "refund.accepted", "refund.done"}
	if diff := cmp.Diff(w.acts("refund", r.ID.String()), want); diff != "" {
		t.Errorf("audit trail (-got +want):\n%s", diff)
	}
	after := w.find(d.Code)
	if totals := after.Totals(); totals.Refunded != 150_000 || totals.Outstanding != 0 {
		t.Errorf("totals: got %+v, want all refunded and nothing outstanding", totals)
	}
	sum := int64(0)
	for _, receipt := range after.Receipts {
		sum += receipt.Amount
	}
	if len(after.Receipts) != 4 || sum != 0 {
		t.Errorf("receipts: got %+v, want two and the two that adjust them", after.Receipts)
	}
}

func TestSendRefusedGivesEverythingBack(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"refused", "refused_later"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			d, p := w.paid(phi, lePhi)
			r := w.approved(d)
			w.script.Fault(t, "vnpay", "refund", fault)
			w.send(r.ID)
			w.clock.advance(3 * time.Second)
			w.inquire(r.ID)
			w.status(r.ID, refunds.Declined)
			w.book(untouched)
			if got := w.payment(p.ID).Reserved; got != 0 {
				t.Errorf("reserved: got %d, want 0", got)
			}
			w.send(r.ID)
			w.requestsSeen(1)
			// The money can be asked for again: that is another refund with another reference.
			w.script.Fault(t, "vnpay", "refund", "")
			again := w.approved(d)
			w.send(again.ID)
			w.status(again.ID, refunds.Sent)
			w.requestsSeen(2)
		})
	}
}

func TestSendWithoutAClearAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault string
		spoil bool
		want  refunds.Status
		book  map[string]int64
	}{
		"timeout, though done":     {fault: "timeout_but_done", want: refunds.Done, book: givenBack},
		"timeout, and nothing":     {fault: "timeout_not_done", want: refunds.Unknown, book: promised},
		"answer with a wrong hash": {spoil: true, want: refunds.Done, book: givenBack},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			d, _ := w.paid(phi, lePhi)
			r := w.approved(d)
			if c.fault != "" {
				w.script.Fault(t, "vnpay", "refund", c.fault)
			}
			if c.spoil {
				w.far.interfere(func(f *farSide) {
					f.spoil = func(command string, body []byte) []byte {
						if command != "refund" {
							return body
						}
						return []byte(strings.Replace(string(body), `"vnp_TransactionStatus":"05"`, `"vnp_TransactionStatus":"06"`, 1))
					}
				})
			}
			w.send(r.ID)
			w.status(r.ID, refunds.Unknown)
			w.book(promised)
			since := w.refund(r.ID).StatusAt
			w.clock.advance(time.Minute)
			for range 3 {
				w.inquire(r.ID)
				w.send(r.ID)
			}
			w.status(r.ID, c.want)
			w.book(c.book)
			w.requestsSeen(1)
			if got := w.refund(r.ID); c.want == refunds.Unknown && (!got.StatusAt.Equal(since) || got.Inquiries != 3 || got.NextInquiry == nil) {
				t.Errorf("refund: got %+v, want it unknown since %v, asked three times and to be asked again", got, since)
			}
		})
	}
}

func TestSendToNobodyKeepsTheReference(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, _ := w.paid(phi, lePhi)
	r := w.approved(d)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	w.ok(err)
	nobody := "http://" + closed.Addr().String()
	w.ok(closed.Close())
	setAPI := func(address string) {
		_, err := w.db.Owner.Exec(t.Context(), `update payments.merchant_account set settings = settings || jsonb_build_object('api_url', $1::text)`, address)
		w.ok(err)
	}
	var real string
	w.ok(w.db.Owner.QueryRow(t.Context(), `select settings ->> 'api_url' from payments.merchant_account`).Scan(&real))
	setAPI(nobody)
	for range 2 {
		if err := w.refunds.Send(t.Context(), province, r.ID); !refunds.ErrCannotSend.Is(err) {
			t.Errorf("Send: got %v, want %v", err, refunds.ErrCannotSend)
		}
		w.status(r.ID, refunds.Reserved)
	}
	setAPI("://nowhere") // a fault of ours leaves it as it was, too
	if err := w.refunds.Send(t.Context(), province, r.ID); err == nil {
		t.Error("Send with settings that cannot work: got no error")
	}
	w.status(r.ID, refunds.Reserved)
	w.book(promised)
	w.requestsSeen(0)
	setAPI(real)
	w.send(r.ID)
	w.status(r.ID, refunds.Sent)
	w.requestsSeen(1)
	if got := w.far.requests("refund")[0]["vnp_RequestId"]; got != r.Reference {
		t.Errorf("reference: got %s, want %s", got, r.Reference)
	}
}

func TestInquiriesNeverStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, _ := w.paid(phi, lePhi)
	r := w.approved(d)
	w.script.Fault(t, "vnpay", "refund", "timeout_not_done")
	w.send(r.ID)
	for n, want := range []time.Duration{20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second} {
		w.inquire(r.ID)
		if got := w.refund(r.ID).NextInquiry; got == nil || got.Sub(w.clock.Now()) != want {
			t.Errorf("inquiry %d: next at %v, want in %v", n+1, got, want)
		}
	}
	for range 14 {
		w.clock.advance(time.Hour)
		w.inquire(r.ID)
		if got := w.refund(r.ID).NextInquiry; got == nil || got.Sub(w.clock.Now()) > time.Hour {
			t.Fatalf("next inquiry: got %v, want one within the hour", got)
		}
	}
	w.status(r.ID, refunds.Unknown)
	w.requestsSeen(1)
}

// What settles a refund is a line of the provider's file; it proves that the money went.
func TestConfirmBySettlement(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, _ := w.paid(phi, lePhi)
	r := w.approved(d, refunds.Item{Charge: charge(t, d, phi).ID, Amount: 100_000})
	w.script.Fault(t, "vnpay", "refund", "timeout_not_done")
	confirm := func(id refunds.ID) (err error) {
		_ = postgres.InTx(t.Context(), w.refunds.DB, accountant, func(act postgres.Act) error {
			err = w.refunds.ConfirmBySettlement(t.Context(), act, id, "14500001")
			return err
		})
		return err
	}
	if err := confirm(r.ID); !refunds.ErrState.Is(err) {
		t.Errorf("a refund that was never sent: got %v, want %v", err, refunds.ErrState)
	}
	w.send(r.ID)
	w.status(r.ID, refunds.Unknown)
	w.ok(confirm(r.ID))
	w.ok(confirm(r.ID))
	got := w.refund(r.ID)
	if got.Status != refunds.Done || got.SettledAt == nil || got.Transaction != "14500001" {
		t.Errorf("refund: got %+v, want it done and settled by 14500001", got)
	}
	w.book(bookAfter(map[string]int64{"A-CLR-vnpay": -100_000, "L-TAMTHU-PHI": -100_000, "M-OBLIGATION": -100_000, "M-COLLECTED": -100_000}))
	w.act(accountant, func(act postgres.Act) error { return w.refunds.Unsettle(t.Context(), act, r.ID) })
	w.act(accountant, func(act postgres.Act) error { return w.refunds.Unsettle(t.Context(), act, r.ID) })
	if got := w.refund(r.ID); got.Status != refunds.Done || got.SettledAt != nil {
		t.Errorf("after Unsettle: got %+v, want it done and not settled", got)
	}
	want := []string{
		"refund.request", "refund.approve", "refund.reserve", "refund.send", "refund.lose_sight", "refund.done", "refund.settle", "refund.unsettle",
	}
	if diff := cmp.Diff(w.acts("refund", r.ID.String()), want); diff != "" {
		t.Errorf("audit trail (-got +want):\n%s", diff)
	}

	w.script.Fault(t, "vnpay", "refund", "refused")
	refused := w.approved(d, refunds.Item{Charge: charge(t, d, lePhi).ID, Amount: 50_000})
	w.send(refused.ID)
	w.status(refused.ID, refunds.Declined)
	if err := confirm(refused.ID); !refunds.ErrState.Is(err) {
		t.Errorf("a declined refund: got %v, want %v", err, refunds.ErrState)
	}
}
