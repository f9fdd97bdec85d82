package fees

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
)

// Channel is how a dossier was submitted.
type Channel string

// The submission channels: trực tuyến, trực tiếp, bưu chính.
const (
	Online Channel = "online"
	Direct Channel = "direct"
	Postal Channel = "postal"
)

// ServiceLevel is how much of the service happens online.
type ServiceLevel string

// The levels of NĐ 42/2022/NĐ-CP.
const (
	ToanTrinh ServiceLevel = "toan_trinh"
	MotPhan   ServiceLevel = "mot_phan"
)

// Request asks what items cost. Authority is the province whose territory the
// dossier belongs to; Groups holds codes of exempt groups and cases.
type Request struct {
	Authority   string
	Procedure   string
	Channel     Channel
	Level       ServiceLevel // may be empty: not stated
	SubmittedAt time.Time
	Groups      []string
	Items       []ItemRequest
}

// ItemRequest is one fee to price. Base is the amount of one unit in minor
// units; nil takes the rate of the schedule. Quantity 0 means 1.
type ItemRequest struct {
	FeeType  string `json:"fee_type"`
	Base     *int64 `json:"base,omitempty"`
	Quantity int64  `json:"quantity,omitempty"`
}

// Schedule is everything a quote needs to know about an authority.
type Schedule struct {
	FeeTypes []FeeType
	Policies []Policy
}

// Reason sums up in one word why due differs from base.
type Reason string

// The reasons. An exemption by law is never counted as an online discount.
const (
	ReasonExempt     Reason = "exempt_by_law"
	ReasonDiscounted Reason = "discounted"
	ReasonSubsidised Reason = "subsidised" // only a budget's subsidy lowers what the payer pays
	ReasonNone       Reason = "none"
)

// Rule is the part a policy plays in an item.
type Rule string

// The rules, in the order in which they are applied.
const (
	RuleExemption Rule = "exemption"
	RuleRate      Rule = "rate"
	RuleSubsidy   Rule = "subsidy"
)

// Applied is a policy that changed an item. Amount is what it took off the
// payer's bill, in minor units of the quote's currency.
type Applied struct {
	Policy     string `json:"policy"`
	Version    int    `json:"version"`
	LegalBasis string `json:"legal_basis"`
	Effect     string `json:"effect"`
	Rule       Rule   `json:"rule"`
	Amount     int64  `json:"amount"`
	Funder     string `json:"funder,omitempty"`
}

// NotApplied is a policy of interest that changed nothing, and why.
type NotApplied struct {
	Policy  string `json:"policy"`
	Version int    `json:"version"`
	Why     Why    `json:"why"`
	Detail  string `json:"detail"`
}

