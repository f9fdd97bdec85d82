package repricing_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/approval"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/repricing"
	"github.com/doisoat/doisoat/repricing/replay"
)

// TestRepricingOfTooMuch: the paid part of a reduction becomes a proposal and the unpaid part is
// waived; the assessment stays.
func TestRepricingOfTooMuch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Policy("NA-WRONG", 90)
	paid := w.Business()
	w.Capture(w.Create(paid))
	unpaid := w.Business()
	waiting := w.Create(unpaid)
	w.Policy("NA-WRONG", 60)

	r := w.ProposeRepricing("NA-WRONG")
	want := repricing.Counts{Dossiers: 2, Reduced: 2, ReducedAmount: 60_000}
	if diff := cmp.Diff(r.Forecast, want); diff != "" {
		t.Errorf("forecast (-got +want):\n%s", diff)
	}
	if got := w.RefundsOf(paid); len(got) != 0 {
		t.Errorf("a forecast opened %d refunds, want none", len(got))
	}
	maker := auth.Actor{Authority: province, Role: auth.RoleChiefAccountant, ID: accountant.ID}
	if _, err := w.Repricing.Approve(t.Context(), maker, r.ID); !approval.ErrSamePerson.Is(err) {
		t.Errorf("the maker approves: got %v, want %v", err, approval.ErrSamePerson)
	}

	r = w.Reprice(r)
	if r.Status != repricing.Done || r.Done != want || r.DossiersSeen != 2 {
		t.Errorf("got %s, %+v, %d seen; want done, %+v, 2", r.Status, r.Done, r.DossiersSeen, want)
	}
	list := w.RefundsOf(paid)
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
	items := []refunds.Item{{Charge: paid.Charges[0].ID, Amount: 30_000}}
	if diff := cmp.Diff(got, proposal{"OVERPAID", accountant.ID, refunds.Repriced, refunds.Requested, items}); diff != "" {
		t.Errorf("proposal (-got +want):\n%s", diff)
	}
	if c := w.Find(unpaid.Code).Charges[0]; c.Due != 90_000 || c.Waived != 30_000 || c.Outstanding() != 60_000 {
		t.Errorf("unpaid charge: got due %d, waived %d, outstanding %d; want 90000, 30000, 60000", c.Due, c.Waived, c.Outstanding())
	}
	if got := w.Payment(waiting.ID).Payment.Status; got != "cancelled" {
		t.Errorf("the payment that waited for too much: got %s, want cancelled", got)
	}

	// It ran before the job could say so: nothing comes twice.
	_, err := w.DB.Owner.Exec(t.Context(), `update repricing.repricing set status = 'approved', done_at = null, dossiers_seen = 0`)
	w.Must(err)
	w.Must(w.Repricing.Reprice(t.Context(), province, r.ID))
	// A second repricing finds nothing left to do, even after the refund was carried out.
	w.Approve(list[0].ID)
	w.Send(list[0].ID)
	w.Clock.Advance(3 * time.Second)
	w.Inquire(list[0].ID)
	if got := w.ProposeRepricing("NA-WRONG").Forecast; got != (repricing.Counts{}) {
		t.Errorf("second forecast: got %+v, want nothing", got)
	}
	if got := w.RefundsOf(paid); len(got) != 1 {
		t.Errorf("got %d proposals after running again, want 1", len(got))
	}
	if c := w.Find(paid.Code).Charges[0]; c.Due != 90_000 || c.Paid != 90_000 || c.Refunded != 30_000 {
		t.Errorf("paid charge: got due %d, paid %d, refunded %d; want 90000, 90000, 30000", c.Due, c.Paid, c.Refunded)
	}
}

