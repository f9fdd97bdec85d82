package quote

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/money"
)

// Request asks for the price of items. Authority is the province whose territory the
// dossier belongs to; Groups holds codes of exempt groups and cases.
type Request struct {
	Authority   string
	Procedure   string
	Channel     schedule.Channel
	Level       schedule.ServiceLevel // may be empty: not stated
	SubmittedAt time.Time
	Groups      []string
	Items       []ItemRequest

	Agency         string                  // who collects; may be empty: not stated
	PaymentChannel schedule.PaymentChannel // how the payer will pay; may be empty: not stated
	AcceptedAt     time.Time               // when the agency accepted the dossier; zero: not yet
	IssuedAt       time.Time               // when the result was ready; zero: not yet
}

// ItemRequest is one fee to price. Base is the amount of one unit in minor
// units; nil takes the rate of the schedule. Where the schedule has an amount,
// another Base needs Assessed. Quantity 0 means 1.
type ItemRequest struct {
	FeeType  string    `json:"fee_type"`
	Base     *int64    `json:"base,omitempty"`
	Assessed *Assessed `json:"assessed,omitempty"`
	Quantity int64     `json:"quantity,omitempty"`
}

// Assessed says that an agency assessed the amount of an item itself, and on
// which ground. The ground stays with the charge.
type Assessed struct {
	Ground string `json:"ground"`
}

// Limits of a request.
const (
	MaxItems  = 100
	MaxGround = 500 // characters of the ground of an assessed amount
	maxGroups = 50
)

// Rule is the part a policy plays in an item.
type Rule string

// The rules, in the order in which they are applied.
const (
	RuleExemption Rule = "exemption"
	RuleRate      Rule = "rate"
	RuleSubsidy   Rule = "subsidy"
)

// Applied is a policy that changed an item. Amount is the reduction for the
// payer, in minor units of the quote's currency.
type Applied struct {
	Policy     string `json:"policy"`
	Version    int    `json:"version"`
	LegalBasis string `json:"legal_basis"`
	Effect     string `json:"effect"`
	Rule       Rule   `json:"rule"`
	Amount     int64  `json:"amount"`
	Funder     string `json:"funder,omitempty"`
	Texts      Texts  `json:"texts"`
}

// NotApplied is a policy of interest that changed nothing, and why.
type NotApplied struct {
	Policy  string `json:"policy"`
	Version int    `json:"version"`
	Why     Why    `json:"why"`
	Detail  string `json:"detail"` // the same as Texts.En
	Texts   Texts  `json:"texts"`
}

// Item is one priced fee: Base = Due + Discount + Subsidy, all ≥ 0.
type Item struct {
	FeeType    string
	Kind       schedule.Kind
	Quantity   int64
	Ground     string // of an assessed amount, or nothing
	Base       money.Amount
	Discount   money.Amount
	Subsidy    money.Amount
	Due        money.Amount
	Reason     schedule.Reason
	Applied    []Applied
	NotApplied []NotApplied
	Texts      Texts // the item as a whole
}

// Quote is the priced request with its explanation: Gross = Due + Discount + Subsidy.
type Quote struct {
	Currency    money.Currency
	PricingDate calendar.Date
	Gross       money.Amount
	Discount    money.Amount
	Subsidy     money.Amount
	Due         money.Amount
	Items       []Item
}

// Price quotes every item of r. It is pure: the answer depends on r and s
// alone, not on the order of policies or fee types. Of several versions of a
// policy the highest counts. The pricing date is the day of submission in Viet
// Nam. A policy that counts the day of acceptance or of the result does not apply
// before that day is known, and NotApplied says so. Faults: ErrRequest,
// ErrNoFeeType and ErrFixedBase, with pointers into the request as the API spells it.
func Price(r Request, s Schedule) (Quote, error) {
	return price(r, s, override{})
}

// PriceKept is Price for amounts that charges keep: the schedule may have
// changed since their assessment, so any base holds.
func PriceKept(r Request, s Schedule) (Quote, error) {
	return price(r, s, override{anyBase: true})
}

// override lets policy check ask about one policy: it is always explained, and
// its procedure list can be said to hold the procedure or not. With anyBase a
// base may differ from the amount of the schedule.
type override struct {
	policy  string
	listed  *bool
	anyBase bool
}

func price(r Request, s Schedule, o override) (Quote, error) {
	if err := r.Validate(); err != nil {
		return Quote{}, err
	}
	on := calendar.On(r.SubmittedAt)
	q := Quote{
		Currency:    money.VND,
		PricingDate: on,
		Gross:       money.Dong(0),
		Discount:    money.Dong(0),
		Subsidy:     money.Dong(0),
		Due:         money.Dong(0),
	}
	policies := latest(s.Policies)
	for i, ask := range r.Items {
		at := fault.Element("/items", i)
		fee, rate, ok := findFee(s.FeeTypes, ask.FeeType, r.Authority, on)
		if !ok {
			return Quote{}, ErrNoFeeType.With("fee type %q is not in the schedule on %s", ask.FeeType, on).
				At(at+"/fee_type", "is not in the schedule on that date")
		}
		unit, err := unitBase(ask, rate, at, o.anyBase)
		if err != nil {
			return Quote{}, err
		}
		c := pricing{request: r, fee: fee, on: on, unit: unit, quantity: max(ask.Quantity, 1), override: o}
		if ask.Base == nil {
			c.rateBasis = rate.LegalBasis
		}
		if ask.Assessed != nil {
			c.ground, c.scheduled = ask.Assessed.Ground, rate.Base
		}
		item, err := c.item(policies)
		if err != nil {
			return Quote{}, fmt.Errorf("price %s: %w", ask.FeeType, err)
		}
		if err := q.add(item); err != nil {
			return Quote{}, err
		}
	}
	return q, nil
}

