package quote

import (
	"slices"
	"strings"

	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
)

// judge returns the rule that a policy plays in the item, or the reason for
// which it plays none.
//
// A policy that does not apply is listed in three cases: it names the fee; it
// names the authority, not merely the whole country; or it covers the authority
// with a scope that names no fees. A circular about other fees and another
// province's list are left out.
//
// The reasons have a fixed order, and the first one found is given: territory,
// adoption, scope, window, then channel, service level, payment and applicant.
func (c pricing) judge(p *schedule.Policy) (Rule, refusal) {
	fee := c.fee.Code
	covers := slices.Contains(p.Territory, c.request.Authority) || slices.Contains(p.Territory, schedule.Everywhere)
	named := slices.Contains(p.NamedFees(), fee)
	byName := slices.Contains(p.Territory, c.request.Authority)
	agnostic := p.Scope.Mode != schedule.FeeTypeList && len(p.Scope.FeeTypes) == 0
	if !(named || byName || covers && agnostic || p.ID == c.override.policy) {
		return "", refusal{why: whyNotWorthListing}
	}
	switch {
	case !covers:
		return "", refusal{why: WhyOtherTerritory, in: values{"authority": c.request.Authority}}
	case p.Status == schedule.Rejected:
		return "", refusal{why: WhyRejected}
	case !p.Status.Adopted():
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
	if p.ExemptGroups.Rule == schedule.ExemptionFirst && c.inGroup(p) {
		return RuleExemption, none
	}
	if !inScope(p, fee) {
		return "", refusal{why: WhyCompanion}
	}
	if r := c.otherSubmission(p); r.why != whyNone {
		return "", r
	}
	if p.ExemptGroups.Rule == schedule.OnlyThese && !c.inGroup(p) {
		return "", refusal{why: WhyGroupOnly}
	}
	return ruleOf(p), none
}

// ruleOf is the part the policy plays for those it is meant for.
func ruleOf(p *schedule.Policy) Rule {
	switch p.Effect.Kind {
	case schedule.Exempt:
		return RuleExemption
	case schedule.Subsidy:
		return RuleSubsidy
	default:
		return RuleRate
	}
}

func (c pricing) inGroup(p *schedule.Policy) bool {
	return slices.ContainsFunc(c.request.Groups, func(group string) bool {
		return slices.Contains(p.ExemptGroups.Groups, group) || slices.Contains(p.ExemptGroups.Cases, group)
	})
}

// inScope reports whether the policy lowers the fee, as far as its lists go; a
// companion is named but not lowered.
func inScope(p *schedule.Policy, fee string) bool {
	if p.Effect.Kind == schedule.ShareByFee {
		if _, ok := p.Effect.Shares[fee]; !ok {
			return false
		}
	}
	switch p.Scope.Mode {
	case schedule.FeeTypeList:
		return slices.Contains(p.Scope.FeeTypes, fee)
	case schedule.ProcedureList:
		return len(p.Scope.FeeTypes) == 0 || slices.Contains(p.Scope.FeeTypes, fee)
	default:
		return !slices.Contains(p.Effect.CompanionsStillDue, fee)
	}
}

// reach says whether a policy may touch a fee at all, as far as who sets and
// who collects it goes. A council reaches the fees that councils set; a
// central fee changes by a central text only, or is paid for by a subsidy.
func reach(p *schedule.Policy, fee schedule.FeeType) refusal {
	council := p.Authority.Level == schedule.LevelProvince
	subsidyByName := p.Effect.Kind == schedule.Subsidy && p.Scope.Mode != schedule.AllUnder
	switch {
	case p.Scope.Mode == schedule.CentralFeesAll && fee.SetBy != schedule.SetByCentral:
		return refusal{why: WhyNotInScope, text: "central_scope"}
	case p.Scope.Mode == schedule.CentralFeesAll && fee.CollectedBy == schedule.CollectedVertical:
		return refusal{why: WhyVerticalAgency}
	case council && fee.SetBy == schedule.SetByCentral && !subsidyByName:
		return refusal{why: WhyCentralFee}
	case p.Scope.Mode == schedule.AllUnder && p.Authority.Level == schedule.LevelCentral && fee.SetBy != schedule.SetByCentral:
		return refusal{why: WhyNotInScope, text: "central_scope"}
	}
	return none
}

// outOfScope checks the fee, the procedure and the agency against the scope of the policy.
func (c pricing) outOfScope(p *schedule.Policy) refusal {
	fee := c.fee
	companion := slices.Contains(p.Effect.CompanionsStillDue, fee.Code)
	if !inScope(p, fee.Code) && !companion {
		return refusal{why: WhyNotInScope, in: values{"fee": fee.Code}}
	}
	if r := reach(p, fee); r.why != whyNone {
		return r
	}
	if p.Scope.Mode == schedule.ProcedureList {
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
func (c pricing) dayFor(p *schedule.Policy) (day calendar.Date, ok bool) {
	at := c.request.SubmittedAt
	switch p.PricingDateBasis {
	case schedule.BySubmission:
	case schedule.ByAcceptance:
		at = c.request.AcceptedAt
	case schedule.ByIssue:
		at = c.request.IssuedAt
	}
	if at.IsZero() {
		return calendar.Date{}, false
	}
	return calendar.On(at), true
}

func (c pricing) outOfWindow(p *schedule.Policy) refusal {
	on, known := c.dayFor(p)
	if !known { // acceptance and result come after the submission
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
	case p.Status == schedule.Superseded:
		return refusal{why: WhySuperseded, in: in}
	case p.Status == schedule.Repealed || p.DeclaredValidTo.After(p.ValidTo) && !on.After(p.DeclaredValidTo):
		return refusal{why: WhyRepealed, in: in}
	default:
		return refusal{why: WhyExpired, in: in}
	}
}

// otherSubmission checks channel, service level and way of payment. A list of
// all service levels is no condition, so a request that does not state one
// passes it.
func (c pricing) otherSubmission(p *schedule.Policy) refusal {
	channels, levels, paying := p.Condition.SubmissionChannel, p.Condition.ServiceLevel, p.Condition.PaymentChannel
	if len(channels) > 0 && !slices.Contains(channels, c.request.Channel) {
		return refusal{why: WhyChannel, in: values{"submitted": c.request.Channel, "asked": channels}}
	}
	anyLevel := len(levels) == 0 || slices.Contains(levels, schedule.ToanTrinh) && slices.Contains(levels, schedule.MotPhan)
	switch {
	case !anyLevel && c.request.Level == "":
		return refusal{why: WhyServiceLevel, text: "service_level_not_given", in: values{"asked": levels}}
	case !anyLevel && !slices.Contains(levels, c.request.Level):
		return refusal{why: WhyServiceLevel, in: values{"submitted": c.request.Level, "asked": levels}}
	case paying == schedule.PaidAnyhow || paying == c.request.PaymentChannel:
		return none
	case c.request.PaymentChannel == "":
		return refusal{why: WhyPaymentChannel, text: "payment_channel_not_given", in: values{"asked": paying}}
	default:
		return refusal{why: WhyPaymentChannel, in: values{"chosen": c.request.PaymentChannel, "asked": paying}}
	}
}

// BeyondCouncil reports whether p, a policy of a council, names a fee that only
// a central text changes. The quote then refuses it with WhyCentralFee.
func BeyondCouncil(p *schedule.Policy, fee schedule.FeeType) bool {
	return reach(p, fee).why == WhyCentralFee
}
