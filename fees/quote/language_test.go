package quote_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/money"
)

func moment(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Windows are whole days in Viet Nam, both ends inclusive, to the second, for
// each of the three days a policy may count, and for an end that a repeal cut.
func TestWindowsToTheSecond(t *testing.T) {
	t.Parallel()
	const window = dkkd + `"effect":{"kind":"share_of_base","numerator":1,"denominator":2},"valid_to":"2025-06-30"`
	bases := map[string]string{
		"submission": "",
		"acceptance": `,"pricing_date_basis":"acceptance"`,
		"issue":      `,"pricing_date_basis":"issue"`,
	}
	for basis, member := range bases {
		whole := parsed(t, "A", window+member)
		cut := parsed(
			t, "A", strings.Replace(window, `"valid_to":"2025-06-30"`, `"valid_to":"2025-03-31","declared_valid_to":"2025-06-30"`, 1)+member,
		)
		for _, tt := range []struct {
			p    schedule.Policy
			at   string
			due  int64
			why  quote.Why
			name string
		}{
			{whole, "2024-12-31T23:59:59+07:00", 100, quote.WhyNotYet, "last second before"},
			{whole, "2025-01-01T00:00:00+07:00", 50, "", "first second of the first day"},
			{whole, "2025-01-01T23:59:59+07:00", 50, "", "last second of the first day"},
			{whole, "2025-06-30T00:00:00+07:00", 50, "", "first second of the last day"},
			{whole, "2025-06-30T16:59:59Z", 50, "", "last second of the last day, told in UTC"},
			{whole, "2025-06-30T23:59:59+07:00", 50, "", "last second of the last day"},
			{whole, "2025-07-01T00:00:00+07:00", 100, quote.WhyExpired, "first second after"},
			{cut, "2025-03-31T23:59:59+07:00", 50, "", "last second before the repeal"},
			{cut, "2025-04-01T00:00:00+07:00", 100, quote.WhyRepealed, "first second after the repeal"},
			{cut, "2025-06-30T23:59:59+07:00", 100, quote.WhyRepealed, "last second of the declared end"},
			{cut, "2025-07-01T00:00:00+07:00", 100, quote.WhyExpired, "after the declared end"},
		} {
			r := one("H41", "2024-06-01", schedule.Online, "LP_DKKD", 100)
			switch basis {
			case "submission":
				r.SubmittedAt = moment(t, tt.at)
			case "acceptance":
				r.AcceptedAt = moment(t, tt.at)
			default:
				r.IssuedAt = moment(t, tt.at)
			}
			q := priced(t, r, quote.Schedule{FeeTypes: schedule.Catalogue().FeeTypes, Policies: []schedule.Policy{tt.p}})
			got := outcomeOf(q, "A")
			if got.Due != tt.due || got.Why["A"] != tt.why {
				t.Errorf("by %s, %s: due %d, why %q, want %d, %q", basis, tt.name, got.Due, got.Why["A"], tt.due, tt.why)
			}
		}
	}
}

// A day that has not come: the policy waits, unless its window is over already.
func TestPricingDayNotKnownYet(t *testing.T) {
	t.Parallel()
	p := parsed(t, "A", dkkd+`"effect":{"kind":"exempt"},"pricing_date_basis":"acceptance","valid_to":"2025-06-30"`)
	s := quote.Schedule{FeeTypes: schedule.Catalogue().FeeTypes, Policies: []schedule.Policy{p}}
	for day, want := range map[string]quote.Why{
		"2024-12-01": quote.WhyDayUnknown, "2025-06-30": quote.WhyDayUnknown, "2025-07-01": quote.WhyExpired,
	} {
		if got := outcomeOf(priced(t, one("H41", day, schedule.Online, "LP_DKKD", 100), s), "A"); got.Due != 100 || got.Why["A"] != want {
			t.Errorf("submitted %s: %+v, want %s", day, got, want)
		}
	}
}

func TestMultiplication(t *testing.T) {
	t.Parallel()
	half := parsed(t, "A", dkkd+`"effect":{"kind":"share_of_base","numerator":1,"denominator":2}`)
	more := parsed(t, "B", dkkd+`"effect":{"kind":"share_of_base","numerator":3,"denominator":5}`)
	times := parsed(t, "M", dkkd+`"combination":"multiply","effect":{"kind":"share_of_base","numerator":9,"denominator":10}`)
	again := parsed(
		t, "N", dkkd+`"combination":"multiply","effect":{"kind":"share_by_fee","shares":{"LP_DKKD":{"numerator":1,"denominator":3}}}`,
	)
	s := quote.Schedule{FeeTypes: schedule.Catalogue().FeeTypes, Policies: []schedule.Policy{again, more, times, half}}
	q := priced(t, one("H41", "2025-08-01", schedule.Online, "LP_DKKD", 100001), s)
	got := map[string]int64{}
	for _, a := range q.Items[0].Applied {
		got[a.Policy] = a.Amount
	}
	// 100.001 → half-up 50.001 → × 1/3 = 16.667 → × 9/10 = 15.000
	if diff := cmp.Diff(got, map[string]int64{"A": 50000, "N": 33334, "M": 1667}); diff != "" || q.Due != money.Dong(15000) {
		t.Errorf("due %v, taken off (-got +want):\n%s", q.Due, diff)
	}
	if why := outcomeOf(q, "B").Why["B"]; why != quote.WhyLessFavourable {
		t.Errorf("B: %s, want %s: rates do not multiply by themselves", why, quote.WhyLessFavourable)
	}
}

func TestPaymentChannelAndAgencies(t *testing.T) {
	t.Parallel()
	s := quote.Schedule{FeeTypes: schedule.Catalogue().FeeTypes, Policies: []schedule.Policy{
		parsed(t, "A", dkkd+`"condition":{"payment_channel":"online"},"effect":{"kind":"fixed_amount","amount":70}`),
		parsed(
			t,
			"B",
			`"scope":{"mode":"fee_type_list","fee_types":["LP_DKKD"],"agencies":["H41.12","000.00.30.H41"]},`+
				`"effect":{"kind":"fixed_amount","amount":60}`,
		),
	}}
	type why struct {
		Due  int64
		A, B quote.Why
	}
	for _, tt := range []struct {
		channel schedule.PaymentChannel
		agency  string
		want    why
	}{
		{"", "", why{100, quote.WhyPaymentChannel, quote.WhyOtherAgency}},
		{schedule.PaidCash, "H41.120", why{100, quote.WhyPaymentChannel, quote.WhyOtherAgency}},
		{schedule.PaidOnline, "H41.13", why{70, "", quote.WhyOtherAgency}},
		{schedule.PaidOnline, "H41.12", why{60, quote.WhyLessFavourable, ""}},
		{schedule.PaidCash, "H41.12.4", why{60, quote.WhyPaymentChannel, ""}},
		{schedule.PaidCash, "000.00.12.H41", why{60, quote.WhyPaymentChannel, ""}},
		{schedule.PaidCash, "H41.30", why{60, quote.WhyPaymentChannel, ""}},
	} {
		r := one("H41", "2025-08-01", schedule.Online, "LP_DKKD", 100)
		r.PaymentChannel, r.Agency = tt.channel, tt.agency
		o := outcomeOf(priced(t, r, s), "A", "B")
		if got := (why{o.Due, o.Why["A"], o.Why["B"]}); got != tt.want {
			t.Errorf("paid %q at %q: %+v, want %+v", tt.channel, tt.agency, got, tt.want)
		}
	}
}

// Every text stands in both languages with the same values in it, and the Vietnamese has its marks.
func TestTextsAreWhole(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("texts.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]map[string]quote.Texts
	if err := json.Unmarshal(document, &all); err != nil {
		t.Fatal(err)
	}
	brace := regexp.MustCompile(`\{[a-z_]+\}`)
	marks := regexp.MustCompile(`[àáảãạăằắẳẵặâầấẩẫậèéẻẽẹêềếểễệìíỉĩịòóỏõọôồốổỗộơờớởỡợùúủũụưừứửữựỳýỷỹỵđĐ]`)
	values := func(text string) map[string]int {
		found := map[string]int{}
		for _, name := range brace.FindAllString(text, -1) {
			found[name] = 1
		}
		return found
	}
	for part, list := range all {
		for key, said := range list {
			if diff := cmp.Diff(values(said.Vi), values(said.En)); diff != "" {
				t.Errorf("%s.%s says different values (-vi +en):\n%s", part, key, diff)
			}
			if said.En == "" || key != "rate_basis" && brace.ReplaceAllString(said.Vi, "") != "" && !marks.MatchString(said.Vi) {
				t.Errorf("%s.%s: %q, %q", part, key, said.Vi, said.En)
			}
		}
	}
	for _, why := range []quote.Why{
		quote.WhyOtherTerritory, quote.WhyDraft, quote.WhyRejected, quote.WhyNotInScope, quote.WhyVerticalAgency,
		quote.WhyCentralFee, quote.WhyProcedure,
		quote.WhyOtherAgency, quote.WhyDayUnknown, quote.WhyNotYet, quote.WhySuperseded, quote.WhyRepealed, quote.WhyExpired,
		quote.WhyCompanion, quote.WhyChannel,
		quote.WhyServiceLevel, quote.WhyPaymentChannel, quote.WhyGroupOnly, quote.WhyFixedAboveBase, quote.WhyNoReduction,
		quote.WhyLessFavourable, quote.WhyNothingLeft,
	} {
		if all["why"][string(why)].Vi == "" {
			t.Errorf("no text for %s", why)
		}
	}
}

// Every item of every example explains itself without a gap.
func TestExplanationsHaveNoGaps(t *testing.T) {
	t.Parallel()
	s := demoSchedule(t)
	for _, p := range demoFile(t).Policies {
		for _, c := range p.Cases {
			authority := p.Territory[0]
			if authority == schedule.Everywhere {
				authority = "H41"
			}
			r := one(authority, c.SubmittedOn.String(), c.Channel, c.FeeType, *c.Base, c.Groups...)
			it := priced(t, r, s).Items[0]
			texts := []quote.Texts{it.Texts}
			for _, a := range it.Applied {
				texts = append(texts, a.Texts)
				if !strings.Contains(a.Texts.Vi, a.LegalBasis) || !strings.Contains(a.Texts.En, a.LegalBasis) {
					t.Errorf("%s is applied without its legal basis: %+v", a.Policy, a.Texts)
				}
			}
			for _, n := range it.NotApplied {
				texts = append(texts, n.Texts)
			}
			for _, said := range texts {
				if said.Vi == "" || said.En == "" || strings.ContainsAny(said.Vi+said.En, "{}") {
					t.Errorf("%s %s: %+v", p.ID, c.SubmittedOn, said)
				}
			}
		}
	}
}
