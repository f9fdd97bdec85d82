package routes

import (
	"context"
	"time"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/refunds"
)

// interrupted reports whether a refund in sending has no worker any longer.
func interrupted(r *refunds.Locked, now time.Time) bool {
	return now.Sub(r.StatusAt) >= providers.InterruptedAfter
}

// Send gives an approved refund to its provider, in three steps: a transaction
// that moves the refund to sending; the call, with no transaction open; a
// transaction that records the answer. While another worker sends the refund,
// Send leaves it alone. A refund that stayed in sending was interrupted between
// the steps and may be at the provider: Send makes it unknown and does not send
// it again. It returns ErrCannotSend when nothing reached the provider; the next
// try sends the same refund with the same reference.
func (s *Service) Send(ctx context.Context, authority string, id refunds.ID) error {
	actor := auth.System(authority)
	// After this deadline another worker may treat the refund as interrupted, so this one must not send it.
	calling, stop := context.WithTimeout(ctx, providers.SendTimeout)
	defer stop()
	call, err := s.begin(calling, actor, id)
	if err != nil || call == nil {
		return err
	}
	answer, err := call.provider.Refund(calling, call.merchant, call.request)
	if err != nil { // the request could not be built: nothing left us
		answer = providers.RefundResult{Outcome: providers.NotSent, Reason: "not_built"}
	}
	// The answer must be kept even when the caller is going away.
	recording, cancel := context.WithTimeout(context.WithoutCancel(ctx), providers.RecordTimeout)
	defer cancel()
	recordErr := s.record(recording, actor, id, func(postgres.Act, *refunds.Locked) (providers.RefundResult, error) { return answer, nil })
	if recordErr != nil {
		return recordErr
	}
	if err != nil {
		return err
	}
	if answer.Outcome == providers.NotSent {
		return ErrCannotSend
	}
	return nil
}

// order is a refund prepared for its provider, before the call.
type order struct {
	provider providers.Refunder
	merchant providers.Merchant
	request  providers.RefundRequest
}

// begin is step one. It returns an order only when it moved the refund to
// sending itself, and nil when there is nothing to send.
func (s *Service) begin(ctx context.Context, actor auth.Actor, id refunds.ID) (call *order, err error) {
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		call = nil
		r, err := refunds.Lock(ctx, act, id)
		if err != nil {
			return err
		}
		if r.Status == refunds.Sending && interrupted(r, act.Now) {
			return move(ctx, act, r, refunds.Unknown, "interrupted")
		}
		if r.Status != refunds.Reserved || r.Route != refunds.ByProvider {
			return nil // sent before, or being sent: a repeated job has nothing to do
		}
		prepared, err := s.prepare(ctx, act, r)
		if err != nil {
			return err
		}
		if err := move(ctx, act, r, refunds.Sending, ""); err != nil {
			return err
		}
		call = &prepared
		return nil
	})
	return call, err
}

// prepare makes the order of a refund.
func (s *Service) prepare(ctx context.Context, act postgres.Act, r *refunds.Locked) (order, error) {
	refunder, err := providers.Find[providers.Refunder](s.Providers, r.Provider)
	if err != nil {
		return order{}, err
	}
	p, err := payments.FindInTx(ctx, act, r.PaymentID)
	if err != nil {
		return order{}, err
	}
	c, err := payments.FindCapture(ctx, act, r.CaptureID)
	if err != nil {
		return order{}, err
	}
	_, m, err := s.Merchants.Open(ctx, act, r.MerchantID)
	return order{refunder, m, providers.RefundRequest{
		Reference: r.Reference, Payment: p.Reference, TransactionID: c.TransactionID, PaidCreatedAt: p.CreatedAt,
		Amount: r.Amount, Captured: c.Amount, Description: "Hoan tra ho so " + r.DossierCode, RequestedBy: r.DecidedBy, Now: act.Now,
	}}, err
}

// record is step three: it writes an outcome of a refund that is under way. An
// outcome that adds nothing new only puts off the next inquiry. answered returns
// the provider's answer, judged under the lock.
func (s *Service) record(ctx context.Context, actor auth.Actor, id refunds.ID,
	answered func(postgres.Act, *refunds.Locked) (providers.RefundResult, error),
) error {
	return postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		r, err := refunds.Lock(ctx, act, id)
		if err != nil || !r.Status.UnderWay() {
			return err
		}
		answer, err := answered(act, r)
		if err != nil {
			return err
		}
		if answer.TransactionID != "" {
			r.Transaction = answer.TransactionID
		}
		r.ProviderReason = answer.Reason
		return apply(ctx, act, r, answer.Outcome, answer.Reason)
	})
}

func apply(ctx context.Context, act postgres.Act, r *refunds.Locked, outcome providers.Outcome, reason string) error {
	switch outcome {
	case providers.Succeeded:
		return finish(ctx, act, r, reason)
	case providers.Declined:
		return r.Decline(ctx, act, reason)
	case providers.NotSent:
		if r.Status == refunds.Sending {
			return move(ctx, act, r, refunds.Reserved, reason)
		}
	case providers.Pending:
		if r.Status != refunds.Sent {
			return move(ctx, act, r, refunds.Sent, reason)
		}
	case providers.Unknown:
		if r.Status == refunds.Sending {
			return move(ctx, act, r, refunds.Unknown, reason)
		}
	}
	r.NextInquiry = nextInquiry(r.Status, r.Inquiries, act.Now)
	return r.Save(ctx, act)
}

// finish ends a refund that its provider carried out.
func finish(ctx context.Context, act postgres.Act, r *refunds.Locked, reason string) error {
	date, err := ledger.OpenDate(ctx, act, r.Authority, calendar.On(act.Now))
	if err != nil {
		return err
	}
	return r.Finish(ctx, act, r.FundedBy(nil, ""), date, reason)
}
