package quote_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
)

func demoSchedule(t *testing.T) quote.Schedule {
	t.Helper()
	file := demoFile(t)
	return quote.Schedule{FeeTypes: file.AllFeeTypes(), Policies: file.Policies}
}

// one asks for one item, submitted at noon.
func one(authority, day string, channel schedule.Channel, fee string, base int64, groups ...string) quote.Request {
	return quote.Request{
		Authority: authority, Channel: channel, Level: schedule.ToanTrinh, Groups: groups,
		SubmittedAt: calendar.MustParse(day).Start().Add(12 * time.Hour),
		Items:       []quote.ItemRequest{{FeeType: fee, Base: &base, Assessed: ofItsOwn(fee, base)}},
	}
}

// ofItsOwn is the ground of an amount that is not the one of the catalogue, else nil.
func ofItsOwn(fee string, base int64) *quote.Assessed {
	for _, f := range schedule.Catalogue().FeeTypes {
		if f.Code == fee && f.Rates[0].Base != nil && *f.Rates[0].Base != base {
			return &quote.Assessed{Ground: "an amount of the test"}
		}
	}
	return nil
}

func priced(t *testing.T, r quote.Request, s quote.Schedule) quote.Quote {
	t.Helper()
	q, err := quote.Price(r, s)
	if err != nil {
		t.Fatalf("Price: %v", err)
	}
	return q
}

// parsed makes a policy of H41 for LP_DKKD from the members that matter.
func parsed(t *testing.T, id, members string) schedule.Policy {
	t.Helper()
	p, err := schedule.ParsePolicy(
		[]byte(`{"id":"` + id + `","status":"in_force","authority":{"code":"H41","level":"province"},"territory":["H41"],
		"legal_basis":{"number":"1/NQ"},"valid_from":"2025-01-01",` + members + `}`),
	)
	if err != nil {
		t.Fatalf("ParsePolicy: %v", err)
	}
	return p
}

const dkkd = `"scope":{"mode":"fee_type_list","fee_types":["LP_DKKD"]},`

// The quote in the words of the API, whole.
func TestQuoteJSON(t *testing.T) {
	t.Parallel()
	r := one("H41", "2025-07-21", schedule.Online, "LP_DKKD", 100000)
	got, err := answerOf(priced(t, r, quote.Schedule{FeeTypes: schedule.Catalogue().FeeTypes, Policies: demoFile(t).OwnedBy("H41")}))
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
		r := one("H41", "2025-01-01", schedule.Online, "LP_DKKD", 100000)
		r.SubmittedAt, _ = time.Parse(time.RFC3339, at)
		if got := priced(t, r, s).Due.Minor; got != want {
			t.Errorf("%s: due %d, want %d", at, got, want)
		}
	}
}

// outcome is what a table test compares.
type outcome struct {
	Due, Discount, Subsidy int64
	Reason                 schedule.Reason
	Applied                []string
	Why                    map[string]quote.Why
}

