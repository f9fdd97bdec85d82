package fees_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
)

func demoSchedule(t *testing.T) fees.Schedule {
	t.Helper()
	file := demoFile(t)
	return fees.Schedule{FeeTypes: file.AllFeeTypes(), Policies: file.Policies}
}

// one asks for one item, submitted at noon.
func one(authority, day string, channel fees.Channel, fee string, base int64, groups ...string) fees.Request {
	return fees.Request{
		Authority: authority, Channel: channel, Level: fees.ToanTrinh, Groups: groups,
		SubmittedAt: calendar.MustParse(day).Start().Add(12 * time.Hour),
		Items:       []fees.ItemRequest{{FeeType: fee, Base: &base, Assessed: ofItsOwn(fee, base)}},
	}
}

// ofItsOwn is the ground of an amount that is not the one of the catalogue, else nil.
func ofItsOwn(fee string, base int64) *fees.Assessed {
	for _, f := range fees.Catalogue().FeeTypes {
		if f.Code == fee && f.Rates[0].Base != nil && *f.Rates[0].Base != base {
			return &fees.Assessed{Ground: "an amount of the test"}
		}
	}
	return nil
}

func priced(t *testing.T, r fees.Request, s fees.Schedule) fees.Quote {
	t.Helper()
	q, err := fees.Price(r, s)
	if err != nil {
		t.Fatalf("Price: %v", err)
	}
	return q
}

// parsed makes a policy of H41 for LP_DKKD from the members that matter.
func parsed(t *testing.T, id, members string) fees.Policy {
	t.Helper()
	p, err := fees.ParsePolicy([]byte(`{"id":"` + id + `","status":"in_force","authority":{"code":"H41","level":"province"},"territory":["H41"],
		"legal_basis":{"number":"1/NQ"},"valid_from":"2025-01-01",` + members + `}`))
	if err != nil {
		t.Fatalf("ParsePolicy: %v", err)
	}
	return p
}

const dkkd = `"scope":{"mode":"fee_type_list","fee_types":["LP_DKKD"]},`

// The quote in the words of the API, whole.
func TestQuoteJSON(t *testing.T) {
	t.Parallel()
	r := one("H41", "2025-07-21", fees.Online, "LP_DKKD", 100000)
	got, err := answerOf(priced(t, r, fees.Schedule{FeeTypes: fees.Catalogue().FeeTypes, Policies: demoFile(t).OwnedBy("H41")}))
	if err != nil {
		t.Fatal(err)
	}
	want := `{
 "currency": "VND",
 "pricing_date": "2025-07-21",
 "gross": 100000,
 "discount": 100000,
 "subsidy": 0,
 "due": 0,
 "items": [
  {
   "fee_type": "LP_DKKD",
   "kind": "le_phi",
   "quantity": 1,
   "base": 100000,
   "discount": 100000,
   "subsidy": 0,
   "due": 0,
   "reason": "discounted",
   "applied": [
    {
     "policy": "NA-2025-00",
     "version": 1,
     "legal_basis": "09/2025/NQ-HĐND",
     "effect": "share_of_base 0/100",
     "rule": "rate",
     "amount": 100000,
     "texts": {
      "vi": "NA-2025-00, căn cứ pháp lý 09/2025/NQ-HĐND: thu 0/100 mức thu, giảm 100.000 đồng",
      "en": "NA-2025-00, 09/2025/NQ-HĐND: 0/100 of the rate is collected, 100,000 đồng less"
     }
    }
   ],
   "not_applied": [
    {
     "policy": "NA-2023-60",
     "version": 1,
     "why": "expired",
     "detail": "it ended on 2025-07-20, priced on 2025-07-21",
     "texts": {
      "vi": "chính sách hết hiệu lực từ sau ngày 20/07/2025; ngày tính phí là 21/07/2025",
      "en": "it ended on 2025-07-20, priced on 2025-07-21"
     }
    }
   ],
   "texts": {
    "vi": "Mức thu 100.000 đồng. NA-2025-00, căn cứ pháp lý 09/2025/NQ-HĐND: thu 0/100 mức thu, giảm 100.000 đồng. Số phải nộp 0 đồng.",
    "en": "Rate 100,000 đồng. NA-2025-00, 09/2025/NQ-HĐND: 0/100 of the rate is collected, 100,000 đồng less. Amount due 0 đồng."
   }
  }
 ]
}`
	if diff := cmp.Diff(string(got), want); diff != "" {
		t.Errorf("quote (-got +want):\n%s", diff)
	}
}