// TestRepricingOfTooLittle: a further charge carries the difference, and the book takes back the
// discount that was too high.
func TestRepricingOfTooLittle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Policy("NA-WRONG", 60)
	d := w.Business()
	w.Capture(w.Create(d))
	w.Policy("NA-WRONG", 80)
	r := w.Reprice(w.ProposeRepricing("NA-WRONG"))
	if want := (repricing.Counts{Dossiers: 1, Increased: 1, IncreasedAmount: 20_000}); r.Done != want || r.Forecast != want {
		t.Errorf("got forecast %+v and done %+v, want %+v", r.Forecast, r.Done, want)
	}
	d = w.Find(d.Code)
	if len(d.Charges) != 2 || d.Charges[1].Corrects != d.Charges[0].ID {
		t.Fatalf("got %d charges, want 2, the second correcting the first", len(d.Charges))
	}
	type amounts struct{ Base, Discount, Due, Outstanding int64 }
	of := func(c dossiers.Charge) amounts { return amounts{c.Base, c.Discount, c.Due, c.Outstanding()} }
	if diff := cmp.Diff([]amounts{of(d.Charges[0]), of(d.Charges[1])},
		[]amounts{{100_000, 40_000, 60_000, 0}, {0, -20_000, 20_000, 20_000}}); diff != "" {
		t.Errorf("charges (-got +want):\n%s", diff)
	}
	if got := w.Balances()[ledger.MemoDiscount]; got != 20_000 {
		t.Errorf("M-DISCOUNT: got %d, want 20000", got)
	}
	// The payer pays the rest; then dossier and book agree on the right share.
	w.Capture(w.Create(d))
	if got := w.Find(d.Code).Totals(); got.Outstanding != 0 || got.Paid != 80_000 || got.Discount != 20_000 || got.Gross != 100_000 {
		t.Errorf("got %+v, want 80000 paid of 100000 less 20000", got)
	}
	if got := w.ProposeRepricing("NA-WRONG").Forecast; got != (repricing.Counts{}) {
		t.Errorf("second forecast: got %+v, want nothing", got)
	}
	// It was wrong to be wrong: back to 60/100, out of the further charge first.
	w.Policy("NA-WRONG", 60)
	w.Reprice(w.ProposeRepricing("NA-WRONG"))
	list := w.RefundsOf(d)
	if len(list) != 1 || list[0].Amount.Minor != 20_000 || list[0].Items[0].Charge != d.Charges[1].ID {
		t.Errorf("got %+v, want one refund of 20000 for the further charge", list)
	}
}

// TestRepricingLeavesToPeople: charges about which people decided, and dossiers whose service
// ended.
func TestRepricingLeavesToPeople(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Policy("NA-WRONG", 90)
	touched := w.Business()
	w.Capture(w.Create(touched))
	touched = w.Find(touched.Code)
	asked := w.Request(touched, refunds.Item{Charge: touched.Charges[0].ID, Amount: 10_000})
	ended := w.Business()
	_, err := w.Dossiers.RecordStatus(t.Context(), portal, ended.Code, dossiers.StatusReport{Status: dossiers.NotAccepted, At: w.Clock.Now()})
	w.Must(err)
	w.Policy("NA-WRONG", 60)
	r := w.Reprice(w.ProposeRepricing("NA-WRONG"))
	if want := (repricing.Counts{Dossiers: 1, Manual: 1}); r.Done != want || r.Forecast != want {
		t.Errorf("got forecast %+v and done %+v, want %+v", r.Forecast, r.Done, want)
	}
	if list := w.RefundsOf(touched); len(list) != 1 || list[0].ID != asked.ID {
		t.Errorf("got %d refunds, want the one that was asked for", len(list))
	}
}

func TestRepricingIsProposedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Policy("NA-WRONG", 90)
	day := calendar.On(w.Clock.Now())
	ask := repricing.Request{Policy: "NA-WRONG", Period: replay.Period{From: day, To: day}, Reason: "sai", IdempotencyKey: "key-0001"}
	first, created, err := w.Repricing.Propose(t.Context(), accountant, ask)
	w.Must(err)
	again, createdAgain, err := w.Repricing.Propose(t.Context(), accountant, ask)
	w.Must(err)
	if !created || createdAgain || first.ID != again.ID {
		t.Errorf("got created %t and %t, ids %s and %s; want one", created, createdAgain, first.ID, again.ID)
	}
	ask.Reason = "khác"
	if _, _, err := w.Repricing.Propose(t.Context(), accountant, ask); !repricing.ErrKeyReused.Is(err) {
		t.Errorf("other content: got %v, want %v", err, repricing.ErrKeyReused)
	}
	ask.IdempotencyKey, ask.Policy = "", "NA-UNKNOWN"
	if _, _, err := w.Repricing.Propose(t.Context(), accountant, ask); !repricing.ErrInvalid.Is(err) {
		t.Errorf("unknown policy: got %v, want %v", err, repricing.ErrInvalid)
	}
	if _, _, err := w.Repricing.Propose(t.Context(), chief, ask); !auth.ErrForbidden.Is(err) {
		t.Errorf("chief proposes: got %v, want forbidden", err)
	}
	rejected, err := w.Repricing.Reject(t.Context(), chief, first.ID, "không đúng")
	w.Must(err)
	if rejected.Status != repricing.Rejected {
		t.Errorf("got %s, want rejected", rejected.Status)
	}
	if _, err := w.Repricing.Approve(t.Context(), chief, first.ID); !approval.ErrDecided.Is(err) {
		t.Errorf("approve after reject: got %v, want %v", err, approval.ErrDecided)
	}
	w.Must(w.Repricing.Reprice(t.Context(), province, first.ID)) // a stray job does nothing
}
