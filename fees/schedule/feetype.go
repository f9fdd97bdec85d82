package schedule

import (
	"regexp"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/money"
)

// Everywhere as a territory means the whole country.
const Everywhere = "*"

// Kind tells phí and lệ phí apart: each has its own ledger account, its own
// receipt and its own way to the budget.
type Kind string

// The kinds of Luật phí và lệ phí 97/2015/QH13.
const (
	Phi   Kind = "phi"
	LePhi Kind = "le_phi"
)

// SetBy says who may change a fee's rate.
type SetBy string

// Central rates are set by the Ministry of Finance, council rates by the people's council of a province.
const (
	SetByCentral SetBy = "central"
	SetByCouncil SetBy = "council"
)

// CollectedBy says whose agency takes the money.
type CollectedBy string

// A vertical agency is one of a ministry (police, intellectual property office): provinces do not subsidise its fees.
const (
	CollectedVertical CollectedBy = "vertical"
	CollectedLocal    CollectedBy = "local"
)

// FeeType is one fee of the schedule. Territory is Everywhere, or the province
// whose own schedule this is; a province's own fee type hides the national one.
type FeeType struct {
	Code        string       `json:"code"`
	Name        string       `json:"name"`
	Territory   string       `json:"territory"`
	Kind        Kind         `json:"kind"`
	SetBy       SetBy        `json:"set_by"`
	CollectedBy CollectedBy  `json:"collected_by"`
	Currency    string       `json:"currency,omitempty"` // absent means VND, in which the State collects
	Rates       []Rate       `json:"rates"`
	Terms       []Terms      `json:"terms,omitempty"`
	Refunds     []RefundRule `json:"refunds,omitempty"`
	Note        string       `json:"note,omitempty"`

	Version int `json:"-"` // as recorded; 1 in a file
}

// Rate is the base amount of one unit during a window of whole days, both ends
// inclusive, an absent end being open. Base nil means that the amount is given
// case by case. Illustrative marks an amount that no document backs.
type Rate struct {
	ValidFrom    calendar.Date `json:"valid_from,omitzero"`
	ValidTo      calendar.Date `json:"valid_to,omitzero"`
	Base         *int64        `json:"base"`
	LegalBasis   string        `json:"legal_basis,omitempty"`
	Illustrative bool          `json:"illustrative,omitempty"`
	Note         string        `json:"note,omitempty"`
}

// RateOn returns the rate in force on a date; the later start wins where windows overlap.
func (f FeeType) RateOn(on calendar.Date) (Rate, bool) {
	var best Rate
	found := false
	for _, r := range f.Rates {
		if on.Within(r.ValidFrom, r.ValidTo) && (!found || r.ValidFrom.After(best.ValidFrom)) {
			best, found = r, true
		}
	}
	return best, found
}

// Stage is how far a dossier has come when a refund is asked for.
type Stage string

// The stages of the decision table. AnyStage appears in rules only.
const (
	BeforeAcceptance Stage = "before_acceptance"
	Processing       Stage = "processing"
	Delivered        Stage = "delivered"
	AnyStage         Stage = "any"
)

// RefundDecision is the decision of a rule on the money of one charge.
type RefundDecision string

// The decisions. Manual leaves it to a person, who sees the rule.
const (
	RefundFull     RefundDecision = "full"     // everything paid for the charge
	RefundExcess   RefundDecision = "excess"   // only the part paid above the lawful amount
	RefundNone     RefundDecision = "none"     // nothing
	RefundProvider RefundDecision = "provider" // the provider reverses; the agency moves no money
	RefundManual   RefundDecision = "manual"
)

// RefundRule answers one reason at one stage. Refundability is per fee and per
// reason, never general, so every rule is data with its legal basis.
type RefundRule struct {
	ValidFrom  calendar.Date  `json:"valid_from,omitzero"`
	ValidTo    calendar.Date  `json:"valid_to,omitzero"`
	Reason     string         `json:"reason"`
	Stage      Stage          `json:"stage"`
	Decision   RefundDecision `json:"decision"`
	LegalBasis string         `json:"legal_basis,omitempty"`
	Note       string         `json:"note,omitempty"`
}