// The pricing date is the day in Viet Nam, whatever zone the portal writes.
func TestPricingDateAtMidnight(t *testing.T) {
	t.Parallel()
	s := demoSchedule(t)
	for at, want := range map[string]int64{
		"2025-07-20T23:59:59+07:00": 60000,
		"2025-07-20T16:59:59Z":      60000,
		"2025-07-20T17:00:00Z":      0,
		"2025-07-21T00:00:00+07:00": 0,
		"2025-07-20T12:00:00-05:00": 0,
	} {
		r := one("H41", "2025-01-01", fees.Online, "LP_DKKD", 100000)
		r.SubmittedAt, _ = time.Parse(time.RFC3339, at)
		if got := priced(t, r, s).Due.Minor; got != want {
			t.Errorf("%s: due %d, want %d", at, got, want)
		}
	}
}

// outcome is what a table test compares.
type outcome struct {
	Due, Discount, Subsidy int64
	Reason                 fees.Reason
	Applied                []string
	Why                    map[string]fees.Why
}

func outcomeOf(q fees.Quote, why ...string) outcome {
	it := q.Items[0]
	o := outcome{Due: it.Due.Minor, Discount: it.Discount.Minor, Subsidy: it.Subsidy.Minor, Reason: it.Reason}
	for _, a := range it.Applied {
		o.Applied = append(o.Applied, a.Policy)
	}
	for _, n := range it.NotApplied {
		if slices.Contains(why, n.Policy) {
			if o.Why == nil {
				o.Why = map[string]fees.Why{}
			}
			o.Why[n.Policy] = n.Why
		}
	}
	return o
}

