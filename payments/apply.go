package payments

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/providers"
)

// subject is what an event changes: the locked dossier and payment, and what is
// known of the event beside them.
type subject struct {
	dossier dossiers.Dossier
	payment Payment
	stored  bool          // a callback with the same event is stored
	taken   bool          // its capture is recorded
	at      time.Time     // when it happened
	date    calendar.Date // that takes its entry
}

// lockSubject queues what locks dossier and payment and reads the rest. found is
// the payment as it was before the lock.
func (s *Service) lockSubject(b *pgx.Batch, found Payment, e providers.Event, now time.Time, u *subject) {
	*u = subject{at: e.OccurredAt}
	if u.at.IsZero() {
		u.at = now
	}
	dossiers.QueueLock(b, found.DossierID, &u.dossier)
	queueLock(b, found.ID, &u.payment)
	eventStored(b, found.MerchantID, e.ID, &u.stored)
	captureExists(b, found, e, &u.taken)
	ledger.QueueOpenDate(b, found.Authority, calendar.On(u.at), &u.date)
}

// lockNow is lockSubject in a round trip of its own.
func (s *Service) lockNow(ctx context.Context, act postgres.Act, found Payment, e providers.Event) (u subject, err error) {
	b := &pgx.Batch{}
	s.lockSubject(b, found, e, act.Now, &u)
	err = act.SendBatch(ctx, b).Close()
	return u, err
}

// findForEvent looks for the payment an event speaks of, without a lock. A
// transfer into another account than the merchant's is nobody's payment.
func findForEvent(ctx context.Context, tx pgx.Tx, account MerchantAccount, m providers.Merchant, e providers.Event) (Payment, error) {
	if e.Reference == "" || (e.Account != "" && m.Settings["account"] != "" && e.Account != m.Settings["account"]) {
		return Payment{}, ErrNotFound
	}
	return selectOne(ctx, tx, ` where reference = $1 and merchant_account_id = $2`, e.Reference, account.ID)
}

// apply records what a provider says of a locked payment, in w, and returns how
// to answer. An event seen before changes nothing.
func (s *Service) apply(
	ctx context.Context,
	act postgres.Act,
	w *ledger.Writes,
	u *subject,
	e providers.Event,
	by Evidence,
) (providers.ReplyKind, error) {
	p := &u.payment
	if by == ByCallback && u.stored {
		return providers.ReplyAlreadyStored, nil
	}
	// The guides check the amount before the state. An inquiry about a payment
	// that took no money names no amount.
	if e.Amount != p.Amount && !payerSetsAmount(*p) && (by == ByCallback || e.Outcome == providers.Succeeded) {
		return providers.ReplyWrongAmount, nil
	}
	switch e.Outcome {
	case providers.Succeeded:
		if u.taken {
			return providers.ReplyAlreadyStored, nil
		}
		if !e.Amount.IsPositive() || e.Amount.Currency != p.Amount.Currency {
			return providers.ReplyWrongAmount, nil
		}
		c := captureOf(*p, e, u.at, by, act.Now)
		return providers.ReplyStored, s.capture(ctx, act.As(auth.System(p.Authority)), w, u.dossier, p, c, u.date, e.Reason)
	case providers.Declined:
		if !p.Status.live() {
			return providers.ReplyAlreadyStored, nil
		}
		return providers.ReplyStored, s.move(&w.Batch, act.As(auth.System(p.Authority)), p, Failed, e.Reason)
	case providers.Unknown:
		if p.Status == Pending {
			return providers.ReplyStored, s.move(&w.Batch, act.As(auth.System(p.Authority)), p, Unknown, e.Reason)
		}
		return providers.ReplyStored, nil
	default:
		return providers.ReplyStored, nil
	}
}

// payerSetsAmount reports whether the payer can type another amount than we
// asked for, as in a banking app. Then whatever came is recorded.
func payerSetsAmount(p Payment) bool {
	return p.Checkout != nil && p.Checkout.Kind != providers.Redirect
}

