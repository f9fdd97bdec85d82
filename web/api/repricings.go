package api

import (
	"context"

	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/web"
)

// ProposeRepricing handles POST /v1/repricings.
func (s *server) ProposeRepricing(ctx context.Context, r ProposeRepricingRequestObject) (ProposeRepricingResponseObject, error) {
	found, created, err := s.rooms.Refunds.ProposeRepricing(ctx, web.Actor(ctx), refunds.RepricingRequest{
		Policy: r.Body.Policy, Period: periodOf(r.Body.Period), Reason: r.Body.Reason, IdempotencyKey: r.Params.IdempotencyKey,
	})
	if err != nil {
		return nil, err
	}
	view := repricingView(found)
	if !created {
		return ProposeRepricing200JSONResponse(view), nil
	}
	return ProposeRepricing201JSONResponse{Body: view, Headers: ProposeRepricing201ResponseHeaders{Location: "/v1/repricings/" + view.ID}}, nil
}

// FindRepricing handles GET /v1/repricings/{id}.
func (s *server) FindRepricing(ctx context.Context, r FindRepricingRequestObject) (FindRepricingResponseObject, error) {
	id, err := refunds.ParseRepricingID(r.ID)
	if err != nil {
		return nil, refunds.ErrNotFound
	}
	found, err := s.rooms.Refunds.FindRepricing(ctx, web.Actor(ctx), id)
	return FindRepricing200JSONResponse(repricingView(found)), err
}

// ApproveRepricing handles POST /v1/repricings/{id}/approve.
func (s *server) ApproveRepricing(ctx context.Context, r ApproveRepricingRequestObject) (ApproveRepricingResponseObject, error) {
	id, err := refunds.ParseRepricingID(r.ID)
	if err != nil {
		return nil, refunds.ErrNotFound
	}
	found, err := s.rooms.Refunds.ApproveRepricing(ctx, web.Actor(ctx), id)
	return ApproveRepricing200JSONResponse(repricingView(found)), err
}

// RejectRepricing handles POST /v1/repricings/{id}/reject.
func (s *server) RejectRepricing(ctx context.Context, r RejectRepricingRequestObject) (RejectRepricingResponseObject, error) {
	id, err := refunds.ParseRepricingID(r.ID)
	if err != nil {
		return nil, refunds.ErrNotFound
	}
	found, err := s.rooms.Refunds.RejectRepricing(ctx, web.Actor(ctx), id, r.Body.Reason)
	return RejectRepricing200JSONResponse(repricingView(found)), err
}

func repricingView(r refunds.Repricing) Repricing {
	view := Repricing{
		ID: r.ID.String(), Policy: r.Policy, Period: PricingPeriod{From: dateView(r.Period.From), To: dateView(r.Period.To)},
		Reason: r.Reason, Status: RepricingStatus(r.Status), Forecast: repricingCounts(r.Forecast), Done: repricingCounts(r.Done),
		DossiersSeen: r.DossiersSeen, RequestedAt: r.RequestedAt, RequestedBy: r.RequestedBy,
		DecidedBy: r.DecidedBy, DecisionReason: r.DecisionReason,
	}
	if r.DecidedAt != nil {
		view.DecidedAt = *r.DecidedAt
	}
	if r.DoneAt != nil {
		view.DoneAt = *r.DoneAt
	}
	return view
}

func repricingCounts(c refunds.RepricingCounts) RepricingCounts {
	return RepricingCounts{
		Dossiers: c.Dossiers, Reduced: c.Reduced, ReducedAmount: c.ReducedAmount,
		Increased: c.Increased, IncreasedAmount: c.IncreasedAmount, Manual: c.Manual,
	}
}
