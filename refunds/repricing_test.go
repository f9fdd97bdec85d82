package refunds_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/approval"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/repricing"
	"github.com/doisoat/doisoat/repricing/replay"
)

// policy records the text of one policy, or its next version.
func (w *world) policy(id string, percent int) {
	w.t.Helper()
	p, err := schedule.ParsePolicy(fmt.Appendf(nil, `{
		"id": %q, "status": "in_force", "authority": {"code": "H41", "name": "HĐND tỉnh Nghệ An", "level": "province"},
		"territory": ["H41"], "legal_basis": {"number": "14/2023/NQ-HĐND", "kind": "nghi_quyet_hdnd"},
		"scope": {"mode": "fee_type_list", "fee_types": ["LP_DKKD"], "list_complete": true},
		"effect": {"kind": "share_of_base", "numerator": %d, "denominator": 100},
		"valid_from": "2024-01-01"}`, id, percent))
	w.ok(err)
	_, err = w.fees.LoadPolicies(w.t.Context(), auth.Operator(province), []schedule.Policy{p})
	w.ok(err)
}

// business registers a dossier with a fee of 100 000 that the policy lowers.
func (w *world) business() dossiers.Dossier {
	w.t.Helper()
	w.serial++
	base := int64(100_000)
	d, _, err := w.dossiers.Register(w.t.Context(), portal, dossiers.Registration{
		Authority: province, Code: fmt.Sprintf("H41.12-240502-%d001", w.serial), Agency: "H41.12", Channel: "online",
		SubmittedAt: w.clock.Now().Add(-time.Hour), Applicant: dossiers.Applicant{Name: "Người nộp"},
		Items: []quote.ItemRequest{{FeeType: "LP_DKKD", Base: &base}},
	})
	w.ok(err)
	return d
}

func (w *world) propose(policy string) repricing.Repricing {
	w.t.Helper()
	day := dayOf(w.clock.Now())
	r, created, err := w.repricing.Propose(w.t.Context(), accountant, repricing.Request{
		Policy: policy, Period: replay.Period{From: day.AddDays(-1), To: day}, Reason: "sai tỷ lệ",
	})
	w.ok(err)
	if !created {
		w.t.Fatal("ProposeRepricing: got an earlier one, want a new one")
	}
	return r
}

func (w *world) reprice(r repricing.Repricing) repricing.Repricing {
	w.t.Helper()
	_, err := w.repricing.Approve(w.t.Context(), chief, r.ID)
	w.ok(err)
	w.ok(w.repricing.Reprice(w.t.Context(), province, r.ID))
	r, err = w.repricing.Find(w.t.Context(), auditor, r.ID)
	w.ok(err)
	return r
}

