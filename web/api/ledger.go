package api

import (
	"context"
	"time"

	"github.com/google/uuid"
	openapi_types "github.com/oapi-codegen/runtime/types"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/balances"
	"github.com/doisoat/doisoat/web"
	"github.com/doisoat/doisoat/web/api/openapi"
)

// ListAccounts handles GET /v1/ledger/accounts. There are a few dozen accounts: one page holds them.
func (s *server) ListAccounts(ctx context.Context, r openapi.ListAccountsRequestObject) (openapi.ListAccountsResponseObject, error) {
	actor, query := web.Actor(ctx), balances.Query{
		AsOf: dateOf(r.Params.AsOf), Account: r.Params.Code, FeeType: r.Params.FeeType, Policy: r.Params.Policy,
	}
	if r.Params.Dossier != "" {
		d, err := s.rooms.Dossiers.Find(ctx, actor, r.Params.Dossier)
		if err != nil {
			return nil, err
		}
		query.Dossier = d.ID.UUID()
	}
	list, err := s.rooms.Ledger.ListBalances(ctx, actor, query)
	if err != nil {
		return nil, err
	}
	cut, next, err := pageOf(views(list, accountView), r.Params.Cursor, r.Params.Limit,
		func(a openapi.Account) string { return a.Code + " " + a.Currency })
	if err != nil {
		return nil, err
	}
	return openapi.ListAccounts200JSONResponse{Items: cut, NextCursor: next}, nil
}

// ListAccountPostings handles GET /v1/ledger/accounts/{code}/postings.
func (s *server) ListAccountPostings(
	ctx context.Context, r openapi.ListAccountPostingsRequestObject,
) (openapi.ListAccountPostingsResponseObject, error) {
	list, next, err := s.rooms.Ledger.ListPostings(ctx, web.Actor(ctx), balances.PostingQuery{
		Account: r.Code, From: dateOf(r.Params.From), To: dateOf(r.Params.To), Cursor: r.Params.Cursor, Limit: limitOf(r.Params.Limit),
	})
	if balances.ErrCursor.Is(err) {
		return nil, errCursor
	}
	if err != nil {
		return nil, err
	}
	return openapi.ListAccountPostings200JSONResponse{Items: views(list, accountPostingView), NextCursor: cursorView(next)}, nil
}

func accountPostingView(a balances.AccountPosting) openapi.Posting {
	view := postingView(a.Posting)
	view.Entry, view.BusinessDate, view.Description, view.Balance = a.ID.String(), dateView(a.BusinessDate), a.Description, &a.Running
	return view
}

// FindEntry handles GET /v1/ledger/entries/{id}.
func (s *server) FindEntry(ctx context.Context, r openapi.FindEntryRequestObject) (openapi.FindEntryResponseObject, error) {
	id, err := parseID[ledger.EntryID](r.ID, ledger.ErrEntryNotFound)
	if err != nil {
		return nil, err
	}
	e, err := s.rooms.Ledger.FindEntry(ctx, web.Actor(ctx), id)
	if err != nil {
		return nil, err
	}
	view := entryView(e)
	view.Postings = views(e.Postings, postingView)
	return openapi.FindEntry200JSONResponse(view), nil
}

// ReadTrialBalance handles GET /v1/ledger/trial-balance.
func (s *server) ReadTrialBalance(
	ctx context.Context, r openapi.ReadTrialBalanceRequestObject,
) (openapi.ReadTrialBalanceResponseObject, error) {
	actor := web.Actor(ctx)
	if r.Params.Authority != "" && r.Params.Authority != actor.Authority {
		return nil, auth.ErrForbidden.With("the key belongs to another authority").At("?authority", "must be the key's own authority")
	}
	asOf := calendar.On(s.now())
	if !r.Params.AsOf.IsZero() {
		asOf = dateOf(r.Params.AsOf)
	}
	list, err := s.rooms.Ledger.TrialBalance(ctx, actor, asOf)
	if err != nil {
		return nil, err
	}
	return openapi.ReadTrialBalance200JSONResponse{
		Authority: actor.Authority, AsOf: dateView(asOf), Accounts: views(list, accountView), Totals: trialTotals(list),
	}, nil
}

// trialTotals sums real and memo accounts apart, per currency, in order of first appearance.
func trialTotals(list []balances.AccountBalance) []openapi.TrialTotal {
	totals := []openapi.TrialTotal{}
	for _, a := range list {
		at := -1
		for i, t := range totals {
			if t.Currency == a.Currency && t.Memo == (a.Class == ledger.Memo) {
				at = i
			}
		}
		if at < 0 {
			totals = append(totals, openapi.TrialTotal{Currency: a.Currency, Memo: a.Class == ledger.Memo})
			at = len(totals) - 1
		}
		totals[at].Debit += a.Debits
		totals[at].Credit += a.Credits
	}
	return totals
}

func accountView(a balances.AccountBalance) openapi.Account {
	return openapi.Account{
		Code: a.Code, Class: openapi.AccountClass(a.Class), NormalSide: sideView(a.Normal), Currency: a.Currency,
		Debit: a.Debits, Credit: a.Credits, Balance: a.Balance(),
	}
}

// entryView leaves the postings to the caller: some lists show balances beside them.
func entryView(e ledger.Entry) openapi.Entry {
	view := openapi.Entry{
		ID: e.ID.String(), BusinessDate: dateView(e.BusinessDate), RecordedAt: e.RecordedAt,
		Cause:       openapi.Cause{Kind: e.Cause.Kind, ID: e.Cause.ID, Event: e.Cause.Event},
		Description: e.Description, Actor: e.Actor, Postings: []openapi.Posting{},
		Reverses: shownID(e.Reverses), Corrects: shownID(e.Corrects), Reason: e.Reason,
	}
	return view
}

func postingView(p ledger.Posting) openapi.Posting {
	return openapi.Posting{
		Account: p.Account, Side: sideView(p.Side), Amount: p.Amount.Minor, Currency: string(p.Amount.Currency),
		Dossier: shown("dos", p.Dossier), Payment: shown("pay", p.Payment), Refund: shown("ref", p.Refund), Charge: shown("chg", p.Charge),
		FeeType: p.FeeType, Policy: p.Policy,
	}
}

func sideView(s ledger.Side) openapi.Side {
	if s == ledger.Debit {
		return openapi.SideDebit
	}
	return openapi.SideCredit
}

// shown writes an id as its room shows it outside; none is nothing.
func shown(prefix string, id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return prefix + "_" + hexOf(id)
}

func dateView(d calendar.Date) openapi_types.Date {
	if d.IsZero() {
		return openapi_types.Date{}
	}
	return openapi_types.Date{Time: time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC)}
}
