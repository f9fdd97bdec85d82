package fees

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
)

// Why is the stable code of the reason for which a policy did not apply.
type Why string

// The reasons, in the order in which they are looked for.
const (
	WhyOtherTerritory        Why = "other_territory"
	WhyDraft                 Why = "draft"
	WhyRejected              Why = "rejected"
	WhyNotInScope            Why = "fee_not_in_scope"
	WhyVerticalAgency        Why = "vertical_agency"
	WhyCentralFee            Why = "central_fee_outside_council"
	WhyProcedure             Why = "procedure_not_listed"
	WhyNotYet                Why = "not_yet_in_force"
	WhyRepealed              Why = "repealed"
	WhyExpired               Why = "expired"
	WhyCompanion             Why = "companion_still_due"
	WhyChannel               Why = "channel"
	WhyServiceLevel          Why = "service_level"
	WhyGroupOnly             Why = "group_only"
	WhyFixedAboveBase        Why = "fixed_above_base"
	WhyNoReduction           Why = "no_reduction"
	WhyLessFavourable        Why = "less_favourable"
	WhyNothingLeft           Why = "nothing_left"
	whyNone                  Why = ""
	whyNotWorthListing       Why = "-"
	detailNothingLeft            = "nothing is left to pay"
	detailNothingLeftRef         = "%s leaves nothing to pay"
	detailNotFavourable          = "%s leaves less to pay, or the same under a newer text"
	detailSubsidyOutdone         = "%s pays more, or the same under a newer text"
	detailNoReduction            = "it does not lower this amount"
	detailSubsidyNothing         = "it pays nothing of this amount"
	detailFixedAboveBase         = "its fixed amount %d is above the base %d"
	detailServiceNotGiven        = "the service level is not stated; it asks for %s"
	detailOtherServiceLevel      = "submitted as %s; it asks for %s"
	detailOtherChannel           = "submitted %s; it asks for %s"
	detailProcedureNotListed     = "procedure %q is not in its list"
)

// pricing is one item on its way through the policies.
type pricing struct {
	request  Request
	fee      FeeType
	on       calendar.Date
	unit     int64 // minor units of one unit
	quantity int64
	override override
}

// candidate is a policy that may apply, with the part it would play.
type candidate struct {
	policy *Policy
	rule   Rule
	due    money.Amount // rate: what the item would cost
	pays   money.Amount // subsidy: what the budget would pay
}

// item applies the combination rules: a legal exemption first; else the one
// rate rule that leaves least to pay; then the one subsidy that pays most of
// what remains. Equal rules are told apart by the newer first day, then by id,
// so that order never matters.
func (c pricing) item(policies []*Policy) (Item, error) {
	base := money.Dong(c.unit * c.quantity) // unitBase has checked the product
	it := Item{
		FeeType: c.fee.Code, Kind: c.fee.Kind, Quantity: c.quantity, Base: base,
		Discount: money.Dong(0), Subsidy: money.Dong(0), Due: base, Reason: ReasonNone,
	}
	var exemptions, rates, subsidies []candidate
	for _, p := range policies {
		rule, why, detail := c.judge(p)
		switch {
		case why == whyNotWorthListing:
		case why != whyNone:
			it.refuse(p, why, "%s", detail)
		case rule == RuleExemption:
			exemptions = append(exemptions, candidate{policy: p, rule: rule})
		case rule == RuleRate:
			rates = append(rates, candidate{policy: p, rule: rule})
		default:
			subsidies = append(subsidies, candidate{policy: p, rule: rule})
		}
	}
	it.exempt(exemptions)
	if err := c.rate(&it, rates); err != nil {
		return Item{}, err
	}
	if err := c.subsidise(&it, subsidies); err != nil {
		return Item{}, err
	}
	slices.SortFunc(it.NotApplied, func(a, b NotApplied) int { return strings.Compare(a.Policy, b.Policy) })
	return it, nil
}

func (it *Item) refuse(p *Policy, why Why, format string, args ...any) {
	it.NotApplied = append(it.NotApplied, NotApplied{Policy: p.ID, Version: p.Version, Why: why, Detail: fmt.Sprintf(format, args...)})
}

func (it *Item) apply(c candidate, amount int64) {
	p := c.policy
	a := Applied{Policy: p.ID, Version: p.Version, LegalBasis: p.LegalBasis.String(), Effect: p.Effect.describe(it.FeeType), Rule: c.rule, Amount: amount}
	if c.rule == RuleExemption {
		a.Effect = string(Exempt)
	}
	if c.rule == RuleSubsidy {
		a.Funder = p.Effect.Funder
	}
	it.Applied = append(it.Applied, a)
}

// exempt applies the exemption of the highest rank.
func (it *Item) exempt(list []candidate) {
	if len(list) == 0 {
		return
	}
	slices.SortFunc(list, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(rank(a.policy), rank(b.policy)), newerFirst(a.policy, b.policy))
	})
	for _, other := range list[1:] {
		it.refuse(other.policy, WhyNothingLeft, detailNothingLeftRef, list[0].policy.ID)
	}
	it.Reason, it.Discount, it.Due = ReasonExempt, it.Base, money.Dong(0)
	it.apply(list[0], it.Discount.Minor)
}