// TestRepricingOfTooMuch: what was paid becomes a proposal, what is unpaid is
// waived, and what was assessed stays.
func TestRepricingOfTooMuch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy("NA-WRONG", 90)
	paid := w.business()
	w.capture(w.create(paid))
	unpaid := w.business()
	waiting := w.create(unpaid)
	w.policy("NA-WRONG", 60)

	r := w.propose("NA-WRONG")
	want := repricing.Counts{Dossiers: 2, Reduced: 2, ReducedAmount: 60_000}
	if diff := cmp.Diff(r.Forecast, want); diff != "" {
		t.Errorf("forecast (-got +want):\n%s", diff)
	}
	if got := w.refundsOf(paid); len(got) != 0 {
		t.Errorf("a forecast opened %d refunds, want none", len(got))
	}
	if _, err := w.repricing.Approve(t.Context(), auth.Actor{Authority: province, Role: auth.RoleChiefAccountant, ID: accountant.ID}, r.ID); !approval.ErrSamePerson.Is(err) {
		t.Errorf("the maker approves: got %v, want %v", err, approval.ErrSamePerson)
	}

	r = w.reprice(r)
	if r.Status != repricing.Done || r.Done != want || r.DossiersSeen != 2 {
		t.Errorf("got %s, %+v, %d seen; want done, %+v, 2", r.Status, r.Done, r.DossiersSeen, want)
	}
	list := w.refundsOf(paid)
	if len(list) != 1 {
		t.Fatalf("got %d proposals, want 1", len(list))
	}
	type proposal struct {
		Reason, By string
		Origin     refunds.Origin
		Status     refunds.Status
		Items      []refunds.Item
	}
	got := proposal{list[0].Reason, list[0].RequestedBy, list[0].Origin, list[0].Status, list[0].Items}
	if diff := cmp.Diff(got, proposal{"OVERPAID", accountant.ID, refunds.Repriced, refunds.Requested, []refunds.Item{{Charge: paid.Charges[0].ID, Amount: 30_000}}}); diff != "" {
		t.Errorf("proposal (-got +want):\n%s", diff)
	}
	if c := w.find(unpaid.Code).Charges[0]; c.Due != 90_000 || c.Waived != 30_000 || c.Outstanding() != 60_000 {
		t.Errorf("unpaid charge: got due %d, waived %d, outstanding %d; want 90000, 30000, 60000", c.Due, c.Waived, c.Outstanding())
	}
	if got := w.payment(waiting.ID).Payment.Status; got != "cancelled" {
		t.Errorf("the payment that waited for too much: got %s, want cancelled", got)
	}

	// It ran before the job could say so: nothing comes twice.
	_, err := w.db.Owner.Exec(t.Context(), `update repricing.repricing set status = 'approved', done_at = null, dossiers_seen = 0`)
	w.ok(err)
	w.ok(w.repricing.Reprice(t.Context(), province, r.ID))
	// A second repricing finds nothing left to do, even after the refund was carried out.
	w.approve(list[0].ID)
	w.send(list[0].ID)
	w.clock.advance(3 * time.Second)
	w.inquire(list[0].ID)
	if got := w.propose("NA-WRONG").Forecast; got != (repricing.Counts{}) {
		t.Errorf("second forecast: got %+v, want nothing", got)
	}
	if got := w.refundsOf(paid); len(got) != 1 {
		t.Errorf("got %d proposals after running again, want 1", len(got))
	}
	if c := w.find(paid.Code).Charges[0]; c.Due != 90_000 || c.Paid != 90_000 || c.Refunded != 30_000 {
		t.Errorf("paid charge: got due %d, paid %d, refunded %d; want 90000, 90000, 30000", c.Due, c.Paid, c.Refunded)
	}
}

// TestRepricingOfTooLittle: a further charge carries the difference and the
// book takes back what was granted too much.
func TestRepricingOfTooLittle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy("NA-WRONG", 60)
	d := w.business()
	w.capture(w.create(d))
	w.policy("NA-WRONG", 80)
	r := w.reprice(w.propose("NA-WRONG"))
	if want := (repricing.Counts{Dossiers: 1, Increased: 1, IncreasedAmount: 20_000}); r.Done != want || r.Forecast != want {
		t.Errorf("got forecast %+v and done %+v, want %+v", r.Forecast, r.Done, want)
	}
	d = w.find(d.Code)
	if len(d.Charges) != 2 || d.Charges[1].Corrects != d.Charges[0].ID {
		t.Fatalf("got %d charges, want 2, the second correcting the first", len(d.Charges))
	}
	type amounts struct{ Base, Discount, Due, Outstanding int64 }
	of := func(c dossiers.Charge) amounts { return amounts{c.Base, c.Discount, c.Due, c.Outstanding()} }
	if diff := cmp.Diff([]amounts{of(d.Charges[0]), of(d.Charges[1])}, []amounts{{100_000, 40_000, 60_000, 0}, {0, -20_000, 20_000, 20_000}}); diff != "" {
		t.Errorf("charges (-got +want):\n%s", diff)
	}
	if got := w.balances()[ledger.MemoDiscount]; got != 20_000 {
		t.Errorf("M-DISCOUNT: got %d, want 20000", got)
	}
	// The payer pays the rest; then the right share is what everybody says.
	w.capture(w.create(d))
	if got := w.find(d.Code).Totals(); got.Outstanding != 0 || got.Paid != 80_000 || got.Discount != 20_000 || got.Gross != 100_000 {
		t.Errorf("got %+v, want 80000 paid of 100000 less 20000", got)
	}
	if got := w.propose("NA-WRONG").Forecast; got != (repricing.Counts{}) {
		t.Errorf("second forecast: got %+v, want nothing", got)
	}
	// It was wrong to be wrong: back to 60/100, out of the further charge first.
	w.policy("NA-WRONG", 60)
	w.reprice(w.propose("NA-WRONG"))
	list := w.refundsOf(d)
	if len(list) != 1 || list[0].Amount.Minor != 20_000 || list[0].Items[0].Charge != d.Charges[1].ID {
		t.Errorf("got %+v, want one refund of 20000 for the further charge", list)
	}
}

