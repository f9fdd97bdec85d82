package quote

import (
	"slices"
	"strings"

	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
)

// commonFees lists the fees that both policies lower and may lower.
func commonFees(a, b *schedule.Policy, types []schedule.FeeType) []string {
	known := map[string]schedule.FeeType{}
	for _, code := range slices.Concat(a.NamedFees(), b.NamedFees()) {
		known[code] = schedule.FeeType{Code: code} // not in any schedule yet: neither centre nor council sets it
	}
	for _, f := range types {
		known[f.Code] = f
	}
	var common []string
	for code, f := range known {
		if inScope(a, code) && inScope(b, code) && reach(a, f).why == whyNone && reach(b, f).why == whyNone {
			common = append(common, code)
		}
	}
	slices.Sort(common)
	return common
}

// commonTerritory lists the authorities where both apply; Everywhere meets each.
func commonTerritory(a, b *schedule.Policy) []string {
	var common []string
	for _, code := range a.Territory {
		if slices.Contains(b.Territory, code) || slices.Contains(b.Territory, schedule.Everywhere) {
			common = append(common, code)
		}
	}
	if slices.Contains(a.Territory, schedule.Everywhere) {
		common = append(common, b.Territory...)
	}
	slices.Sort(common)
	return slices.Compact(common)
}

// commonWindow is the time in which both are in force, an open end being zero.
func commonWindow(a, b *schedule.Policy) (from, to calendar.Date, ok bool) {
	from, to = a.ValidFrom, a.ValidTo
	if b.ValidFrom.After(from) {
		from = b.ValidFrom
	}
	if to.IsZero() || !b.ValidTo.IsZero() && b.ValidTo.Before(to) {
		to = b.ValidTo
	}
	return from, to, to.IsZero() || !to.Before(from)
}

// meet reports whether two lists of a condition can be fulfilled at once; an empty one is no condition.
func meet[T comparable](a, b []T) bool {
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(x T) bool { return slices.Contains(b, x) })
}

// sameDossiers reports whether one dossier can fall under the conditions of both.
func sameDossiers(a, b *schedule.Policy) bool {
	paid, alsoPaid := a.Condition.PaymentChannel, b.Condition.PaymentChannel
	agencies := len(a.Scope.Agencies) == 0 || len(b.Scope.Agencies) == 0 || slices.ContainsFunc(a.Scope.Agencies, func(x string) bool {
		return slices.ContainsFunc(b.Scope.Agencies, func(y string) bool { return underAgency(x, y) || underAgency(y, x) })
	})
	return agencies && meet(a.Condition.SubmissionChannel, b.Condition.SubmissionChannel) &&
		meet(a.Condition.ServiceLevel, b.Condition.ServiceLevel) &&
		(paid == schedule.PaidAnyhow || alsoPaid == schedule.PaidAnyhow || paid == alsoPaid) &&
		meet(a.Scope.Procedures, b.Scope.Procedures)
}

// samePeople reports whether both are for everybody, or both for the same
// groups. A rule for some people beside one for all is no contradiction: the
// combination rules say which goes first.
func samePeople(a, b *schedule.Policy) bool {
	only, alsoOnly := a.ExemptGroups.Rule == schedule.OnlyThese, b.ExemptGroups.Rule == schedule.OnlyThese
	if only != alsoOnly {
		return false
	}
	mine, theirs := slices.Concat(a.ExemptGroups.Groups, a.ExemptGroups.Cases), slices.Concat(b.ExemptGroups.Groups, b.ExemptGroups.Cases)
	return !only || meet(mine, theirs)
}

// Clash says how two policies of the same rank contradict each other: they
// play the same part, on the same fee, in the same place, at the same time, for
// the same dossiers and people, and neither says that it multiplies.
func Clash(a, b *schedule.Policy, types []schedule.FeeType) (Texts, bool) {
	samePart := (ruleOf(a) == RuleSubsidy) == (ruleOf(b) == RuleSubsidy)
	if a.Authority.Level != b.Authority.Level || !samePart || a.Combination == schedule.Multiply || b.Combination == schedule.Multiply ||
		!samePeople(a, b) ||
		!sameDossiers(a, b) {
		return Texts{}, false
	}
	from, to, together := commonWindow(a, b)
	places, codes := commonTerritory(a, b), commonFees(a, b, types)
	if !together || len(places) == 0 || len(codes) == 0 {
		return Texts{}, false
	}
	mine, theirs := effectPhrase(a.Effect, codes[0]), effectPhrase(b.Effect, codes[0])
	key := "contradiction"
	if mine == theirs {
		key = "overlap"
	}
	until := texts().Clash["until"].fill(values{"to": to})
	if to.IsZero() {
		until = texts().Clash["open"]
	}
	return texts().Clash[key].fill(values{
		"policy": b.ID, "basis": b.LegalBasis.String(), "fees": strings.Join(codes, ", "), "territory": strings.Join(places, ", "),
		"from": from, "until": until, "mine": mine, "theirs": theirs,
	}), true
}