// rate applies the rate rule that leaves least to pay.
func (c pricing) rate(it *Item, list []candidate) error {
	var useful []candidate
	for _, r := range list {
		p := r.policy
		if it.Due.IsZero() {
			it.nothingLeft(p)
			continue
		}
		if p.Effect.Kind == FixedAmount && *p.Effect.Amount > c.unit {
			it.refuse(p, WhyFixedAboveBase, detailFixedAboveBase, *p.Effect.Amount, c.unit)
			continue
		}
		due, err := c.reduced(p, it.Base)
		if err != nil {
			return err
		}
		if due == it.Base {
			it.refuse(p, WhyNoReduction, detailNoReduction)
			continue
		}
		r.due = due
		useful = append(useful, r)
	}
	if len(useful) == 0 {
		return nil
	}
	slices.SortFunc(useful, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.due.Minor, b.due.Minor), newerFirst(a.policy, b.policy))
	})
	best := useful[0]
	for _, other := range useful[1:] {
		it.refuse(other.policy, WhyLessFavourable, detailNotFavourable, best.policy.ID)
	}
	var err error
	if it.Discount, err = it.Base.Sub(best.due); err != nil {
		return err
	}
	it.Reason, it.Due = ReasonDiscounted, best.due
	it.apply(best, it.Discount.Minor)
	return nil
}

// reduced is what base becomes under a rate rule, never above base.
func (c pricing) reduced(p *Policy, base money.Amount) (money.Amount, error) {
	if p.Effect.Kind == FixedAmount {
		return money.Dong(*p.Effect.Amount * c.quantity), nil // amount ≤ unit, so the product is ≤ base
	}
	s, _ := p.Effect.share(c.fee.Code)
	due, err := base.Share(s.Numerator, s.Denominator, p.Rounding.Unit, p.Rounding.Mode)
	if err != nil || due.Minor > base.Minor { // rounding up may climb above the base
		return base, err
	}
	return due, nil
}

// subsidise lets the most generous budget pay of what remains due.
func (c pricing) subsidise(it *Item, list []candidate) error {
	var useful []candidate
	for _, s := range list {
		p := s.policy
		if it.Due.IsZero() {
			it.nothingLeft(p)
			continue
		}
		share := p.Effect.PayerShare
		payer, err := it.Due.Share(share.Numerator, share.Denominator, p.Rounding.Unit, p.Rounding.Mode)
		if err != nil {
			return err
		}
		pays := max(it.Due.Minor-payer.Minor, 0)
		if p.Effect.Ceiling != nil {
			pays = min(pays, *p.Effect.Ceiling)
		}
		if pays == 0 {
			it.refuse(p, WhyNoReduction, detailSubsidyNothing)
			continue
		}
		s.pays = money.Dong(pays)
		useful = append(useful, s)
	}
	if len(useful) == 0 {
		return nil
	}
	slices.SortFunc(useful, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.pays.Minor, a.pays.Minor), newerFirst(a.policy, b.policy))
	})
	best := useful[0]
	for _, other := range useful[1:] {
		it.refuse(other.policy, WhyLessFavourable, detailSubsidyOutdone, best.policy.ID)
	}
	var err error
	if it.Due, err = it.Due.Sub(best.pays); err != nil {
		return err
	}
	it.Subsidy = best.pays
	if it.Reason == ReasonNone {
		it.Reason = ReasonSubsidised
	}
	it.apply(best, best.pays.Minor)
	return nil
}

func (it *Item) nothingLeft(p *Policy) {
	if len(it.Applied) == 0 {
		it.refuse(p, WhyNothingLeft, detailNothingLeft)
		return
	}
	it.refuse(p, WhyNothingLeft, detailNothingLeftRef, it.Applied[0].Policy)
}

// rank puts a law before a circular before a resolution.
func rank(p *Policy) int {
	return slices.Index([]Level{LevelLaw, LevelCentral, LevelProvince}, p.Authority.Level)
}

func newerFirst(a, b *Policy) int {
	return cmp.Or(b.ValidFrom.Compare(a.ValidFrom), strings.Compare(a.ID, b.ID))
}

// describe says the effect in one stable phrase, amounts in minor units.
func (e Effect) describe(fee string) string {
	switch e.Kind {
	case ShareOfBase, ShareByFee:
		s, _ := e.share(fee)
		return fmt.Sprintf("%s %d/%d", e.Kind, s.Numerator, s.Denominator)
	case FixedAmount:
		return fmt.Sprintf("%s %d", e.Kind, *e.Amount)
	case Subsidy:
		return fmt.Sprintf("%s, payer share %d/%d", e.Kind, e.PayerShare.Numerator, e.PayerShare.Denominator)
	default:
		return string(e.Kind)
	}
}
