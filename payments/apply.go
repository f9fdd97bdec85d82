package payments

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/providers"
)

// apply records what a provider says of a payment and returns how to answer.
// It locks dossier and payment. An event seen before changes nothing.
func (s *Service) apply(ctx context.Context, tx pgx.Tx, account MerchantAccount, m providers.Merchant, e providers.Event, by Evidence) (providers.ReplyKind, ID, error) {
	p, err := findForEvent(ctx, tx, account, m, e)
	if ErrNotFound.Is(err) {
		if e.Reference == "" { // a bank notice that names no payment: the statement will show the money
			return providers.ReplyStored, ID{}, nil
		}
		return providers.ReplyUnknownOrder, ID{}, nil
	}
	if err != nil {
		return "", ID{}, err
	}
	d, err := dossiers.LockByID(ctx, tx, p.DossierID)
	if err != nil {
		return "", ID{}, err
	}
	if p, err = lock(ctx, tx, p.ID); err != nil {
		return "", ID{}, err
	}
	if by == ByCallback {
		if seen, err := eventStored(ctx, tx, account.ID, e.ID); err != nil || seen {
			return providers.ReplyAlreadyStored, p.ID, err
		}
	}
	kind, err := s.applyTo(ctx, tx, m, d, &p, e, by)
	return kind, p.ID, err
}

// findForEvent looks for the payment an event speaks of, without a lock. A
// transfer into another account than the merchant's is nobody's payment.
func findForEvent(ctx context.Context, tx pgx.Tx, account MerchantAccount, m providers.Merchant, e providers.Event) (Payment, error) {
	if e.Reference == "" || (e.Account != "" && m.Settings["account"] != "" && e.Account != m.Settings["account"]) {
		return Payment{}, ErrNotFound
	}
	return selectOne(ctx, tx, ` where reference = $1 and merchant_account_id = $2`, e.Reference, account.ID)
}

func (s *Service) applyTo(ctx context.Context, tx pgx.Tx, m providers.Merchant, d dossiers.Dossier, p *Payment, e providers.Event, by Evidence) (providers.ReplyKind, error) {
	// The guides check the amount before the state. An inquiry about a payment
	// that took no money names no amount.
	if e.Amount != p.Amount && !payerSetsAmount(*p) && (by == ByCallback || e.Outcome == providers.Succeeded) {
		return providers.ReplyWrongAmount, nil
	}
	switch e.Outcome {
	case providers.Succeeded:
		taken, err := captureExists(ctx, tx, *p, e)
		if err != nil || taken {
			return providers.ReplyAlreadyStored, err
		}
		if !e.Amount.IsPositive() || e.Amount.Currency != p.Amount.Currency {
			return providers.ReplyWrongAmount, nil
		}
		return providers.ReplyStored, s.capture(ctx, tx, auth.System(p.Authority), d, p, s.captureOf(*p, e, by), e.Reason)
	case providers.Declined:
		if !p.Status.live() {
			return providers.ReplyAlreadyStored, nil
		}
		return providers.ReplyStored, s.move(ctx, tx, auth.System(p.Authority), p, Failed, e.Reason)
	case providers.Unknown:
		if p.Status == Pending {
			return providers.ReplyStored, s.move(ctx, tx, auth.System(p.Authority), p, Unknown, e.Reason)
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
func (s *Service) captureOf(p Payment, e providers.Event, by Evidence) Capture {
	now := s.Now()
	occurred := e.OccurredAt
	if occurred.IsZero() {
		occurred = now
	}
	return Capture{
		ID: ident.New[captureKind](), PaymentID: p.ID, DossierID: p.DossierID, MerchantID: p.MerchantID, Provider: p.Provider,
		TransactionID: e.TransactionID, BankReference: e.BankReference, Amount: e.Amount, OccurredAt: occurred,
		BusinessDate: calendar.On(occurred), Evidence: by, RecordedAt: now,
	}
}

// capture records money taken: allocates it to what is outstanding, the rest
// is excess; posts; issues receipts; proposes giving the excess back.
func (s *Service) capture(ctx context.Context, tx pgx.Tx, actor auth.Actor, d dossiers.Dossier, p *Payment, c Capture, reason string) error {
	now := c.RecordedAt
	paid := allocate(&c, d.Charges)
	if err := insertCapture(ctx, tx, p.Authority, c); err != nil {
		return err
	}
	if err := dossiers.RecordPaid(ctx, tx, d, paid, c.ID.UUID(), now); err != nil {
		return err
	}
	p.Captured += c.Amount.Minor
	if p.Status == Captured { // a further capture is no edge, but the sum changes
		if err := updatePayment(ctx, tx, *p); err != nil {
			return err
		}
	} else if err := s.move(ctx, tx, actor, p, Captured, reason); err != nil {
		return err
	}
	date, err := ledger.OpenDate(ctx, tx, p.Authority, c.BusinessDate)
	if err != nil {
		return err
	}
	if _, err := ledger.Post(ctx, tx, captured(p.Authority, c, paid, date, now, actor.ID)); err != nil {
		return err
	}
	if err := s.afterCapture(ctx, tx, d, *p, c); err != nil {
		return err
	}
	return audit.Record(ctx, tx, audit.Event{
		Actor: actor, At: now, Act: "capture.record", ObjectKind: "capture", ObjectID: c.ID.String(),
		After: map[string]any{"payment": p.ID, "amount": c.Amount.Minor, "excess": c.Excess, "evidence": c.Evidence, "transaction": c.TransactionID},
	})
}

// afterCapture queues what follows: money nobody owed goes back, and so does
// money for a service that has ended meanwhile. A second live payment of a
// dossier that owes nothing any more is cancelled.
func (s *Service) afterCapture(ctx context.Context, tx pgx.Tx, d dossiers.Dossier, p Payment, c Capture) error {
	once := &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true}}
	if c.Excess > 0 {
		if _, err := s.Jobs.InsertTx(ctx, tx, ProposeExcessRefund{Authority: p.Authority, Capture: c.ID}, once); err != nil {
			return err
		}
	}
	if d.Undeliverable != "" && len(c.Allocations) > 0 {
		args := dossiers.ProposeRefunds{Authority: p.Authority, Dossier: d.ID, Reason: d.Undeliverable}
		if _, err := s.Jobs.InsertTx(ctx, tx, args, nil); err != nil {
			return err
		}
	}
	if d.Totals().Outstanding > c.Amount.Minor-c.Excess {
		return nil
	}
	live, err := findLive(ctx, tx, d.ID)
	if ErrNotFound.Is(err) || (err == nil && live.Status != Pending) {
		return nil
	}
	if err != nil {
		return err
	}
	if live, err = lock(ctx, tx, live.ID); err != nil {
		return err
	}
	return s.move(ctx, tx, auth.System(p.Authority), &live, Cancelled, "paid_otherwise")
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
