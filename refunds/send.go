package refunds

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/providers"
)

// Times of inquiries about refunds: soon, then more and more rarely, never stopping.
const (
	firstInquiry   = 10 * time.Second
	longestBackoff = time.Hour
	sweepSize      = 1000
)

// interruptedAfter is how long a refund may stay in sending before a sweep
// takes it for interrupted. It is longer than any call to a provider.
const interruptedAfter = 2 * time.Minute

func nextInquiry(r Refund, now time.Time) *time.Time {
	var at time.Time
	switch r.Status {
	case Sending:
		at = now.Add(interruptedAfter)
	case Sent, Unknown:
		at = now.Add(min(firstInquiry<<min(r.Inquiries, 12), longestBackoff))
	default:
		return nil
	}
	return &at
}

// Send gives an approved refund to its provider, in three steps: a transaction
// that moves it to sending; the call, with no transaction open; a transaction
// that records the answer. A refund found in sending was interrupted between
// the steps: it may be at the provider, so it is not sent again but becomes
// unknown. ErrCannotSend when nothing left us: the same refund, with the same
// reference, is sent by the next try.
func (s *Service) Send(ctx context.Context, authority string, id ID) error {
	actor := auth.System(authority)
	refunder, m, r, p, c, err := s.begin(ctx, actor, id)
	if err != nil || r.Status != Sending {
		return err
	}
	answer, err := refunder.Refund(ctx, m, providers.RefundRequest{
		Reference: r.Reference, Payment: p.Reference, TransactionID: c.TransactionID, PaidCreatedAt: p.CreatedAt,
		Amount: r.Amount, Captured: c.Amount, Description: "Hoan tra ho so " + r.DossierCode, RequestedBy: "doisoat", Now: s.Now(),
	})
	if err != nil { // the request could not be built: nothing left us
		answer = providers.RefundResult{Outcome: providers.NotSent, Reason: "not_built"}
	}
	// The answer must be kept even when the caller is going away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if recordErr := s.record(ctx, actor, id, answer.Outcome, answer.TransactionID, answer.Reason); recordErr != nil {
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

// recordTimeout bounds the transaction that keeps a provider's answer.
const recordTimeout = 15 * time.Second

// begin is step one. It returns the refund in sending only when this call put it there.
func (s *Service) begin(ctx context.Context, actor auth.Actor, id ID) (refunder providers.Refunder, m providers.Merchant, r Refund, p payments.Payment, c payments.Capture, err error) {
	err = postgres.InTx(ctx, s.DB, actor.Authority, func(tx pgx.Tx) error {
		if _, r, err = lockBoth(ctx, tx, id); err != nil {
			return err
		}
		if r.Status == Sending { // interrupted
			return s.move(ctx, tx, actor, &r, Unknown, "interrupted")
		}
		if r.Status != Reserved {
			return nil // sent before: a repeated job has nothing to do
		}
		if refunder, err = providers.Find[providers.Refunder](s.Providers, r.Provider); err != nil {
			return err
		}
		if p, err = payments.FindInTx(ctx, tx, r.PaymentID); err != nil {
			return err
		}
		if c, err = payments.FindCapture(ctx, tx, r.CaptureID); err != nil {
			return err
		}
		if m, err = s.Payments.Merchant(ctx, tx, r.MerchantID); err != nil {
			return err
		}
		return s.move(ctx, tx, actor, &r, Sending, "")
	})
	return refunder, m, r, p, c, err
}

// record is step three: it writes an outcome of a refund that is under way.
// Outcomes that add nothing to what is known only put off the next inquiry.
func (s *Service) record(ctx context.Context, actor auth.Actor, id ID, outcome providers.Outcome, transaction, reason string) error {
	return postgres.InTx(ctx, s.DB, actor.Authority, func(tx pgx.Tx) error {
		d, r, err := lockBoth(ctx, tx, id)
		if err != nil || !r.Status.underWay() {
			return err
		}
		if transaction != "" {
			r.Transaction = transaction
		}
		r.ProviderReason = reason
		return s.apply(ctx, tx, actor, d, &r, outcome, reason)
	})
}

func (s *Service) apply(ctx context.Context, tx pgx.Tx, actor auth.Actor, d dossiers.Dossier, r *Refund, outcome providers.Outcome, reason string) error {
	switch outcome {
	case providers.Succeeded:
		return s.finish(ctx, tx, actor, d, r, reason)
	case providers.Declined:
		return s.decline(ctx, tx, actor, d, r, reason)
	case providers.NotSent:
		if r.Status == Sending {
			return s.move(ctx, tx, actor, r, Reserved, reason)
		}
	case providers.Pending:
		if r.Status != Sent {
			return s.move(ctx, tx, actor, r, Sent, reason)
		}
	case providers.Unknown:
		if r.Status == Sending {
			return s.move(ctx, tx, actor, r, Unknown, reason)
		}
	}
	r.NextInquiry = nextInquiry(*r, s.Now())
	return update(ctx, tx, *r)
}

// finish posts a refund as done, ends the refunded obligation and issues adjusting receipts.
func (s *Service) finish(ctx context.Context, tx pgx.Tx, actor auth.Actor, d dossiers.Dossier, r *Refund, reason string) error {
	if err := s.move(ctx, tx, actor, r, Done, reason); err != nil {
		return err
	}
	now := s.Now()
	date, err := ledger.OpenDate(ctx, tx, r.Authority, calendar.On(now))
	if err != nil {
		return err
	}
	charges := paidOf(d, *r)
	if _, err := ledger.Post(ctx, tx, done(*r, charges, date, now, actor.ID)); err != nil {
		return err
	}
	return dossiers.RecordRefunded(ctx, tx, d, charges, r.ID.UUID(), now)
}

// decline gives the reservation back, in the book and at the capture.
func (s *Service) decline(ctx context.Context, tx pgx.Tx, actor auth.Actor, d dossiers.Dossier, r *Refund, reason string) error {
	if err := s.move(ctx, tx, actor, r, Declined, reason); err != nil {
		return err
	}
	now := s.Now()
	date, err := ledger.OpenDate(ctx, tx, r.Authority, calendar.On(now))
	if err != nil {
		return err
	}
	if entry, ok := declined(*r, paidOf(d, *r), date, now, actor.ID); ok {
		if _, err := ledger.Post(ctx, tx, entry); err != nil {
			return err
		}
	}
	return payments.ReleaseRefund(ctx, tx, r.CaptureID, portions(r.Items))
}

// Inquire asks the provider what became of a refund that is under way and
// records the answer. A refund that stayed in sending was interrupted and
// becomes unknown first.
func (s *Service) Inquire(ctx context.Context, authority string, id ID) error {
	actor := auth.System(authority)
	var (
		r     Refund
		p     payments.Payment
		c     payments.Capture
		m     providers.Merchant
		other []string
	)
	err := postgres.InTx(ctx, s.DB, authority, func(tx pgx.Tx) (err error) {
		if _, r, err = lockBoth(ctx, tx, id); err != nil || !r.Status.underWay() {
			return err
		}
		if r.Status == Sending && s.Now().Sub(r.StatusAt) < interruptedAfter {
			r.Status = Reserved // another worker is sending it right now: leave it alone
			return nil
		}
		r.Inquiries++
		if r.Status == Sending {
			if err := s.move(ctx, tx, actor, &r, Unknown, "interrupted"); err != nil {
				return err
			}
		}
		r.NextInquiry = nextInquiry(r, s.Now())
		if err := update(ctx, tx, r); err != nil {
			return err
		}
		if p, err = payments.FindInTx(ctx, tx, r.PaymentID); err != nil {
			return err
		}
		if c, err = payments.FindCapture(ctx, tx, r.CaptureID); err != nil {
			return err
		}
		if other, err = otherTransactions(ctx, tx, r); err != nil {
			return err
		}
		m, err = s.Payments.Merchant(ctx, tx, r.MerchantID)
		return err
	})
	if err != nil || !r.Status.underWay() {
		return err
	}
	inquirer, err := providers.Find[providers.Inquirer](s.Providers, r.Provider)
	if err != nil {
		return err
	}
	event, err := inquirer.Inquire(ctx, m, providers.InquiryRequest{
		Reference: p.Reference, TransactionID: c.TransactionID, CreatedAt: p.CreatedAt, RefundReference: r.Reference,
		RefundTransactionID: r.Transaction, RefundAmount: r.Amount, OtherRefunds: other, RequestID: payments.NewRequestID(), Now: s.Now(),
	})
	if err != nil {
		return err
	}
	return s.record(ctx, actor, id, event.Outcome, event.TransactionID, event.Reason)
}

// otherTransactions lists the provider's ids of the payment's other refunds that were sent; "" where none is known.
func otherTransactions(ctx context.Context, tx pgx.Tx, r Refund) ([]string, error) {
	rows, err := tx.Query(ctx, `
		select provider_transaction from refunds.refund
		where payment_id = $1 and id <> $2 and status in ('sending', 'sent', 'unknown', 'done', 'returned')`, r.PaymentID, r.ID)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// QueueDue queues an inquiry for every refund that is due, of all authorities.
func (s *Service) QueueDue(ctx context.Context) (int, error) {
	queued := 0
	err := postgres.InTx(ctx, s.DB, "", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `select authority, refund_id from refunds.due_for_inquiry($1, $2)`, s.Now(), sweepSize)
		if err != nil {
			return err
		}
		due, err := pgx.CollectRows(rows, pgx.RowToStructByPos[InquireRefund])
		if err != nil || len(due) == 0 {
			return err
		}
		list := make([]river.InsertManyParams, len(due))
		for i, args := range due {
			list[i] = river.InsertManyParams{Args: args, InsertOpts: &river.InsertOpts{UniqueOpts: river.UniqueOpts{
				ByArgs: true, ByState: []rivertype.JobState{
					rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
					rivertype.JobStateRetryable, rivertype.JobStateScheduled,
				},
			}}}
		}
		results, err := s.Jobs.InsertManyTx(ctx, tx, list)
		for _, done := range results {
			if !done.UniqueSkippedAsDuplicate {
				queued++
			}
		}
		return err
	})
	return queued, err
}

// ConfirmBySettlement takes a line of the provider's settlement as proof that
// a refund was carried out: one that is sent or unknown becomes done, and the
// refund counts as settled. Doing it again changes nothing.
func (s *Service) ConfirmBySettlement(ctx context.Context, tx pgx.Tx, actor auth.Actor, id ID, transaction string, at time.Time) error {
	d, r, err := lockBoth(ctx, tx, id)
	if err != nil {
		return err
	}
	if r.Status.underWay() {
		if transaction != "" {
			r.Transaction = transaction
		}
		if err := s.finish(ctx, tx, actor, d, &r, "settlement"); err != nil {
			return err
		}
	}
	if r.Status != Done {
		return ErrState.With("a %s refund cannot be settled", r.Status)
	}
	if r.SettledAt != nil {
		return nil
	}
	r.SettledAt = &at
	return update(ctx, tx, r)
}

// Unsettle undoes the settled mark for a match that was revoked; a refund that is done stays done.
func (s *Service) Unsettle(ctx context.Context, tx pgx.Tx, id ID) error {
	_, r, err := lockBoth(ctx, tx, id)
	if err != nil {
		return err
	}
	r.SettledAt = nil
	return update(ctx, tx, r)
}
