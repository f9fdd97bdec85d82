package payments

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/providers"
)

// Times of inquiries. A payer needs a few minutes before the first inquiry. After the time to pay
// the provider knows the outcome. While the outcome stays open, inquiries become rarer, down to one
// per longestBackoff, and never stop.
const (
	firstInquiry   = 5 * time.Minute
	afterExpiry    = time.Minute
	inquiryBackoff = 2 * time.Minute
	longestBackoff = time.Hour
)

// sweepSize bounds how many due payments one sweep queues.
const sweepSize = 1000

// nextInquiry is the time of the next inquiry about a payment, or nil when no inquiry is needed.
func nextInquiry(p Payment, now time.Time) *time.Time {
	var at time.Time
	switch end := p.ExpiresAt.Add(afterExpiry); {
	case p.Status == Cancelled && now.Before(end): // the payer may still pay at the provider
		at = end
	case !p.Status.live():
		return nil
	case p.Inquiries == 0 && now.Before(p.CreatedAt.Add(firstInquiry)) && p.CreatedAt.Add(firstInquiry).Before(end):
		at = p.CreatedAt.Add(firstInquiry)
	case now.Before(end):
		at = end
	default:
		at = askLater(p, now)
	}
	return &at
}

// askLater is the time of the next inquiry about an open payment; the time between two inquiries
// doubles.
func askLater(p Payment, now time.Time) time.Time {
	return now.Add(min(inquiryBackoff<<min(p.Inquiries, 10), longestBackoff))
}

// QueueDue queues an inquiry for every due payment of all authorities. It skips a payment whose
// inquiry is queued already.
func (s *Service) QueueDue(ctx context.Context) (int, error) {
	queued := 0
	err := postgres.InTx(ctx, s.DB, auth.System(""), func(act postgres.Act) error {
		rows, err := act.Query(ctx, `select authority, payment_id from payments.due_for_inquiry($1, $2)`, act.Now, sweepSize)
		if err != nil {
			return err
		}
		due, err := pgx.CollectRows(rows, pgx.RowToStructByPos[InquirePayment])
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
		results, err := s.Jobs.InsertManyTx(ctx, act, list)
		for _, r := range results {
			if !r.UniqueSkippedAsDuplicate {
				queued++
			}
		}
		return err
	})
	return queued, err
}

// Inquire asks the provider about a payment and records the answer. It reads the payment, asks with
// no transaction open, and then records. An expired or cancelled payment may turn out to be paid. A
// captured payment is returned unchanged. When the provider has no inquiries, the payment expires
// at the end of its time.
func (s *Service) Inquire(ctx context.Context, actor auth.Actor, id ID) (p Payment, err error) {
	if err := auth.Require(actor, auth.PermPaymentInquire); err != nil {
		return Payment{}, err
	}
	var m providers.Merchant
	err = postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) error {
		if p, err = selectOne(ctx, tx, ` where id = $1`, id); err != nil || p.Status.taken() {
			return err
		}
		_, m, err = s.Merchants.Open(ctx, tx, p.MerchantID)
		return err
	})
	if err != nil || p.Status.taken() {
		return p, err
	}
	event := providers.Event{Reference: p.Reference, Outcome: providers.Pending}
	if inquirer, err := providers.Find[providers.Inquirer](s.Providers, p.Provider); err == nil {
		event, err = inquirer.Inquire(ctx, m, providers.InquiryRequest{
			Reference: p.Reference, CreatedAt: p.CreatedAt, RequestID: NewRequestID(), Now: s.DB.Now(),
		})
		if err != nil {
			return p, err
		}
	}
	return s.recordAnswer(ctx, actor, p.ID, event)
}

func (s *Service) recordAnswer(ctx context.Context, actor auth.Actor, id ID, e providers.Event) (p Payment, err error) {
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		if p, err = selectOne(ctx, act, ` where id = $1`, id); err != nil {
			return err
		}
		e.Reference = p.Reference
		locked, err := lockNow(ctx, act, p, e)
		if p = locked.payment; err != nil || p.Status.taken() {
			return err
		}
		locked.payment.Inquiries++
		var w ledger.Writes
		kind, err := s.Apply(ctx, act, &w, &locked, e, ByInquiry)
		if err != nil {
			return err
		}
		if err := s.afterInquiry(&w.Batch, act, &locked.payment, kind, e); err != nil {
			return err
		}
		p = locked.payment
		_, err = w.Send(ctx, act)
		return err
	})
	return p, err
}

// afterInquiry handles an answer that did not move the payment: it moves the payment itself or sets
// the next inquiry.
func (s *Service) afterInquiry(b *pgx.Batch, act postgres.Act, p *Payment, kind providers.ReplyKind, e providers.Event) error {
	act = act.As(auth.System(p.Authority))
	if kind == providers.ReplyWrongAmount && p.Status == Pending { // the provider took a wrong amount: a person must look
		return s.move(b, act, p, Unknown, "wrong_amount")
	}
	if expires(*p, e.Outcome, act.Now) {
		return s.move(b, act, p, Expired, e.Reason)
	}
	if p.Status == Unknown && e.Outcome == providers.Pending {
		return s.move(b, act, p, Pending, e.Reason)
	}
	p.NextInquiry = nextInquiry(*p, act.Now)
	if p.Status == Cancelled && e.Outcome == providers.Unknown { // the payer may have paid before the cancellation
		at := askLater(*p, act.Now)
		p.NextInquiry = &at
	}
	updatePayment(b, *p)
	return nil
}

// NewRequestID makes the id of one inquiry: unique per call, 32 letters and digits.
func NewRequestID() string {
	id := ident.New[attemptKind]()
	return id.String()[len("att_"):]
}

// RecordFromStatement records a transfer that a bank's statement shows and no notice reported. The
// line names the payment by our reference. e carries the bank's reference, so that a later notice
// about the transfer makes no second capture. Recording a line again changes nothing. A line that
// cannot be recorded is ErrStatement.
func (s *Service) RecordFromStatement(ctx context.Context, actor auth.Actor, id ID, e providers.Event) error {
	if err := auth.Require(actor, auth.PermReconcile); err != nil {
		return err
	}
	return postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		p, err := selectOne(ctx, act, ` where id = $1`, id)
		if err != nil {
			return err
		}
		e.Reference = p.Reference
		locked, err := lockNow(ctx, act, p, e)
		if err != nil {
			return err
		}
		var w ledger.Writes
		kind, err := s.Apply(ctx, act, &w, &locked, e, ByStatement)
		if err == nil && kind != providers.ReplyStored && kind != providers.ReplyAlreadyStored {
			return ErrStatement.With("the line cannot be recorded: %s", kind)
		}
		if err == nil {
			_, err = w.Send(ctx, act)
		}
		return err
	})
}
