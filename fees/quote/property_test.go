package quote_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
)

// anyPolicy draws a valid policy; most of them touch the requests that anyRequest draws.
func anyPolicy(t *rapid.T, id string) schedule.Policy {
	share := rapid.Custom(func(t *rapid.T) schedule.Share {
		d := rapid.Int64Range(1, 1000).Draw(t, "denominator")
		return schedule.Share{Numerator: rapid.Int64Range(0, d).Draw(t, "numerator"), Denominator: d}
	}).Draw(t, "share")
	level := rapid.SampledFrom([]string{"province", "central", "law"}).Draw(t, "level")
	effect := map[string]any{
		"kind": rapid.SampledFrom([]string{"share_of_base", "fixed_amount", "exempt", "subsidy", "share_by_fee"}).Draw(t, "effect"),
	}
	switch effect["kind"] {
	case "share_of_base":
		effect["numerator"], effect["denominator"] = share.Numerator, share.Denominator
	case "fixed_amount":
		effect["amount"] = rapid.Int64Range(0, 300000).Draw(t, "amount")
	case "subsidy":
		effect["payer_share"], effect["funder"] = share, "ngân sách"
		if rapid.Bool().Draw(t, "capped") {
			effect["ceiling"] = rapid.Int64Range(0, 300000).Draw(t, "ceiling")
		}
	case "share_by_fee":
		effect["shares"] = map[string]any{"LP_DKKD": share, "P_CONG_BO_DN": share}
	}
	if rapid.Bool().Draw(t, "companion") {
		effect["companions_still_due"] = []string{"P_CONG_BO_DN"}
	}
	scope := map[string]any{
		"mode": rapid.SampledFrom([]string{"fee_type_list", "procedure_list", "all_under_authority", "fees_set_by_central_government"}).
			Draw(t, "mode"),
	}
	switch scope["mode"] {
	case "fee_type_list":
		scope["fee_types"] = rapid.SampledFrom([][]string{{"LP_DKKD"}, {"P_CONG_BO_DN", "LP_DKKD"}, {"P_DTM"}}).Draw(t, "fees")
	case "procedure_list":
		scope["procedures"] = []string{"1.000001"}
	}
	combination := "exclusive_best"
	if effect["kind"] == "share_of_base" || effect["kind"] == "share_by_fee" {
		combination = rapid.SampledFrom([]string{"exclusive_best", "multiply"}).Draw(t, "combination")
	}
	document, err := json.Marshal(map[string]any{
		"combination":        combination,
		"pricing_date_basis": rapid.SampledFrom([]string{"submission", "submission", "acceptance", "issue"}).Draw(t, "basis"),
		"id":                 id, "status": rapid.SampledFrom([]string{"in_force", "in_force", "in_force", "draft"}).Draw(t, "status"),
		"authority": map[string]any{
			"code":  "H41",
			"level": level,
		}, "territory": []string{rapid.SampledFrom([]string{"H41", "H41", "H26"}).Draw(t, "territory")},
		"legal_basis": map[string]any{"number": "1/NQ"}, "scope": scope, "effect": effect,
		"condition": map[string]any{
			"submission_channel": rapid.SampledFrom([][]string{nil, {"online"}, {"direct", "postal"}}).Draw(t, "channels"),
		},
		"valid_from": rapid.SampledFrom([]string{"2024-01-01", "2025-06-01", "2026-01-01"}).Draw(t, "from"),
		"rounding": map[string]any{
			"unit": rapid.SampledFrom([]int64{1, 1, 100, 1000}).Draw(t, "unit"),
			"mode": rapid.SampledFrom([]string{"half_up", "down", "up"}).Draw(t, "rounding"),
		},
		"exempt_groups": map[string]any{
			"rule": rapid.SampledFrom([]string{"legal_exemption_first", "applies_only_to_these"}).Draw(t, "rule"),
			"groups": []string{
				rapid.SampledFrom([]string{"ho_ngheo", "tre_em"}).Draw(t, "group"),
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := schedule.ParsePolicy(document)
	if err != nil {
		t.Fatalf("ParsePolicy(%s): %v", document, err)
	}
	return p
}

func anyRequest(t *rapid.T) quote.Request {
	r := quote.Request{
		Authority: "H41", Procedure: rapid.SampledFrom([]string{"", "1.000001"}).Draw(t, "procedure"),
		Channel:     rapid.SampledFrom([]schedule.Channel{schedule.Online, schedule.Direct, schedule.Postal}).Draw(t, "channel"),
		Groups:      rapid.SampledFrom([][]string{nil, {"ho_ngheo"}}).Draw(t, "groups"),
		SubmittedAt: calendar.MustParse("2025-08-01").Start().AddDate(0, 0, rapid.IntRange(-300, 300).Draw(t, "days")),
	}
	if rapid.Bool().Draw(t, "accepted") {
		r.AcceptedAt = r.SubmittedAt.AddDate(0, 0, rapid.IntRange(0, 60).Draw(t, "days to acceptance"))
	}
	if rapid.Bool().Draw(t, "issued") {
		r.IssuedAt = r.SubmittedAt.AddDate(0, 0, rapid.IntRange(0, 90).Draw(t, "days to issue"))
	}
	for range rapid.IntRange(1, 3).Draw(t, "items") {
		base := rapid.OneOf(rapid.Int64Range(0, 500000), rapid.Int64Range(0, schedule.MaxBase/10)).Draw(t, "base")
		fee := rapid.SampledFrom([]string{"LP_DKKD", "P_CONG_BO_DN", "LP_HO_CHIEU"}).Draw(t, "fee")
		r.Items = append(r.Items, quote.ItemRequest{
			FeeType: fee, Base: &base, Assessed: ofItsOwn(fee, base),
			Quantity: rapid.Int64Range(0, 10).Draw(t, "quantity"),
		})
	}
	return r
}

func anySchedule(t *rapid.T) quote.Schedule {
	s := quote.Schedule{FeeTypes: schedule.Catalogue().FeeTypes}
	for _, id := range []string{"P0", "P1", "P2", "P3", "P4"}[:rapid.IntRange(0, 5).Draw(t, "policies")] {
		s.Policies = append(s.Policies, anyPolicy(t, id))
	}
	return s
}

// Amounts add up, nothing leaves its bounds, and the applied policies account for every đồng.
func TestQuoteAddsUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := anySchedule(t)
		q, err := quote.Price(anyRequest(t), s)
		if err != nil {
			t.Fatal(err)
		}
		var sum [4]int64
		for _, it := range q.Items {
			var applied int64
			exclusive := 0
			for _, a := range it.Applied {
				applied += a.Amount
				i := slices.IndexFunc(s.Policies, func(p schedule.Policy) bool { return p.ID == a.Policy })
				if s.Policies[i].Combination != schedule.Multiply ||
					a.Rule != quote.RuleRate {
					exclusive++
				}
			}
			if it.Due.Minor < 0 || it.Due.Minor > it.Base.Minor || it.Discount.Minor < 0 || it.Subsidy.Minor < 0 ||
				it.Base.Minor != it.Due.Minor+it.Discount.Minor+it.Subsidy.Minor || applied != it.Discount.Minor+it.Subsidy.Minor || exclusive > 2 {
				t.Fatalf("item does not add up: %+v", it)
			}
			if (it.Reason == schedule.ReasonNone) != (len(it.Applied) == 0) {
				t.Fatalf("reason does not fit: %+v", it)
			}
			for i, v := range []int64{it.Base.Minor, it.Discount.Minor, it.Subsidy.Minor, it.Due.Minor} {
				sum[i] += v
			}
		}
		if sum != [4]int64{q.Gross.Minor, q.Discount.Minor, q.Subsidy.Minor, q.Due.Minor} {
			t.Fatalf("totals do not add up: %+v", q)
		}
	})
}

// The order of policies does not matter, and the same question has the same answer.
func TestQuoteIgnoresOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r, s := anyRequest(t), anySchedule(t)
		want, err := quote.Price(r, s)
		if err != nil {
			t.Fatal(err)
		}
		s.Policies = rapid.Permutation(s.Policies).Draw(t, "order")
		s.FeeTypes = rapid.Permutation(s.FeeTypes).Draw(t, "fee order")
		got, err := quote.Price(r, s)
		if diff := cmp.Diff(got, want); diff != "" || err != nil {
			t.Fatalf("another order, another quote (%v):\n%s", err, diff)
		}
	})
}

