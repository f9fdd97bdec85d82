package api

import (
	"context"

	"github.com/doisoat/doisoat/repricing"
	"github.com/doisoat/doisoat/web"
	"github.com/doisoat/doisoat/web/api/openapi"
)

// ProposeRepricing handles POST /v1/repricings.
func (s *server) ProposeRepricing(
	ctx context.Context, r openapi.ProposeRepricingRequestObject,
) (openapi.ProposeRepricingResponseObject, error) {
	found, created, err := s.rooms.Repricing.Propose(ctx, web.Actor(ctx), repricing.Request{
		Policy: r.Body.Policy, Period: periodOf(r.Body.Period), Reason: r.Body.Reason, IdempotencyKey: r.Params.IdempotencyKey,
	})
	if err != nil {
		return nil, err
	}
	view := repricingView(found)
	if !created {
		return openapi.ProposeRepricing200JSONResponse(view), nil
	}
	return openapi.ProposeRepricing201JSONResponse{
		Body: view, Headers: openapi.ProposeRepricing201ResponseHeaders{Location: "/v1/repricings/" + view.ID},
	}, nil
}

// FindRepricing handles GET /v1/repricings/{id}.
func (s *server) FindRepricing(ctx context.Context, r openapi.FindRepricingRequestObject) (openapi.FindRepricingResponseObject, error) {
	id, err := parseID[repricing.ID](r.ID, repricing.ErrNotFound)
	if err != nil {
		return nil, err
	}
	found, err := s.rooms.Repricing.Find(ctx, web.Actor(ctx), id)
	return openapi.FindRepricing200JSONResponse(repricingView(found)), err
}

// ApproveRepricing handles POST /v1/repricings/{id}/approve.
func (s *server) ApproveRepricing(
	ctx context.Context, r openapi.ApproveRepricingRequestObject,
) (openapi.ApproveRepricingResponseObject, error) {
	id, err := parseID[repricing.ID](r.ID, repricing.ErrNotFound)
	if err != nil {
		return nil, err
	}
	found, err := s.rooms.Repricing.Approve(ctx, web.Actor(ctx), id)
	return openapi.ApproveRepricing200JSONResponse(repricingView(found)), err
}

// RejectRepricing handles POST /v1/repricings/{id}/reject.
func (s *server) RejectRepricing(
	ctx context.Context, r openapi.RejectRepricingRequestObject,
) (openapi.RejectRepricingResponseObject, error) {
	id, err := parseID[repricing.ID](r.ID, repricing.ErrNotFound)
	if err != nil {
		return nil, err
	}
	found, err := s.rooms.Repricing.Reject(ctx, web.Actor(ctx), id, r.Body.Reason)
	return openapi.RejectRepricing200JSONResponse(repricingView(found)), err
}

func repricingView(r repricing.Repricing) openapi.Repricing {
	view := openapi.Repricing{
		ID: r.ID.String(), Policy: r.Policy, Period: openapi.PricingPeriod{From: dateView(r.Period.From), To: dateView(r.Period.To)},
		Reason: r.Reason, Status: openapi.RepricingStatus(r.Status), Forecast: repricingCounts(r.Forecast), Done: repricingCounts(r.Done),
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

func repricingCounts(c repricing.Counts) openapi.RepricingCounts {
	return openapi.RepricingCounts{
		Dossiers: c.Dossiers, Reduced: c.Reduced, ReducedAmount: c.ReducedAmount,
		Increased: c.Increased, IncreasedAmount: c.IncreasedAmount, Manual: c.Manual,
	}
}