func TestRealPolicies(t *testing.T) {
	t.Parallel()
	s := demoSchedule(t)
	tests := []struct {
		name string
		r    fees.Request
		want outcome
	}{
		{
			"repealed before its declared end", one("H29", "2025-10-01", fees.Online, "LP_DKKD", 100000),
			outcome{Discount: 100000, Reason: "discounted", Applied: []string{"HCM-2025-00"}, Why: map[string]fees.Why{"HCM-2024-00": fees.WhyRepealed}},
		},
		{
			"expired after its declared end", one("H29", "2026-01-01", fees.Online, "LP_DKKD", 100000),
			outcome{Discount: 100000, Reason: "discounted", Applied: []string{"HCM-2025-00"}, Why: map[string]fees.Why{"HCM-2024-00": fees.WhyExpired}},
		},
		{
			"elsewhere", one("H55", "2025-10-01", fees.Online, "LP_DKKD", 100000),
			outcome{Due: 100000, Reason: "none", Why: map[string]fees.Why{"NA-2025-00": fees.WhyOtherTerritory}},
		},
		{
			"council does not name the fee", one("H41", "2025-10-01", fees.Online, "P_DTM", 100000),
			outcome{Due: 100000, Reason: "none", Why: map[string]fees.Why{"NA-2025-00": fees.WhyNotInScope}},
		},
		{
			"police collect it: no subsidy", one("H26", "2026-02-01", fees.Online, "LP_HO_CHIEU", 200000),
			outcome{Due: 200000, Reason: "none", Why: map[string]fees.Why{"HN-2026-SUB": fees.WhyVerticalAgency, "TT63-PP": fees.WhyExpired}},
		},
		{
			"a council's fee is not subsidised", one("H26", "2026-02-01", fees.Online, "LP_GPXD", 75000),
			outcome{Due: 75000, Reason: "none", Why: map[string]fees.Why{"HN-2026-SUB": fees.WhyNotInScope}},
		},
		{
			"subsidy of what a circular leaves", one("H26", "2026-02-01", fees.Online, "P_LU_HANH", 650001),
			outcome{Discount: 325000, Subsidy: 325001, Reason: "discounted", Applied: []string{"TT64-2025", "HN-2026-SUB"}},
		},
		{
			"subsidy alone", one("H26", "2026-02-01", fees.Online, "P_CONG_BO_DN", 100000),
			outcome{Subsidy: 100000, Reason: "subsidised", Applied: []string{"HN-2026-SUB"}, Why: map[string]fees.Why{"TT47-DKDN": fees.WhyCompanion}},
		},
		{
			"exempt before discounted", one("H41", "2025-10-01", fees.Online, "LP_HO_TICH", 8000, "ho_ngheo"),
			outcome{Discount: 8000, Reason: "exempt_by_law", Applied: []string{"HT-2014-EX"}},
		},
		{
			"exempt by case", one("H41", "2025-10-01", fees.Direct, "LP_HO_TICH", 8000, "khai_sinh_dung_han"),
			outcome{Discount: 8000, Reason: "exempt_by_law", Applied: []string{"HT-2014-EX"}},
		},
		{
			"in no group", one("H41", "2025-10-01", fees.Direct, "LP_HO_TICH", 8000, "tre_em"),
			outcome{Due: 8000, Reason: "none", Why: map[string]fees.Why{"HT-2014-EX": fees.WhyGroupOnly}},
		},
		{
			"exempt people need no channel", one("H41", "2025-10-01", fees.Direct, "P_CONG_BO_DN", 100000, "thay_doi_dia_gioi_hanh_chinh"),
			outcome{Discount: 100000, Reason: "exempt_by_law", Applied: []string{"TT47-DKDN"}},
		},
		{
			"fixed amount above the base", one("H41", "2024-01-05", fees.Online, "LP_GPLX", 100000),
			outcome{Due: 100000, Reason: "none", Why: map[string]fees.Why{"TT63-GPLX": fees.WhyFixedAboveBase}},
		},
		{
			"fixed amount equal to the base", one("H41", "2024-01-05", fees.Online, "LP_GPLX", 115000),
			outcome{Due: 115000, Reason: "none", Why: map[string]fees.Why{"TT63-GPLX": fees.WhyNoReduction}},
		},
		{
			"nothing to lower", one("H41", "2025-10-01", fees.Online, "LP_DKKD", 0),
			outcome{Reason: "none", Why: map[string]fees.Why{"NA-2025-00": fees.WhyNothingLeft}},
		},
		{
			"draft", one("H47", "2025-10-01", fees.Online, "LP_GPXD", 75000),
			outcome{Due: 75000, Reason: "none", Why: map[string]fees.Why{"DN-2025-DRAFT": fees.WhyDraft, "QNA-2024-00": fees.WhyProcedure}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var names []string
			for id := range tt.want.Why {
				names = append(names, id)
			}
			if diff := cmp.Diff(outcomeOf(priced(t, tt.r, s), names...), tt.want); diff != "" {
				t.Errorf("outcome (-got +want):\n%s", diff)
			}
		})
	}
}

