package api

import (
	"context"
	"fmt"
	"time"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/page"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/refunds/routes"
	"github.com/doisoat/doisoat/web"
	"github.com/doisoat/doisoat/web/api/openapi"
)

// RequestRefund handles POST /v1/dossiers/{code}/refunds.
func (s *server) RequestRefund(ctx context.Context, r openapi.RequestRefundRequestObject) (openapi.RequestRefundResponseObject, error) {
	q := refunds.Request{
		Reason: string(r.Body.Reason), Note: r.Body.Note, ExpectedRefundable: r.Body.ExpectedRefundable, IdempotencyKey: r.Params.IdempotencyKey,
	}
	for i, item := range r.Body.Items {
		absent := refunds.ErrInvalid.At(fmt.Sprintf("/items/%d/charge", i), "is no charge of this dossier")
		charge, err := parseID[dossiers.ChargeID](item.Charge, absent)
		if err != nil {
			return nil, err
		}
		q.Items = append(q.Items, refunds.Item{Charge: charge, Amount: item.Amount})
	}
	refund, created, err := s.rooms.Refunds.Request(ctx, web.Actor(ctx), r.Code, q)
	if err != nil {
		return nil, err
	}
	view := refundDetails(refund)
	if !created {
		return openapi.RequestRefund200JSONResponse(view), nil
	}
	return openapi.RequestRefund201JSONResponse{
		Body: view, Headers: openapi.RequestRefund201ResponseHeaders{Location: "/v1/refunds/" + view.ID},
	}, nil
}

// ListRefunds handles GET /v1/refunds.
func (s *server) ListRefunds(ctx context.Context, r openapi.ListRefundsRequestObject) (openapi.ListRefundsResponseObject, error) {
	f := refunds.Filter{DossierCode: r.Params.Dossier, Status: refunds.Status(r.Params.Status), Limit: limitOf(r.Params.Limit)}
	var err error
	if f.After, err = cursorID[refunds.ID](r.Params.Cursor); err != nil {
		return nil, err
	}
	list, next, err := s.rooms.Refunds.List(ctx, web.Actor(ctx), f)
	if err != nil {
		return nil, err
	}
	return openapi.ListRefunds200JSONResponse{Items: views(list, refundView), NextCursor: cursorTo(next)}, nil
}

// FindRefund handles GET /v1/refunds/{id}.
func (s *server) FindRefund(ctx context.Context, r openapi.FindRefundRequestObject) (openapi.FindRefundResponseObject, error) {
	id, err := parseID[refunds.ID](r.ID, refunds.ErrNotFound)
	if err != nil {
		return nil, err
	}
	refund, err := s.rooms.Refunds.Find(ctx, web.Actor(ctx), id)
	if err != nil {
		return nil, err
	}
	return openapi.FindRefund200JSONResponse(refundDetails(refund)), nil
}

// ApproveRefund handles POST /v1/refunds/{id}/approve.
func (s *server) ApproveRefund(ctx context.Context, r openapi.ApproveRefundRequestObject) (openapi.ApproveRefundResponseObject, error) {
	id, err := parseID[refunds.ID](r.ID, refunds.ErrNotFound)
	if err != nil {
		return nil, err
	}
	note := ""
	if r.Body != nil {
		note = r.Body.Note
	}
	refund, err := s.rooms.Refunds.Approve(ctx, web.Actor(ctx), id, note)
	if err != nil {
		return nil, err
	}
	return openapi.ApproveRefund200JSONResponse(refundDetails(refund)), nil
}

