package api

import (
	"context"

	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/remittance"
	"github.com/doisoat/doisoat/web"
	"github.com/doisoat/doisoat/web/api/openapi"
)

// SplitPeriod handles POST /v1/splits.
func (s *server) SplitPeriod(ctx context.Context, r openapi.SplitPeriodRequestObject) (openapi.SplitPeriodResponseObject, error) {
	q := remittance.SplitRequest{PeriodTo: dateOf(r.Body.PeriodTo), Currency: money.Currency(r.Body.Currency)}
	if q.Currency == "" {
		q.Currency = money.VND
	}
	split, created, err := s.rooms.Remittance.Split(ctx, web.Actor(ctx), q)
	if err != nil {
		return nil, err
	}
	view := splitView(split)
	if !created {
		return openapi.SplitPeriod200JSONResponse(view), nil
	}
	return openapi.SplitPeriod201JSONResponse{
		Body: view, Headers: openapi.SplitPeriod201ResponseHeaders{Location: "/v1/splits/" + view.ID},
	}, nil
}

// ListSplits handles GET /v1/splits.
func (s *server) ListSplits(ctx context.Context, r openapi.ListSplitsRequestObject) (openapi.ListSplitsResponseObject, error) {
	after, err := cursorID[remittance.SplitID](r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	list, next, err := s.rooms.Remittance.List(ctx, web.Actor(ctx), after, limitOf(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	return openapi.ListSplits200JSONResponse{Items: views(list, splitView), NextCursor: cursorTo(next)}, nil
}

// FindSplit handles GET /v1/splits/{id}.
func (s *server) FindSplit(ctx context.Context, r openapi.FindSplitRequestObject) (openapi.FindSplitResponseObject, error) {
	id, err := parseID[remittance.SplitID](r.ID, remittance.ErrNotFound)
	if err != nil {
		return nil, err
	}
	split, err := s.rooms.Remittance.Find(ctx, web.Actor(ctx), id)
	if err != nil {
		return nil, err
	}
	return openapi.FindSplit200JSONResponse(splitView(split)), nil
}

// ProposeVoucher handles POST /v1/splits/{id}/vouchers.
func (s *server) ProposeVoucher(ctx context.Context, r openapi.ProposeVoucherRequestObject) (openapi.ProposeVoucherResponseObject, error) {
	id, err := parseID[remittance.SplitID](r.ID, remittance.ErrNotFound)
	if err != nil {
		return nil, err
	}
	v, created, err := s.rooms.Remittance.Propose(ctx, web.Actor(ctx), id, remittance.VoucherRequest{
		Kind: remittance.VoucherKind(r.Body.Kind), Account: r.Body.Account, Number: r.Body.Number,
		DocumentDate: dateOf(r.Body.DocumentDate), Treasury: r.Body.Treasury,
	})
	if err != nil {
		return nil, err
	}
	if !created {
		return openapi.ProposeVoucher200JSONResponse(voucherView(v)), nil
	}
	return openapi.ProposeVoucher201JSONResponse(voucherView(v)), nil
}

// ApproveVoucher handles POST /v1/vouchers/{id}/approve.
func (s *server) ApproveVoucher(ctx context.Context, r openapi.ApproveVoucherRequestObject) (openapi.ApproveVoucherResponseObject, error) {
	id, err := parseID[remittance.VoucherID](r.ID, remittance.ErrNotFound)
	if err != nil {
		return nil, err
	}
	v, err := s.rooms.Remittance.Approve(ctx, web.Actor(ctx), id)
	if err != nil {
		return nil, err
	}
	return openapi.ApproveVoucher200JSONResponse(voucherView(v)), nil
}

// RejectVoucher handles POST /v1/vouchers/{id}/reject.
func (s *server) RejectVoucher(ctx context.Context, r openapi.RejectVoucherRequestObject) (openapi.RejectVoucherResponseObject, error) {
	id, err := parseID[remittance.VoucherID](r.ID, remittance.ErrNotFound)
	if err != nil {
		return nil, err
	}
	v, err := s.rooms.Remittance.Reject(ctx, web.Actor(ctx), id, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return openapi.RejectVoucher200JSONResponse(voucherView(v)), nil
}

func splitView(s remittance.Split) openapi.Split {
	return openapi.Split{
		ID: s.ID.String(), Currency: string(s.Currency), PeriodTo: dateView(s.PeriodTo), CreatedAt: s.MadeAt, CreatedBy: s.MadeBy,
		Parts: views(s.Parts, partView), Vouchers: views(s.Vouchers, voucherView),
	}
}

func partView(p remittance.Part) openapi.SplitPart {
	return openapi.SplitPart{
		FeeType: p.FeeType, Kind: openapi.FeeKind(p.Kind), Charges: p.Charges, Amount: p.Amount, Retained: p.Retained, Budget: p.Budget,
		TakenRetained: p.TakenRetained, TakenBudget: p.TakenBudget,
	}
}

func voucherView(v remittance.Voucher) openapi.Voucher {
	return openapi.Voucher{
		ID: v.ID.String(), Split: v.Split.String(), Kind: openapi.VoucherKind(v.Kind), Status: openapi.VoucherStatus(v.Status), Amount: v.Amount,
		Account: v.Account, Number: v.Number, DocumentDate: dateView(v.DocumentDate), Treasury: v.Treasury, CreatedAt: v.ProposedAt,
		ProposedBy: v.ProposedBy, DecidedBy: v.DecidedBy, Reason: v.Reason,
	}
}
