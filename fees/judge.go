package fees

import (
	"fmt"
	"slices"
)

// judge says which part a policy may play in the item, or why none.
//
// A policy is of interest, and so listed when it does not apply, when it names
// the fee, or covers the authority by name (not merely as part of the whole
// country), or covers it with a scope that names no fees at all. A circular
// about other fees and another province's list are silently left out.
//
// The reasons are looked for in a fixed order, from where and whether the text
// is law at all, over what it is about and when, to how and by whom the
// dossier was submitted; the first one found is given.
func (c pricing) judge(p *Policy) (Rule, Why, string) {
	fee := c.fee.Code
	covers := slices.Contains(p.Territory, c.request.Authority) || slices.Contains(p.Territory, Everywhere)
	named := slices.Contains(p.namedFees(), fee)
	byName := slices.Contains(p.Territory, c.request.Authority)
	agnostic := p.Scope.Mode != FeeTypeList && len(p.Scope.FeeTypes) == 0
	if !(named || byName || covers && agnostic || p.ID == c.override.policy) {
		return "", whyNotWorthListing, ""
	}
	switch {
	case !covers:
		return "", WhyOtherTerritory, "it applies elsewhere, not in " + c.request.Authority
	case p.Status == Rejected:
		return "", WhyRejected, "it was rejected and never became law"
	case !p.Status.adopted():
		return "", WhyDraft, "it is not adopted yet; drafts never apply"
	}
	if why, detail := c.outOfScope(p); why != whyNone {
		return "", why, detail
	}
	if why, detail := c.outOfWindow(p); why != whyNone {
		return "", why, detail
	}
	// An exemption belongs to the person, not to the way of submission: the
	// channel is not asked for.
	if p.ExemptGroups.Rule == ExemptionFirst && c.inGroup(p) {
		return RuleExemption, whyNone, ""
	}
	if !p.inScope(fee) {
		return "", WhyCompanion, "it names this fee as still due beside the one it lowers"
	}
	if why, detail := c.otherSubmission(p); why != whyNone {
		return "", why, detail
	}
	if p.ExemptGroups.Rule == OnlyThese && !c.inGroup(p) {
		return "", WhyGroupOnly, "the applicant is in none of its groups or cases"
	}
	switch p.Effect.Kind {
	case Exempt:
		return RuleExemption, whyNone, ""
	case Subsidy:
		return RuleSubsidy, whyNone, ""
	default:
		return RuleRate, whyNone, ""
	}
}

func (c pricing) inGroup(p *Policy) bool {
	return slices.ContainsFunc(c.request.Groups, func(group string) bool {
		return slices.Contains(p.ExemptGroups.Groups, group) || slices.Contains(p.ExemptGroups.Cases, group)
	})
}

// inScope reports whether the policy lowers the fee, as far as its lists go; a
// companion is named but not lowered.
func (p *Policy) inScope(fee string) bool {
	if p.Effect.Kind == ShareByFee {
		if _, ok := p.Effect.Shares[fee]; !ok {
			return false
		}
	}
	switch p.Scope.Mode {
	case FeeTypeList:
		return slices.Contains(p.Scope.FeeTypes, fee)
	case ProcedureList:
		return len(p.Scope.FeeTypes) == 0 || slices.Contains(p.Scope.FeeTypes, fee)
	default:
		return !slices.Contains(p.Effect.CompanionsStillDue, fee)
	}
}

// outOfScope checks what the policy is about. A council reaches the fees that
// councils set; a central fee changes by a central text only, or is paid for
// by a subsidy.
func (c pricing) outOfScope(p *Policy) (Why, string) {
	fee := c.fee
	companion := slices.Contains(p.Effect.CompanionsStillDue, fee.Code)
	if !p.inScope(fee.Code) && !companion {
		return WhyNotInScope, fmt.Sprintf("it does not name %s", fee.Code)
	}
	council := p.Authority.Level == LevelProvince
	subsidyByName := p.Effect.Kind == Subsidy && p.Scope.Mode != AllUnder
	switch {
	case p.Scope.Mode == CentralFeesAll && fee.SetBy != SetByCentral:
		return WhyNotInScope, "it is about fees set by the central government; a council sets this one"
	case p.Scope.Mode == CentralFeesAll && fee.CollectedBy == CollectedVertical:
		return WhyVerticalAgency, "a central agency collects this fee, not the province"
	case council && fee.SetBy == SetByCentral && !subsidyByName:
		return WhyCentralFee, "the central government sets this fee; a council cannot change it"
	case p.Scope.Mode == AllUnder && p.Authority.Level == LevelCentral && fee.SetBy != SetByCentral:
		return WhyNotInScope, "it is about fees set by the central government; a council sets this one"
	}
	if p.Scope.Mode == ProcedureList {
		listed := slices.Contains(p.Scope.Procedures, c.request.Procedure)
		if c.override.policy == p.ID && c.override.listed != nil {
			listed = *c.override.listed
		}
		if !listed {
			return WhyProcedure, fmt.Sprintf(detailProcedureNotListed, c.request.Procedure)
		}
	}
	return whyNone, ""
}

func (c pricing) outOfWindow(p *Policy) (Why, string) {
	switch {
	case c.on.Before(p.ValidFrom):
		return WhyNotYet, fmt.Sprintf("it starts on %s, priced on %s", p.ValidFrom, c.on)
	case p.ValidTo.IsZero() || !c.on.After(p.ValidTo):
		return whyNone, ""
	case p.Status == Repealed || p.DeclaredValidTo.After(p.ValidTo) && !c.on.After(p.DeclaredValidTo):
		return WhyRepealed, fmt.Sprintf("repealed after %s, before its declared end; priced on %s", p.ValidTo, c.on)
	default:
		return WhyExpired, fmt.Sprintf("it ended on %s, priced on %s", p.ValidTo, c.on)
	}
}

// otherSubmission checks channel and service level. A list of all service
// levels is no condition, so a request that does not state one passes it.
func (c pricing) otherSubmission(p *Policy) (Why, string) {
	channels, levels := p.Condition.SubmissionChannel, p.Condition.ServiceLevel
	if len(channels) > 0 && !slices.Contains(channels, c.request.Channel) {
		return WhyChannel, fmt.Sprintf(detailOtherChannel, c.request.Channel, join(channels))
	}
	anyLevel := len(levels) == 0 || slices.Contains(levels, ToanTrinh) && slices.Contains(levels, MotPhan)
	switch {
	case anyLevel || slices.Contains(levels, c.request.Level):
		return whyNone, ""
	case c.request.Level == "":
		return WhyServiceLevel, fmt.Sprintf(detailServiceNotGiven, join(levels))
	default:
		return WhyServiceLevel, fmt.Sprintf(detailOtherServiceLevel, c.request.Level, join(levels))
	}
}

func join[T ~string](list []T) string {
	text := ""
	for i, s := range list {
		if i > 0 {
			text += " or "
		}
		text += string(s)
	}
	return text
}