// RejectRefund handles POST /v1/refunds/{id}/reject.
func (s *server) RejectRefund(ctx context.Context, r openapi.RejectRefundRequestObject) (openapi.RejectRefundResponseObject, error) {
	id, err := parseID[refunds.ID](r.ID, refunds.ErrNotFound)
	if err != nil {
		return nil, err
	}
	refund, err := s.rooms.Refunds.Reject(ctx, web.Actor(ctx), id, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return openapi.RejectRefund200JSONResponse(refundDetails(refund)), nil
}

// ConfirmRefund handles POST /v1/refunds/{id}/confirm.
func (s *server) ConfirmRefund(ctx context.Context, r openapi.ConfirmRefundRequestObject) (openapi.ConfirmRefundResponseObject, error) {
	id, err := parseID[refunds.ID](r.ID, refunds.ErrNotFound)
	if err != nil {
		return nil, err
	}
	refund, err := s.rooms.Routes.Confirm(ctx, web.Actor(ctx), id, documentOf(*r.Body))
	if err != nil {
		return nil, err
	}
	return openapi.ConfirmRefund200JSONResponse(refundDetails(refund)), nil
}

// ReturnRefund handles POST /v1/refunds/{id}/return.
func (s *server) ReturnRefund(ctx context.Context, r openapi.ReturnRefundRequestObject) (openapi.ReturnRefundResponseObject, error) {
	id, err := parseID[refunds.ID](r.ID, refunds.ErrNotFound)
	if err != nil {
		return nil, err
	}
	refund, err := s.rooms.Routes.Return(ctx, web.Actor(ctx), id, documentOf(*r.Body))
	if err != nil {
		return nil, err
	}
	return openapi.ReturnRefund200JSONResponse(refundDetails(refund)), nil
}

func documentOf(d openapi.RefundDocument) routes.Document {
	return routes.Document{Number: d.Number, Date: dateOf(d.Date), Account: d.Account}
}

func refundView(r refunds.Refund) openapi.Refund {
	return openapi.Refund{
		ID: r.ID.String(), Dossier: r.DossierCode, Payment: r.PaymentID.String(), Status: openapi.RefundStatus(r.Status),
		Reason: openapi.RefundReason(r.Reason), Origin: openapi.RefundOrigin(r.Origin), Amount: r.Amount.Minor,
		Currency: string(r.Amount.Currency), Route: openapi.RefundRoute(r.Route), Stage: openapi.RefundStage(r.Stage), Reference: r.Reference,
		Note: r.Note, Deadline: dateView(r.Deadline), CreatedAt: r.RequestedAt, RequestedBy: r.RequestedBy, DecidedBy: r.DecidedBy,
		DecisionReason: r.DecisionReason, TransactionID: r.Transaction, Items: views(r.Items, refundItemView),
	}
}

func refundItemView(item refunds.Item) openapi.RefundItem {
	return openapi.RefundItem{Charge: shownID(item.Charge), Amount: item.Amount}
}

// refundDetails is refundView with the timeline, which payers ask for first.
func refundDetails(r refunds.Refund) openapi.Refund {
	view := refundView(r)
	view.Timeline = []openapi.TimelineEvent{{At: r.RequestedAt, Event: string(refunds.Requested), Actor: r.RequestedBy, Detail: r.Note}}
	add := func(at *time.Time, event refunds.Status, actor, detail string) {
		if at != nil {
			view.Timeline = append(view.Timeline, openapi.TimelineEvent{At: *at, Event: string(event), Actor: actor, Detail: detail})
		}
	}
	add(r.DecidedAt, r.Decision(), r.DecidedBy, r.DecisionReason)
	add(r.SentAt, refunds.Sent, "", "")
	add(r.DoneAt, refunds.Done, "", "")
	if last := view.Timeline[len(view.Timeline)-1]; last.Event != string(r.Status) {
		add(&r.StatusAt, r.Status, "", r.ProviderReason)
	}
	return view
}

// refundsOf lists a dossier's refunds, newest first, for the dossier's view.
func (s *server) refundsOf(ctx context.Context, dossierCode string) ([]openapi.RefundSummary, error) {
	list, _, err := s.rooms.Refunds.List(ctx, web.Actor(ctx), refunds.Filter{DossierCode: dossierCode, Limit: page.Max})
	return views(list, refundSummary), err
}

func refundSummary(r refunds.Refund) openapi.RefundSummary {
	return openapi.RefundSummary{
		ID: r.ID.String(), Status: openapi.RefundStatus(r.Status), Reason: openapi.RefundReason(r.Reason), Origin: openapi.RefundOrigin(r.Origin),
		Amount: r.Amount.Minor, Currency: string(r.Amount.Currency), CreatedAt: r.RequestedAt,
	}
}
