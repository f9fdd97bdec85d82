package api

import (
	"context"
	"fmt"
	"time"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/page"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/web"
)

// RequestRefund handles POST /v1/dossiers/{code}/refunds.
func (s *server) RequestRefund(ctx context.Context, r RequestRefundRequestObject) (RequestRefundResponseObject, error) {
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
		return RequestRefund200JSONResponse(view), nil
	}
	return RequestRefund201JSONResponse{Body: view, Headers: RequestRefund201ResponseHeaders{Location: "/v1/refunds/" + view.ID}}, nil
}

// ListRefunds handles GET /v1/refunds.
func (s *server) ListRefunds(ctx context.Context, r ListRefundsRequestObject) (ListRefundsResponseObject, error) {
	f := refunds.Filter{DossierCode: r.Params.Dossier, Status: refunds.Status(r.Params.Status), Limit: limitOf(r.Params.Limit)}
	var err error
	if f.After, err = cursorID[refunds.ID](r.Params.Cursor); err != nil {
		return nil, err
	}
	list, next, err := s.rooms.Refunds.List(ctx, web.Actor(ctx), f)
	if err != nil {
		return nil, err
	}
	return ListRefunds200JSONResponse{Items: views(list, refundView), NextCursor: cursorTo(next)}, nil
}

// FindRefund handles GET /v1/refunds/{id}.
func (s *server) FindRefund(ctx context.Context, r FindRefundRequestObject) (FindRefundResponseObject, error) {
	id, err := parseID[refunds.ID](r.ID, refunds.ErrNotFound)
	if err != nil {
		return nil, err
	}
	refund, err := s.rooms.Refunds.Find(ctx, web.Actor(ctx), id)
	if err != nil {
		return nil, err
	}
	return FindRefund200JSONResponse(refundDetails(refund)), nil
}

// ApproveRefund handles POST /v1/refunds/{id}/approve.
func (s *server) ApproveRefund(ctx context.Context, r ApproveRefundRequestObject) (ApproveRefundResponseObject, error) {
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
	return ApproveRefund200JSONResponse(refundDetails(refund)), nil
}

// RejectRefund handles POST /v1/refunds/{id}/reject.
func (s *server) RejectRefund(ctx context.Context, r RejectRefundRequestObject) (RejectRefundResponseObject, error) {
	id, err := parseID[refunds.ID](r.ID, refunds.ErrNotFound)
	if err != nil {
		return nil, err
	}
	refund, err := s.rooms.Refunds.Reject(ctx, web.Actor(ctx), id, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return RejectRefund200JSONResponse(refundDetails(refund)), nil
}

// ConfirmRefund handles POST /v1/refunds/{id}/confirm.
func (s *server) ConfirmRefund(ctx context.Context, r ConfirmRefundRequestObject) (ConfirmRefundResponseObject, error) {
	id, err := parseID[refunds.ID](r.ID, refunds.ErrNotFound)
	if err != nil {
		return nil, err
	}
	refund, err := s.rooms.Refunds.Confirm(ctx, web.Actor(ctx), id, documentOf(*r.Body))
	if err != nil {
		return nil, err
	}
	return ConfirmRefund200JSONResponse(refundDetails(refund)), nil
}

// ReturnRefund handles POST /v1/refunds/{id}/return.
func (s *server) ReturnRefund(ctx context.Context, r ReturnRefundRequestObject) (ReturnRefundResponseObject, error) {
	id, err := parseID[refunds.ID](r.ID, refunds.ErrNotFound)
	if err != nil {
		return nil, err
	}
	refund, err := s.rooms.Refunds.Return(ctx, web.Actor(ctx), id, documentOf(*r.Body))
	if err != nil {
		return nil, err
	}
	return ReturnRefund200JSONResponse(refundDetails(refund)), nil
}

func documentOf(d RefundDocument) refunds.Document {
	return refunds.Document{Number: d.Number, Date: dateOf(d.Date), Account: d.Account}
}

func refundView(r refunds.Refund) Refund {
	return Refund{
		ID: r.ID.String(), Dossier: r.DossierCode, Payment: r.PaymentID.String(), Status: RefundStatus(r.Status),
		Reason: RefundReason(r.Reason), Origin: RefundOrigin(r.Origin), Amount: r.Amount.Minor, Currency: string(r.Amount.Currency),
		Route: RefundRoute(r.Route), Stage: RefundStage(r.Stage), Reference: r.Reference, Note: r.Note, Deadline: dateView(r.Deadline), CreatedAt: r.RequestedAt,
		RequestedBy: r.RequestedBy, DecidedBy: r.DecidedBy, DecisionReason: r.DecisionReason,
		TransactionID: r.Transaction, Items: views(r.Items, refundItemView),
	}
}

func refundItemView(item refunds.Item) RefundItem {
	return RefundItem{Charge: shownID(item.Charge), Amount: item.Amount}
}

// refundDetails adds the timeline: what a payer asks for first.
func refundDetails(r refunds.Refund) Refund {
	view := refundView(r)
	view.Timeline = []TimelineEvent{{At: r.RequestedAt, Event: string(refunds.Requested), Actor: r.RequestedBy, Detail: r.Note}}
	add := func(at *time.Time, event refunds.Status, actor, detail string) {
		if at != nil {
			view.Timeline = append(view.Timeline, TimelineEvent{At: *at, Event: string(event), Actor: actor, Detail: detail})
		}
	}
	decision := refunds.Approved
	if r.Status == refunds.Rejected {
		decision = refunds.Rejected
	}
	add(r.DecidedAt, decision, r.DecidedBy, r.DecisionReason)
	add(r.SentAt, refunds.Sent, "", "")
	add(r.DoneAt, refunds.Done, "", "")
	if last := view.Timeline[len(view.Timeline)-1]; last.Event != string(r.Status) {
		add(&r.StatusAt, r.Status, "", r.ProviderReason)
	}
	return view
}

// refundsOf lists a dossier's refunds, newest first, for the dossier's view.
func (s *server) refundsOf(ctx context.Context, dossierCode string) ([]RefundSummary, error) {
	list, _, err := s.rooms.Refunds.List(ctx, web.Actor(ctx), refunds.Filter{DossierCode: dossierCode, Limit: page.Max})
	return views(list, refundSummary), err
}

func refundSummary(r refunds.Refund) RefundSummary {
	return RefundSummary{
		ID: r.ID.String(), Status: RefundStatus(r.Status), Reason: RefundReason(r.Reason), Origin: RefundOrigin(r.Origin),
		Amount: r.Amount.Minor, Currency: string(r.Amount.Currency), CreatedAt: r.RequestedAt,
	}
}
