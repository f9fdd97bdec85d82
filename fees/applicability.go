package fees

import (
	"slices"
	"strings"

	"github.com/doisoat/doisoat/internal/calendar"
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
func (c pricing) judge(p *Policy) (Rule, refusal) {
	fee := c.fee.Code
	covers := slices.Contains(p.Territory, c.request.Authority) || slices.Contains(p.Territory, Everywhere)
	named := slices.Contains(p.namedFees(), fee)
	byName := slices.Contains(p.Territory, c.request.Authority)
	agnostic := p.Scope.Mode != FeeTypeList && len(p.Scope.FeeTypes) == 0
	if !(named || byName || covers && agnostic || p.ID == c.override.policy) {
		return "", refusal{why: whyNotWorthListing}
	}
	switch {
	case !covers:
		return "", refusal{why: WhyOtherTerritory, in: values{"authority": c.request.Authority}}
	case p.Status == Rejected:
		return "", refusal{why: WhyRejected}
	case !p.Status.adopted():
		return "", refusal{why: WhyDraft}
	}
	if r := c.outOfScope(p); r.why != whyNone {
		return "", r
	}
	if r := c.outOfWindow(p); r.why != whyNone {
		return "", r
	}
	// An exemption belongs to the person, not to the way of submission: the
	// channel is not asked for.
	if p.ExemptGroups.Rule == ExemptionFirst && c.inGroup(p) {
		return RuleExemption, none
	}
	if !p.inScope(fee) {
		return "", refusal{why: WhyCompanion}
	}
	if r := c.otherSubmission(p); r.why != whyNone {
		return "", r
	}
	if p.ExemptGroups.Rule == OnlyThese && !c.inGroup(p) {
		return "", refusal{why: WhyGroupOnly}
	}
	return p.rule(), none
}

// rule is the part the policy plays for those it is meant for.
func (p *Policy) rule() Rule {
	switch p.Effect.Kind {
	case Exempt:
		return RuleExemption
	case Subsidy:
		return RuleSubsidy
	default:
		return RuleRate
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

// reach says whether a policy may touch a fee at all, as far as who sets and
// who collects it goes. A council reaches the fees that councils set; a
// central fee changes by a central text only, or is paid for by a subsidy.
func (p *Policy) reach(fee FeeType) refusal {
	council := p.Authority.Level == LevelProvince
	subsidyByName := p.Effect.Kind == Subsidy && p.Scope.Mode != AllUnder
	switch {
	case p.Scope.Mode == CentralFeesAll && fee.SetBy != SetByCentral:
		return refusal{why: WhyNotInScope, text: "central_scope"}
	case p.Scope.Mode == CentralFeesAll && fee.CollectedBy == CollectedVertical:
		return refusal{why: WhyVerticalAgency}
	case council && fee.SetBy == SetByCentral && !subsidyByName:
		return refusal{why: WhyCentralFee}
	case p.Scope.Mode == AllUnder && p.Authority.Level == LevelCentral && fee.SetBy != SetByCentral:
		return refusal{why: WhyNotInScope, text: "central_scope"}
	}
	return none
}

// outOfScope checks what the policy is about, and at which agencies.
func (c pricing) outOfScope(p *Policy) refusal {
	fee := c.fee
	companion := slices.Contains(p.Effect.CompanionsStillDue, fee.Code)
	if !p.inScope(fee.Code) && !companion {
		return refusal{why: WhyNotInScope, in: values{"fee": fee.Code}}
	}
	if r := p.reach(fee); r.why != whyNone {
		return r
	}
	if p.Scope.Mode == ProcedureList {
		listed := slices.Contains(p.Scope.Procedures, c.request.Procedure)
		if c.override.policy == p.ID && c.override.listed != nil {
			listed = *c.override.listed
		}
		if !listed {
			return refusal{why: WhyProcedure, in: values{"procedure": c.request.Procedure}}
		}
	}
	switch {
	case len(p.Scope.Agencies) == 0:
		return none
	case c.request.Agency == "":
		return refusal{why: WhyOtherAgency, text: "agency_not_given"}
	case !slices.ContainsFunc(p.Scope.Agencies, func(of string) bool { return underAgency(c.request.Agency, of) }):
		return refusal{why: WhyOtherAgency, in: values{"agency": c.request.Agency}}
	}
	return none
}

// underAgency reports whether an agency is another one or belongs to it. The
// long form of an agency's code, 000.00.12.H41, is its short form H41.12.
func underAgency(agency, of string) bool {
	agency, of = shortAgency(agency), shortAgency(of)
	return agency == of || strings.HasPrefix(agency, of+".")
}

func shortAgency(code string) string {
	parts := strings.Split(code, ".")
	if len(parts) != 4 || strings.Trim(parts[0], "0123456789") != "" {
		return code
	}
	slices.Reverse(parts)
	for len(parts) > 1 && strings.Trim(parts[len(parts)-1], "0") == "" {
		parts = parts[:len(parts)-1]
	}
	return strings.Join(parts, ".")
}

// dayFor is the day on which a policy looks: of submission, of acceptance or
// of the result. ok is false while that day has not come.
func (c pricing) dayFor(p *Policy) (day calendar.Date, ok bool) {
	at := c.request.SubmittedAt
	switch p.PricingDateBasis {
	case BySubmission:
	case ByAcceptance:
		at = c.request.AcceptedAt
	case ByIssue:
		at = c.request.IssuedAt
	}
	if at.IsZero() {
		return calendar.Date{}, false
	}
	return calendar.On(at), true
}

func (c pricing) outOfWindow(p *Policy) refusal {
	on, known := c.dayFor(p)
	if !known { // whatever happens to the dossier happens after its submission
		if p.ValidTo.IsZero() || !c.on.After(p.ValidTo) {
			return refusal{why: WhyDayUnknown, in: values{"event": p.PricingDateBasis}}
		}
		on = c.on
	}
	in := values{"from": p.ValidFrom, "to": p.ValidTo, "on": on}
	switch {
	case on.Before(p.ValidFrom):
		return refusal{why: WhyNotYet, in: in}
	case p.ValidTo.IsZero() || !on.After(p.ValidTo):
		return none
	case p.Status == Superseded:
		return refusal{why: WhySuperseded, in: in}
	case p.Status == Repealed || p.DeclaredValidTo.After(p.ValidTo) && !on.After(p.DeclaredValidTo):
		return refusal{why: WhyRepealed, in: in}
	default:
		return refusal{why: WhyExpired, in: in}
	}
}

// otherSubmission checks channel, service level and way of payment. A list of
// all service levels is no condition, so a request that does not state one
// passes it.
func (c pricing) otherSubmission(p *Policy) refusal {
	channels, levels, paying := p.Condition.SubmissionChannel, p.Condition.ServiceLevel, p.Condition.PaymentChannel
	if len(channels) > 0 && !slices.Contains(channels, c.request.Channel) {
		return refusal{why: WhyChannel, in: values{"submitted": c.request.Channel, "asked": channels}}
	}
	anyLevel := len(levels) == 0 || slices.Contains(levels, ToanTrinh) && slices.Contains(levels, MotPhan)
	switch {
	case !anyLevel && c.request.Level == "":
		return refusal{why: WhyServiceLevel, text: "service_level_not_given", in: values{"asked": levels}}
	case !anyLevel && !slices.Contains(levels, c.request.Level):
		return refusal{why: WhyServiceLevel, in: values{"submitted": c.request.Level, "asked": levels}}
	case paying == PaidAnyhow || paying == c.request.PaymentChannel:
		return none
	case c.request.PaymentChannel == "":
		return refusal{why: WhyPaymentChannel, text: "payment_channel_not_given", in: values{"asked": paying}}
	default:
		return refusal{why: WhyPaymentChannel, in: values{"chosen": c.request.PaymentChannel, "asked": paying}}
	}
}
