package api

import (
	"context"

	"github.com/doisoat/doisoat/reconcile"
	"github.com/doisoat/doisoat/web"
)

// ListMatches handles GET /v1/matches.
func (s *server) ListMatches(ctx context.Context, r ListMatchesRequestObject) (ListMatchesResponseObject, error) {
	f := reconcile.MatchFilter{Limit: limitOf(r.Params.Limit)}
	var err error
	if r.Params.Run != "" {
		if f.Run, err = parseRunID(r.Params.Run); err != nil {
			return nil, err
		}
	}
	if r.Params.Payment != "" {
		if f.Payment, err = parsePaymentID(r.Params.Payment); err != nil {
			return nil, err
		}
	}
	if r.Params.Cursor != "" && f.After.UnmarshalText([]byte(r.Params.Cursor)) != nil {
		return nil, errCursor
	}
	list, next, err := s.rooms.Reconcile.ListMatches(ctx, web.Actor(ctx), f)
	if err != nil {
		return nil, err
	}
	page := MatchList{Items: make([]Match, 0, len(list))}
	for _, m := range list {
		page.Items = append(page.Items, matchView(m))
	}
	if !next.IsZero() {
		page.NextCursor = cursorView(next.String())
	}
	return ListMatches200JSONResponse(page), nil
}

// RevokeMatch handles POST /v1/matches/{id}/revoke.
func (s *server) RevokeMatch(ctx context.Context, r RevokeMatchRequestObject) (RevokeMatchResponseObject, error) {
	var id reconcile.MatchID
	if err := id.UnmarshalText([]byte(r.ID)); err != nil {
		return nil, reconcile.ErrUnknownMatch
	}
	m, err := s.rooms.Reconcile.RevokeMatch(ctx, web.Actor(ctx), id, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return RevokeMatch200JSONResponse(matchView(m)), nil
}

func matchView(m reconcile.Match) Match {
	inputs := m.Inputs
	if inputs == nil {
		inputs = map[string]string{}
	}
	return Match{
		ID: m.ID.String(), Run: m.Run.String(), Lane: MatchLane(m.Lane), Kind: MatchKind(m.Kind), Rule: m.Rule, Version: int64(m.Version),
		Score: int64(m.Score), Amount: m.Amount.Minor, Currency: string(m.Amount.Currency), Inputs: inputs, Entry: shownID(m.Entry),
		Lines: shownIDs(m.Lines), Captures: shownIDs(m.Captures), Refunds: shownIDs(m.Refunds), Transits: shownIDs(m.Transits), BookLines: shownIDs(m.BookLines),
		BookRows: int64(m.BookRows), CreatedAt: m.CreatedAt, CreatedBy: m.CreatedBy,
		RevokedAt: orZeroTime(m.RevokedAt), RevokedBy: m.RevokedBy, RevokeReason: m.RevokeReason,
	}
}

func shownIDs[T interface{ String() string }](ids []T) []string {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = id.String()
	}
	return list
}
