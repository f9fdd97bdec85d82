package api

import (
	"context"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/ledger/balances"
	"github.com/doisoat/doisoat/web"
	"github.com/doisoat/doisoat/web/api/openapi"
)

// RegisterDossier handles POST /v1/dossiers.
func (s *server) RegisterDossier(
	ctx context.Context, r openapi.RegisterDossierRequestObject,
) (openapi.RegisterDossierResponseObject, error) {
	actor := web.Actor(ctx)
	if r.Body.Authority != actor.Authority {
		return nil, errOtherAuthority
	}
	d, created, err := s.rooms.Dossiers.Register(ctx, actor, dossiers.Registration{
		Authority:      r.Body.Authority,
		Code:           r.Body.Code,
		Agency:         r.Body.Agency,
		Procedure:      r.Body.Procedure,
		Channel:        string(r.Body.Submission.Channel),
		ServiceLevel:   string(r.Body.Submission.ServiceLevel),
		PaymentChannel: string(r.Body.Submission.PaymentChannel),
		SubmittedAt:    r.Body.Submission.SubmittedAt,
		Applicant:      dossiers.Applicant{Name: r.Body.Applicant.Name, Identifier: r.Body.Applicant.Identifier, Groups: r.Body.Applicant.Groups},
		Items:          itemRequests(r.Body.Items),
		IdempotencyKey: r.Params.IdempotencyKey,
	})
	if err != nil {
		return nil, err
	}
	view, err := s.dossierView(ctx, d)
	if err != nil {
		return nil, err
	}
	if !created {
		return openapi.RegisterDossier200JSONResponse(view), nil
	}
	return openapi.RegisterDossier201JSONResponse{
		Body: view, Headers: openapi.RegisterDossier201ResponseHeaders{Location: "/v1/dossiers/" + d.Code},
	}, nil
}

// FindDossier handles GET /v1/dossiers/{code}.
func (s *server) FindDossier(ctx context.Context, r openapi.FindDossierRequestObject) (openapi.FindDossierResponseObject, error) {
	d, err := s.rooms.Dossiers.Find(ctx, web.Actor(ctx), r.Code)
	if err != nil {
		return nil, err
	}
	view, err := s.dossierView(ctx, d)
	return openapi.FindDossier200JSONResponse(view), err
}

// AddCharges handles POST /v1/dossiers/{code}/charges.
func (s *server) AddCharges(ctx context.Context, r openapi.AddChargesRequestObject) (openapi.AddChargesResponseObject, error) {
	d, err := s.rooms.Dossiers.AddCharges(ctx, web.Actor(ctx), r.Code, itemRequests(r.Body.Items), r.Params.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	view, err := s.dossierView(ctx, d)
	return openapi.AddCharges201JSONResponse(view), err
}

// ReportStatus handles POST /v1/dossiers/{code}/status.
func (s *server) ReportStatus(ctx context.Context, r openapi.ReportStatusRequestObject) (openapi.ReportStatusResponseObject, error) {
	d, err := s.rooms.Dossiers.RecordStatus(ctx, web.Actor(ctx), r.Code, dossiers.StatusReport{
		Status: dossiers.Status(r.Body.Status), //nolint:gosec // the description says 1 to 10
		At:     r.Body.At, Reason: string(r.Body.Reason), Note: r.Body.Note,
	})
	if err != nil {
		return nil, err
	}
	view, err := s.dossierView(ctx, d)
	return openapi.ReportStatus200JSONResponse(view), err
}

// ReadDossierLedger handles GET /v1/dossiers/{code}/ledger.
func (s *server) ReadDossierLedger(
	ctx context.Context, r openapi.ReadDossierLedgerRequestObject,
) (openapi.ReadDossierLedgerResponseObject, error) {
	list, err := s.rooms.Dossiers.Ledger(ctx, web.Actor(ctx), r.Code)
	if err != nil {
		return nil, err
	}
	shown := views(list, func(e balances.RunningEntry) openapi.Entry {
		entry := entryView(e.Entry)
		entry.Postings = views(e.Postings, func(p balances.RunningPosting) openapi.Posting {
			view := postingView(p.Posting)
			view.Balance = &p.Running
			return view
		})
		return entry
	})
	return openapi.ReadDossierLedger200JSONResponse{Dossier: r.Code, Entries: shown}, nil
}

func itemRequests(items []openapi.ItemRequest) []quote.ItemRequest {
	list := make([]quote.ItemRequest, len(items))
	for i, item := range items {
		list[i] = quote.ItemRequest{FeeType: item.FeeType, Base: item.Base, Quantity: item.Quantity}
		if item.Assessed.Ground != "" {
			list[i].Assessed = &quote.Assessed{Ground: item.Assessed.Ground}
		}
	}
	return list
}

// dossierView shows a dossier together with its payments and refunds, which belong to other rooms.
func (s *server) dossierView(ctx context.Context, d dossiers.Dossier) (openapi.Dossier, error) {
	t := d.Totals()
	view := openapi.Dossier{
		Code: d.Code, Authority: d.Authority, Agency: d.Agency, Procedure: d.Procedure, Status: openapi.DossierStatus(d.Status),
		Undeliverable: d.Undeliverable, PricingDate: dateView(d.PricingDate), Currency: string(d.Currency), CreatedAt: d.CreatedAt,
		Gross: t.Gross, Discount: t.Discount, Subsidy: t.Subsidy, Due: t.Due, Paid: t.Paid, Refunded: t.Refunded, Waived: t.Waived,
		Outstanding: t.Outstanding, Charges: views(d.Charges, chargeView), Receipts: views(d.Receipts, receiptView),
	}
	var err error
	if view.Payments, err = s.paymentsOf(ctx, d.Code); err != nil {
		return openapi.Dossier{}, err
	}
	view.Refunds, err = s.refundsOf(ctx, d.Code)
	return view, err
}

func chargeView(c dossiers.Charge) openapi.Charge {
	return openapi.Charge{
		ID: c.ID.String(), FeeType: c.FeeType, Kind: openapi.FeeKind(c.Kind), Quantity: int64(c.Quantity), Base: c.Base, Discount: c.Discount,
		Subsidy: c.Subsidy, Due: c.Due, Paid: c.Paid, Refunded: c.Refunded, Waived: c.Waived, Outstanding: c.Outstanding(),
		Reason: openapi.PriceReason(c.Explanation.Reason), Texts: textsView(c.Explanation.Texts),
		Applied: views(c.Explanation.Applied, appliedView), NotApplied: views(c.Explanation.NotApplied, notAppliedView),
		Assessed: openapi.Assessed{Ground: c.Ground}, Corrects: shownID(c.Corrects),
	}
}

func receiptView(r dossiers.Receipt) openapi.Receipt {
	return openapi.Receipt{
		ID: r.ID.String(), Kind: openapi.FeeKind(r.Kind), Amount: r.Amount, Currency: string(r.Currency), IssuedAt: r.IssuedAt,
	}
}
