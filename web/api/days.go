package api

import (
	"context"

	openapi_types "github.com/oapi-codegen/runtime/types"

	"github.com/doisoat/doisoat/ledger/days"
	"github.com/doisoat/doisoat/web"
	"github.com/doisoat/doisoat/web/api/openapi"
)

// FindDay handles GET /v1/ledger/days/{date}.
func (s *server) FindDay(ctx context.Context, r openapi.FindDayRequestObject) (openapi.FindDayResponseObject, error) {
	day, err := s.rooms.Reconcile.FindDay(ctx, web.Actor(ctx), dateOf(r.Date))
	if err != nil {
		return nil, err
	}
	view := openapi.Day{
		BusinessDate: dateView(day.Date), Status: openapi.DayStatusOpen,
		Events: views(day.Events, dayEventView), Proposals: views(day.Proposals, proposalView),
	}
	if day.Closed {
		view.Status = openapi.DayStatusClosed
	}
	return openapi.FindDay200JSONResponse(view), nil
}

func dayEventView(e days.Event) openapi.DayEvent {
	return openapi.DayEvent{
		Number: e.Number, Change: openapi.DayChange(e.Change), At: e.At, ApprovedBy: e.ApprovedBy, ProposedBy: e.ProposedBy,
		Proposal: shownID(e.Proposal),
	}
}

// ProposeDay handles POST /v1/ledger/days/{date}/proposals.
func (s *server) ProposeDay(ctx context.Context, r openapi.ProposeDayRequestObject) (openapi.ProposeDayResponseObject, error) {
	p, created, err := s.rooms.Reconcile.ProposeDay(ctx, web.Actor(ctx), days.Request{
		Date: dateOf(r.Date), Change: days.Change(r.Body.Change), Reason: r.Body.Reason, Key: r.Params.IdempotencyKey,
	})
	if err != nil {
		return nil, err
	}
	if !created {
		return openapi.ProposeDay200JSONResponse(proposalView(p)), nil
	}
	return openapi.ProposeDay201JSONResponse(proposalView(p)), nil
}

// ApproveDay handles POST /v1/ledger/days/{date}/proposals/{id}/approve.
func (s *server) ApproveDay(ctx context.Context, r openapi.ApproveDayRequestObject) (openapi.ApproveDayResponseObject, error) {
	p, err := s.decideDay(ctx, r.Date, r.ID, days.Approved, r.Body.Note)
	return openapi.ApproveDay200JSONResponse(p), err
}

// RejectDay handles POST /v1/ledger/days/{date}/proposals/{id}/reject.
func (s *server) RejectDay(ctx context.Context, r openapi.RejectDayRequestObject) (openapi.RejectDayResponseObject, error) {
	p, err := s.decideDay(ctx, r.Date, r.ID, days.Rejected, r.Body.Note)
	return openapi.RejectDay200JSONResponse(p), err
}

func (s *server) decideDay(
	ctx context.Context, date openapi_types.Date, text string, decision days.Status, note string,
) (openapi.DayProposal, error) {
	id, err := parseID[days.ProposalID](text, days.ErrNotFound)
	if err != nil {
		return openapi.DayProposal{}, err
	}
	p, err := s.rooms.Reconcile.DecideDay(ctx, web.Actor(ctx), dateOf(date), id, decision, note)
	if err != nil {
		return openapi.DayProposal{}, err
	}
	return proposalView(p), nil
}

func proposalView(p days.Proposal) openapi.DayProposal {
	return openapi.DayProposal{
		ID: p.ID.String(), BusinessDate: dateView(p.BusinessDate), Change: openapi.DayChange(p.Change), Reason: p.Reason,
		Status: openapi.DayProposalStatus(p.Status), ProposedAt: p.ProposedAt, ProposedBy: p.ProposedBy,
		DecidedAt: orZeroTime(p.DecidedAt), DecidedBy: p.DecidedBy, Note: p.Note,
	}
}
