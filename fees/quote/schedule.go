package quote

import (
	"slices"

	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
)

// Schedule is everything a quote needs to know about an authority.
type Schedule struct {
	FeeTypes []schedule.FeeType
	Policies []schedule.Policy
}

// Assuming returns the schedule as if p were adopted; s does not change. p takes
// the place of its recorded version. With a window p applies from the first to
// the last day of the window instead of its own dates, and the policies that it
// replaces are left out: so last year's dossiers can test next year's policy.
// With a zero window all dates stay as written.
func (s Schedule) Assuming(p schedule.Policy, from, to calendar.Date) Schedule {
	p.Status = schedule.Approved
	shifted := !from.IsZero()
	if shifted {
		p.ValidFrom, p.ValidTo, p.DeclaredValidTo = from, to, calendar.Date{}
	}
	after := Schedule{FeeTypes: s.FeeTypes, Policies: make([]schedule.Policy, 0, len(s.Policies)+1)}
	for _, other := range s.Policies {
		if other.ID != p.ID && !(shifted && slices.Contains(p.Replaces, other.ID)) {
			after.Policies = append(after.Policies, other)
		}
	}
	after.Policies = append(after.Policies, p)
	return after
}

// AsksForGroups reports whether the price of a fee may depend on who the
// applicant is. Where it does not, the encrypted groups stay unread.
func (s Schedule) AsksForGroups(fee string) bool {
	return slices.ContainsFunc(s.Policies, func(p schedule.Policy) bool {
		return len(p.ExemptGroups.Groups)+len(p.ExemptGroups.Cases) > 0 &&
			(inScope(&p, fee) || slices.Contains(p.Effect.CompanionsStillDue, fee))
	})
}

// AsksForAgency reports whether some policy is for some agencies only.
func (s Schedule) AsksForAgency() bool {
	return slices.ContainsFunc(s.Policies, func(p schedule.Policy) bool { return len(p.Scope.Agencies) > 0 })
}

// AsksForMilestones reports whether some policy counts the day of acceptance or of the result.
func (s Schedule) AsksForMilestones() bool {
	return slices.ContainsFunc(s.Policies, func(p schedule.Policy) bool { return p.PricingDateBasis != schedule.BySubmission })
}

// Turns lists the days on which a price may change: the first day of a policy
// or a rate, and the day after its last. Between two of them every day of
// submission, acceptance or result gives the same price.
func (s Schedule) Turns() []calendar.Date {
	var list []calendar.Date
	window := func(from, to calendar.Date) {
		if !from.IsZero() {
			list = append(list, from)
		}
		if !to.IsZero() {
			list = append(list, to.AddDays(1))
		}
	}
	for _, p := range s.Policies {
		window(p.ValidFrom, p.ValidTo)
	}
	for _, f := range s.FeeTypes {
		for _, r := range f.Rates {
			window(r.ValidFrom, r.ValidTo)
		}
	}
	return list
}
