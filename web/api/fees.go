package api

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/web"
	"github.com/doisoat/doisoat/web/api/openapi"
)

// CreateQuote handles POST /v1/quotes.
func (s *server) CreateQuote(ctx context.Context, r openapi.CreateQuoteRequestObject) (openapi.CreateQuoteResponseObject, error) {
	actor := web.Actor(ctx)
	if r.Body.Authority != actor.Authority {
		return nil, errOtherAuthority
	}
	q, err := s.rooms.Fees.Quote(ctx, actor, quote.Request{
		Authority: r.Body.Authority, Procedure: r.Body.Procedure, Channel: schedule.Channel(r.Body.Submission.Channel),
		Level: schedule.ServiceLevel(r.Body.Submission.ServiceLevel), SubmittedAt: r.Body.Submission.SubmittedAt, Groups: r.Body.Applicant.Groups,
		Items: itemRequests(r.Body.Items), Agency: r.Body.Agency, PaymentChannel: schedule.PaymentChannel(r.Body.Submission.PaymentChannel),
		AcceptedAt: r.Body.Submission.AcceptedAt, IssuedAt: r.Body.Submission.IssuedAt,
	})
	if err != nil {
		return nil, err
	}
	view := openapi.Quote{
		Currency: string(q.Currency), PricingDate: dateView(q.PricingDate), Gross: q.Gross.Minor, Discount: q.Discount.Minor,
		Subsidy: q.Subsidy.Minor, Due: q.Due.Minor, Items: views(q.Items, quoteItemView),
	}
	return openapi.CreateQuote200JSONResponse(view), nil
}

func quoteItemView(item quote.Item) openapi.QuoteItem {
	return openapi.QuoteItem{
		FeeType: item.FeeType, Kind: openapi.FeeKind(item.Kind), Quantity: item.Quantity, Base: item.Base.Minor, Discount: item.Discount.Minor,
		Subsidy: item.Subsidy.Minor, Due: item.Due.Minor, Reason: openapi.PriceReason(item.Reason), Applied: views(item.Applied, appliedView),
		NotApplied: views(item.NotApplied, notAppliedView), Texts: textsView(item.Texts), Assessed: openapi.Assessed{Ground: item.Ground},
	}
}

func appliedView(a quote.Applied) openapi.Applied {
	return openapi.Applied{
		Policy: a.Policy, Version: int64(a.Version), LegalBasis: a.LegalBasis, Effect: a.Effect,
		Rule: openapi.AppliedRule(a.Rule), Amount: a.Amount, Funder: a.Funder, Texts: textsView(a.Texts),
	}
}

func notAppliedView(n quote.NotApplied) openapi.NotApplied {
	return openapi.NotApplied{Policy: n.Policy, Version: int64(n.Version), Why: string(n.Why), Detail: n.Detail, Texts: textsView(n.Texts)}
}

// RegisterFeeType handles POST /v1/fee-types.
func (s *server) RegisterFeeType(
	ctx context.Context, r openapi.RegisterFeeTypeRequestObject,
) (openapi.RegisterFeeTypeResponseObject, error) {
	actor := web.Actor(ctx)
	f := schedule.FeeType{Territory: actor.Authority, SetBy: schedule.SetByCouncil, CollectedBy: schedule.CollectedLocal}
	if err := json.Unmarshal(*r.Body, &f); err != nil {
		return nil, errors.Join(schedule.ErrDocument, err)
	}
	done, err := s.rooms.Fees.LoadFeeTypes(ctx, actor, []schedule.FeeType{f})
	if err != nil {
		return nil, err
	}
	list, err := s.rooms.Fees.ListFeeTypes(ctx, actor, f.Territory)
	if err != nil {
		return nil, err
	}
	for _, stored := range list {
		if stored.Code != f.Code || stored.Territory != f.Territory {
			continue
		}
		if done.Unchanged > 0 {
			return openapi.RegisterFeeType200JSONResponse(feeTypeView(stored)), nil
		}
		return openapi.RegisterFeeType201JSONResponse(feeTypeView(stored)), nil
	}
	return nil, fees.ErrNotFound
}

// ListFeeTypes handles GET /v1/fee-types.
func (s *server) ListFeeTypes(ctx context.Context, r openapi.ListFeeTypesRequestObject) (openapi.ListFeeTypesResponseObject, error) {
	actor := web.Actor(ctx)
	list, err := s.rooms.Fees.ListFeeTypes(ctx, actor, actor.Authority)
	if err != nil {
		return nil, err
	}
	cut, next, err := pageOf(list, r.Params.Cursor, r.Params.Limit, func(f schedule.FeeType) string { return f.Code + " " + f.Territory })
	if err != nil {
		return nil, err
	}
	return openapi.ListFeeTypes200JSONResponse{Items: views(cut, feeTypeView), NextCursor: next}, nil
}

func feeTypeView(f schedule.FeeType) openapi.FeeType {
	if f.Rates == nil {
		f.Rates = []schedule.Rate{}
	}
	return openapi.FeeType{FeeType: f, Version: f.Version}
}

func textsView(t quote.Texts) openapi.Texts { return openapi.Texts{Vi: t.Vi, En: t.En} }