// captureOf is the capture that an event tells of, not allocated yet.
func captureOf(p Payment, e providers.Event, at time.Time, by Evidence, now time.Time) Capture {
	return Capture{
		ID: ident.New[captureKind](), PaymentID: p.ID, DossierID: p.DossierID, MerchantID: p.MerchantID, Provider: p.Provider,
		TransactionID: e.TransactionID, BankReference: e.BankReference, Amount: e.Amount, OccurredAt: at,
		BusinessDate: calendar.On(at), Evidence: by, RecordedAt: now,
	}
}

// capture records money taken: allocates it to what is outstanding, the rest
// is excess; posts on date; issues receipts; proposes giving the excess back.
func (s *Service) capture(
	ctx context.Context,
	act postgres.Act,
	w *ledger.Writes,
	d dossiers.Dossier,
	p *Payment,
	c Capture,
	date calendar.Date,
	reason string,
) error {
	now := c.RecordedAt
	paid := allocate(&c, d.Charges)
	insertCapture(&w.Batch, p.Authority, c)
	dossiers.RecordPaid(&w.Batch, d, paid, c.ID.UUID(), now)
	late := !p.Status.live()
	p.Captured += c.Amount.Minor
	if p.Status == Captured { // a further capture is no edge, but the sum changes
		updatePayment(&w.Batch, *p)
	} else if err := s.move(&w.Batch, act, p, Captured, reason); err != nil {
		return err
	}
	w.Post(captured(p.Authority, c, paid, date, now, act.Actor.ID))
	if err := s.afterCapture(ctx, act, d, *p, c); err != nil {
		return err
	}
	if late && d.Totals().Outstanding <= c.Amount.Minor-c.Excess {
		if err := s.cancelOther(ctx, act, w, d); err != nil {
			return err
		}
	}
	return audit.Queue(&w.Batch, audit.Event{
		Actor:      act.Actor,
		At:         now,
		Act:        "capture.record",
		ObjectKind: "capture",
		ObjectID:   c.ID.String(),
		After: map[string]any{
			"payment":     p.ID,
			"amount":      c.Amount.Minor,
			"excess":      c.Excess,
			"evidence":    c.Evidence,
			"transaction": c.TransactionID,
		},
	})
}

// afterCapture queues what follows: money nobody owed goes back, and so does
// money for a service that has ended meanwhile.
func (s *Service) afterCapture(ctx context.Context, tx pgx.Tx, d dossiers.Dossier, p Payment, c Capture) error {
	once := &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true}}
	if c.Excess > 0 {
		if _, err := s.Jobs.InsertTx(ctx, tx, ProposeExcessRefund{Authority: p.Authority, Capture: c.ID}, once); err != nil {
			return err
		}
	}
	if d.Undeliverable == "" || len(c.Allocations) == 0 {
		return nil
	}
	_, err := s.Jobs.InsertTx(ctx, tx, dossiers.ProposeRefunds{Authority: p.Authority, Dossier: d.ID, Reason: d.Undeliverable}, nil)
	return err
}

// cancelOther ends the second payment of a dossier that owes nothing any more:
// the first was given up, and is paid all the same.
func (s *Service) cancelOther(ctx context.Context, act postgres.Act, w *ledger.Writes, d dossiers.Dossier) error {
	live, err := findLive(ctx, act, d.ID)
	if ErrNotFound.Is(err) || (err == nil && live.Status != Pending) {
		return nil
	}
	if err != nil {
		return err
	}
	if live, err = lock(ctx, act, live.ID); err != nil {
		return err
	}
	return s.move(&w.Batch, act.As(auth.System(d.Authority)), &live, Cancelled, "paid_otherwise")
}

// allocate gives the capture's money to outstanding charges in order of line; what is left is excess.
func allocate(c *Capture, charges []dossiers.Charge) []dossiers.Paid {
	left := c.Amount.Minor
	var paid []dossiers.Paid
	for _, charge := range charges {
		part := min(left, charge.Outstanding())
		if part <= 0 || charge.Currency != c.Amount.Currency {
			continue
		}
		paid = append(paid, dossiers.Paid{Charge: charge, Amount: part})
		c.Allocations = append(c.Allocations, Allocation{Charge: charge.ID, Amount: part})
		left -= part
	}
	c.Excess = left
	return paid
}