func TestCombination(t *testing.T) {
	t.Parallel()
	rate := func(id, n, d string) fees.Policy {
		return parsed(t, id, dkkd+`"effect":{"kind":"share_of_base","numerator":`+n+`,"denominator":`+d+`}`)
	}
	rounded := func(id, unit, mode string) fees.Policy {
		return parsed(t, id, dkkd+`"effect":{"kind":"share_of_base","numerator":2,"denominator":3},"rounding":{"unit":`+unit+`,"mode":"`+mode+`"}`)
	}
	subsidy := func(id, payer, ceiling string) fees.Policy {
		return parsed(t, id, dkkd+`"effect":{"kind":"subsidy","payer_share":{"numerator":`+payer+`,"denominator":100},"funder":"ngân sách tỉnh","ceiling":`+ceiling+`}`)
	}
	tests := []struct {
		name     string
		base     int64
		policies []fees.Policy
		want     outcome
	}{
		{
			"the most favourable of two", 100000,
			[]fees.Policy{rate("A", "60", "100"), rate("B", "1", "2")},
			outcome{Due: 50000, Discount: 50000, Reason: "discounted", Applied: []string{"B"}, Why: map[string]fees.Why{"A": fees.WhyLessFavourable}},
		},
		{
			"equal rates: by id", 100000,
			[]fees.Policy{rate("B", "1", "2"), rate("A", "50", "100")},
			outcome{Due: 50000, Discount: 50000, Reason: "discounted", Applied: []string{"A"}, Why: map[string]fees.Why{"B": fees.WhyLessFavourable}},
		},
		{
			"share by fee", 100000,
			[]fees.Policy{parsed(t, "A", dkkd+`"effect":{"kind":"share_by_fee","shares":{"LP_DKKD":{"numerator":1,"denominator":4}}}`)},
			outcome{Due: 25000, Discount: 75000, Reason: "discounted", Applied: []string{"A"}},
		},
		{"half up", 5, []fees.Policy{rate("A", "1", "2")}, outcome{Due: 3, Discount: 2, Reason: "discounted", Applied: []string{"A"}}},
		{"down to thousands", 100000, []fees.Policy{rounded("A", "1000", "down")}, outcome{Due: 66000, Discount: 34000, Reason: "discounted", Applied: []string{"A"}}},
		{"up to thousands", 100000, []fees.Policy{rounded("A", "1000", "up")}, outcome{Due: 67000, Discount: 33000, Reason: "discounted", Applied: []string{"A"}}},
		{
			"rounding never climbs above the base", 800,
			[]fees.Policy{rounded("A", "1000", "up")},
			outcome{Due: 800, Reason: "none", Why: map[string]fees.Why{"A": fees.WhyNoReduction}},
		},
		{
			"subsidy after the rate", 100000,
			[]fees.Policy{subsidy("S", "50", "null"), rate("A", "60", "100")},
			outcome{Due: 30000, Discount: 40000, Subsidy: 30000, Reason: "discounted", Applied: []string{"A", "S"}},
		},
		{
			"subsidy ceiling", 100000,
			[]fees.Policy{subsidy("S", "0", "20000")},
			outcome{Due: 80000, Subsidy: 20000, Reason: "subsidised", Applied: []string{"S"}},
		},
		{
			"one subsidy only", 100000,
			[]fees.Policy{subsidy("S", "0", "20000"), subsidy("T", "50", "null")},
			outcome{Due: 50000, Subsidy: 50000, Reason: "subsidised", Applied: []string{"T"}, Why: map[string]fees.Why{"S": fees.WhyLessFavourable}},
		},
		{
			"service level", 100000,
			[]fees.Policy{parsed(t, "A", dkkd+`"condition":{"service_level":["mot_phan"]},"effect":{"kind":"exempt"}`)},
			outcome{Due: 100000, Reason: "none", Why: map[string]fees.Why{"A": fees.WhyServiceLevel}},
		},
		{
			"largest amount", fees.MaxBase,
			[]fees.Policy{rate("A", "999999999", "1000000000")},
			outcome{Due: 999999999000, Discount: 1000, Reason: "discounted", Applied: []string{"A"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := fees.Schedule{FeeTypes: fees.Catalogue().FeeTypes, Policies: tt.policies}
			got := outcomeOf(priced(t, one("H41", "2025-08-01", fees.Online, "LP_DKKD", tt.base), s), "A", "B", "S", "T")
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("outcome (-got +want):\n%s", diff)
			}
		})
	}
}

func TestProcedureListAndQuantity(t *testing.T) {
	t.Parallel()
	p := parsed(t, "A", `"scope":{"mode":"procedure_list","procedures":["1.012790"]},"effect":{"kind":"fixed_amount","amount":7}`)
	s := fees.Schedule{FeeTypes: fees.Catalogue().FeeTypes, Policies: []fees.Policy{p}}
	r := one("H41", "2025-08-01", fees.Postal, "LP_DKKD", 10)
	r.Items[0].Quantity = 3
	if got, want := priced(t, r, s).Due.Minor, int64(30); got != want {
		t.Errorf("unlisted: due %d, want %d", got, want)
	}
	r.Procedure = "1.012790"
	if got, want := priced(t, r, s).Due.Minor, int64(21); got != want {
		t.Errorf("listed: due %d, want %d", got, want)
	}
}

