package api

import (
	"context"

	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/reconcile"
	"github.com/doisoat/doisoat/web"
)

// IdentifyLine handles POST /v1/statements/{id}/lines/{line}/identify.
func (s *server) IdentifyLine(ctx context.Context, r IdentifyLineRequestObject) (IdentifyLineResponseObject, error) {
	statement, err := parseStatementID(r.ID)
	if err != nil {
		return nil, reconcile.ErrUnknownLine
	}
	var line reconcile.LineID
	if err := line.UnmarshalText([]byte(r.Line)); err != nil {
		return nil, reconcile.ErrUnknownLine
	}
	n, created, err := s.rooms.Reconcile.ProposeIdentification(ctx, web.Actor(ctx), statement, line, reconcile.IdentifyRequest{
		DossierCode: r.Body.Dossier, Amount: money.Amount{Currency: money.Currency(r.Body.Currency), Minor: r.Body.Amount}, Reason: r.Body.Reason,
	})
	if err != nil {
		return nil, err
	}
	if !created {
		return IdentifyLine200JSONResponse(identificationView(n)), nil
	}
	return IdentifyLine201JSONResponse(identificationView(n)), nil
}

// ListIdentifications handles GET /v1/identifications.
func (s *server) ListIdentifications(ctx context.Context, r ListIdentificationsRequestObject) (ListIdentificationsResponseObject, error) {
	f := reconcile.IdentificationFilter{State: reconcile.IdentificationState(r.Params.Status), Limit: limitOf(r.Params.Limit)}
	if r.Params.Cursor != "" && f.After.UnmarshalText([]byte(r.Params.Cursor)) != nil {
		return nil, errCursor
	}
	list, next, err := s.rooms.Reconcile.ListIdentifications(ctx, web.Actor(ctx), f)
	if err != nil {
		return nil, err
	}
	page := IdentificationList{Items: make([]Identification, 0, len(list))}
	for _, n := range list {
		page.Items = append(page.Items, identificationView(n))
	}
	if !next.IsZero() {
		page.NextCursor = cursorView(next.String())
	}
	return ListIdentifications200JSONResponse(page), nil
}

// ApproveIdentification handles POST /v1/identifications/{id}/approve.
func (s *server) ApproveIdentification(ctx context.Context, r ApproveIdentificationRequestObject) (ApproveIdentificationResponseObject, error) {
	id, err := parseIdentificationID(r.ID)
	if err != nil {
		return nil, err
	}
	n, err := s.rooms.Reconcile.ApproveIdentification(ctx, web.Actor(ctx), id, r.Body.Note)
	if err != nil {
		return nil, err
	}
	return ApproveIdentification200JSONResponse(identificationView(n)), nil
}

// RejectIdentification handles POST /v1/identifications/{id}/reject.
func (s *server) RejectIdentification(ctx context.Context, r RejectIdentificationRequestObject) (RejectIdentificationResponseObject, error) {
	id, err := parseIdentificationID(r.ID)
	if err != nil {
		return nil, err
	}
	n, err := s.rooms.Reconcile.RejectIdentification(ctx, web.Actor(ctx), id, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return RejectIdentification200JSONResponse(identificationView(n)), nil
}

// parseIdentificationID: a text that is no id is an identification that does not exist.
func parseIdentificationID(text string) (id reconcile.IdentificationID, err error) {
	if err := id.UnmarshalText([]byte(text)); err != nil {
		return id, reconcile.ErrUnknownIdentification
	}
	return id, nil
}

func identificationView(n reconcile.Identification) Identification {
	return Identification{
		ID: n.ID.String(), Statement: n.Statement.String(), Line: n.Line.String(), Dossier: n.DossierCode, Amount: n.Amount.Minor,
		Currency: string(n.Amount.Currency), Reason: n.Reason, Status: IdentificationStatus(n.State), CreatedAt: n.ProposedAt,
		ProposedBy: n.ProposedBy, DecidedAt: orZeroTime(n.DecidedAt), DecidedBy: n.DecidedBy, Note: n.Note, Capture: shownID(n.Capture),
	}
}
