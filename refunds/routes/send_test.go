package routes_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/refunds/refundstest"
	"github.com/doisoat/doisoat/refunds/routes"
)

func TestSendIsPendingThenDone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, p := w.Paid(phi, lePhi)
	w.Book(untouched)
	r := w.Approved(d)
	w.Book(promised)
	if diff := cmp.Diff(w.Queued("send_refund"), []string{`{"refund": "` + r.ID.String() + `", "authority": "H41"}`}); diff != "" {
		t.Errorf("jobs (-got +want):\n%s", diff)
	}
	w.Send(r.ID)
	w.Status(r.ID, refunds.Sent)
	w.Book(promised)
	w.Inquire(r.ID) // still 05
	w.Status(r.ID, refunds.Sent)
	w.Clock.Advance(3 * time.Second)
	w.Inquire(r.ID)
	got := w.Refund(r.ID)
	if got.Status != refunds.Done || got.DoneAt == nil || got.SentAt == nil || got.NextInquiry != nil {
		t.Errorf("refund: got %+v, want it done, with its times and no next inquiry", got)
	}
	w.Book(givenBack)
	w.Send(r.ID) // a repeated job
	w.Inquire(r.ID)
	w.RequestsSeen(1)
	sent := w.Far.Requests("refund")[0]
	if sent["vnp_RequestId"] != r.Reference || sent["vnp_TransactionType"] != "02" || sent["vnp_TxnRef"] != p.Reference {
		t.Errorf("request: got %v, want reference %s of a full refund of %s", sent, r.Reference, p.Reference)
	}
	want := []string{"refund.request", "refund.approve", "refund.reserve", "refund.send", "refund.accepted", "refund.done"}
	if diff := cmp.Diff(w.acts("refund", r.ID.String()), want); diff != "" {
		t.Errorf("audit trail (-got +want):\n%s", diff)
	}
	after := w.Find(d.Code)
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
			d, p := w.Paid(phi, lePhi)
			r := w.Approved(d)
			w.Script.Fault(t, "vnpay", "refund", fault)
			w.Send(r.ID)
			w.Clock.Advance(3 * time.Second)
			w.Inquire(r.ID)
			w.Status(r.ID, refunds.Declined)
			w.Book(untouched)
			if got := w.Payment(p.ID).Reserved; got != 0 {
				t.Errorf("reserved: got %d, want 0", got)
			}
			w.Send(r.ID)
			w.RequestsSeen(1)
			// The money can be asked for again: that is another refund with another reference.
			w.Script.Fault(t, "vnpay", "refund", "")
			again := w.Approved(d)
			w.Send(again.ID)
			w.Status(again.ID, refunds.Sent)
			w.RequestsSeen(2)
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
			d, _ := w.Paid(phi, lePhi)
			r := w.Approved(d)
			if c.fault != "" {
				w.Script.Fault(t, "vnpay", "refund", c.fault)
			}
			if c.spoil {
				w.Far.Interfere(func(f *refundstest.FarSide) {
					f.Spoil = func(command string, body []byte) []byte {
						if command != "refund" {
							return body
						}
						return []byte(strings.Replace(string(body), `"vnp_TransactionStatus":"05"`, `"vnp_TransactionStatus":"06"`, 1))
					}
				})
			}
			w.Send(r.ID)
			w.Status(r.ID, refunds.Unknown)
			w.Book(promised)
			since := w.Refund(r.ID).StatusAt
			w.Clock.Advance(time.Minute)
			for range 3 {
				w.Inquire(r.ID)
				w.Send(r.ID)
			}
			w.Status(r.ID, c.want)
			w.Book(c.book)
			w.RequestsSeen(1)
			if got := w.Refund(r.ID); c.want == refunds.Unknown && (!got.StatusAt.Equal(since) || got.Inquiries != 3 || got.NextInquiry == nil) {
				t.Errorf("refund: got %+v, want it unknown since %v, asked three times and to be asked again", got, since)
			}
		})
	}
}

