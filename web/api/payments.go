package api

import (
	"context"
	"net/netip"
	"slices"

	"github.com/doisoat/doisoat/internal/page"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/web"
	"github.com/doisoat/doisoat/web/api/openapi"
)

// CreatePayment handles POST /v1/dossiers/{code}/payments.
func (s *server) CreatePayment(ctx context.Context, r openapi.CreatePaymentRequestObject) (openapi.CreatePaymentResponseObject, error) {
	ip := r.Body.Payer.IP
	if ip == "" {
		ip = web.ClientIP(ctx)
	} else if _, err := netip.ParseAddr(ip); err != nil { // checked before anything is stored for a call that cannot be made
		return nil, web.ErrInvalid.At("/payer/ip", "must be an IP address")
	}
	p, created, err := s.rooms.Payments.Create(ctx, web.Actor(ctx), r.Code, payments.Request{
		Provider: r.Body.Provider, ReturnURL: r.Body.ReturnURL, Locale: string(r.Body.Locale), PayerIP: ip,
		IdempotencyKey: r.Params.IdempotencyKey,
	})
	if err != nil {
		return nil, err
	}
	view := paymentView(p, r.Code)
	if !created {
		return openapi.CreatePayment200JSONResponse(view), nil
	}
	return openapi.CreatePayment201JSONResponse{
		Body: view, Headers: openapi.CreatePayment201ResponseHeaders{Location: "/v1/payments/" + view.ID},
	}, nil
}

// ListPayments handles GET /v1/payments.
func (s *server) ListPayments(ctx context.Context, r openapi.ListPaymentsRequestObject) (openapi.ListPaymentsResponseObject, error) {
	f := payments.Filter{
		DossierCode: r.Params.Dossier, Status: payments.Status(r.Params.Status), Reference: r.Params.Reference, Limit: limitOf(r.Params.Limit),
	}
	var err error
	if f.After, err = cursorID[payments.ID](r.Params.Cursor); err != nil {
		return nil, err
	}
	list, next, err := s.rooms.Payments.List(ctx, web.Actor(ctx), f)
	if err != nil {
		return nil, err
	}
	shown := func(p payments.Listed) openapi.Payment { return paymentView(p.Payment, p.DossierCode) }
	return openapi.ListPayments200JSONResponse{Items: views(list, shown), NextCursor: cursorTo(next)}, nil
}

// FindPayment handles GET /v1/payments/{id}.
func (s *server) FindPayment(ctx context.Context, r openapi.FindPaymentRequestObject) (openapi.FindPaymentResponseObject, error) {
	view, err := s.paymentDetails(ctx, r.ID)
	return openapi.FindPayment200JSONResponse(view), err
}

// CancelPayment handles POST /v1/payments/{id}/cancel.
func (s *server) CancelPayment(ctx context.Context, r openapi.CancelPaymentRequestObject) (openapi.CancelPaymentResponseObject, error) {
	id, err := parseID[payments.ID](r.ID, payments.ErrNotFound)
	if err != nil {
		return nil, err
	}
	if _, err := s.rooms.Payments.Cancel(ctx, web.Actor(ctx), id); err != nil {
		return nil, err
	}
	view, err := s.paymentDetails(ctx, r.ID)
	return openapi.CancelPayment200JSONResponse(view), err
}

// InquirePayment handles POST /v1/payments/{id}/inquire.
func (s *server) InquirePayment(ctx context.Context, r openapi.InquirePaymentRequestObject) (openapi.InquirePaymentResponseObject, error) {
	id, err := parseID[payments.ID](r.ID, payments.ErrNotFound)
	if err != nil {
		return nil, err
	}
	if _, err := s.rooms.Payments.Inquire(ctx, web.Actor(ctx), id); err != nil {
		return nil, err
	}
	view, err := s.paymentDetails(ctx, r.ID)
	return openapi.InquirePayment200JSONResponse(view), err
}

func (s *server) paymentDetails(ctx context.Context, text string) (openapi.Payment, error) {
	id, err := parseID[payments.ID](text, payments.ErrNotFound)
	if err != nil {
		return openapi.Payment{}, err
	}
	d, err := s.rooms.Payments.Find(ctx, web.Actor(ctx), id)
	if err != nil {
		return openapi.Payment{}, err
	}
	view := paymentView(d.Payment, d.DossierCode)
	view.Attempts, view.Captures = views(d.Attempts, attemptView), views(d.Captures, captureView)
	view.Timeline = paymentTimeline(d)
	return view, nil
}

