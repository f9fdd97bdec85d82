package quote

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
)

// Why is the stable code of the reason for which a policy did not apply.
type Why string

// The reasons, in the order in which they are looked for.
const (
	WhyOtherTerritory  Why = "other_territory"
	WhyDraft           Why = "draft"
	WhyRejected        Why = "rejected"
	WhyNotInScope      Why = "fee_not_in_scope"
	WhyVerticalAgency  Why = "vertical_agency"
	WhyCentralFee      Why = "central_fee_outside_council"
	WhyProcedure       Why = "procedure_not_listed"
	WhyOtherAgency     Why = "other_agency"
	WhyDayUnknown      Why = "pricing_day_unknown"
	WhyNotYet          Why = "not_yet_in_force"
	WhySuperseded      Why = "superseded"
	WhyRepealed        Why = "repealed"
	WhyExpired         Why = "expired"
	WhyCompanion       Why = "companion_still_due"
	WhyChannel         Why = "channel"
	WhyServiceLevel    Why = "service_level"
	WhyPaymentChannel  Why = "payment_channel"
	WhyGroupOnly       Why = "group_only"
	WhyFixedAboveBase  Why = "fixed_above_base"
	WhyNoReduction     Why = "no_reduction"
	WhyLessFavourable  Why = "less_favourable"
	WhyNothingLeft     Why = "nothing_left"
	whyNone            Why = ""
	whyNotWorthListing Why = "-"
)

// pricing is one item on its way through the policies.
type pricing struct {
	request  Request
	fee      schedule.FeeType
	on       calendar.Date // day of submission
	unit     int64         // minor units of one unit
	quantity int64
	override override

	rateBasis string // legal basis of the rate, when the schedule gave it
	ground    string // of an assessed amount
	scheduled *int64 // amount of the schedule beside an assessed one, or nil
}

// candidate is a policy that may apply, with the part it would play.
type candidate struct {
	policy *schedule.Policy
	rule   Rule
	due    money.Amount // rate: the amount due under it
	pays   money.Amount // subsidy: the amount that the budget would pay
}

// item applies the combination rules. A legal exemption goes first. Without one,
// the rate rule that leaves least to pay applies, and then the policies that
// multiply. Last, the subsidy that pays most of the remaining amount applies.
// Among equal rules the newer first day wins, then the lower id, so the order of
// the policies never matters.
func (c pricing) item(policies []*schedule.Policy) (Item, error) {
	base := money.Dong(c.unit * c.quantity) // unitBase has checked the product
	it := Item{
		FeeType: c.fee.Code, Kind: c.fee.Kind, Quantity: c.quantity, Base: base,
		Discount: money.Dong(0), Subsidy: money.Dong(0), Due: base, Reason: schedule.ReasonNone, Ground: c.ground,
	}
	var exemptions, rates, subsidies []candidate
	for _, p := range policies {
		rule, not := c.judge(p)
		switch {
		case not.why == whyNotWorthListing:
		case not.why != whyNone:
			it.refuse(p, not)
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
	it.Texts = it.summary(c)
	return it, nil
}

func (it *Item) refuse(p *schedule.Policy, r refusal) {
	said := r.texts()
	it.NotApplied = append(it.NotApplied, NotApplied{Policy: p.ID, Version: p.Version, Why: r.why, Detail: said.En, Texts: said})
}

func (it *Item) apply(c candidate, amount money.Amount) {
	p := c.policy
	a := Applied{
		Policy:     p.ID,
		Version:    p.Version,
		LegalBasis: p.LegalBasis.String(),
		Effect:     effectPhrase(p.Effect, it.FeeType),
		Rule:       c.rule,
		Amount:     amount.Minor,
		Texts:      appliedTexts(c, it.FeeType, amount),
	}
	if c.rule == RuleExemption {
		a.Effect = string(schedule.Exempt)
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
		it.refuse(other.policy, refusal{why: WhyNothingLeft, text: "nothing_left_after", in: values{"policy": list[0].policy.ID}})
	}
	it.Reason, it.Discount, it.Due = schedule.ReasonExempt, it.Base, money.Dong(0)
	it.apply(list[0], it.Discount)
}

// rate applies the rate rule that leaves least to pay, and then every policy
// that says of itself that it multiplies, oldest first.
func (c pricing) rate(it *Item, list []candidate) error {
	var useful, multiplying []candidate
	for _, r := range list {
		p := r.policy
		switch {
		case p.Combination == schedule.Multiply:
			multiplying = append(multiplying, r)
			continue
		case it.Due.IsZero():
			it.nothingLeft(p)
			continue
		case p.Effect.Kind == schedule.FixedAmount && *p.Effect.Amount > c.unit:
			in := values{"fixed": money.Dong(*p.Effect.Amount), "base": money.Dong(c.unit)}
			it.refuse(p, refusal{why: WhyFixedAboveBase, in: in})
			continue
		}
		due, err := c.reduced(p, it.Base)
		if err != nil {
			return err
		}
		if due == it.Base {
			it.refuse(p, refusal{why: WhyNoReduction})
			continue
		}
		r.due = due
		useful = append(useful, r)
	}
	slices.SortFunc(useful, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.due.Minor, b.due.Minor), newerFirst(a.policy, b.policy))
	})
	for i, r := range useful {
		if i > 0 {
			it.refuse(r.policy, refusal{why: WhyLessFavourable, in: values{"policy": useful[0].policy.ID}})
		} else if err := it.lower(r); err != nil {
			return err
		}
	}
	return c.multiply(it, multiplying)
}