func TestSendToNobodyKeepsTheReference(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, _ := w.Paid(phi, lePhi)
	r := w.Approved(d)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	w.Must(err)
	nobody := "http://" + closed.Addr().String()
	w.Must(closed.Close())
	setAPI := func(address string) {
		_, err := w.DB.Owner.Exec(t.Context(), `
			update merchants.account set settings = settings || jsonb_build_object('api_url', $1::text)`, address)
		w.Must(err)
	}
	var real string
	w.Must(w.DB.Owner.QueryRow(t.Context(), `select settings ->> 'api_url' from merchants.account`).Scan(&real))
	setAPI(nobody)
	for range 2 {
		if err := w.Routes.Send(t.Context(), province, r.ID); !routes.ErrCannotSend.Is(err) {
			t.Errorf("Send: got %v, want %v", err, routes.ErrCannotSend)
		}
		w.Status(r.ID, refunds.Reserved)
	}
	setAPI("://nowhere") // a fault of ours leaves it as it was, too
	if err := w.Routes.Send(t.Context(), province, r.ID); err == nil {
		t.Error("Send with settings that cannot work: got no error")
	}
	w.Status(r.ID, refunds.Reserved)
	w.Book(promised)
	w.RequestsSeen(0)
	setAPI(real)
	w.Send(r.ID)
	w.Status(r.ID, refunds.Sent)
	w.RequestsSeen(1)
	if got := w.Far.Requests("refund")[0]["vnp_RequestId"]; got != r.Reference {
		t.Errorf("reference: got %s, want %s", got, r.Reference)
	}
}

func TestInquiriesNeverStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, _ := w.Paid(phi, lePhi)
	r := w.Approved(d)
	w.Script.Fault(t, "vnpay", "refund", "timeout_not_done")
	w.Send(r.ID)
	for n, want := range []time.Duration{20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second} {
		w.Inquire(r.ID)
		if got := w.Refund(r.ID).NextInquiry; got == nil || got.Sub(w.Clock.Now()) != want {
			t.Errorf("inquiry %d: next at %v, want in %v", n+1, got, want)
		}
	}
	for range 14 {
		w.Clock.Advance(time.Hour)
		w.Inquire(r.ID)
		if got := w.Refund(r.ID).NextInquiry; got == nil || got.Sub(w.Clock.Now()) > time.Hour {
			t.Fatalf("next inquiry: got %v, want one within the hour", got)
		}
	}
	w.Status(r.ID, refunds.Unknown)
	w.RequestsSeen(1)
}

// What settles a refund is a line of the provider's file; it proves that the money went.
func TestConfirmBySettlement(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, _ := w.Paid(phi, lePhi)
	r := w.Approved(d, refunds.Item{Charge: charge(t, d, phi).ID, Amount: 100_000})
	w.Script.Fault(t, "vnpay", "refund", "timeout_not_done")
	confirm := func(id refunds.ID) (err error) {
		_ = postgres.InTx(t.Context(), w.Refunds.DB, accountant, func(act postgres.Act) error {
			err = w.Routes.ConfirmBySettlement(t.Context(), act, id, "14500001")
			return err
		})
		return err
	}
	if err := confirm(r.ID); !refunds.ErrStatus.Is(err) {
		t.Errorf("a refund that was never sent: got %v, want %v", err, refunds.ErrStatus)
	}
	w.Send(r.ID)
	w.Status(r.ID, refunds.Unknown)
	w.Must(confirm(r.ID))
	w.Must(confirm(r.ID))
	got := w.Refund(r.ID)
	if got.Status != refunds.Done || got.SettledAt == nil || got.Transaction != "14500001" {
		t.Errorf("refund: got %+v, want it done and settled by 14500001", got)
	}
	w.Book(bookAfter(map[string]int64{"A-CLR-vnpay": -100_000, "L-TAMTHU-PHI": -100_000, "M-OBLIGATION": -100_000, "M-COLLECTED": -100_000}))
	w.Act(accountant, func(act postgres.Act) error { return w.Routes.Unsettle(t.Context(), act, r.ID) })
	w.Act(accountant, func(act postgres.Act) error { return w.Routes.Unsettle(t.Context(), act, r.ID) })
	if got := w.Refund(r.ID); got.Status != refunds.Done || got.SettledAt != nil {
		t.Errorf("after Unsettle: got %+v, want it done and not settled", got)
	}
	want := []string{
		"refund.request", "refund.approve", "refund.reserve", "refund.send", "refund.lose_sight", "refund.done",
		"refund.settle", "refund.unsettle",
	}
	if diff := cmp.Diff(w.acts("refund", r.ID.String()), want); diff != "" {
		t.Errorf("audit trail (-got +want):\n%s", diff)
	}

	w.Script.Fault(t, "vnpay", "refund", "refused")
	refused := w.Approved(d, refunds.Item{Charge: charge(t, d, lePhi).ID, Amount: 50_000})
	w.Send(refused.ID)
	w.Status(refused.ID, refunds.Declined)
	if err := confirm(refused.ID); !refunds.ErrStatus.Is(err) {
		t.Errorf("a declined refund: got %v, want %v", err, refunds.ErrStatus)
	}
}
