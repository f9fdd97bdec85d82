package cases_test

import (
	"testing"

	"github.com/doisoat/doisoat/cases"
	"github.com/doisoat/doisoat/payments"
)

// Revoking a match reverses what it posted, and no rule makes the pair again.
func TestRevokeMatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.Payment("vnpay", 100_000), w.Payment("vietqr", 80_000)
	w.Pay(a, "deliver")
	w.Pay(b, "deliver")
	w.Fetch(settlement, day)
	w.Fetch(bank, day)
	rows := w.Run(settlement, day)
	run := w.Run(bank, day)
	list, _, err := w.Cases.ListMatches(t.Context(), accountant, cases.MatchFilter{})
	w.Must(err)
	for _, m := range list {
		if _, err := w.Cases.RevokeMatch(t.Context(), accountant, m.ID, "nhầm"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Cases.RevokeMatch(t.Context(), accountant, m.ID, "nhầm"); !cases.ErrRevoked.Is(err) {
			t.Errorf("revoke twice: got %v, want %v", err, cases.ErrRevoked)
		}
	}
	want := map[string]int64{
		"A-BANK-" + bank: 179_450, "L-SUSPENSE": 179_450, "A-CLR-vnpay": 100_000, "A-CLR-vietqr": 80_000, "L-TAMTHU-PHI": 180_000,
	}
	same(t, "balances", w.Balances(), want)
	same(t, "status", []payments.Status{w.Status(a), w.Status(b)}, []payments.Status{payments.Captured, payments.Captured})
	for range 2 {
		rows, run = w.Run(settlement, day), w.Run(bank, day)
		same(t, "matches", append(w.Matches(rows), w.Matches(run)...), []string{})
		same(t, "balances after a run", w.Balances(), want)
	}
	same(t, "breaks", append(w.Breaks(settlement), w.Breaks(bank)...), []string{
		"missing_at_source 100000", "missing_in_book 100000", "missing_at_source 80000",
		"missing_at_source 99450", "missing_in_book 80000", "unidentified 99450",
	})
	w.Close(rows)
	w.Close(run)
}
