package refunds_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/refunds"
)

// reports a status and does the job that it queues, twice.
func (w *world) ends(d dossiers.Dossier, status dossiers.Status, reason string) {
	w.t.Helper()
	w.clock.advance(time.Minute)
	ended, err := w.dossiers.RecordStatus(w.t.Context(), portal, d.Code, dossiers.StatusReport{Status: status, At: w.clock.Now(), Reason: reason})
	w.ok(err)
	if got := len(w.jobs("propose_dossier_refunds")); got != 1 {
		w.t.Errorf("jobs: got %d, want one that proposes", got)
	}
	for range 2 {
		w.ok(w.refunds.ProposeForDossier(w.t.Context(), province, d.ID, ended.Undeliverable))
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
	w.t.Helper()
	for _, r := range w.refundsOf(d) {
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
	w.t.Helper()
	for i := range want {
		want[i].Status, want[i].Origin, want[i].By = refunds.Requested, refunds.Automatic, "system"
	}
	if diff := cmp.Diff(w.proposals(d), want); diff != "" {
		w.t.Errorf("proposals (-got +want):\n%s", diff)
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
		"impossible":             {dossiers.Processing, dossiers.Processing, dossiers.ServiceImpossible, []proposal{{Reason: "SERVICE_IMPOSSIBLE", Items: map[string]int64{phi: 100_000, lePhi: 50_000}}}},
		"not accepted":           {dossiers.Registered, dossiers.NotAccepted, "", []proposal{{Reason: "NOT_ACCEPTED", Items: map[string]int64{phi: 100_000}}}},
		"withdrawn while at it":  {dossiers.Processing, dossiers.Withdrawn, "", nil},
		"refused":                {dossiers.Processing, dossiers.Stopped, "", []proposal{{Reason: "REFUSED", Items: map[string]int64{phi: 100_000}}}},
		"stopped, for a person":  {dossiers.Processing, dossiers.Stopped, "STOPPED", nil},
		"impossible, but handed": {dossiers.Returned, dossiers.Returned, dossiers.ServiceImpossible, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			d, _ := w.paid(phi, lePhi)
			_, err := w.dossiers.RecordStatus(t.Context(), portal, d.Code, dossiers.StatusReport{Status: c.before, At: begin})
			w.ok(err)
			w.ends(d, c.status, c.reason)
			w.proposed(d, c.want...)
			if got := w.acts("dossier", d.ID.String()); got[len(got)-1] != "refund.propose" {
				t.Errorf("audit trail: got %q, want the rules told at its end", got)
			}
			if len(c.want) == 0 {
				return
			}
			// What a person rejects stays rejected, and a person may ask again.
			r := w.refundsOf(d)[0]
			_, err = w.refunds.Reject(t.Context(), chief, r.ID, "đã xử lý cách khác")
			w.ok(err)
			w.ok(w.refunds.ProposeForDossier(t.Context(), province, d.ID, r.Reason))
			if got := len(w.refundsOf(d)); got != 1 {
				t.Errorf("refunds after a rejection: got %d, want the rejected one alone", got)
			}
			w.approved(d)
		})
	}
}

func TestUnpaidChargesAreWaivedAndTheirPaymentCancelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.dossier(phi, lePhi)
	p := w.create(d)
	w.ends(d, dossiers.NotAccepted, "")
	w.proposed(d)
	if got := w.payment(p.ID).Status; got != payments.Cancelled {
		t.Errorf("the live payment: got %s, want it cancelled", got)
	}
	after := w.find(d.Code)
	if got, want := [2]int64{charge(t, after, phi).Waived, charge(t, after, lePhi).Waived}, [2]int64{100_000, 0}; got != want {
		t.Errorf("waived: got %v, want %v: the lệ phí is owed all the same", got, want)
	}
	w.book(map[string]int64{"M-OBLIGATION": 50_000, "M-RECEIVABLE": 50_000})

	// The payer was already on the way: what is still owed takes its part, the rest goes back.
	late := w.capture(p)
	w.ok(w.refunds.ProposeExcess(t.Context(), province, late.Captures[0].ID))
	w.ok(w.refunds.ProposeForDossier(t.Context(), province, d.ID, "NOT_ACCEPTED"))
	w.proposed(d, proposal{Reason: "OVERPAID", Items: map[string]int64{"": 100_000}})
	w.book(map[string]int64{"A-CLR-vnpay": 150_000, "L-TAMTHU-LEPHI": 50_000, "L-REFUND": 100_000, "M-OBLIGATION": 50_000, "M-COLLECTED": 50_000})
}

func TestExcessIsProposedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// Two payments of one dossier, both paid: the second takes money that nobody owes.
	d := w.dossier(phi)
	first := w.create(d)
	_, err := w.payments.Cancel(t.Context(), portal, first.ID)
	w.ok(err)
	second := w.create(d)
	w.capture(second)
	twice := w.capture(first)
	if got := len(w.jobs("propose_excess_refund")); got != 1 {
		t.Errorf("jobs: got %d, want one that proposes", got)
	}
	if got := atOnce(t, 5, func(int) error { return w.refunds.ProposeExcess(t.Context(), province, twice.Captures[0].ID) }); got != 5 {
		t.Errorf("ProposeExcess at once: got %d, want 5 without error", got)
	}
	w.proposed(d, proposal{Reason: "DUPLICATE", Items: map[string]int64{"": 100_000}})

	// Back it goes: the charge stays paid.
	r := w.approve(w.refundsOf(d)[0].ID)
	w.book(map[string]int64{"A-CLR-vnpay": 200_000, "L-TAMTHU-PHI": 100_000, "L-REFUND": 100_000, "M-OBLIGATION": 100_000, "M-COLLECTED": 100_000})
	w.send(r.ID)
	w.clock.advance(time.Minute)
	w.inquire(r.ID)
	w.status(r.ID, refunds.Done)
	w.book(map[string]int64{"A-CLR-vnpay": 100_000, "L-TAMTHU-PHI": 100_000, "M-OBLIGATION": 100_000, "M-COLLECTED": 100_000})
	if got := w.find(d.Code).Totals(); got.Refunded != 0 || got.Paid != 100_000 {
		t.Errorf("totals: got %+v, want 100000 paid and nothing of it refunded", got)
	}
}

func TestOverpaidExcessAndSeveralCaptures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.dossier(lePhi)
	small := w.create(d)
	_, err := w.payments.Cancel(t.Context(), portal, small.ID)
	w.ok(err)
	d, err = w.dossiers.AddCharges(t.Context(), portal, d.Code, itemsOf(phi), "")
	w.ok(err)
	large := w.create(d)
	_, err = w.payments.Cancel(t.Context(), portal, large.ID)
	w.ok(err)
	w.capture(small)         // 50 000 for the lệ phí
	over := w.capture(large) // 150 000: 100 000 for the phí, 50 000 too much
	c := over.Captures[0].ID
	for range 2 {
		w.ok(w.refunds.ProposeExcess(t.Context(), province, c))
	}
	w.proposed(d, proposal{Reason: "OVERPAID", Items: map[string]int64{"": 50_000}})

	_, _, err = w.refunds.Request(t.Context(), accountant, d.Code, refunds.Request{Reason: "COLLECTED_AGAINST_RULE"})
	if !refunds.ErrSeveral.Is(err) {
		t.Errorf("everything of two captures: got %v, want %v", err, refunds.ErrSeveral)
	}
	both := []refunds.Item{{Charge: charge(t, d, lePhi).ID, Amount: 1_000}, {Charge: charge(t, d, phi).ID, Amount: 1_000}}
	if _, _, err := w.refunds.Request(t.Context(), accountant, d.Code, refunds.Request{Reason: "OVERPAID", Items: both}); !refunds.ErrSeveral.Is(err) {
		t.Errorf("items of two captures: got %v, want %v", err, refunds.ErrSeveral)
	}
	for _, item := range both {
		w.approved(d, item)
	}
	_, err = w.refunds.Reject(t.Context(), chief, w.refundsOf(d)[0].ID, "người nộp đề nghị bù trừ")
	w.ok(err)
	w.ok(w.refunds.ProposeExcess(t.Context(), province, c))
	if got := len(w.refundsOf(d)); got != 3 {
		t.Errorf("refunds after the excess was rejected: got %d, want no new one beside 3", got)
	}
	mixed := w.approved(d, refunds.Item{Amount: 20_000}, refunds.Item{Charge: charge(t, d, phi).ID, Amount: 10_000})
	w.send(mixed.ID)
	w.status(mixed.ID, refunds.Sent)
	if got := w.acts("refund", mixed.ID.String()); got[0] != "refund.request" {
		t.Errorf("audit trail: got %q", got)
	}
	if _, err := w.refunds.Approve(t.Context(), auth.System(province), mixed.ID, ""); !auth.ErrForbidden.Is(err) {
		t.Errorf("a job approves: got %v, want %v", err, auth.ErrForbidden)
	}
}