// TestRepricingLeavesToPeople what people decided about, and dossiers whose service ended.
func TestRepricingLeavesToPeople(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy("NA-WRONG", 90)
	touched := w.business()
	w.capture(w.create(touched))
	touched = w.find(touched.Code)
	asked := w.request(touched, refunds.Item{Charge: touched.Charges[0].ID, Amount: 10_000})
	ended := w.business()
	_, err := w.dossiers.RecordStatus(t.Context(), portal, ended.Code, dossiers.StatusReport{Status: dossiers.NotAccepted, At: w.clock.Now()})
	w.ok(err)
	w.policy("NA-WRONG", 60)
	r := w.reprice(w.propose("NA-WRONG"))
	if want := (repricing.Counts{Dossiers: 1, Manual: 1}); r.Done != want || r.Forecast != want {
		t.Errorf("got forecast %+v and done %+v, want %+v", r.Forecast, r.Done, want)
	}
	if list := w.refundsOf(touched); len(list) != 1 || list[0].ID != asked.ID {
		t.Errorf("got %d refunds, want the one that was asked for", len(list))
	}
}

func TestRepricingIsProposedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy("NA-WRONG", 90)
	day := dayOf(w.clock.Now())
	ask := repricing.Request{Policy: "NA-WRONG", Period: replay.Period{From: day, To: day}, Reason: "sai", IdempotencyKey: "key-0001"}
	first, created, err := w.repricing.Propose(t.Context(), accountant, ask)
	w.ok(err)
	again, createdAgain, err := w.repricing.Propose(t.Context(), accountant, ask)
	w.ok(err)
	if !created || createdAgain || first.ID != again.ID {
		t.Errorf("got created %t and %t, ids %s and %s; want one", created, createdAgain, first.ID, again.ID)
	}
	ask.Reason = "khác"
	if _, _, err := w.repricing.Propose(t.Context(), accountant, ask); !repricing.ErrKeyReused.Is(err) {
		t.Errorf("other content: got %v, want %v", err, repricing.ErrKeyReused)
	}
	ask.IdempotencyKey, ask.Policy = "", "NA-UNKNOWN"
	if _, _, err := w.repricing.Propose(t.Context(), accountant, ask); !repricing.ErrInvalid.Is(err) {
		t.Errorf("unknown policy: got %v, want %v", err, repricing.ErrInvalid)
	}
	if _, _, err := w.repricing.Propose(t.Context(), chief, ask); !auth.ErrForbidden.Is(err) {
		t.Errorf("chief proposes: got %v, want forbidden", err)
	}
	rejected, err := w.repricing.Reject(t.Context(), chief, first.ID, "không đúng")
	w.ok(err)
	if rejected.Status != repricing.Rejected {
		t.Errorf("got %s, want rejected", rejected.Status)
	}
	if _, err := w.repricing.Approve(t.Context(), chief, first.ID); !approval.ErrDecided.Is(err) {
		t.Errorf("approve after reject: got %v, want %v", err, approval.ErrDecided)
	}
	w.ok(w.repricing.Reprice(t.Context(), province, first.ID)) // a stray job does nothing
}
