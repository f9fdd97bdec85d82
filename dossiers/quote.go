package dossiers

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/ident"
)

// quote prices items of a dossier by the schedule in force on its pricing date. A policy may count the day of
// acceptance or of the result: quote takes this day from the earliest status report. When the day is not
// reported yet, the charge is priced without it, and PriceAgain prices it again after the report.
func (s *Service) quote(ctx context.Context, tx pgx.Tx, d Dossier, a Applicant, items []quote.ItemRequest) (quote.Quote, error) {
	var accepted, issued time.Time
	if d.Stage != schedule.BeforeAcceptance {
		var err error
		if accepted, issued, err = Milestones(ctx, tx, d.ID); err != nil {
			return quote.Quote{}, err
		}
	}
	norms, err := s.Fees.Schedule(ctx, tx, d.Authority, LastDay(d.PricingDate, accepted, issued))
	if err != nil {
		return quote.Quote{}, err
	}
	return quote.Price(quote.Request{
		Authority: d.Authority, Procedure: d.Procedure, Channel: schedule.Channel(d.Channel), Level: schedule.ServiceLevel(d.ServiceLevel),
		SubmittedAt: d.SubmittedAt, Groups: a.Groups, Items: items, Agency: d.Agency, PaymentChannel: schedule.PaymentChannel(d.PaymentChannel),
		AcceptedAt: accepted, IssuedAt: issued,
	}, norms)
}

// LastDay returns the last day that the price of a dossier may depend on.
func LastDay(submitted calendar.Date, times ...time.Time) calendar.Date {
	for _, at := range times {
		if day := calendar.On(at); !at.IsZero() && day.After(submitted) {
			submitted = day
		}
	}
	return submitted
}

// chargeOf makes a charge of a quoted item, with the reasons in the words that the payer read.
func chargeOf(d Dossier, q quote.Item, line int16, now time.Time) Charge {
	c := Charge{
		ID: ident.New[chargeKind](), DossierID: d.ID, Line: line, FeeType: q.FeeType, Kind: q.Kind,
		Quantity: int32(q.Quantity), //nolint:gosec // schedule.MaxQuantity bounds it
		Ground:   q.Ground, Base: q.Base.Minor, Discount: q.Discount.Minor, Subsidy: q.Subsidy.Minor, Due: q.Due.Minor,
		Currency:    q.Base.Currency,
		Explanation: Explanation{Reason: q.Reason, Applied: q.Applied, NotApplied: q.NotApplied, Texts: q.Texts},
		CreatedAt:   now,
	}
	c.Policy = c.granted()[0].Policy
	return c
}

// granted lists the amount that each policy took off the charge. The list has one element, or several when a
// policy multiplies with others.
func (c Charge) granted() []quote.Applied {
	var list []quote.Applied
	for _, a := range c.Explanation.Applied {
		if a.Rule != quote.RuleSubsidy {
			list = append(list, a)
		}
	}
	if len(list) == 0 {
		list = []quote.Applied{{Policy: c.Policy, Amount: c.Discount}}
	}
	return list
}

// SubsidyPolicy returns the policy under which a budget pays part of the charge, or nothing.
func (c Charge) SubsidyPolicy() string {
	for _, a := range c.Explanation.Applied {
		if a.Rule == quote.RuleSubsidy {
			return a.Policy
		}
	}
	return ""
}
