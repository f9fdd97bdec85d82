package dossiers

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/ledgertest"
)

// The manual shows every entry of this room.
func TestManual(t *testing.T) {
	t.Parallel()
	day, now := calendar.MustParse("2026-11-20"), time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)
	d := Dossier{ID: ident.New[dossierKind](), Authority: "H41", Code: "H41.12-261120-0001", Currency: "VND"}
	charge := func(kind schedule.Kind, due, discount, subsidy int64) Charge {
		c := Charge{
			ID: ident.New[chargeKind](), DossierID: d.ID, Kind: kind, FeeType: "LP_DKKD", Currency: "VND",
			Base: due + discount + subsidy, Due: due, Discount: discount, Subsidy: subsidy,
		}
		if discount > 0 {
			c.Policy = "NA-2023-60"
		}
		if subsidy > 0 {
			c.Explanation.Applied = []quote.Applied{{Policy: "HN-2026-SUB", Rule: quote.RuleSubsidy}}
		}
		return c
	}
	example := func(title, when string, c Charge) ledgertest.Example {
		entry, ok := assessed(d, []Charge{c}, day, now, "key_portal")
		if !ok {
			t.Fatalf("%s: no entry", title)
		}
		return ledgertest.Example{Title: title, When: when, Entry: entry}
	}
	if _, ok := assessed(d, []Charge{charge(schedule.LePhi, 0, 0, 0)}, day, now, "key_portal"); ok {
		t.Error("a fee whose base is 0 has nothing to post")
	}
	full := charge(schedule.LePhi, 100_000, 0, 0)
	// The charge that carries a difference explains what is lawful now.
	corrects := func(wrong Charge, by quote.Applied, discount, subsidy int64) ledger.Entry {
		c := charge(wrong.Kind, wrong.Discount-discount+wrong.Subsidy-subsidy, discount-wrong.Discount, subsidy-wrong.Subsidy)
		c.Base, c.Corrects, c.Policy, c.Explanation.Applied = 0, wrong.ID, "", []quote.Applied{by}
		if by.Rule != quote.RuleSubsidy {
			c.Policy = by.Policy
		}
		return corrected(
			d,
			wrong,
			c,
			Sums{Gross: wrong.Base, Discount: wrong.Discount, Subsidy: wrong.Subsidy, Due: wrong.Due},
			day,
			now,
			"key_accountant",
		)
	}
	ledgertest.CheckManual(t, "dossiers", []ledgertest.Example{
		example("Assessed", "A dossier's fee is due in full.", full),
		example(
			"Assessed with a discount",
			"A policy takes 40% off: the entry shows the granted discount beside the amount due.",
			charge(schedule.LePhi, 60_000, 40_000, 0),
		),
		example(
			"Assessed, nothing due",
			"A policy takes everything off. The obligation is complete: the dossier gets a receipt of 0, and no provider is called.",
			charge(schedule.LePhi, 0, 100_000, 0),
		),
		example(
			"Assessed with a subsidy",
			"A budget pays part of the fee in place of the payer. The budget owes this part as real money.",
			charge(schedule.Phi, 30_000, 0, 70_000),
		),
		{
			Title: "Waived", When: "An unpaid obligation ends, because the service will not be delivered.",
			Entry: waived(d, []Waiver{{Charge: full, Amount: 100_000}}, uuid.New(), day, now, "system"),
		},
		{
			Title: "Corrected, too much was granted",
			When: "A repricing finds that the lawful discount was 10%, not 40%. A further charge carries the difference, " +
				"and the entry takes back the granted discount.",
			Entry: corrects(charge(schedule.LePhi, 60_000, 40_000, 0), quote.Applied{Policy: "NA-2023-60", Amount: 10_000}, 10_000, 0),
		},
		{
			Title: "Corrected, too much was subsidised",
			When:  "A repricing finds that the budget owes less. The payer now owes the difference.",
			Entry: corrects(
				charge(schedule.Phi, 30_000, 0, 70_000),
				quote.Applied{Policy: "HN-2026-SUB", Rule: quote.RuleSubsidy, Amount: 50_000},
				0,
				50_000,
			),
		},
	})
}

// A correction of the discount alone says nothing of a subsidy that stays as it is.
func TestCorrectionLeavesTheSubsidy(t *testing.T) {
	t.Parallel()
	d := Dossier{ID: ident.New[dossierKind](), Authority: "H41", Currency: "VND"}
	subsidy := quote.Applied{Policy: "SUB", Rule: quote.RuleSubsidy, Amount: 30_000}
	wrong := Charge{
		ID:       ident.New[chargeKind](),
		Kind:     schedule.Phi,
		Base:     100_000,
		Discount: 40_000,
		Subsidy:  30_000,
		Due:      30_000,
		Policy:   "OFF",
	}
	wrong.Explanation.Applied = []quote.Applied{{Policy: "OFF", Amount: 40_000}, subsidy}
	c := Charge{ID: ident.New[chargeKind](), Kind: schedule.Phi, Discount: -10_000, Due: 10_000, Policy: "OFF", Corrects: wrong.ID}
	c.Explanation.Applied = []quote.Applied{{Policy: "OFF", Amount: 30_000}, subsidy}
	then := Sums{Gross: 100_000, Discount: 40_000, Subsidy: 30_000, Due: 30_000}
	var got []string
	for _, p := range corrected(d, wrong, c, then, calendar.MustParse("2026-11-20"), time.Time{}, "key_accountant").Postings {
		got = append(got, fmt.Sprint(p.Side, " ", p.Account, " ", p.Amount.Minor, " ", p.Policy))
	}
	want := []string{"D M-DISCOUNT 30000 OFF", "C M-DISCOUNT 40000 OFF", "D M-RECEIVABLE 10000 "}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("postings (-got +want):\n%s", diff)
	}
}
