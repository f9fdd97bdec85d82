package api

import (
	"context"

	"github.com/doisoat/doisoat/statements"
	"github.com/doisoat/doisoat/web"
	"github.com/doisoat/doisoat/web/api/openapi"
)

// RegisterSource handles POST /v1/sources.
func (s *server) RegisterSource(ctx context.Context, r openapi.RegisterSourceRequestObject) (openapi.RegisterSourceResponseObject, error) {
	actor := web.Actor(ctx)
	if r.Body.Authority != "" && r.Body.Authority != actor.Authority {
		return nil, errOtherAuthority
	}
	source, created, err := s.rooms.Statements.RegisterSource(ctx, actor, statements.SourceRequest{
		Code: r.Body.Code, Kind: string(r.Body.Kind), Provider: r.Body.Provider, Account: r.Body.Account, Profile: r.Body.Profile,
	})
	if err != nil {
		return nil, err
	}
	if !created {
		return openapi.RegisterSource200JSONResponse(sourceView(source)), nil
	}
	return openapi.RegisterSource201JSONResponse(sourceView(source)), nil
}

// ListSources handles GET /v1/sources.
func (s *server) ListSources(ctx context.Context, r openapi.ListSourcesRequestObject) (openapi.ListSourcesResponseObject, error) {
	after, err := cursorKey(r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	list, next, err := s.rooms.Statements.ListSources(ctx, web.Actor(ctx), after, limitOf(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	return openapi.ListSources200JSONResponse{Items: views(list, sourceView), NextCursor: cursorView(keyCursor(next))}, nil
}

func sourceView(source statements.Source) openapi.Source {
	return openapi.Source{
		Code: source.Code, Kind: openapi.SourceKind(source.Kind), Provider: source.Provider, Account: source.Account,
		Profile: source.Profile, Currency: string(source.Currency), CreatedAt: source.CreatedAt,
	}
}