func TestLatestVersionCounts(t *testing.T) {
	t.Parallel()
	old, changed := parsed(t, "A", dkkd+`"effect":{"kind":"exempt"}`), parsed(t, "A", dkkd+`"effect":{"kind":"fixed_amount","amount":7}`)
	changed.Version = 2
	s := fees.Schedule{FeeTypes: fees.Catalogue().FeeTypes, Policies: []fees.Policy{changed, old}}
	if got, want := priced(t, one("H41", "2025-08-01", fees.Online, "LP_DKKD", 10), s).Due.Minor, int64(7); got != want {
		t.Errorf("due %d, want %d", got, want)
	}
}

func TestRequestRefused(t *testing.T) {
	t.Parallel()
	s := demoSchedule(t)
	tests := []struct {
		name, pointer string
		change        func(*fees.Request)
		want          error
	}{
		{"authority", "/authority", func(r *fees.Request) { r.Authority = "*" }, fees.ErrRequest},
		{"channel", "/submission/channel", func(r *fees.Request) { r.Channel = "" }, fees.ErrRequest},
		{"service level", "/submission/service_level", func(r *fees.Request) { r.Level = "4" }, fees.ErrRequest},
		{"time", "/submission/submitted_at", func(r *fees.Request) { r.SubmittedAt = time.Time{} }, fees.ErrRequest},
		{"no items", "/items", func(r *fees.Request) { r.Items = nil }, fees.ErrRequest},
		{"unknown fee", "/items/0/fee_type", func(r *fees.Request) { r.Items[0].FeeType = "LP_X" }, fees.ErrNoFeeType},
		{"no base", "/items/0/base", func(r *fees.Request) { r.Items[0] = fees.ItemRequest{FeeType: "P_DTM"} }, fees.ErrRequest},
		{"negative base", "/items/0/base", func(r *fees.Request) { *r.Items[0].Base = -1 }, fees.ErrRequest},
		{"huge base", "/items/0/base", func(r *fees.Request) { *r.Items[0].Base = math.MaxInt64 }, fees.ErrRequest},
		{"huge product", "/items/0/quantity", func(r *fees.Request) { *r.Items[0].Base = fees.MaxBase; r.Items[0].Quantity = 2 }, fees.ErrRequest},
		{"another base than the schedule has", "/items/0/base", func(r *fees.Request) { r.Items[0].Assessed = nil }, fees.ErrFixedBase},
		{"a base of 1", "/items/0/base", func(r *fees.Request) {
			base := int64(1)
			r.Items[0] = fees.ItemRequest{FeeType: "LP_HO_CHIEU", Base: &base}
		}, fees.ErrFixedBase},
		{"a base of 0", "/items/0/base", func(r *fees.Request) { r.Items[0] = fees.ItemRequest{FeeType: "LP_HO_CHIEU", Base: new(int64)} }, fees.ErrFixedBase},
		{"a blank ground", "/items/0/assessed/ground", func(r *fees.Request) { r.Items[0].Assessed.Ground = " \n" }, fees.ErrRequest},
		{"a ground without an amount", "/items/0/base", func(r *fees.Request) { r.Items[0].Base = nil }, fees.ErrRequest},
		{"negative quantity", "/items/0/quantity", func(r *fees.Request) { r.Items[0].Quantity = -1 }, fees.ErrRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := one("H41", "2025-08-01", fees.Online, "LP_DKKD", 10)
			tt.change(&r)
			_, err := fees.Price(r, s)
			f, _ := fault.Of(err)
			if !errors.Is(err, tt.want) || len(f.Fields) != 1 || f.Fields[0].Pointer != tt.pointer {
				t.Errorf("Price = %v (%+v), want %v at %s", err, f, tt.want, tt.pointer)
			}
		})
	}
}

