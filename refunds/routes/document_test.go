package routes_test

import (
	"testing"
	"time"

	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/refunds/routes"
	"github.com/doisoat/doisoat/remittance"
)

// A refund is taken from where the money is when it is decided, and goes back the way that this allows.
func TestRefundsKnowWhereTheMoneyIs(t *testing.T) {
	t.Parallel()
	type place struct {
		Stage refunds.Stage
		Route refunds.Route
	}
	waiting := func(w *treasury, s remittance.Split) { w.Remit(s, remittance.ToWaiting, bank) }
	for _, x := range []struct {
		name      string
		before    func(w *treasury) // between capture and decision
		place     place
		approved  map[string]int64
		account   string
		confirmed map[string]int64
	}{
		{
			"captured", func(*treasury) {},
			place{refunds.AtProvider, refunds.ByProvider},
			map[string]int64{"A-CLR-vnpay": 150_000, "L-REFUND": 150_000},
			"", nil,
		},
		{
			"divided", func(w *treasury) { w.Split() },
			place{refunds.AtAgency, refunds.ByProvider},
			map[string]int64{"A-CLR-vnpay": 150_000, "L-REFUND": 150_000},
			"", nil,
		},
		{
			"phí at the waiting account", func(w *treasury) { waiting(w, w.Split()) },
			place{refunds.AtWaiting, refunds.PaymentOrder},
			map[string]int64{"A-CLR-vnpay": 150_000, "A-TRANSIT-" + bank: -100_000, "A-KB-PHI": 100_000, "L-REFUND": 150_000},
			bank,
			map[string]int64{"A-CLR-vnpay": 150_000, "A-TRANSIT-" + bank: -150_000},
		},
		{
			"lệ phí remitted", func(w *treasury) { w.Remit(w.Split(), remittance.BudgetLePhi, bank) },
			place{refunds.InBudget, refunds.TreasuryOrder},
			map[string]int64{"A-CLR-vnpay": 150_000, "A-TRANSIT-" + bank: -50_000, "A-KB-HOAN": 50_000, "L-REFUND": 150_000},
			bank,
			map[string]int64{"A-CLR-vnpay": 150_000, "A-TRANSIT-" + bank: -150_000},
		},
		{
			"all remitted", func(w *treasury) {
				s := w.Split()
				w.Remit(s, remittance.BudgetLePhi, bank)
				w.Remit(s, remittance.BudgetPhi, bank)
			},
			place{refunds.InBudget, refunds.TreasuryOrder},
			map[string]int64{"A-CLR-vnpay": 150_000, "A-TRANSIT-" + bank: -80_000, "A-KB-HOAN": 80_000, "L-REFUND": 150_000},
			bank,
			map[string]int64{"A-CLR-vnpay": 150_000, "A-TRANSIT-" + bank: -150_000},
		},
		{
			"all remitted, phí over the waiting account, last year", func(w *treasury) {
				s := w.Split()
				waiting(w, s)
				w.Remit(s, remittance.BudgetLePhi, bank)
				w.Remit(s, remittance.BudgetPhi, "")
				w.Clock.Advance(365 * 24 * time.Hour)
			},
			place{refunds.InOldBudget, refunds.TreasuryOrder},
			map[string]int64{"A-CLR-vnpay": 150_000, "A-TRANSIT-" + bank: -150_000, "A-KB-PHI": 70_000, "A-KB-HOAN": 80_000, "L-REFUND": 150_000},
			"",
			map[string]int64{"A-CLR-vnpay": 150_000, "A-TRANSIT-" + bank: -150_000},
		},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			w := newTreasury(t)
			d, _ := w.Paid(lePhi, phi)
			x.before(w)
			r := w.Approved(d)
			w.Same("place", place{r.Stage, r.Route}, x.place)
			w.Same("book after the decision", w.Real(), x.approved)
			_, err := w.Routes.Confirm(t.Context(), accountant, r.ID, w.Order(x.account))
			if x.confirmed == nil {
				if !refunds.ErrStatus.Is(err) {
					t.Errorf("Confirm by provider: got %v, want %v", err, refunds.ErrStatus)
				}
				w.Send(r.ID)
				w.Clock.Advance(time.Minute)
				w.Inquire(r.ID)
				w.Book(map[string]int64{})
				return
			}
			w.Must(err)
			w.Status(r.ID, refunds.Done)
			w.Book(x.confirmed)
		})
	}
}

