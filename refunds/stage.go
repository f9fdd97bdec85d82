package refunds

import (
	"context"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/remittance"
)

// Stage says where the money of a refund is. M0, not captured, never becomes a refund.
type Stage string

// The stages. Several at once count as the latest.
const (
	AtProvider  Stage = "M1" // captured, not settled
	AtAgency    Stage = "M2" // in the agency's account
	AtWaiting   Stage = "M3" // phí at the treasury's waiting account
	InBudget    Stage = "M4" // remitted in this budget year
	InOldBudget Stage = "M5" // remitted in an earlier budget year
)

// stageOf finds the stage of the money that a refund takes.
func stageOf(c payments.Capture, taken []remittance.Taken, today calendar.Date) Stage {
	stage := AtAgency
	if c.SettledAt == nil && len(taken) == 0 {
		stage = AtProvider
	}
	for _, x := range taken {
		here := AtAgency
		switch {
		case x.Remitted != nil && x.Budget > 0 && x.Remitted.Year < today.Year:
			here = InOldBudget
		case x.Remitted != nil && x.Budget > 0:
			here = InBudget
		case x.Waiting:
			here = AtWaiting
		}
		stage = max(stage, here)
	}
	return stage
}

// Route is the way back, by where the money is.
type Route string

// The routes. PaymentOrder is for money that reached the agency's account.
const (
	ByProvider    Route = "provider"
	PaymentOrder  Route = "payment_order"
	TreasuryOrder Route = "treasury_order"
)

// routeFor is the way back of money at a stage. The provider cannot give back money that the treasury has.
func (s *Service) routeFor(stage Stage, c payments.Capture) Route {
	switch stage {
	case InBudget, InOldBudget:
		return TreasuryOrder
	case AtWaiting:
		return PaymentOrder
	default:
		return s.routeOf(c)
	}
}

// routeOf is the route of money that the treasury has not: a provider that can
// refund takes it out of the sum that it owes us; a transfer is in the agency's
// account already and goes back by payment order.
func (s *Service) routeOf(c payments.Capture) Route {
	if _, err := providers.Find[providers.Refunder](s.Providers, c.Provider); err == nil {
		return ByProvider
	}
	return PaymentOrder
}

// locate finds where the money of a refund is, takes it from there, and fixes stage and route.
func (s *Service) locate(ctx context.Context, act postgres.Act, r *Locked) ([]remittance.Taking, error) {
	takings, err := remittance.Take(ctx, act, r.Dossier, r.ID.UUID(), r.paid())
	if err != nil {
		return nil, err
	}
	var taken []remittance.Taken
	for _, t := range takings {
		taken = append(taken, t.Shares...)
	}
	c, err := payments.FindCapture(ctx, act, r.CaptureID)
	if err != nil {
		return nil, err
	}
	r.Stage = stageOf(c, taken, calendar.On(act.Now))
	r.Route = s.routeFor(r.Stage, c)
	return takings, nil
}
