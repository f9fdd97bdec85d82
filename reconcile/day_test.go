package reconcile_test

import (
	"testing"
	"time"

	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/reconcile"
	"github.com/doisoat/doisoat/reconcile/report"
)

// A clean day: two card payments settled in one lump, one transfer. Every
// clearing account ends at nothing, and the day closes.
func TestCleanDay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.Payment("vnpay", 100_000), w.Payment("vnpay", 60_000)
	c := w.Payment("vietqr", 250_000)
	for _, p := range []payments.Payment{a, b, c} {
		w.Pay(p, "deliver")
	}
	w.Fetch(settlement, day)
	first := w.Run(settlement, day)
	same(t, "matches of the settlement", w.Matches(first), []string{"settlement transaction_id 100000", "settlement transaction_id 60000"})
	same(t, "source side", first.SourceSide, report.Identity{Total: 160_000, Matched: 160_000})
	same(t, "book side", first.BookSide, report.Identity{Total: 160_000, Matched: 160_000})
	w.Fetch(bank, day)
	second := w.Run(bank, day)
	same(t, "matches of the bank", w.Matches(second), []string{"payout batch_id 159120", "transfer bank_reference 250000"})
	same(t, "breaks", append(w.Breaks(settlement), w.Breaks(bank)...), []string{})
	same(t, "balances", w.Balances(), map[string]int64{"A-BANK-" + bank: 409_120, "E-FEE": 880, "L-TAMTHU-PHI": 410_000})
	for _, p := range []payments.Payment{a, b, c} {
		same(t, "status", w.Status(p), payments.Settled)
	}
	again, created, err := w.Reconcile.StartRun(t.Context(), accountant, bank, day)
	w.Must(err)
	if created {
		t.Error("a second start made a new run")
	}
	again.MatchedAt, second.MatchedAt = nil, nil
	same(t, "the run again", again, second)
	w.Close(first)
	closed := w.Close(second)
	same(t, "closed report", closed.Report, second.Report)
	if err := w.Reconcile.CloseDay(t.Context(), chief, day); !reconcile.ErrDayOpen.Is(err) {
		t.Errorf("close a day that is not over: got %v, want %v", err, reconcile.ErrDayOpen)
	}
	w.Clock.Advance(24 * time.Hour)
	w.Must(w.Reconcile.CloseDay(t.Context(), chief, day))
	w.Must(w.Reconcile.CloseDay(t.Context(), chief, day))
	last, created, err := w.Reconcile.StartRun(t.Context(), accountant, bank, day)
	w.Must(err)
	if created || last.ID != closed.ID {
		t.Errorf("start on a closed date with nothing left: got run %d, created %t, want the closed one", last.Number, created)
	}
}

// A lost callback repairs itself: settlement row and inquiry agree.
func TestLostCallbackIsRepaired(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.Payment("vnpay", 100_000), w.Payment("vietqr", 70_000)
	w.Pay(a, "lose")
	w.Pay(b, "lose")
	same(t, "status before", w.Status(a), payments.Pending)
	w.Fetch(settlement, day)
	same(t, "matches of the settlement", w.Matches(w.Run(settlement, day)), []string{"settlement repaired 100000"})
	w.Fetch(bank, day)
	same(t, "matches of the bank", w.Matches(w.Run(bank, day)), []string{"payout batch_id 99450", "transfer repaired 70000"})
	for _, p := range []payments.Payment{a, b} {
		same(t, "status", w.Status(p), payments.Settled)
	}
	same(t, "balances", w.Balances(), map[string]int64{"A-BANK-" + bank: 169_450, "E-FEE": 550, "L-TAMTHU-PHI": 170_000})
	found, err := w.Find(t.Context(), accountant, b.ID)
	w.Must(err)
	same(t, "captures after a late notice", len(found.Captures), 1)
}
