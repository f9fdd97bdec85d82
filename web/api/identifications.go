package api

import (
	"context"

	"github.com/doisoat/doisoat/cases"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/statements"
	"github.com/doisoat/doisoat/web"
	"github.com/doisoat/doisoat/web/api/openapi"
)

// IdentifyLine handles POST /v1/statements/{id}/lines/{line}/identify.
func (s *server) IdentifyLine(ctx context.Context, r openapi.IdentifyLineRequestObject) (openapi.IdentifyLineResponseObject, error) {
	statement, err := parseID[statements.ID](r.ID, statements.ErrNotFound)
	if err != nil {
		return nil, cases.ErrLineNotFound
	}
	line, err := parseID[statements.LineID](r.Line, cases.ErrLineNotFound)
	if err != nil {
		return nil, err
	}
	n, created, err := s.rooms.Cases.ProposeIdentification(ctx, web.Actor(ctx), statement, line, cases.IdentifyRequest{
		DossierCode: r.Body.Dossier, Amount: money.Amount{Currency: money.Currency(r.Body.Currency), Minor: r.Body.Amount}, Reason: r.Body.Reason,
	})
	if err != nil {
		return nil, err
	}
	if !created {
		return openapi.IdentifyLine200JSONResponse(identificationView(n)), nil
	}
	return openapi.IdentifyLine201JSONResponse(identificationView(n)), nil
}

// ListIdentifications handles GET /v1/identifications.
func (s *server) ListIdentifications(
	ctx context.Context, r openapi.ListIdentificationsRequestObject,
) (openapi.ListIdentificationsResponseObject, error) {
	var err error
	f := cases.IdentificationFilter{Status: cases.IdentificationStatus(r.Params.Status), Limit: limitOf(r.Params.Limit)}
	if f.After, err = cursorID[cases.IdentificationID](r.Params.Cursor); err != nil {
		return nil, err
	}
	list, next, err := s.rooms.Cases.ListIdentifications(ctx, web.Actor(ctx), f)
	if err != nil {
		return nil, err
	}
	return openapi.ListIdentifications200JSONResponse{Items: views(list, identificationView), NextCursor: cursorTo(next)}, nil
}

// ApproveIdentification handles POST /v1/identifications/{id}/approve.
func (s *server) ApproveIdentification(
	ctx context.Context, r openapi.ApproveIdentificationRequestObject,
) (openapi.ApproveIdentificationResponseObject, error) {
	id, err := parseID[cases.IdentificationID](r.ID, cases.ErrIdentificationNotFound)
	if err != nil {
		return nil, err
	}
	n, err := s.rooms.Cases.ApproveIdentification(ctx, web.Actor(ctx), id, r.Body.Note)
	if err != nil {
		return nil, err
	}
	return openapi.ApproveIdentification200JSONResponse(identificationView(n)), nil
}

// RejectIdentification handles POST /v1/identifications/{id}/reject.
func (s *server) RejectIdentification(
	ctx context.Context, r openapi.RejectIdentificationRequestObject,
) (openapi.RejectIdentificationResponseObject, error) {
	id, err := parseID[cases.IdentificationID](r.ID, cases.ErrIdentificationNotFound)
	if err != nil {
		return nil, err
	}
	n, err := s.rooms.Cases.RejectIdentification(ctx, web.Actor(ctx), id, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return openapi.RejectIdentification200JSONResponse(identificationView(n)), nil
}

func identificationView(n cases.Identification) openapi.Identification {
	return openapi.Identification{
		ID: n.ID.String(), Statement: n.Statement.String(), Line: n.Line.String(), Dossier: n.DossierCode, Amount: n.Amount.Minor,
		Currency: string(n.Amount.Currency), Reason: n.Reason, Status: openapi.IdentificationStatus(n.Status), CreatedAt: n.ProposedAt,
		ProposedBy: n.ProposedBy, DecidedAt: orZeroTime(n.DecidedAt), DecidedBy: n.DecidedBy, Note: n.Note, Capture: shownID(n.Capture),
	}
}
