package refunds_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/refunds/refundstest"
)

// reports a status and does the job that it queues, twice.
func (w *world) ends(d dossiers.Dossier, status dossiers.Status, reason string) {
	w.T.Helper()
	w.Clock.Advance(time.Minute)
	report := dossiers.StatusReport{Status: status, At: w.Clock.Now(), Reason: reason}
	ended, err := w.Dossiers.RecordStatus(w.T.Context(), portal, d.Code, report)
	w.Must(err)
	if got := len(w.Queued("propose_dossier_refunds")); got != 1 {
		w.T.Errorf("jobs: got %d, want one that proposes", got)
	}
	for range 2 {
		w.Must(w.Refunds.ProposeForDossier(w.T.Context(), province, d.ID, ended.Undeliverable))
	}
}

// proposal is what matters of a refund that we opened ourselves.
type proposal struct {
	Reason string
	Status refunds.Status
	Origin refunds.Origin
	By     string
	Items  map[string]int64 // by fee; excess under nothing
}

func (w *world) proposals(d dossiers.Dossier) (list []proposal) {
	w.T.Helper()
	for _, r := range w.RefundsOf(d) {
		p := proposal{r.Reason, r.Status, r.Origin, r.RequestedBy, map[string]int64{}}
		for _, i := range r.Items {
			name := ""
			for _, c := range d.Charges {
				if c.ID == i.Charge {
					name = c.FeeType
				}
			}
			p.Items[name] = i.Amount
		}
		list = append(list, p)
	}
	return list
}

func (w *world) proposed(d dossiers.Dossier, want ...proposal) {
	w.T.Helper()
	for i := range want {
		want[i].Status, want[i].Origin, want[i].By = refunds.Requested, refunds.Automatic, "system"
	}
	if diff := cmp.Diff(w.proposals(d), want); diff != "" {
		w.T.Errorf("proposals (-got +want):\n%s", diff)
	}
}

func TestProposalsByRule(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before dossiers.Status // reported first
		status dossiers.Status
		reason string
		want   []proposal
	}{
		"impossible": {
			dossiers.Processing, dossiers.Processing, dossiers.ServiceImpossible,
			[]proposal{{Reason: "SERVICE_IMPOSSIBLE", Items: map[string]int64{phi: 100_000, lePhi: 50_000}}},
		},
		"not accepted": {
			dossiers.Registered, dossiers.NotAccepted, "",
			[]proposal{{Reason: "NOT_ACCEPTED", Items: map[string]int64{phi: 100_000}}},
		},
		"withdrawn while at it": {dossiers.Processing, dossiers.Withdrawn, "", nil},
		"refused": {
			dossiers.Processing, dossiers.Stopped, "",
			[]proposal{{Reason: "REFUSED", Items: map[string]int64{phi: 100_000}}},
		},
		"stopped, for a person":  {dossiers.Processing, dossiers.Stopped, "STOPPED", nil},
		"impossible, but handed": {dossiers.Returned, dossiers.Returned, dossiers.ServiceImpossible, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			d, _ := w.Paid(phi, lePhi)
			_, err := w.Dossiers.RecordStatus(t.Context(), portal, d.Code, dossiers.StatusReport{Status: c.before, At: begin})
			w.Must(err)
			w.ends(d, c.status, c.reason)
			w.proposed(d, c.want...)
			if got := w.acts("dossier", d.ID.String()); got[len(got)-1] != "refund.propose" {
				t.Errorf("audit trail: got %q, want the rules told at its end", got)
			}
			if len(c.want) == 0 {
				return
			}
			// What a person rejects stays rejected, and a person may ask again.
			r := w.RefundsOf(d)[0]
			_, err = w.Refunds.Reject(t.Context(), chief, r.ID, "đã xử lý cách khác")
			w.Must(err)
			w.Must(w.Refunds.ProposeForDossier(t.Context(), province, d.ID, r.Reason))
			if got := len(w.RefundsOf(d)); got != 1 {
				t.Errorf("refunds after a rejection: got %d, want the rejected one alone", got)
			}
			w.Approved(d)
		})
	}
}

func TestUnpaidChargesAreWaivedAndTheirPaymentCancelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.Dossier(phi, lePhi)
	p := w.Create(d)
	w.ends(d, dossiers.NotAccepted, "")
	w.proposed(d)
	if got := w.Payment(p.ID).Status; got != payments.Cancelled {
		t.Errorf("the live payment: got %s, want it cancelled", got)
	}
	after := w.Find(d.Code)
	if got, want := [2]int64{charge(t, after, phi).Waived, refundstest.Charge(t, after, lePhi).Waived}, [2]int64{100_000, 0}; got != want {
		t.Errorf("waived: got %v, want %v: the lệ phí is owed all the same", got, want)
	}
	w.Book(map[string]int64{"M-OBLIGATION": 50_000, "M-RECEIVABLE": 50_000})

	// The payer was already on the way: what is still owed takes its part, the rest goes back.
	late := w.Capture(p)
	w.Must(w.Refunds.ProposeExcess(t.Context(), province, late.Captures[0].ID))
	w.Must(w.Refunds.ProposeForDossier(t.Context(), province, d.ID, "NOT_ACCEPTED"))
	w.proposed(d, proposal{Reason: "OVERPAID", Items: map[string]int64{"": 100_000}})
	w.Book(map[string]int64{
		"A-CLR-vnpay": 150_000, "L-TAMTHU-LEPHI": 50_000, "L-REFUND": 100_000, "M-OBLIGATION": 50_000, "M-COLLECTED": 50_000,
	})
}

func TestExcessIsProposedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// Two payments of one dossier, both paid: the second takes money that nobody owes.
	d := w.Dossier(phi)
	first := w.Create(d)
	_, err := w.Payments.Cancel(t.Context(), portal, first.ID)
	w.Must(err)
	second := w.Create(d)
	w.Capture(second)
	twice := w.Capture(first)
	if got := len(w.Queued("propose_excess_refund")); got != 1 {
		t.Errorf("jobs: got %d, want one that proposes", got)
	}
	propose := func(int) error { return w.Refunds.ProposeExcess(t.Context(), province, twice.Captures[0].ID) }
	if got := refundstest.AtOnce(t, 5, propose); got != 5 {
		t.Errorf("ProposeExcess at once: got %d, want 5 without error", got)
	}
	w.proposed(d, proposal{Reason: "DUPLICATE", Items: map[string]int64{"": 100_000}})

	// Back it goes: the charge stays paid.
	r := w.Approve(w.RefundsOf(d)[0].ID)
	w.Book(map[string]int64{
		"A-CLR-vnpay": 200_000, "L-TAMTHU-PHI": 100_000, "L-REFUND": 100_000, "M-OBLIGATION": 100_000, "M-COLLECTED": 100_000,
	})
	w.Send(r.ID)
	w.Clock.Advance(time.Minute)
	w.Inquire(r.ID)
	w.Status(r.ID, refunds.Done)
	w.Book(map[string]int64{"A-CLR-vnpay": 100_000, "L-TAMTHU-PHI": 100_000, "M-OBLIGATION": 100_000, "M-COLLECTED": 100_000})
	if got := w.Find(d.Code).Totals(); got.Refunded != 0 || got.Paid != 100_000 {
		t.Errorf("totals: got %+v, want 100000 paid and nothing of it refunded", got)
	}
}

func TestOverpaidExcessAndSeveralCaptures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.Dossier(lePhi)
	small := w.Create(d)
	_, err := w.Payments.Cancel(t.Context(), portal, small.ID)
	w.Must(err)
	d, err = w.Dossiers.AddCharges(t.Context(), portal, d.Code, itemsOf(phi), "")
	w.Must(err)
	large := w.Create(d)
	_, err = w.Payments.Cancel(t.Context(), portal, large.ID)
	w.Must(err)
	w.Capture(small)         // 50 000 for the lệ phí
	over := w.Capture(large) // 150 000: 100 000 for the phí, 50 000 too much
	c := over.Captures[0].ID
	for range 2 {
		w.Must(w.Refunds.ProposeExcess(t.Context(), province, c))
	}
	w.proposed(d, proposal{Reason: "OVERPAID", Items: map[string]int64{"": 50_000}})

	_, _, err = w.Refunds.Request(t.Context(), accountant, d.Code, refunds.Request{Reason: "COLLECTED_AGAINST_RULE"})
	if !refunds.ErrSeveral.Is(err) {
		t.Errorf("everything of two captures: got %v, want %v", err, refunds.ErrSeveral)
	}
	both := []refunds.Item{{Charge: charge(t, d, lePhi).ID, Amount: 1_000}, {Charge: refundstest.Charge(t, d, phi).ID, Amount: 1_000}}
	_, _, err = w.Refunds.Request(t.Context(), accountant, d.Code, refunds.Request{Reason: "OVERPAID", Items: both})
	if !refunds.ErrSeveral.Is(err) {
		t.Errorf("items of two captures: got %v, want %v", err, refunds.ErrSeveral)
	}
	for _, item := range both {
		w.Approved(d, item)
	}
	_, err = w.Refunds.Reject(t.Context(), chief, w.RefundsOf(d)[0].ID, "người nộp đề nghị bù trừ")
	w.Must(err)
	w.Must(w.Refunds.ProposeExcess(t.Context(), province, c))
	if got := len(w.RefundsOf(d)); got != 3 {
		t.Errorf("refunds after the excess was rejected: got %d, want no new one beside 3", got)
	}
	mixed := w.Approved(d, refunds.Item{Amount: 20_000}, refunds.Item{Charge: charge(t, d, phi).ID, Amount: 10_000})
	w.Send(mixed.ID)
	w.Status(mixed.ID, refunds.Sent)
	if got := w.acts("refund", mixed.ID.String()); got[0] != "refund.request" {
		t.Errorf("audit trail: got %q", got)
	}
	if _, err := w.Refunds.Approve(t.Context(), auth.System(province), mixed.ID, ""); !auth.ErrForbidden.Is(err) {
		t.Errorf("a job approves: got %v, want %v", err, auth.ErrForbidden)
	}
}

func itemsOf(feeType string) []quote.ItemRequest { return []quote.ItemRequest{{FeeType: feeType}} }
