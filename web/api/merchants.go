package api

import (
	"context"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/merchants"
	"github.com/doisoat/doisoat/web"
	"github.com/doisoat/doisoat/web/api/openapi"
)

// RegisterMerchantAccount handles POST /v1/merchant-accounts.
func (s *server) RegisterMerchantAccount(
	ctx context.Context, r openapi.RegisterMerchantAccountRequestObject,
) (openapi.RegisterMerchantAccountResponseObject, error) {
	actor := web.Actor(ctx)
	if r.Body.Authority != actor.Authority {
		return nil, errOtherAuthority
	}
	m, err := s.rooms.Merchants.Register(ctx, actor, r.Body.Provider, r.Body.Settings, r.Body.Secrets)
	if err != nil {
		return nil, err
	}
	return openapi.RegisterMerchantAccount201JSONResponse(merchantView(m)), nil
}

// ListMerchantAccounts handles GET /v1/merchant-accounts.
func (s *server) ListMerchantAccounts(
	ctx context.Context, r openapi.ListMerchantAccountsRequestObject,
) (openapi.ListMerchantAccountsResponseObject, error) {
	list, err := s.rooms.Merchants.List(ctx, web.Actor(ctx))
	if err != nil {
		return nil, err
	}
	cut, next, err := pageOf(list, r.Params.Cursor, r.Params.Limit, func(m merchants.Account) string { return m.ID.String() })
	if err != nil {
		return nil, err
	}
	return openapi.ListMerchantAccounts200JSONResponse{Items: views(cut, merchantView), NextCursor: next}, nil
}

// RotateSecret handles POST /v1/merchant-accounts/{id}/secrets.
func (s *server) RotateSecret(ctx context.Context, r openapi.RotateSecretRequestObject) (openapi.RotateSecretResponseObject, error) {
	id, err := parseID[merchants.ID](r.ID, merchants.ErrNotFound)
	if err != nil {
		return nil, err
	}
	if err := s.rooms.Merchants.RotateSecret(ctx, web.Actor(ctx), id, r.Body.Name, r.Body.Value); err != nil {
		return nil, err
	}
	return openapi.RotateSecret204Response{}, nil
}

// merchantView shows the path for callbacks. Its caller is the notifier for bank transfers, and the provider of the payment in all other
// cases.
func merchantView(m merchants.Account) openapi.MerchantAccount {
	caller := m.Provider
	if notifier := m.Settings["notifier"]; notifier != "" {
		caller = notifier
	}
	return openapi.MerchantAccount{
		ID: m.ID.String(), Authority: m.Authority, Provider: m.Provider, Settings: m.Settings,
		CallbackPath: "/callbacks/" + caller + "/" + m.ID.String(), CreatedAt: m.CreatedAt,
	}
}

// errOtherAuthority: a key acts for its own authority only.
var errOtherAuthority = auth.ErrForbidden.With("the key belongs to another authority").At("/authority", "must be the key's own authority")