// Item is one priced fee: Base = Due + Discount + Subsidy, all ≥ 0.
type Item struct {
	FeeType    string
	Kind       Kind
	Quantity   int64
	Base       money.Amount
	Discount   money.Amount
	Subsidy    money.Amount
	Due        money.Amount
	Reason     Reason
	Applied    []Applied
	NotApplied []NotApplied
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
// Nam. Faults: ErrRequest and ErrNoFeeType, with pointers into the request as
// the API spells it.
func Price(r Request, s Schedule) (Quote, error) {
	return price(r, s, override{})
}

// override lets policy check ask about one policy: it is always explained, and
// its procedure list can be said to hold the procedure or not.
type override struct {
	policy string
	listed *bool
}

func price(r Request, s Schedule, o override) (Quote, error) {
	if err := r.validate(); err != nil {
		return Quote{}, err
	}
	on := calendar.On(r.SubmittedAt)
	q := Quote{Currency: money.VND, PricingDate: on, Gross: money.Dong(0), Discount: money.Dong(0), Subsidy: money.Dong(0), Due: money.Dong(0)}
	policies := latest(s.Policies)
	for i, ask := range r.Items {
		at := pointer("/items", i)
		fee, rate, ok := findFee(s.FeeTypes, ask.FeeType, r.Authority, on)
		if !ok {
			return Quote{}, ErrNoFeeType.With("fee type %q is not in the schedule on %s", ask.FeeType, on).At(at+"/fee_type", "is not in the schedule on that date")
		}
		unit, err := unitBase(ask, rate, at)
		if err != nil {
			return Quote{}, err
		}
		c := pricing{request: r, fee: fee, on: on, unit: unit, quantity: max(ask.Quantity, 1), override: o}
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

func (r Request) validate() error {
	var p problems
	p.require(territoryCode.MatchString(r.Authority), "/authority", "must be an authority code")
	p.oneOf(string(r.Channel), "/submission/channel", "online", "direct", "postal")
	p.oneOf(string(r.Level), "/submission/service_level", "", "toan_trinh", "mot_phan")
	p.require(!r.SubmittedAt.IsZero(), "/submission/submitted_at", "is needed: it fixes the pricing date")
	p.require(len(r.Procedure) <= maxCode, "/procedure", "must have at most %d characters", maxCode)
	p.require(len(r.Groups) <= maxGroups, "/applicant/groups", "must hold at most %d codes", maxGroups)
	p.require(len(r.Items) > 0 && len(r.Items) <= MaxItems, "/items", "must hold 1 to %d items", MaxItems)
	for i, item := range r.Items[:min(len(r.Items), MaxItems)] {
		at := pointer("/items", i)
		p.require(item.FeeType != "", at+"/fee_type", "is needed")
		p.require(item.Base == nil || *item.Base >= 0 && *item.Base <= MaxBase, at+"/base", "must lie between 0 and %d", int64(MaxBase))
		p.require(item.Quantity >= 0 && item.Quantity <= MaxQuantity, at+"/quantity", "must lie between 1 and %d", MaxQuantity)
	}
	return p.fault(ErrRequest)
}

// unitBase is the amount of one unit: as asked, else of the schedule. It also
// refuses a quantity that would carry the item above MaxBase.
func unitBase(ask ItemRequest, rate Rate, at string) (int64, error) {
	base := ask.Base
	if base == nil {
		base = rate.Base
	}
	if base == nil {
		return 0, ErrRequest.With("the amount of %s is fixed case by case: give its base", ask.FeeType).At(at+"/base", "is needed for this fee type")
	}
	if *base > MaxBase/max(ask.Quantity, 1) {
		return 0, ErrRequest.With("base times quantity of %s is too large", ask.FeeType).At(at+"/quantity", fmt.Sprintf("base times quantity must not exceed %d", int64(MaxBase)))
	}
	return *base, nil
}

// findFee prefers the authority's own fee type to the national one, and of one owner the highest version.
func findFee(types []FeeType, code, authority string, on calendar.Date) (FeeType, Rate, bool) {
	var fee FeeType
	var rate Rate
	found := false
	for _, f := range types {
		if f.Code != code || f.Territory != authority && f.Territory != Everywhere {
			continue
		}
		r, ok := f.rateOn(on)
		own, ownBefore := f.Territory == authority, fee.Territory == authority
		if ok && (!found || own && !ownBefore || own == ownBefore && f.Version > fee.Version) {
			fee, rate, found = f, r, true
		}
	}
	return fee, rate, found
}

// latest keeps the highest version of each policy, sorted by id.
func latest(all []Policy) []*Policy {
	list := make([]*Policy, 0, len(all))
	for i := range all {
		list = append(list, &all[i])
	}
	slices.SortFunc(list, func(a, b *Policy) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), cmp.Compare(b.Version, a.Version))
	})
	return slices.CompactFunc(list, func(a, b *Policy) bool { return a.ID == b.ID })
}

// MarshalJSON writes the item in the words of the API: amounts are integers in minor units.
func (it Item) MarshalJSON() ([]byte, error) {
	applied, notApplied := it.Applied, it.NotApplied
	if applied == nil {
		applied = []Applied{}
	}
	if notApplied == nil {
		notApplied = []NotApplied{}
	}
	return json.Marshal(struct {
		FeeType    string       `json:"fee_type"`
		Kind       Kind         `json:"kind"`
		Quantity   int64        `json:"quantity"`
		Base       int64        `json:"base"`
		Discount   int64        `json:"discount"`
		Subsidy    int64        `json:"subsidy"`
		Due        int64        `json:"due"`
		Reason     Reason       `json:"reason"`
		Applied    []Applied    `json:"applied"`
		NotApplied []NotApplied `json:"not_applied"`
	}{it.FeeType, it.Kind, it.Quantity, it.Base.Minor, it.Discount.Minor, it.Subsidy.Minor, it.Due.Minor, it.Reason, applied, notApplied})
}

// MarshalJSON writes the quote in the words of the API.
func (q Quote) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Currency    money.Currency `json:"currency"`
		PricingDate calendar.Date  `json:"pricing_date"`
		Gross       int64          `json:"gross"`
		Discount    int64          `json:"discount"`
		Subsidy     int64          `json:"subsidy"`
		Due         int64          `json:"due"`
		Items       []Item         `json:"items"`
	}{q.Currency, q.PricingDate, q.Gross.Minor, q.Discount.Minor, q.Subsidy.Minor, q.Due.Minor, q.Items})
}