// multiply lowers the remaining amount by each policy in turn.
func (c pricing) multiply(it *Item, list []candidate) error {
	slices.SortFunc(list, func(a, b candidate) int { return newerFirst(b.policy, a.policy) })
	for _, r := range list {
		if it.Due.IsZero() {
			it.nothingLeft(r.policy)
			continue
		}
		var err error
		if r.due, err = c.reduced(r.policy, it.Due); err != nil {
			return err
		}
		if r.due == it.Due {
			it.refuse(r.policy, refusal{why: WhyNoReduction})
			continue
		}
		if err := it.lower(r); err != nil {
			return err
		}
	}
	return nil
}

// lower reduces the amount due to the amount that a rate rule leaves.
func (it *Item) lower(r candidate) error {
	less, err := it.Due.Sub(r.due)
	if err != nil {
		return err
	}
	if it.Discount, err = it.Discount.Add(less); err != nil {
		return err
	}
	it.Reason, it.Due = schedule.ReasonDiscounted, r.due
	it.apply(r, less)
	return nil
}

// reduced returns base under a rate rule, never more than base.
func (c pricing) reduced(p *schedule.Policy, base money.Amount) (money.Amount, error) {
	if p.Effect.Kind == schedule.FixedAmount {
		return money.Dong(*p.Effect.Amount * c.quantity), nil // amount ≤ unit, so the product is ≤ base
	}
	s, _ := p.Effect.ShareOf(c.fee.Code)
	due, err := base.Share(s.Numerator, s.Denominator, p.Rounding.Unit, p.Rounding.Mode)
	if err != nil || due.Minor > base.Minor { // rounding up may climb above the base
		return base, err
	}
	return due, nil
}

// subsidise applies the subsidy that pays most of the remaining amount.
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
			it.refuse(p, refusal{why: WhyNoReduction, text: "subsidy_pays_nothing"})
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
		it.refuse(other.policy, refusal{why: WhyLessFavourable, text: "subsidy_outdone", in: values{"policy": best.policy.ID}})
	}
	var err error
	if it.Due, err = it.Due.Sub(best.pays); err != nil {
		return err
	}
	it.Subsidy = best.pays
	if it.Reason == schedule.ReasonNone {
		it.Reason = schedule.ReasonSubsidised
	}
	it.apply(best, best.pays)
	return nil
}

func (it *Item) nothingLeft(p *schedule.Policy) {
	if len(it.Applied) == 0 {
		it.refuse(p, refusal{why: WhyNothingLeft})
		return
	}
	it.refuse(p, refusal{why: WhyNothingLeft, text: "nothing_left_after", in: values{"policy": it.Applied[len(it.Applied)-1].Policy}})
}

// rank puts a law before a circular before a resolution.
func rank(p *schedule.Policy) int {
	return slices.Index([]schedule.Level{schedule.LevelLaw, schedule.LevelCentral, schedule.LevelProvince}, p.Authority.Level)
}

func newerFirst(a, b *schedule.Policy) int {
	return cmp.Or(b.ValidFrom.Compare(a.ValidFrom), strings.Compare(a.ID, b.ID))
}

// effectPhrase writes the effect in one stable phrase, amounts in minor units.
func effectPhrase(e schedule.Effect, fee string) string {
	switch e.Kind {
	case schedule.ShareOfBase, schedule.ShareByFee:
		s, _ := e.ShareOf(fee)
		return fmt.Sprintf("%s %d/%d", e.Kind, s.Numerator, s.Denominator)
	case schedule.FixedAmount:
		return fmt.Sprintf("%s %d", e.Kind, *e.Amount)
	case schedule.Subsidy:
		return fmt.Sprintf("%s, payer share %d/%d", e.Kind, e.PayerShare.Numerator, e.PayerShare.Denominator)
	default:
		return string(e.Kind)
	}
}