// The amount of the schedule may be named; another one needs a ground, which the
// explanation tells beside the amount of the schedule.
func TestAssessedBase(t *testing.T) {
	t.Parallel()
	s := fees.Schedule{FeeTypes: fees.Catalogue().FeeTypes}
	if got := priced(t, one("H41", "2025-08-01", fees.Direct, "LP_HO_CHIEU", 200_000), s).Items[0]; got.Due.Minor != 200_000 || got.Ground != "" {
		t.Errorf("the amount of the schedule: got due %d on %q, want 200000 without a ground", got.Due.Minor, got.Ground)
	}
	r := one("H41", "2025-08-01", fees.Direct, "LP_HO_CHIEU", 150_000)
	r.Items[0].Assessed = &fees.Assessed{Ground: "Quyết định 12/QĐ-CA"}
	got := priced(t, r, s).Items[0]
	if got.Due.Minor != 150_000 || got.Ground != "Quyết định 12/QĐ-CA" {
		t.Errorf("an assessed amount: got due %d on %q", got.Due.Minor, got.Ground)
	}
	for _, want := range []string{"Quyết định 12/QĐ-CA", "200,000"} {
		if !strings.Contains(got.Texts.En, want) {
			t.Errorf("the explanation %q does not tell %q", got.Texts.En, want)
		}
	}
	r.Items[0].Assessed = nil
	if kept, err := fees.PriceKept(r, s); err != nil || kept.Due.Minor != 150_000 {
		t.Errorf("PriceKept = %d, %v, want 150000", kept.Due.Minor, err)
	}
}

func TestRefundRuleFor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fee, reason string
		stage       fees.Stage
		want        fees.RefundDecision
	}{
		{"LP_DKDN", "NOT_ACCEPTED", fees.BeforeAcceptance, fees.RefundNone},
		{"LP_DKDN", "REFUSED", fees.Processing, fees.RefundNone},
		{"P_CONG_BO_DN", "NOT_ACCEPTED", fees.BeforeAcceptance, fees.RefundFull},
		{"P_CONG_BO_DN", "REFUSED", fees.Processing, fees.RefundFull},
		{"LP_HO_CHIEU", "REFUSED", fees.Processing, fees.RefundFull},
		{"LP_HO_CHIEU", "RESULT_NOT_TAKEN", fees.Delivered, fees.RefundNone},
		{"LP_DKKD", "NOT_ACCEPTED", fees.BeforeAcceptance, fees.RefundFull},
		{"LP_DKKD", "REFUSED", fees.Processing, fees.RefundManual},
		{"LP_DKKD", "WITHDRAWN", fees.Delivered, fees.RefundNone},
		{"LP_DKKD", "SERVICE_IMPOSSIBLE", fees.Processing, fees.RefundFull},
		{"LP_DKKD", "SERVICE_IMPOSSIBLE", fees.Delivered, fees.RefundManual},
		{"LP_DKKD", "DUPLICATE", fees.Delivered, fees.RefundExcess},
		{"LP_DKKD", "NEVER_HEARD", fees.Delivered, fees.RefundManual},
	} {
		i := slices.IndexFunc(fees.Catalogue().FeeTypes, func(f fees.FeeType) bool { return f.Code == tt.fee })
		if got := fees.Catalogue().FeeTypes[i].RefundRuleFor(tt.reason, tt.stage, calendar.MustParse("2025-08-01")).Decision; got != tt.want {
			t.Errorf("%s %s %s: %s, want %s", tt.fee, tt.reason, tt.stage, got, tt.want)
		}
	}
}

// The catalogue knows every fee type that the demo policies speak of, under the same name.
func TestCatalogueCoversDemo(t *testing.T) {
	t.Parallel()
	names := map[string]string{}
	for _, f := range fees.Catalogue().FeeTypes {
		names[f.Code] = f.Name
	}
	if diff := cmp.Diff(names, demoFile(t).FeeTypes); diff != "" {
		t.Errorf("names (-got +want):\n%s", diff)
	}
}
