package dossiers

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/ledger/ledgertest"
)

// The manual shows every entry of this room.
func TestManual(t *testing.T) {
	t.Parallel()
	day, now := calendar.MustParse("2026-11-20"), time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)
	d := Dossier{ID: ident.New[dossierKind](), Authority: "H41", Code: "H41.12-261120-0001", Currency: "VND"}
	charge := func(kind fees.Kind, due, discount, subsidy int64) Charge {
		c := Charge{
			ID: ident.New[chargeKind](), DossierID: d.ID, Kind: kind, FeeType: "LP_DKKD", Currency: "VND",
			Base: due + discount + subsidy, Due: due, Discount: discount, Subsidy: subsidy,
		}
		if discount > 0 {
			c.Policy = "NA-2023-60"
		}
		if subsidy > 0 {
			c.Explanation.Applied = []fees.Applied{{Policy: "HN-2026-SUB", Rule: fees.RuleSubsidy}}
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
	if _, ok := assessed(d, []Charge{charge(fees.LePhi, 0, 0, 0)}, day, now, "key_portal"); ok {
		t.Error("a fee whose base is 0 has nothing to post")
	}
	full := charge(fees.LePhi, 100_000, 0, 0)
	ledgertest.CheckManual(t, "dossiers", []ledgertest.Example{
		example("Assessed", "A dossier's fee is due in full.", full),
		example("Assessed with a discount", "A policy takes 40% off: what was granted is kept beside what is due.", charge(fees.LePhi, 60_000, 40_000, 0)),
		example("Assessed, nothing due", "A policy takes everything off. The obligation is complete; a receipt of 0 is issued and no provider is called.", charge(fees.LePhi, 0, 100_000, 0)),
		example("Assessed with a subsidy", "The fee stays as it is and a budget pays part of it: that part is real money owed by the budget.", charge(fees.Phi, 30_000, 0, 70_000)),
		{
			Title: "Waived", When: "An unpaid obligation ends, because the service will not be delivered.",
			Entry: waived(d, []Waiver{{Charge: full, Amount: 100_000}}, uuid.New(), day, now, "system"),
		},
	})
}
