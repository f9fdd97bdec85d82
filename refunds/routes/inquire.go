package routes

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/refunds"
)

// Times of inquiries about refunds: soon, then more and more rarely, never stopping.
const (
	firstInquiry   = 10 * time.Second
	longestBackoff = time.Hour
)

// nextInquiry is when a provider is asked about a refund that now takes a
// status, after so many inquiries; nil when the provider cannot have the refund.
func nextInquiry(status refunds.Status, inquiries int, now time.Time) *time.Time {
	var at time.Time
	switch status {
	case refunds.Sending:
		at = now.Add(providers.InterruptedAfter)
	case refunds.Sent, refunds.Unknown:
		at = now.Add(min(firstInquiry<<min(inquiries, 12), longestBackoff))
	default:
		return nil
	}
	return &at
}

// Inquire asks the provider about a refund that is under way and records the
// answer. A refund that stayed in sending was interrupted and
// becomes unknown first. A refund that is being sent right now is left alone.
func (s *Service) Inquire(ctx context.Context, authority string, id refunds.ID) error {
	actor := auth.System(authority)
	var (
		ask      *providers.InquiryRequest
		provider string
		m        providers.Merchant
	)
	err := postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		ask = nil
		r, err := refunds.Lock(ctx, act, id)
		if err != nil || !r.Status.UnderWay() {
			return err
		}
		if r.Status == refunds.Sending && !interrupted(r, act.Now) {
			return nil
		}
		provider = r.Provider
		r.Inquiries++
		if r.Status == refunds.Sending {
			if err := move(ctx, act, r, refunds.Unknown, "interrupted"); err != nil {
				return err
			}
		}
		r.NextInquiry = nextInquiry(r.Status, r.Inquiries, act.Now)
		if err := r.Save(ctx, act); err != nil {
			return err
		}
		if _, m, err = s.Merchants.Open(ctx, act, r.MerchantID); err != nil {
			return err
		}
		ask, err = inquiryAbout(ctx, act, r)
		return err
	})
	if err != nil || ask == nil {
		return err
	}
	inquirer, err := providers.Find[providers.Inquirer](s.Providers, provider)
	if err != nil {
		return err
	}
	event, err := inquirer.Inquire(ctx, m, *ask)
	if err != nil {
		return err
	}
	return s.record(ctx, actor, id, func(act postgres.Act, r *refunds.Locked) (providers.RefundResult, error) {
		// Another refund of the payment, sent during the inquiry, may be the one that the answer is about.
		others, err := otherTransactions(ctx, act, r)
		if err != nil {
			return providers.RefundResult{}, err
		}
		if !slices.Equal(others, ask.OtherRefunds) {
			return providers.RefundResult{Outcome: providers.Unknown, Reason: "other_refund_meanwhile"}, nil
		}
		return providers.RefundResult{Outcome: event.Outcome, TransactionID: event.TransactionID, Reason: event.Reason}, nil
	})
}

func inquiryAbout(ctx context.Context, act postgres.Act, r *refunds.Locked) (*providers.InquiryRequest, error) {
	p, err := payments.FindInTx(ctx, act, r.PaymentID)
	if err != nil {
		return nil, err
	}
	c, err := payments.FindCapture(ctx, act, r.CaptureID)
	if err != nil {
		return nil, err
	}
	others, err := otherTransactions(ctx, act, r)
	return &providers.InquiryRequest{
		Reference: p.Reference, TransactionID: c.TransactionID, CreatedAt: p.CreatedAt, RefundReference: r.Reference,
		RefundTransactionID: r.Transaction, RefundAmount: r.Amount, OtherRefunds: others, RequestID: payments.NewRequestID(), Now: act.Now,
	}, err
}

// otherTransactions lists the provider's ids of the payment's other refunds
// that the provider has, or may have; "" where no id is known. A refund that
// the provider refused at once is left out. A refund that the provider accepted
// and refused later is kept, since an inquiry may answer with its end.
func otherTransactions(ctx context.Context, tx pgx.Tx, r *refunds.Locked) ([]string, error) {
	rows, err := tx.Query(ctx, `
		select provider_transaction from refunds.refund
		where payment_id = $1 and id <> $2 and (status in ('sending', 'sent', 'unknown', 'done', 'returned')
			or status = 'declined' and (inquiries > 0 or provider_transaction <> ''))
		order by id`, r.PaymentID, r.ID)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
