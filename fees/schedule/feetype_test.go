package schedule_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
)

func TestTerms(t *testing.T) {
	t.Parallel()
	fee := schedule.FeeType{
		Code: "P_DTM", Name: "Phí thẩm định", Territory: "H41", Kind: schedule.Phi,
		SetBy: schedule.SetByCouncil, CollectedBy: schedule.CollectedLocal,
		Terms: []schedule.Terms{
			{
				ValidTo:    calendar.MustParse("2024-12-31"),
				Budget:     schedule.BudgetKeys{Chapter: "426", SubItem: "2632"},
				Retained:   &schedule.Share{Numerator: 9, Denominator: 10},
				LegalBasis: "1/NQ",
			},
			{
				ValidFrom:  calendar.MustParse("2025-01-01"),
				Retained:   &schedule.Share{Numerator: 2, Denominator: 3},
				Collection: schedule.OnSubmission,
				LegalBasis: "2/NQ",
			},
		},
	}
	if err := fee.Validate(); err != nil {
		t.Fatalf("Validate: %v", err)
	}
	type split struct{ Retained, Budget int64 }
	for day, want := range map[string]split{"2024-12-31": {90000, 10001}, "2025-01-01": {66667, 33334}} {
		terms, ok := fee.TermsOn(calendar.MustParse(day))
		retained, budget, err := terms.Split(money.Dong(100001))
		if got := (split{retained.Minor, budget.Minor}); !ok || err != nil || got != want {
			t.Errorf("%s: %+v, %v, %v, want %+v", day, got, ok, err, want)
		}
	}
	if terms, ok := (schedule.FeeType{}).TermsOn(calendar.MustParse("2025-01-01")); ok || terms.Collection != schedule.OnAcceptance {
		t.Errorf("without terms: %+v, %v", terms, ok)
	}
	for name, change := range map[string]func(*schedule.FeeType){
		"a lệ phí retains":        func(f *schedule.FeeType) { f.Code, f.Kind = "LP_DTM", schedule.LePhi },
		"a share above one":       func(f *schedule.FeeType) { f.Terms[0].Retained = &schedule.Share{Numerator: 2, Denominator: 1} },
		"a share without basis":   func(f *schedule.FeeType) { f.Terms[0].LegalBasis = "" },
		"a chapter of two digits": func(f *schedule.FeeType) { f.Terms[0].Budget.Chapter = "42" },
		"a window upside down":    func(f *schedule.FeeType) { f.Terms[1].ValidTo = calendar.MustParse("2024-01-01") },
		"an unknown moment":       func(f *schedule.FeeType) { f.Terms[1].Collection = "later" },
		"a currency of elsewhere": func(f *schedule.FeeType) { f.Currency = "USD" },
		"a refund rule upside down": func(f *schedule.FeeType) {
			f.Refunds = []schedule.RefundRule{{
				ValidFrom: calendar.MustParse("2025-01-02"), ValidTo: calendar.MustParse("2025-01-01"),
				Reason: "REFUSED", Stage: schedule.AnyStage, Decision: schedule.RefundFull,
			}}
		},
	} {
		changed := fee
		changed.Terms = append([]schedule.Terms(nil), fee.Terms...)
		change(&changed)
		if err := changed.Validate(); !schedule.ErrFeeType.Is(err) {
			t.Errorf("%s: %v, want %v", name, err, schedule.ErrFeeType)
		}
	}
}

// A refund rule counts within its own window; the newer one goes first.
func TestRefundRulesAreDated(t *testing.T) {
	t.Parallel()
	rule := func(from string, decision schedule.RefundDecision) schedule.RefundRule {
		return schedule.RefundRule{ValidFrom: calendar.MustParse(from), Reason: "REFUSED", Stage: schedule.Processing, Decision: decision}
	}
	fee := schedule.FeeType{
		Refunds: []schedule.RefundRule{rule("2025-01-01", schedule.RefundNone), rule("2026-01-01", schedule.RefundFull)},
	}
	for day, want := range map[string]schedule.RefundDecision{
		"2024-12-31": schedule.RefundManual, "2025-12-31": schedule.RefundNone, "2026-01-01": schedule.RefundFull,
	} {
		if got := fee.RefundRuleFor("REFUSED", schedule.Processing, calendar.MustParse(day)).Decision; got != want {
			t.Errorf("%s: %s, want %s", day, got, want)
		}
	}
}

func TestRefundRuleFor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fee, reason string
		stage       schedule.Stage
		want        schedule.RefundDecision
	}{
		{"LP_DKDN", "NOT_ACCEPTED", schedule.BeforeAcceptance, schedule.RefundNone},
		{"LP_DKDN", "REFUSED", schedule.Processing, schedule.RefundNone},
		{"P_CONG_BO_DN", "NOT_ACCEPTED", schedule.BeforeAcceptance, schedule.RefundFull},
		{"P_CONG_BO_DN", "REFUSED", schedule.Processing, schedule.RefundFull},
		{"LP_HO_CHIEU", "REFUSED", schedule.Processing, schedule.RefundFull},
		{"LP_HO_CHIEU", "RESULT_NOT_TAKEN", schedule.Delivered, schedule.RefundNone},
		{"LP_DKKD", "NOT_ACCEPTED", schedule.BeforeAcceptance, schedule.RefundFull},
		{"LP_DKKD", "REFUSED", schedule.Processing, schedule.RefundManual},
		{"LP_DKKD", "WITHDRAWN", schedule.Delivered, schedule.RefundNone},
		{"LP_DKKD", "SERVICE_IMPOSSIBLE", schedule.Processing, schedule.RefundFull},
		{"LP_DKKD", "SERVICE_IMPOSSIBLE", schedule.Delivered, schedule.RefundManual},
		{"LP_DKKD", "DUPLICATE", schedule.Delivered, schedule.RefundExcess},
		{"LP_DKKD", "NEVER_HEARD", schedule.Delivered, schedule.RefundManual},
	} {
		i := slices.IndexFunc(schedule.Catalogue().FeeTypes, func(f schedule.FeeType) bool { return f.Code == tt.fee })
		if got := schedule.Catalogue().FeeTypes[i].RefundRuleFor(tt.reason, tt.stage, calendar.MustParse("2025-08-01")).Decision; got != tt.want {
			t.Errorf("%s %s %s: %s, want %s", tt.fee, tt.reason, tt.stage, got, tt.want)
		}
	}
}

// The catalogue knows every fee type that the demo policies speak of, under the same name.
func TestCatalogueCoversDemo(t *testing.T) {
	t.Parallel()
	names := map[string]string{}
	for _, f := range schedule.Catalogue().FeeTypes {
		names[f.Code] = f.Name
	}
	if diff := cmp.Diff(names, demoFile(t).FeeTypes); diff != "" {
		t.Errorf("names (-got +want):\n%s", diff)
	}
}