// RefundReasons lists the reasons a rule may name, in the order of the decision table.
func RefundReasons() []string {
	return []string{
		"DUPLICATE", "OVERPAID", "WRONG_PAYEE", "EXEMPT_PROVEN_LATER", "COLLECTED_AGAINST_RULE", "NOT_ACCEPTED",
		"WITHDRAWN", "REFUSED", "STOPPED", "RESULT_NOT_TAKEN", "SERVICE_IMPOSSIBLE", "PROVIDER_ERROR", "BILL_EXPIRED_LATE_PAY",
	}
}

// RefundRuleFor returns the rule in force on a day for a reason at a stage. The
// fee's own rule goes before the general one of the catalogue; without either, a
// person decides (RefundManual). A rule for exactly the stage goes before one for
// any stage, a newer before an older.
func (f FeeType) RefundRuleFor(reason string, stage Stage, on calendar.Date) RefundRule {
	for _, rules := range [][]RefundRule{f.Refunds, Catalogue().RefundDefaults} {
		for _, want := range []Stage{stage, AnyStage} {
			var best RefundRule
			found := false
			for _, r := range rules {
				if r.Reason == reason && r.Stage == want && on.Within(r.ValidFrom, r.ValidTo) &&
					(!found || r.ValidFrom.After(best.ValidFrom)) {
					best, found = r, true
				}
			}
			if found {
				return best
			}
		}
	}
	return RefundRule{Reason: reason, Stage: stage, Decision: RefundManual}
}

var feeCode = regexp.MustCompile(`^(P|LP)_[A-Z0-9]+(_[A-Z0-9]+)*$`)

// kindOf reads the kind off a fee code: P_ is phí, LP_ is lệ phí.
func kindOf(code string) (Kind, bool) {
	switch {
	case !feeCode.MatchString(code) || len(code) > MaxCode:
		return "", false
	case code[0] == 'P':
		return Phi, true
	default:
		return LePhi, true
	}
}

// Validate returns ErrFeeType with one field for each fault found.
func (f FeeType) Validate() error {
	var p fault.Problems
	f.ValidateAt(&p, "")
	return p.As(ErrFeeType)
}

// ValidateAt adds every fault of the fee type to p; the fee type stands at the pointer at.
func (f FeeType) ValidateAt(p *fault.Problems, at string) {
	kind, ok := kindOf(f.Code)
	p.Require(ok, at+"/code", "must look like P_NAME or LP_NAME in capitals")
	p.Require(!ok || f.Kind == kind, at+"/kind", "must agree with the code: P_ is phi, LP_ is le_phi")
	p.Require(f.Name != "", at+"/name", "must not be empty")
	p.Require(f.Territory == Everywhere || IsTerritory(f.Territory), at+"/territory", "must be * or a province code")
	p.OneOf(string(f.SetBy), at+"/set_by", "central", "council")
	p.OneOf(string(f.CollectedBy), at+"/collected_by", "vertical", "local")
	for i, r := range f.Rates {
		here := fault.Element(at+"/rates", i)
		p.Require(r.Base == nil || (*r.Base >= 0 && *r.Base <= MaxBase), here+"/base", "must lie between 0 and %d", int64(MaxBase))
		p.Require(r.ValidTo.IsZero() || !r.ValidTo.Before(r.ValidFrom), here+"/valid_to", "must not come before valid_from")
	}
	p.OneOf(f.Currency, at+"/currency", "", string(money.VND))
	for i, t := range f.Terms {
		t.validate(p, fault.Element(at+"/terms", i), f.Kind)
	}
	for i, r := range f.Refunds {
		r.validate(p, fault.Element(at+"/refunds", i))
	}
}

func (r RefundRule) validate(p *fault.Problems, at string) {
	p.OneOf(r.Reason, at+"/reason", RefundReasons()...)
	p.OneOf(string(r.Stage), at+"/stage", "before_acceptance", "processing", "delivered", "any")
	p.Require(r.ValidTo.IsZero() || !r.ValidTo.Before(r.ValidFrom), at+"/valid_to", "must not come before valid_from")
	p.OneOf(string(r.Decision), at+"/decision", "full", "excess", "none", "provider", "manual")
}