func outcomeOf(q quote.Quote, why ...string) outcome {
	it := q.Items[0]
	o := outcome{Due: it.Due.Minor, Discount: it.Discount.Minor, Subsidy: it.Subsidy.Minor, Reason: it.Reason}
	for _, a := range it.Applied {
		o.Applied = append(o.Applied, a.Policy)
	}
	for _, n := range it.NotApplied {
		if slices.Contains(why, n.Policy) {
			if o.Why == nil {
				o.Why = map[string]quote.Why{}
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
		r    quote.Request
		want outcome
	}{
		{
			"repealed before its declared end", one("H29", "2025-10-01", schedule.Online, "LP_DKKD", 100000),
			outcome{
				Discount: 100000,
				Reason:   "discounted",
				Applied:  []string{"HCM-2025-00"},
				Why:      map[string]quote.Why{"HCM-2024-00": quote.WhyRepealed},
			},
		},
		{
			"expired after its declared end", one("H29", "2026-01-01", schedule.Online, "LP_DKKD", 100000),
			outcome{
				Discount: 100000,
				Reason:   "discounted",
				Applied:  []string{"HCM-2025-00"},
				Why:      map[string]quote.Why{"HCM-2024-00": quote.WhyExpired},
			},
		},
		{
			"elsewhere", one("H55", "2025-10-01", schedule.Online, "LP_DKKD", 100000),
			outcome{Due: 100000, Reason: "none", Why: map[string]quote.Why{"NA-2025-00": quote.WhyOtherTerritory}},
		},
		{
			"council does not name the fee", one("H41", "2025-10-01", schedule.Online, "P_DTM", 100000),
			outcome{Due: 100000, Reason: "none", Why: map[string]quote.Why{"NA-2025-00": quote.WhyNotInScope}},
		},
		{
			"police collect it: no subsidy", one("H26", "2026-02-01", schedule.Online, "LP_HO_CHIEU", 200000),
			outcome{
				Due:    200000,
				Reason: "none",
				Why:    map[string]quote.Why{"HN-2026-SUB": quote.WhyVerticalAgency, "TT63-PP": quote.WhyExpired},
			},
		},
		{
			"a council's fee is not subsidised", one("H26", "2026-02-01", schedule.Online, "LP_GPXD", 75000),
			outcome{Due: 75000, Reason: "none", Why: map[string]quote.Why{"HN-2026-SUB": quote.WhyNotInScope}},
		},
		{
			"subsidy of what a circular leaves", one("H26", "2026-02-01", schedule.Online, "P_LU_HANH", 650001),
			outcome{Discount: 325000, Subsidy: 325001, Reason: "discounted", Applied: []string{"TT64-2025", "HN-2026-SUB"}},
		},
		{
			"subsidy alone", one("H26", "2026-02-01", schedule.Online, "P_CONG_BO_DN", 100000),
			outcome{
				Subsidy: 100000,
				Reason:  "subsidised",
				Applied: []string{"HN-2026-SUB"},
				Why:     map[string]quote.Why{"TT47-DKDN": quote.WhyCompanion},
			},
		},
		{
			"exempt before discounted", one("H41", "2025-10-01", schedule.Online, "LP_HO_TICH", 8000, "ho_ngheo"),
			outcome{Discount: 8000, Reason: "exempt_by_law", Applied: []string{"HT-2014-EX"}},
		},
		{
			"exempt by case", one("H41", "2025-10-01", schedule.Direct, "LP_HO_TICH", 8000, "khai_sinh_dung_han"),
			outcome{Discount: 8000, Reason: "exempt_by_law", Applied: []string{"HT-2014-EX"}},
		},
		{
			"in no group", one("H41", "2025-10-01", schedule.Direct, "LP_HO_TICH", 8000, "tre_em"),
			outcome{Due: 8000, Reason: "none", Why: map[string]quote.Why{"HT-2014-EX": quote.WhyGroupOnly}},
		},
		{
			"exempt people need no channel", one("H41", "2025-10-01", schedule.Direct, "P_CONG_BO_DN", 100000, "thay_doi_dia_gioi_hanh_chinh"),
			outcome{Discount: 100000, Reason: "exempt_by_law", Applied: []string{"TT47-DKDN"}},
		},
		{
			"fixed amount above the base", one("H41", "2024-01-05", schedule.Online, "LP_GPLX", 100000),
			outcome{Due: 100000, Reason: "none", Why: map[string]quote.Why{"TT63-GPLX": quote.WhyFixedAboveBase}},
		},
		{
			"fixed amount equal to the base", one("H41", "2024-01-05", schedule.Online, "LP_GPLX", 115000),
			outcome{Due: 115000, Reason: "none", Why: map[string]quote.Why{"TT63-GPLX": quote.WhyNoReduction}},
		},
		{
			"nothing to lower", one("H41", "2025-10-01", schedule.Online, "LP_DKKD", 0),
			outcome{Reason: "none", Why: map[string]quote.Why{"NA-2025-00": quote.WhyNothingLeft}},
		},
		{
			"draft", one("H47", "2025-10-01", schedule.Online, "LP_GPXD", 75000),
			outcome{
				Due:    75000,
				Reason: "none",
				Why:    map[string]quote.Why{"DN-2025-DRAFT": quote.WhyDraft, "QNA-2024-00": quote.WhyProcedure},
			},
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
	rate := func(id, n, d string) schedule.Policy {
		return parsed(t, id, dkkd+`"effect":{"kind":"share_of_base","numerator":`+n+`,"denominator":`+d+`}`)
	}
	rounded := func(id, unit, mode string) schedule.Policy {
		return parsed(
			t, id, dkkd+`"effect":{"kind":"share_of_base","numerator":2,"denominator":3},"rounding":{"unit":`+unit+`,"mode":"`+mode+`"}`,
		)
	}
	subsidy := func(id, payer, ceiling string) schedule.Policy {
		return parsed(
			t,
			id,
			dkkd+`"effect":{"kind":"subsidy","payer_share":{"numerator":`+payer+`,"denominator":100},"funder":"ngân sách tỉnh",`+
				`"ceiling":`+ceiling+`}`,
		)
	}
	tests := []struct {
		name     string
		base     int64
		policies []schedule.Policy
		want     outcome
	}{
		{
			"the most favourable of two", 100000,
			[]schedule.Policy{rate("A", "60", "100"), rate("B", "1", "2")},
			outcome{
				Due:      50000,
				Discount: 50000,
				Reason:   "discounted",
				Applied:  []string{"B"},
				Why:      map[string]quote.Why{"A": quote.WhyLessFavourable},
			},
		},
		{
			"equal rates: by id", 100000,
			[]schedule.Policy{rate("B", "1", "2"), rate("A", "50", "100")},
			outcome{
				Due:      50000,
				Discount: 50000,
				Reason:   "discounted",
				Applied:  []string{"A"},
				Why:      map[string]quote.Why{"B": quote.WhyLessFavourable},
			},
		},
		{
			"share by fee", 100000,
			[]schedule.Policy{parsed(t, "A", dkkd+`"effect":{"kind":"share_by_fee","shares":{"LP_DKKD":{"numerator":1,"denominator":4}}}`)},
			outcome{Due: 25000, Discount: 75000, Reason: "discounted", Applied: []string{"A"}},
		},
		{"half up", 5, []schedule.Policy{rate("A", "1", "2")}, outcome{Due: 3, Discount: 2, Reason: "discounted", Applied: []string{"A"}}},
		{
			"down to thousands",
			100000,
			[]schedule.Policy{rounded("A", "1000", "down")},
			outcome{Due: 66000, Discount: 34000, Reason: "discounted", Applied: []string{"A"}},
		},
		{
			"up to thousands",
			100000,
			[]schedule.Policy{rounded("A", "1000", "up")},
			outcome{Due: 67000, Discount: 33000, Reason: "discounted", Applied: []string{"A"}},
		},
		{
			"rounding never climbs above the base", 800,
			[]schedule.Policy{rounded("A", "1000", "up")},
			outcome{Due: 800, Reason: "none", Why: map[string]quote.Why{"A": quote.WhyNoReduction}},
		},
		{
			"subsidy after the rate", 100000,
			[]schedule.Policy{subsidy("S", "50", "null"), rate("A", "60", "100")},
			outcome{Due: 30000, Discount: 40000, Subsidy: 30000, Reason: "discounted", Applied: []string{"A", "S"}},
		},
		{
			"subsidy ceiling", 100000,
			[]schedule.Policy{subsidy("S", "0", "20000")},
			outcome{Due: 80000, Subsidy: 20000, Reason: "subsidised", Applied: []string{"S"}},
		},
		{
			"one subsidy only", 100000,
			[]schedule.Policy{subsidy("S", "0", "20000"), subsidy("T", "50", "null")},
			outcome{
				Due:     50000,
				Subsidy: 50000,
				Reason:  "subsidised",
				Applied: []string{"T"},
				Why:     map[string]quote.Why{"S": quote.WhyLessFavourable},
			},
		},
		{
			"service level", 100000,
			[]schedule.Policy{parsed(t, "A", dkkd+`"condition":{"service_level":["mot_phan"]},"effect":{"kind":"exempt"}`)},
			outcome{Due: 100000, Reason: "none", Why: map[string]quote.Why{"A": quote.WhyServiceLevel}},
		},
		{
			"largest amount", schedule.MaxBase,
			[]schedule.Policy{rate("A", "999999999", "1000000000")},
			outcome{Due: 999999999000, Discount: 1000, Reason: "discounted", Applied: []string{"A"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := quote.Schedule{FeeTypes: schedule.Catalogue().FeeTypes, Policies: tt.policies}
			got := outcomeOf(priced(t, one("H41", "2025-08-01", schedule.Online, "LP_DKKD", tt.base), s), "A", "B", "S", "T")
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("outcome (-got +want):\n%s", diff)
			}
		})
	}
}

func TestProcedureListAndQuantity(t *testing.T) {
	t.Parallel()
	p := parsed(t, "A", `"scope":{"mode":"procedure_list","procedures":["1.012790"]},"effect":{"kind":"fixed_amount","amount":7}`)
	s := quote.Schedule{FeeTypes: schedule.Catalogue().FeeTypes, Policies: []schedule.Policy{p}}
	r := one("H41", "2025-08-01", schedule.Postal, "LP_DKKD", 10)
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
	s := quote.Schedule{FeeTypes: schedule.Catalogue().FeeTypes, Policies: []schedule.Policy{changed, old}}
	if got, want := priced(t, one("H41", "2025-08-01", schedule.Online, "LP_DKKD", 10), s).Due.Minor, int64(7); got != want {
		t.Errorf("due %d, want %d", got, want)
	}
}

func TestRequestRefused(t *testing.T) {
	t.Parallel()
	s := demoSchedule(t)
	tests := []struct {
		name, pointer string
		change        func(*quote.Request)
		want          error
	}{
		{"authority", "/authority", func(r *quote.Request) { r.Authority = "*" }, quote.ErrRequest},
		{"channel", "/submission/channel", func(r *quote.Request) { r.Channel = "" }, quote.ErrRequest},
		{"service level", "/submission/service_level", func(r *quote.Request) { r.Level = "4" }, quote.ErrRequest},
		{"time", "/submission/submitted_at", func(r *quote.Request) { r.SubmittedAt = time.Time{} }, quote.ErrRequest},
		{"no items", "/items", func(r *quote.Request) { r.Items = nil }, quote.ErrRequest},
		{"unknown fee", "/items/0/fee_type", func(r *quote.Request) { r.Items[0].FeeType = "LP_X" }, quote.ErrNoFeeType},
		{"no base", "/items/0/base", func(r *quote.Request) { r.Items[0] = quote.ItemRequest{FeeType: "P_DTM"} }, quote.ErrRequest},
		{"negative base", "/items/0/base", func(r *quote.Request) { *r.Items[0].Base = -1 }, quote.ErrRequest},
		{"huge base", "/items/0/base", func(r *quote.Request) { *r.Items[0].Base = math.MaxInt64 }, quote.ErrRequest},
		{
			"huge product",
			"/items/0/quantity",
			func(r *quote.Request) { *r.Items[0].Base = schedule.MaxBase; r.Items[0].Quantity = 2 },
			quote.ErrRequest,
		},
		{"another base than the schedule has", "/items/0/base", func(r *quote.Request) { r.Items[0].Assessed = nil }, quote.ErrFixedBase},
		{"a base of 1", "/items/0/base", func(r *quote.Request) {
			base := int64(1)
			r.Items[0] = quote.ItemRequest{FeeType: "LP_HO_CHIEU", Base: &base}
		}, quote.ErrFixedBase},
		{
			"a base of 0",
			"/items/0/base",
			func(r *quote.Request) { r.Items[0] = quote.ItemRequest{FeeType: "LP_HO_CHIEU", Base: new(int64)} },
			quote.ErrFixedBase,
		},
		{"a blank ground", "/items/0/assessed/ground", func(r *quote.Request) { r.Items[0].Assessed.Ground = " \n" }, quote.ErrRequest},
		{"a ground without an amount", "/items/0/base", func(r *quote.Request) { r.Items[0].Base = nil }, quote.ErrRequest},
		{"negative quantity", "/items/0/quantity", func(r *quote.Request) { r.Items[0].Quantity = -1 }, quote.ErrRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := one("H41", "2025-08-01", schedule.Online, "LP_DKKD", 10)
			tt.change(&r)
			_, err := quote.Price(r, s)
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
	s := quote.Schedule{FeeTypes: schedule.Catalogue().FeeTypes}
	if got := priced(t, one("H41", "2025-08-01", schedule.Direct, "LP_HO_CHIEU", 200_000), s).Items[0]; got.Due.Minor != 200_000 ||
		got.Ground != "" {
		t.Errorf("the amount of the schedule: got due %d on %q, want 200000 without a ground", got.Due.Minor, got.Ground)
	}
	r := one("H41", "2025-08-01", schedule.Direct, "LP_HO_CHIEU", 150_000)
	r.Items[0].Assessed = &quote.Assessed{Ground: "Quyết định 12/QĐ-CA"}
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
	if kept, err := quote.PriceKept(r, s); err != nil || kept.Due.Minor != 150_000 {
		t.Errorf("PriceKept = %d, %v, want 150000", kept.Due.Minor, err)
	}
}