// A policy that does not apply changes nothing but the list of those that did
// not; one that could have applied never makes the payer pay more.
func TestQuoteWithOneMorePolicy(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r, s := anyRequest(t), anySchedule(t)
		before, err := quote.Price(r, s)
		if err != nil {
			t.Fatal(err)
		}
		s.Policies = append(s.Policies, anyPolicy(t, "MORE"))
		after, err := quote.Price(r, s)
		if err != nil {
			t.Fatal(err)
		}
		for i, it := range after.Items {
			was := before.Items[i]
			if it.Due.Minor > was.Due.Minor {
				t.Fatalf("due rose from %v to %v", was.Due, it.Due)
			}
			if slices.ContainsFunc(it.Applied, func(a quote.Applied) bool { return a.Policy == "MORE" }) {
				continue
			}
			it.NotApplied = slices.DeleteFunc(it.NotApplied, func(n quote.NotApplied) bool { return n.Policy == "MORE" })
			if diff := cmp.Diff(it, was, cmp.Transformer("byPolicy", func(l []quote.NotApplied) map[string]quote.NotApplied {
				m := map[string]quote.NotApplied{}
				for _, n := range l {
					m[n.Policy] = n
				}
				return m
			})); diff != "" {
				t.Fatalf("a policy that does not apply changed the item:\n%s", diff)
			}
		}
	})
}
