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

// apply records what a notice says of its payment and returns how to answer
// and what to post. It locks dossier and payment. An event seen before changes nothing.
func (s *Service) apply(ctx context.Context, tx pgx.Tx, n notice) (providers.ReplyKind, []ledger.Entry, error) {
	d, err := dossiers.LockByID(ctx, tx, n.payment.DossierID)
	if err != nil {
		return "", nil, err
	}
	p, err := lock(ctx, tx, n.payment.ID)
	if err != nil {
		return "", nil, err
	}
	if seen, err := eventStored(ctx, tx, n.account.ID, n.event.ID); err != nil || seen {
		return providers.ReplyAlreadyStored, nil, err
	}
	return s.applyTo(ctx, tx, n.merchant, d, &p, n.event, ByCallback)
}

// findForEvent looks for the payment an event speaks of, without a lock. A
// transfer into another account than the merchant's is nobody's payment.
func findForEvent(ctx context.Context, tx pgx.Tx, account MerchantAccount, m providers.Merchant, e providers.Event) (Payment, error) {
	if e.Reference == "" || (e.Account != "" && m.Settings["account"] != "" && e.Account != m.Settings["account"]) {
		return Payment{}, ErrNotFound
	}
	return selectOne(ctx, tx, ` where reference = $1 and merchant_account_id = $2`, e.Reference, account.ID)
}

// applyTo moves a locked payment along. Whoever calls posts what it returns.
func (s *Service) applyTo(ctx context.Context, tx pgx.Tx, m providers.Merchant, d dossiers.Dossier, p *Payment, e providers.Event, by Evidence) (providers.ReplyKind, []ledger.Entry, error) {
	// The guides check the amount before the state. An inquiry about a payment
	// that took no money names no amount.
	if e.Amount != p.Amount && !payerSetsAmount(*p) && (by == ByCallback || e.Outcome == providers.Succeeded) {
		return providers.ReplyWrongAmount, nil, nil
	}
	switch e.Outcome {
	case providers.Succeeded:
		taken, err := captureExists(ctx, tx, *p, e)
		if err != nil || taken {
			return providers.ReplyAlreadyStored, nil, err
		}
		if !e.Amount.IsPositive() || e.Amount.Currency != p.Amount.Currency {
			return providers.ReplyWrongAmount, nil, nil
		}
		entry, err := s.capture(ctx, tx, d, p, e, by)
		return providers.ReplyStored, []ledger.Entry{entry}, err
	case providers.Declined:
		if !p.Status.live() {
			return providers.ReplyAlreadyStored, nil, nil
		}
		return providers.ReplyStored, nil, s.move(ctx, tx, auth.System(p.Authority), p, Failed, e.Reason)
	case providers.Unknown:
		if p.Status == Pending {
			return providers.ReplyStored, nil, s.move(ctx, tx, auth.System(p.Authority), p, Unknown, e.Reason)
		}
		return providers.ReplyStored, nil, nil
	default:
		return providers.ReplyStored, nil, nil
	}
}

// payerSetsAmount reports whether the payer can type another amount than we
// asked for, as in a banking app. Then whatever came is recorded.
func payerSetsAmount(p Payment) bool {
	return p.Checkout != nil && p.Checkout.Kind != providers.Redirect
}

// capture records money taken: allocates it to what is outstanding, the rest
// is excess; issues receipts; proposes giving the excess back. It returns the
// entry, which must be posted in the same transaction.
func (s *Service) capture(ctx context.Context, tx pgx.Tx, d dossiers.Dossier, p *Payment, e providers.Event, by Evidence) (ledger.Entry, error) {
	now := s.Now()
	occurred := e.OccurredAt
	if occurred.IsZero() {
		occurred = now
	}
	c := Capture{
		ID: ident.New[captureKind](), PaymentID: p.ID, DossierID: d.ID, MerchantID: p.MerchantID, Provider: p.Provider,
		TransactionID: e.TransactionID, BankReference: e.BankReference, Amount: e.Amount, OccurredAt: occurred,
		BusinessDate: calendar.On(occurred), Evidence: by, RecordedAt: now,
	}
	paid := allocate(&c, d.Charges)
	if err := insertCapture(ctx, tx, p.Authority, c); err != nil {
		return ledger.Entry{}, err
	}
	if err := dossiers.RecordPaid(ctx, tx, d, paid, c.ID.UUID(), now); err != nil {
		return ledger.Entry{}, err
	}
	p.Captured += e.Amount.Minor
	if p.Status == Captured { // a further capture is no edge, but the sum changes
		if err := updatePayment(ctx, tx, *p); err != nil {
			return ledger.Entry{}, err
		}
	} else if err := s.move(ctx, tx, auth.System(p.Authority), p, Captured, e.Reason); err != nil {
		return ledger.Entry{}, err
	}
	date, err := ledger.OpenDate(ctx, tx, p.Authority, c.BusinessDate)
	if err != nil {
		return ledger.Entry{}, err
	}
	if err := s.afterCapture(ctx, tx, d, *p, c); err != nil {
		return ledger.Entry{}, err
	}
	return captured(p.Authority, c, paid, date, now, auth.System(p.Authority).ID), audit.Record(ctx, tx, audit.Event{
		Actor: auth.System(p.Authority), At: now, Act: "capture.record", ObjectKind: "capture", ObjectID: c.ID.String(),
		After: map[string]any{"payment": p.ID, "amount": c.Amount.Minor, "excess": c.Excess, "evidence": by, "transaction": c.TransactionID},
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