// What a provider declines after the split is provisional again, and the next period divides it.
func TestDeclinedAfterTheSplit(t *testing.T) {
	t.Parallel()
	w := newTreasury(t)
	d, _ := w.Paid(lePhi, phi)
	w.Split()
	r := w.Approved(d, refunds.Item{Charge: charge(t, d, phi).ID, Amount: 33_333})
	w.Same("divided by the ratio", w.Real(), map[string]int64{
		"A-CLR-vnpay": 150_000, "L-NSNN": 70_001, "L-RETAIN": 46_666, "L-REFUND": 33_333,
	})
	w.Script.Fault(t, "vnpay", "refund", "refused")
	w.Send(r.ID)
	w.Status(r.ID, refunds.Declined)
	w.Same("declined", w.Real(), map[string]int64{"A-CLR-vnpay": 150_000, "L-NSNN": 70_001, "L-RETAIN": 46_666, "L-TAMTHU-PHI": 33_333})
	s := w.Split()
	w.Same("the next period", s.Parts, []remittance.Part{
		{FeeType: phi, Kind: schedule.Phi, Charges: 1, Amount: 33_333, Retained: 23_333, Budget: 10_000},
	})
	w.Approved(d)
	w.Same("taken from both periods", w.Real(), map[string]int64{"A-CLR-vnpay": 150_000, "L-REFUND": 150_000})
}

// A refund that bounced is owed again and is paid again by order.
func TestBouncedRefundIsPaidAgain(t *testing.T) {
	t.Parallel()
	w := newTreasury(t)
	d, _ := w.Paid(phi)
	r := w.Approved(d)
	w.Send(r.ID)
	w.Clock.Advance(time.Minute)
	w.Inquire(r.ID)
	w.Status(r.ID, refunds.Done)
	for range 2 {
		_, err := w.Routes.Return(t.Context(), accountant, r.ID, routes.Document{Number: "BC-9", Date: w.Today(), Account: bank})
		w.Must(err)
		w.Status(r.ID, refunds.Returned)
		w.Book(map[string]int64{"A-TRANSIT-" + bank: 100_000, "L-REFUND": 100_000})
	}
	w.Consistent()
	for _, x := range []struct {
		name string
		doc  routes.Document
		want error
	}{
		{"no account", routes.Document{Number: "UNC-1", Date: w.Today()}, routes.ErrDocument},
		{"other account", routes.Document{Number: "UNC-1", Date: w.Today(), Account: "vcb-h99"}, remittance.ErrNoAccount},
		{"no number", routes.Document{Date: w.Today(), Account: bank}, routes.ErrDocument},
		{"tomorrow", routes.Document{Number: "UNC-1", Date: w.Today().AddDays(1), Account: bank}, routes.ErrDocument},
		{"before it bounced", routes.Document{Number: "UNC-1", Date: w.Today().AddDays(-1), Account: bank}, routes.ErrDocument},
	} {
		if _, err := w.Routes.Confirm(t.Context(), accountant, r.ID, x.doc); err == nil || !isFault(err, x.want) {
			t.Errorf("%s: got %v, want %v", x.name, err, x.want)
		}
	}
	for range 2 {
		_, err := w.Routes.Confirm(t.Context(), accountant, r.ID, w.Order(bank))
		w.Must(err)
	}
	w.Book(map[string]int64{})
	w.Status(r.ID, refunds.Done)
	_, err := w.Routes.Return(t.Context(), accountant, r.ID, routes.Document{Number: "BC-10", Date: w.Today(), Account: bank})
	w.Must(err)
	w.Book(map[string]int64{"A-TRANSIT-" + bank: 100_000, "L-REFUND": 100_000})
	for _, actor := range []auth.Actor{portal, chief, auditor, admin} {
		if _, err := w.Routes.Confirm(t.Context(), actor, r.ID, w.Order(bank)); !auth.ErrForbidden.Is(err) {
			t.Errorf("Confirm by %s: got %v, want %v", actor.Role, err, auth.ErrForbidden)
		}
	}
}

// A paper carries out one thing: the request that recorded it, come late, moves
// nothing again after what followed it.
func TestOldDocumentMovesNothingAgain(t *testing.T) {
	t.Parallel()
	w := newTreasury(t)
	d, _ := w.Paid(phi)
	r := w.Approved(d)
	w.Send(r.ID)
	w.Clock.Advance(time.Minute)
	w.Inquire(r.ID)
	bounced := routes.Document{Number: "BC-9", Date: w.Today(), Account: bank}
	_, err := w.Routes.Return(t.Context(), accountant, r.ID, bounced)
	w.Must(err)
	_, err = w.Routes.Confirm(t.Context(), accountant, r.ID, w.Order(bank))
	w.Must(err)
	if _, err = w.Routes.Return(t.Context(), accountant, r.ID, bounced); !routes.ErrDocument.Is(err) {
		t.Errorf("it bounced by the same paper again: got %v, want %v", err, routes.ErrDocument)
	}
	w.Status(r.ID, refunds.Done)
	w.Book(map[string]int64{})
	again := bounced
	again.Number = "BC-10"
	_, err = w.Routes.Return(t.Context(), accountant, r.ID, again)
	w.Must(err)
	if _, err = w.Routes.Confirm(t.Context(), accountant, r.ID, w.Order(bank)); !routes.ErrDocument.Is(err) {
		t.Errorf("paid by the same order again: got %v, want %v", err, routes.ErrDocument)
	}
	w.Status(r.ID, refunds.Returned)
	w.Book(map[string]int64{"A-TRANSIT-" + bank: 100_000, "L-REFUND": 100_000})
}

func isFault(err, want error) bool {
	f, ok := want.(interface{ Is(error) bool })
	return ok && f.Is(err)
}