func (q *Quote) add(item Item) error {
	q.Items = append(q.Items, item)
	for _, sum := range []struct {
		total *money.Amount
		part  money.Amount
	}{{&q.Gross, item.Base}, {&q.Discount, item.Discount}, {&q.Subsidy, item.Subsidy}, {&q.Due, item.Due}} {
		var err error
		if *sum.total, err = sum.total.Add(sum.part); err != nil {
			return err
		}
	}
	return nil
}

// Validate returns ErrRequest with one field for each fault found.
func (r Request) Validate() error {
	var p fault.Problems
	p.Require(schedule.IsTerritory(r.Authority), "/authority", "must be an authority code")
	p.OneOf(string(r.Channel), "/submission/channel", "online", "direct", "postal")
	p.OneOf(string(r.Level), "/submission/service_level", "", "toan_trinh", "mot_phan")
	p.OneOf(string(r.PaymentChannel), "/submission/payment_channel", "", string(schedule.PaidOnline), string(schedule.PaidCash))
	p.Require(r.AcceptedAt.IsZero() || !r.AcceptedAt.Before(r.SubmittedAt), "/submission/accepted_at", "must not come before submitted_at")
	p.Require(r.IssuedAt.IsZero() || !r.IssuedAt.Before(r.SubmittedAt), "/submission/issued_at", "must not come before submitted_at")
	p.Require(len(r.Agency) <= schedule.MaxCode, "/agency", "must have at most %d characters", schedule.MaxCode)
	p.Require(!r.SubmittedAt.IsZero(), "/submission/submitted_at", "is needed: it fixes the pricing date")
	p.Require(len(r.Procedure) <= schedule.MaxCode, "/procedure", "must have at most %d characters", schedule.MaxCode)
	p.Require(len(r.Groups) <= maxGroups, "/applicant/groups", "must hold at most %d codes", maxGroups)
	p.Require(len(r.Items) > 0 && len(r.Items) <= MaxItems, "/items", "must hold 1 to %d items", MaxItems)
	for i, item := range r.Items[:min(len(r.Items), MaxItems)] {
		at := fault.Element("/items", i)
		p.Require(item.FeeType != "", at+"/fee_type", "is needed")
		p.Require(
			item.Base == nil || *item.Base >= 0 && *item.Base <= schedule.MaxBase, at+"/base", "must lie between 0 and %d",
			int64(schedule.MaxBase),
		)
		if item.Assessed != nil {
			ground := strings.TrimSpace(item.Assessed.Ground)
			p.Require(
				ground != "" && utf8.RuneCountInString(ground) <= MaxGround, at+"/assessed/ground", "must have 1 to %d characters", MaxGround,
			)
			p.Require(item.Base != nil, at+"/base", "is needed: it is the assessed amount")
		}
		p.Require(
			item.Quantity >= 0 && item.Quantity <= schedule.MaxQuantity, at+"/quantity", "must lie between 1 and %d", schedule.MaxQuantity,
		)
	}
	return p.As(ErrRequest)
}

// unitBase is the amount of one unit: of the schedule, or as assessed, or as
// asked where the schedule has none. It also refuses a quantity that would
// carry the item above MaxBase.
func unitBase(ask ItemRequest, rate schedule.Rate, at string, anyBase bool) (int64, error) {
	base := ask.Base
	if base == nil {
		base = rate.Base
	} else if rate.Base != nil && *base != *rate.Base && ask.Assessed == nil && !anyBase {
		return 0, ErrFixedBase.With("the schedule fixes %s at %d", ask.FeeType, *rate.Base).
			At(at+"/base", fmt.Sprintf("must be %d or absent; for an amount that the agency assessed give its ground in assessed", *rate.Base))
	}
	if base == nil {
		return 0, ErrRequest.With("the amount of %s is fixed case by case: give its base", ask.FeeType).
			At(at+"/base", "is needed for this fee type")
	}
	if *base > schedule.MaxBase/max(ask.Quantity, 1) {
		return 0, ErrRequest.With("base times quantity of %s is too large", ask.FeeType).
			At(at+"/quantity", fmt.Sprintf("base times quantity must not exceed %d", int64(schedule.MaxBase)))
	}
	return *base, nil
}

// findFee prefers the authority's own fee type to the national one, and of one owner the highest version.
func findFee(types []schedule.FeeType, code, authority string, on calendar.Date) (schedule.FeeType, schedule.Rate, bool) {
	var fee schedule.FeeType
	var rate schedule.Rate
	found := false
	for _, f := range types {
		if f.Code != code || f.Territory != authority && f.Territory != schedule.Everywhere {
			continue
		}
		r, ok := f.RateOn(on)
		own, ownBefore := f.Territory == authority, fee.Territory == authority
		if ok && (!found || own && !ownBefore || own == ownBefore && f.Version > fee.Version) {
			fee, rate, found = f, r, true
		}
	}
	return fee, rate, found
}

// latest keeps the highest version of each policy, sorted by id.
func latest(all []schedule.Policy) []*schedule.Policy {
	list := make([]*schedule.Policy, 0, len(all))
	for i := range all {
		list = append(list, &all[i])
	}
	slices.SortFunc(list, func(a, b *schedule.Policy) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), cmp.Compare(b.Version, a.Version))
	})
	return slices.CompactFunc(list, func(a, b *schedule.Policy) bool { return a.ID == b.ID })
}
