package api

import (
	"context"

	"github.com/doisoat/doisoat/repricing"
	"github.com/doisoat/doisoat/web"
)

// ProposeRepricing handles POST /v1/repricings.
func (s *server) ProposeRepricing(ctx context.Context, r ProposeRepricingRequestObject) (ProposeRepricingResponseObject, error) {
	found, created, err := s.rooms.Repricing.Propose(ctx, web.Actor(ctx), repricing.Request{
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
	id, err := parseID[repricing.ID](r.ID, repricing.ErrNotFound)
	if err != nil {
		return nil, err
	}
	found, err := s.rooms.Repricing.Find(ctx, web.Actor(ctx), id)
	return FindRepricing200JSONResponse(repricingView(found)), err
}

// ApproveRepricing handles POST /v1/repricings/{id}/approve.
func (s *server) ApproveRepricing(ctx context.Context, r ApproveRepricingRequestObject) (ApproveRepricingResponseObject, error) {
	id, err := parseID[repricing.ID](r.ID, repricing.ErrNotFound)
	if err != nil {
		return nil, err
	}
	found, err := s.rooms.Repricing.Approve(ctx, web.Actor(ctx), id)
	return ApproveRepricing200JSONResponse(repricingView(found)), err
}

// RejectRepricing handles POST /v1/repricings/{id}/reject.
func (s *server) RejectRepricing(ctx context.Context, r RejectRepricingRequestObject) (RejectRepricingResponseObject, error) {
	id, err := parseID[repricing.ID](r.ID, repricing.ErrNotFound)
	if err != nil {
		return nil, err
	}
	found, err := s.rooms.Repricing.Reject(ctx, web.Actor(ctx), id, r.Body.Reason)
	return RejectRepricing200JSONResponse(repricingView(found)), err
}

func repricingView(r repricing.Repricing) Repricing {
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

func repricingCounts(c repricing.Counts) RepricingCounts {
	return RepricingCounts{
		Dossiers: c.Dossiers, Reduced: c.Reduced, ReducedAmount: c.ReducedAmount,
		Increased: c.Increased, IncreasedAmount: c.IncreasedAmount, Manual: c.Manual,
	}
}
