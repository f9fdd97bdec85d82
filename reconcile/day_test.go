package reconcile_test

import (
	"testing"
	"time"

	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/reconcile"
)

// A clean day: two card payments settled in one lump, one transfer. Every
// clearing account ends at nothing, and the day closes.
func TestCleanDay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.payment("vnpay", 100_000), w.payment("vnpay", 60_000)
	c := w.payment("vietqr", 250_000)
	for _, p := range []payments.Payment{a, b, c} {
		w.pay(p, "deliver")
	}
	w.fetch(settlement, day)
	first := w.run(settlement, day)
	same(t, "matches of the settlement", w.matches(first), []string{"settlement transaction_id 100000", "settlement transaction_id 60000"})
	same(t, "source side", first.SourceSide, reconcile.Identity{Total: 160_000, Matched: 160_000})
	same(t, "book side", first.BookSide, reconcile.Identity{Total: 160_000, Matched: 160_000})
	w.fetch(bank, day)
	second := w.run(bank, day)
	same(t, "matches of the bank", w.matches(second), []string{"payout batch_id 159120", "transfer bank_reference 250000"})
	same(t, "breaks", append(w.breaks(settlement), w.breaks(bank)...), []string{})
	same(t, "balances", w.balances(), map[string]int64{"A-BANK-" + bank: 409_120, "E-FEE": 880, "L-TAMTHU-PHI": 410_000})
	for _, p := range []payments.Payment{a, b, c} {
		same(t, "status", w.status(p), payments.Settled)
	}
	again, created, err := w.StartRun(t.Context(), accountant, bank, day)
	w.ok(err)
	if created {
		t.Error("a second start made a new run")
	}
	again.MatchedAt, second.MatchedAt = nil, nil
	same(t, "the run again", again, second)
	w.close(first)
	closed := w.close(second)
	same(t, "closed report", closed.Report, second.Report)
	if err := w.CloseDay(t.Context(), chief, day); !reconcile.ErrDayOpen.Is(err) {
		t.Errorf("close a day that is not over: got %v, want %v", err, reconcile.ErrDayOpen)
	}
	w.clock.advance(24 * time.Hour)
	w.ok(w.CloseDay(t.Context(), chief, day))
	w.ok(w.CloseDay(t.Context(), chief, day))
	last, created, err := w.StartRun(t.Context(), accountant, bank, day)
	w.ok(err)
	if created || last.ID != closed.ID {
		t.Errorf("start on a closed date with nothing left: got run %d, created %t, want the closed one", last.Number, created)
	}
}

// A lost callback repairs itself: settlement row and inquiry agree.
func TestLostCallbackIsRepaired(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.payment("vnpay", 100_000), w.payment("vietqr", 70_000)
	w.pay(a, "lose")
	w.pay(b, "lose")
	same(t, "status before", w.status(a), payments.Pending)
	w.fetch(settlement, day)
	same(t, "matches of the settlement", w.matches(w.run(settlement, day)), []string{"settlement repaired 100000"})
	w.fetch(bank, day)
	same(t, "matches of the bank", w.matches(w.run(bank, day)), []string{"payout batch_id 99450", "transfer repaired 70000"})
	for _, p := range []payments.Payment{a, b} {
		same(t, "status", w.status(p), payments.Settled)
	}
	same(t, "balances", w.balances(), map[string]int64{"A-BANK-" + bank: 169_450, "E-FEE": 550, "L-TAMTHU-PHI": 170_000})
	found, err := w.payments.Find(t.Context(), accountant, b.ID)
	w.ok(err)
	same(t, "captures after a late notice", len(found.Captures), 1)
}
