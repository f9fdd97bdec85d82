package remittance

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/money"
)

// A charge may be given back in any parts. Each side never gives more than it had, and the rest equals a new division
// of the rest.
func TestTakingBackInParts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		denominator := rapid.Int64Range(1, 1000).Draw(t, "denominator")
		r := retention{schedule.Share{Numerator: rapid.Int64Range(0, denominator).Draw(t, "numerator"), Denominator: denominator}, "basis"}
		left := rapid.Int64Range(1, 10_000_000).Draw(t, "amount")
		retained, budget, err := r.divide(money.Dong(left))
		if err != nil {
			t.Fatal(err)
		}
		if retained.Minor != left*r.share.Numerator/denominator || retained.Minor+budget.Minor != left {
			t.Fatalf("divide %d by %+v: got %s and %s", left, r.share, retained, budget)
		}
		for left > 0 {
			amount := rapid.Int64Range(1, left).Draw(t, "back")
			fromRetained, fromBudget, err := r.take(money.Dong(left), money.Dong(amount))
			if err != nil {
				t.Fatal(err)
			}
			if fromRetained.Minor < 0 || fromBudget.Minor < 0 || fromRetained.Minor+fromBudget.Minor != amount {
				t.Fatalf("take %d of %d: got %s and %s", amount, left, fromRetained, fromBudget)
			}
			left -= amount
			retained.Minor -= fromRetained.Minor
			budget.Minor -= fromBudget.Minor
			if want := left * r.share.Numerator / denominator; retained.Minor != want || budget.Minor != left-want {
				t.Fatalf("%d are left as %s and %s, want %d retained", left, retained, budget, want)
			}
		}
	})
}

// A refund takes provisional collection first, then the newest share, and never more money than there is.
func TestTakeOne(t *testing.T) {
	t.Parallel()
	charge := dossiers.Charge{Currency: money.VND}
	half := retention{schedule.Share{Numerator: 1, Denominator: 2}, "basis"}
	open := []openShare{{Left: 30, Retention: half}, {Left: 100, Retention: half, Taken: Taken{Waiting: true}}}
	for _, x := range []struct {
		name         string
		amount, held int64
		want         Taking
		fails        bool
	}{
		{"provisional only", 10, 25, Taking{Charge: charge, Held: 10}, false},
		{"exactly the provisional", 25, 25, Taking{Charge: charge, Held: 25}, false},
		{"then the newest share", 45, 25, Taking{Charge: charge, Held: 25, Shares: []Taken{{Budget: 10, Retained: 10}}}, false},
		{
			"all", 155, 25,
			Taking{Charge: charge, Held: 25, Shares: []Taken{{Budget: 15, Retained: 15}, {Budget: 50, Retained: 50, Waiting: true}}},
			false,
		},
		{
			"nothing provisional", 31, 0,
			Taking{Charge: charge, Shares: []Taken{{Budget: 15, Retained: 15}, {Budget: 0, Retained: 1, Waiting: true}}},
			false,
		},
		{"a book below zero is no source", 30, -5, Taking{Charge: charge, Shares: []Taken{{Budget: 15, Retained: 15}}}, false},
		{"more than there is", 156, 25, Taking{}, true},
	} {
		got, err := takeOne(dossiers.Paid{Charge: charge, Amount: x.amount}, x.held, open)
		if x.fails != ErrMoreThanHeld.Is(err) || (err != nil && !x.fails) {
			t.Errorf("%s: got %v", x.name, err)
		}
		if diff := cmp.Diff(got, x.want); diff != "" {
			t.Errorf("%s (-got +want):\n%s", x.name, diff)
		}
	}
}