func attemptView(a payments.Attempt) openapi.Attempt {
	return openapi.Attempt{
		ID: a.ID.String(), Number: int32(a.Number), Status: openapi.AttemptStatus(a.Status), CreatedAt: a.CreatedAt, StatusAt: a.StatusAt,
	}
}

// paymentTimeline lists the events of a payment in order. The payment's own status comes last when it is no longer pending.
func paymentTimeline(d payments.Details) []openapi.TimelineEvent {
	list := []openapi.TimelineEvent{{At: d.CreatedAt, Event: "created"}}
	for _, a := range d.Attempts {
		if a.Status != payments.AttemptCreated {
			list = append(list, openapi.TimelineEvent{At: a.StatusAt, Event: "attempt_" + string(a.Status)})
		}
	}
	for _, c := range d.Callbacks {
		list = append(list, openapi.TimelineEvent{At: c.ReceivedAt, Event: "callback", Actor: c.Provider, Detail: string(c.Reply)})
	}
	for _, c := range d.Captures {
		list = append(list, openapi.TimelineEvent{At: c.RecordedAt, Event: "capture", Actor: c.Provider, Detail: string(c.Evidence)})
	}
	slices.SortStableFunc(list, func(a, b openapi.TimelineEvent) int { return a.At.Compare(b.At) })
	if d.Status != payments.Pending {
		list = append(list, openapi.TimelineEvent{At: d.StatusAt, Event: string(d.Status), Detail: d.Reason})
	}
	return list
}

func paymentView(p payments.Payment, dossierCode string) openapi.Payment {
	return openapi.Payment{
		ID: p.ID.String(), Reference: p.Reference, Dossier: dossierCode, Provider: p.Provider, Status: openapi.PaymentStatus(p.Status),
		Amount: p.Amount.Minor, Captured: p.Captured, Currency: string(p.Amount.Currency), CreatedAt: p.CreatedAt,
		ExpiresAt: p.ExpiresAt, Reason: p.Reason, Checkout: checkoutView(p.Checkout),
	}
}

func checkoutView(c *providers.Checkout) *openapi.Checkout {
	if c == nil {
		return nil
	}
	view := &openapi.Checkout{Kind: openapi.CheckoutKind(c.Kind), URL: c.URL}
	if c.QR != nil {
		view.Qr = openapi.CheckoutQR{Payload: c.QR.Payload, Png: c.QR.PNG}
	}
	if c.Transfer != nil {
		view.Transfer = openapi.CheckoutTransfer{
			Bank: c.Transfer.Bank, Account: c.Transfer.Account, Name: c.Transfer.Name, Content: c.Transfer.Content,
		}
	}
	return view
}

func captureView(c payments.Capture) openapi.Capture {
	view := openapi.Capture{
		ID: c.ID.String(), Amount: c.Amount.Minor, Currency: string(c.Amount.Currency), Excess: c.Excess, Reserved: c.Reserved,
		TransactionID: c.TransactionID, BankReference: c.BankReference, Evidence: openapi.CaptureEvidence(c.Evidence),
		OccurredAt: c.OccurredAt, BusinessDate: dateView(c.BusinessDate), Allocations: views(c.Allocations, allocationView),
	}
	if c.SettledAt != nil {
		view.SettledAt = *c.SettledAt
	}
	return view
}

func allocationView(a payments.Allocation) openapi.Allocation {
	return openapi.Allocation{Charge: a.Charge.String(), Amount: a.Amount, Reserved: a.Reserved}
}

// paymentsOf lists a dossier's payments, newest first, for the dossier's view.
func (s *server) paymentsOf(ctx context.Context, dossierCode string) ([]openapi.PaymentSummary, error) {
	list, _, err := s.rooms.Payments.List(ctx, web.Actor(ctx), payments.Filter{DossierCode: dossierCode, Limit: page.Max})
	return views(list, paymentSummary), err
}

func paymentSummary(p payments.Listed) openapi.PaymentSummary {
	return openapi.PaymentSummary{
		ID: p.ID.String(), Reference: p.Reference, Provider: p.Provider, Status: openapi.PaymentStatus(p.Status), Amount: p.Amount.Minor,
		Captured: p.Captured, Currency: string(p.Amount.Currency), CreatedAt: p.CreatedAt, ExpiresAt: p.ExpiresAt,
	}
}
