package fees

import (
	"slices"

	"github.com/doisoat/doisoat/internal/calendar"
)

// Assuming is the schedule as it would be were p adopted: any recorded text of
// p gives way to this one. With a window the policy counts from its first to
// its last day, whatever its own dates are, and those that it replaces do not
// count: last year's dossiers then answer for next year's policy. A zero window
// leaves all dates as they are written. s stays as it is.
func (s Schedule) Assuming(p Policy, from, to calendar.Date) Schedule {
	p.Status = Approved
	shifted := !from.IsZero()
	if shifted {
		p.ValidFrom, p.ValidTo, p.DeclaredValidTo = from, to, calendar.Date{}
	}
	after := Schedule{FeeTypes: s.FeeTypes, Policies: make([]Policy, 0, len(s.Policies)+1)}
	for _, other := range s.Policies {
		if other.ID != p.ID && !(shifted && slices.Contains(p.Replaces, other.ID)) {
			after.Policies = append(after.Policies, other)
		}
	}
	after.Policies = append(after.Policies, p)
	return after
}

// AsksForGroups reports whether the price of a fee may depend on who the
// applicant is. Where it does not, nobody needs to open what is sealed.
func (s Schedule) AsksForGroups(fee string) bool {
	return slices.ContainsFunc(s.Policies, func(p Policy) bool {
		return len(p.ExemptGroups.Groups)+len(p.ExemptGroups.Cases) > 0 &&
			(p.inScope(fee) || slices.Contains(p.Effect.CompanionsStillDue, fee))
	})
}

// AsksForAgency reports whether some policy is for some agencies only.
func (s Schedule) AsksForAgency() bool {
	return slices.ContainsFunc(s.Policies, func(p Policy) bool { return len(p.Scope.Agencies) > 0 })
}

// AsksForMilestones reports whether some policy counts the day of acceptance or of the result.
func (s Schedule) AsksForMilestones() bool {
	return slices.ContainsFunc(s.Policies, func(p Policy) bool { return p.PricingDateBasis != BySubmission })
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
