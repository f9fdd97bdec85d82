package schedule

import (
	"regexp"
	"slices"

	"github.com/doisoat/doisoat/internal/fault"
)

// Limits. An item of a billion billion đồng does not exist; the sums of a full quote stay far from int64.
const (
	MaxBase     = 1_000_000_000_000 // minor units of one item, quantity included: sums over millions of items stay within 64 bits
	MaxQuantity = 1_000_000
	MaxCode     = 60
	MaxPolicies = 5_000
	maxShare    = 1_000_000_000 // numerators and denominators
	maxList     = 2_000         // fee types, territories or cases of one policy
	maxListed   = 20_000        // procedure codes of one policy
)

var (
	policyID      = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$`)
	authorityCode = regexp.MustCompile(`^[A-Z][A-Z0-9._-]{0,19}$`)
	territoryCode = regexp.MustCompile(`^[A-Z][A-Z0-9._-]{0,19}$`)
	groupCode     = regexp.MustCompile(`^[a-z0-9_]{1,60}$`)
)

// IsTerritory reports whether code has the form of an authority's code.
func IsTerritory(code string) bool { return territoryCode.MatchString(code) }

// Validate returns ErrPolicy with one field for each fault found.
func (p *Policy) Validate() error {
	var found fault.Problems
	p.ValidateAt(&found, "")
	return found.As(ErrPolicy)
}

// ValidateAt adds every fault of the policy to f; the policy stands at the pointer at.
func (p *Policy) ValidateAt(f *fault.Problems, at string) {
	f.Require(policyID.MatchString(p.ID), at+"/id", "must be 1 to 60 letters, digits, dots or hyphens")
	f.OneOf(string(p.Status), at+"/status", statusNames()...)
	f.Require(authorityCode.MatchString(p.Authority.Code), at+"/authority/code", "must be a code in capitals")
	f.OneOf(string(p.Authority.Level), at+"/authority/level", "law", "central", "province")
	p.validateTerritory(f, at)
	p.validateWindow(f, at)
	p.validateScope(f, at+"/scope")
	p.validateCondition(f, at)
	p.validateEffect(f, at+"/effect")
	f.Require(p.Rounding.Unit >= 1 && p.Rounding.Unit <= MaxBase, at+"/rounding/unit", "must be at least 1")
	f.OneOf(string(p.Rounding.Mode), at+"/rounding/mode", "half_up", "down", "up")
	f.OneOf(string(p.Combination), at+"/combination", "exclusive_best", "exemption_first", "multiply")
	f.Require(p.Combination != ExemptionGoesFirst || p.Effect.Kind == Exempt, at+"/combination", "exemption_first needs the effect exempt")
	f.Require(
		p.Combination != Multiply || p.Effect.Kind == ShareOfBase || p.Effect.Kind == ShareByFee, at+"/combination", "multiply needs a share",
	)
	p.validateGroups(f, at+"/exempt_groups")
	f.Require(len(p.Cases) <= maxList, at+"/cases", "must hold at most %d cases", maxList)
	for i, c := range p.Cases {
		c.validate(f, fault.Element(at+"/cases", i))
	}
}

func (p *Policy) validateTerritory(f *fault.Problems, at string) {
	f.Require(len(p.Territory) > 0, at+"/territory", "must name at least one authority, or *")
	f.Require(len(p.Territory) <= maxList, at+"/territory", "must name at most %d authorities", maxList)
	for i, code := range p.Territory[:min(len(p.Territory), maxList)] {
		here := fault.Element(at+"/territory", i)
		f.Require(code == Everywhere || IsTerritory(code), here, "must be * or an authority code")
		f.Require(!slices.Contains(p.Territory[:i], code), here, "appears twice")
		f.Require(code != Everywhere || p.Authority.Level != LevelProvince, here, "a council cannot rule the whole country")
	}
}

func (p *Policy) validateWindow(f *fault.Problems, at string) {
	f.Require(p.ValidTo.IsZero() || !p.ValidTo.Before(p.ValidFrom), at+"/valid_to", "must not come before valid_from")
	f.Require(
		p.DeclaredValidTo.IsZero() || !p.ValidTo.IsZero() && !p.DeclaredValidTo.Before(p.ValidTo), at+"/declared_valid_to",
		"needs a valid_to that is not later",
	)
	f.OneOf(string(p.PricingDateBasis), at+"/pricing_date_basis", "submission", "acceptance", "issue")
	if !p.Status.Adopted() {
		return
	}
	f.Require(!p.ValidFrom.IsZero(), at+"/valid_from", "an adopted policy needs a first day")
	f.Require(p.LegalBasis.Number != "", at+"/legal_basis/number", "an adopted policy needs a legal basis")
	ended := p.Status == Expired || p.Status == Repealed || p.Status == Superseded
	f.Require(!ended || !p.ValidTo.IsZero(), at+"/valid_to", "a policy with status %s needs a last day", p.Status)
}

func (p *Policy) validateScope(f *fault.Problems, at string) {
	f.OneOf(string(p.Scope.Mode), at+"/mode", "fee_type_list", "procedure_list", "all_under_authority", "fees_set_by_central_government")
	f.Require(p.Scope.Mode != FeeTypeList || len(p.Scope.FeeTypes) > 0, at+"/fee_types", "a fee_type_list needs at least one fee type")
	byRule := p.Scope.Mode == AllUnder || p.Scope.Mode == CentralFeesAll
	f.Require(!byRule || len(p.Scope.FeeTypes) == 0, at+"/fee_types", "must be empty when mode is %s", p.Scope.Mode)
	f.Require(p.Scope.Mode == ProcedureList || len(p.Scope.Procedures) == 0, at+"/procedures", "belongs to mode procedure_list only")
	validateFees(f, at+"/fee_types", p.Scope.FeeTypes)
	validateAgencies(f, at+"/agencies", p.Scope.Agencies)
	f.Require(len(p.Scope.Procedures) <= maxListed, at+"/procedures", "must hold at most %d codes", maxListed)
	for i, code := range p.Scope.Procedures {
		f.Require(code != "" && len(code) <= MaxCode, fault.Element(at+"/procedures", i), "must be a procedure code")
	}
}

func validateAgencies(f *fault.Problems, at string, codes []string) {
	f.Require(len(codes) <= maxList, at, "must hold at most %d agencies", maxList)
	for i, code := range codes[:min(len(codes), maxList)] {
		f.Require(code != "" && len(code) <= MaxCode, fault.Element(at, i), "must be the code of an agency, such as H41.12")
		f.Require(!slices.Contains(codes[:i], code), fault.Element(at, i), "appears twice")
	}
}

func validateFees(f *fault.Problems, at string, codes []string) {
	f.Require(len(codes) <= maxList, at, "must hold at most %d fee types", maxList)
	for i, code := range codes[:min(len(codes), maxList)] {
		_, ok := kindOf(code)
		f.Require(ok, fault.Element(at, i), "must look like P_NAME or LP_NAME in capitals, not %q", code)
		f.Require(!slices.Contains(codes[:i], code), fault.Element(at, i), "appears twice")
	}
}

func (p *Policy) validateCondition(f *fault.Problems, at string) {
	for i, c := range p.Condition.SubmissionChannel {
		f.OneOf(string(c), fault.Element(at+"/condition/submission_channel", i), "online", "direct", "postal")
	}
	for i, l := range p.Condition.ServiceLevel {
		f.OneOf(string(l), fault.Element(at+"/condition/service_level", i), "toan_trinh", "mot_phan")
	}
	f.OneOf(string(p.Condition.PaymentChannel), at+"/condition/payment_channel", "any", "online", "cash")
}

func (p *Policy) validateEffect(f *fault.Problems, at string) {
	e := p.Effect
	f.OneOf(string(e.Kind), at+"/kind", "share_of_base", "share_by_fee", "fixed_amount", "exempt", "subsidy")
	belongs := func(present bool, member string, kinds ...EffectKind) {
		f.Require(!present || slices.Contains(kinds, e.Kind), at+"/"+member, "does not belong to the effect %s", e.Kind)
	}
	belongs(e.Numerator != nil, "numerator", ShareOfBase)
	belongs(e.Denominator != nil, "denominator", ShareOfBase)
	belongs(e.Shares != nil, "shares", ShareByFee)
	belongs(e.Amount != nil, "amount", FixedAmount)
	belongs(e.PayerShare != nil, "payer_share", Subsidy)
	belongs(e.Ceiling != nil, "ceiling", Subsidy)
	belongs(e.Funder != "", "funder", Subsidy)
	switch e.Kind {
	case ShareOfBase:
		f.Require(e.Numerator != nil, at+"/numerator", "is needed")
		f.Require(e.Denominator != nil, at+"/denominator", "is needed")
		if s, ok := e.ShareOf(""); ok {
			s.validate(f, at)
		}
	case ShareByFee:
		f.Require(len(e.Shares) > 0, at+"/shares", "needs at least one fee type")
		for code, s := range e.Shares {
			_, ok := kindOf(code)
			f.Require(ok, at+"/shares/"+code, "must be a fee type")
			s.validate(f, at+"/shares/"+code)
		}
		f.Sort() // a map has no order, an answer has
	case FixedAmount:
		f.Require(e.Amount != nil && *e.Amount >= 0 && *e.Amount <= MaxBase, at+"/amount", "must lie between 0 and %d", int64(MaxBase))
	case Subsidy:
		f.Require(e.PayerShare != nil, at+"/payer_share", "is needed")
		if e.PayerShare != nil {
			e.PayerShare.validate(f, at+"/payer_share")
		}
		f.Require(e.Funder != "", at+"/funder", "must say which budget pays")
		f.Require(e.Ceiling == nil || *e.Ceiling >= 0 && *e.Ceiling <= MaxBase, at+"/ceiling", "must lie between 0 and %d", int64(MaxBase))
		f.Require(e.FeeAmountUnchanged == nil || *e.FeeAmountUnchanged, at+"/fee_amount_unchanged", "a subsidy leaves the fee unchanged")
	case Exempt:
	}
	validateFees(f, at+"/companions_still_due", e.CompanionsStillDue)
}

func (s Share) validate(f *fault.Problems, at string) {
	f.Require(s.Denominator >= 1 && s.Denominator <= maxShare, at+"/denominator", "must be at least 1")
	f.Require(s.Numerator >= 0 && s.Numerator <= s.Denominator, at+"/numerator", "must lie between 0 and the denominator")
}

func (p *Policy) validateGroups(f *fault.Problems, at string) {
	g := p.ExemptGroups
	f.OneOf(g.Rule, at+"/rule", OnlyThese, ExemptionFirst)
	f.Require(g.Rule != OnlyThese || len(g.Groups)+len(g.Cases) > 0, at+"/groups", "applies_only_to_these needs at least one group or case")
	for i, code := range g.Groups {
		f.Require(groupCode.MatchString(code), fault.Element(at+"/groups", i), "must be a code in small letters")
	}
	for i, code := range g.Cases {
		f.Require(groupCode.MatchString(code), fault.Element(at+"/cases", i), "must be a code in small letters")
	}
}

func (c Case) validate(f *fault.Problems, at string) {
	f.Require(!c.SubmittedOn.IsZero(), at+"/submitted_on", "is needed")
	f.OneOf(string(c.Channel), at+"/channel", "online", "direct", "postal")
	f.OneOf(string(c.ServiceLevel), at+"/service_level", "", "toan_trinh", "mot_phan")
	f.Require(c.AcceptedOn.IsZero() || !c.AcceptedOn.Before(c.SubmittedOn), at+"/accepted_on", "must not come before submitted_on")
	f.Require(c.IssuedOn.IsZero() || !c.IssuedOn.Before(c.SubmittedOn), at+"/issued_on", "must not come before submitted_on")
	f.OneOf(string(c.PaymentChannel), at+"/payment_channel", "", "online", "cash")
	f.Require(len(c.Agency) <= MaxCode, at+"/agency", "must have at most %d characters", MaxCode)
	f.Require(c.Territory == "" || IsTerritory(c.Territory), at+"/territory", "must be an authority code")
	_, ok := kindOf(c.FeeType)
	f.Require(ok, at+"/fee_type", "must look like P_NAME or LP_NAME in capitals")
	f.Require(c.Base == nil || *c.Base >= 0 && *c.Base <= MaxBase, at+"/base", "must lie between 0 and %d", int64(MaxBase))
	f.Require(c.Quantity == nil || *c.Quantity >= 1 && *c.Quantity <= MaxQuantity, at+"/quantity", "must lie between 1 and %d", MaxQuantity)
	f.Require(c.ExpectedDue != nil && *c.ExpectedDue >= 0, at+"/expected_due", "is needed and must not be negative")
	f.Require(c.ExpectedSubsidy == nil || *c.ExpectedSubsidy >= 0, at+"/expected_subsidy", "must not be negative")
	f.OneOf(
		string(c.ExpectedReason), at+"/expected_reason", "", string(ReasonExempt), string(ReasonDiscounted), string(ReasonSubsidised),
		string(ReasonNone),
	)
	for i, code := range c.Groups {
		f.Require(groupCode.MatchString(code), fault.Element(at+"/groups", i), "must be a code in small letters")
	}
}
