package api

import (
	"context"

	"github.com/doisoat/doisoat/cases"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/reconcile"
	"github.com/doisoat/doisoat/web"
	"github.com/doisoat/doisoat/web/api/openapi"
)

// ListMatches handles GET /v1/matches.
func (s *server) ListMatches(ctx context.Context, r openapi.ListMatchesRequestObject) (openapi.ListMatchesResponseObject, error) {
	f := cases.MatchFilter{Limit: limitOf(r.Params.Limit)}
	var err error
	if f.Run, err = filterID[reconcile.RunID](r.Params.Run, reconcile.ErrRunNotFound); err != nil {
		return nil, err
	}
	if f.Payment, err = filterID[payments.ID](r.Params.Payment, payments.ErrNotFound); err != nil {
		return nil, err
	}
	if f.After, err = cursorID[reconcile.MatchID](r.Params.Cursor); err != nil {
		return nil, err
	}
	list, next, err := s.rooms.Cases.ListMatches(ctx, web.Actor(ctx), f)
	if err != nil {
		return nil, err
	}
	return openapi.ListMatches200JSONResponse{Items: views(list, matchView), NextCursor: cursorTo(next)}, nil
}

// RevokeMatch handles POST /v1/matches/{id}/revoke.
func (s *server) RevokeMatch(ctx context.Context, r openapi.RevokeMatchRequestObject) (openapi.RevokeMatchResponseObject, error) {
	id, err := parseID[reconcile.MatchID](r.ID, cases.ErrMatchNotFound)
	if err != nil {
		return nil, err
	}
	m, err := s.rooms.Cases.RevokeMatch(ctx, web.Actor(ctx), id, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return openapi.RevokeMatch200JSONResponse(matchView(m)), nil
}

func matchView(m cases.Match) openapi.Match {
	inputs := m.Inputs
	if inputs == nil {
		inputs = map[string]string{}
	}
	return openapi.Match{
		ID: m.ID.String(), Run: m.Run.String(), Lane: openapi.MatchLane(m.Lane), Kind: openapi.MatchKind(m.Kind),
		Rule: m.Rule, Version: int64(m.Version), Score: int64(m.Score), Amount: m.Amount.Minor, Currency: string(m.Amount.Currency),
		Inputs: inputs, Entry: shownID(m.Entry),
		Lines: shownIDs(m.Lines), Captures: shownIDs(m.Captures), Refunds: shownIDs(m.Refunds), Transits: shownIDs(m.Transits),
		BookLines: shownIDs(m.BookLines), BookRows: int64(m.BookRows), CreatedAt: m.CreatedAt, CreatedBy: m.CreatedBy,
		RevokedAt: orZeroTime(m.RevokedAt), RevokedBy: m.RevokedBy, RevokeReason: m.RevokeReason,
	}
}

func shownIDs[T shownAs](ids []T) []string { return views(ids, T.String) }
