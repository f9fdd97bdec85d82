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

// apply records what a notice says of its payment and returns how to answer.
// It locks dossier and payment. An event seen before changes nothing.
func (s *Service) apply(ctx context.Context, tx pgx.Tx, w *ledger.Writes, n notice) (providers.ReplyKind, error) {
	var (
		d      dossiers.Dossier
		p      Payment
		stored bool
		first  = &pgx.Batch{}
	)
	dossiers.QueueLock(first, n.payment.DossierID, &d)
	queueLock(first, n.payment.ID, &p)
	readStored(first, n.account.ID, n.event.ID, &stored)
	if err := tx.SendBatch(ctx, first).Close(); err != nil {
		return "", err
	}
	if stored {
		return providers.ReplyAlreadyStored, nil
	}
	return s.applyTo(ctx, tx, w, n.merchant, d, &p, n.event, ByCallback)
}

// findForEvent looks for the payment an event speaks of, without a lock. A
// transfer into another account than the merchant's is nobody's payment.
func findForEvent(ctx context.Context, tx pgx.Tx, account MerchantAccount, m providers.Merchant, e providers.Event) (Payment, error) {
	if e.Reference == "" || (e.Account != "" && m.Settings["account"] != "" && e.Account != m.Settings["account"]) {
		return Payment{}, ErrNotFound
	}
	return selectOne(ctx, tx, ` where reference = $1 and merchant_account_id = $2`, e.Reference, account.ID)
}

// applyTo moves a locked payment along, in w.
func (s *Service) applyTo(ctx context.Context, tx pgx.Tx, w *ledger.Writes, m providers.Merchant, d dossiers.Dossier, p *Payment, e providers.Event, by Evidence) (providers.ReplyKind, error) {
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
		return providers.ReplyStored, s.capture(ctx, tx, w, d, p, e, by)
	case providers.Declined:
		if !p.Status.live() {
			return providers.ReplyAlreadyStored, nil
		}
		return providers.ReplyStored, s.move(&w.Batch, auth.System(p.Authority), p, Failed, e.Reason)
	case providers.Unknown:
		if p.Status == Pending {
			return providers.ReplyStored, s.move(&w.Batch, auth.System(p.Authority), p, Unknown, e.Reason)
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

// capture records money taken: allocates it to what is outstanding, the rest
// is excess; posts; issues receipts; proposes giving the excess back.
func (s *Service) capture(ctx context.Context, tx pgx.Tx, w *ledger.Writes, d dossiers.Dossier, p *Payment, e providers.Event, by Evidence) error {
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
	insertCapture(&w.Batch, p.Authority, c)
	dossiers.RecordPaid(&w.Batch, d, paid, c.ID.UUID(), now)
	late := !p.Status.live()
	p.Captured += e.Amount.Minor
	if p.Status == Captured { // a further capture is no edge, but the sum changes
		updatePayment(&w.Batch, *p)
	} else if err := s.move(&w.Batch, auth.System(p.Authority), p, Captured, e.Reason); err != nil {
		return err
	}
	date, err := ledger.OpenDate(ctx, tx, p.Authority, c.BusinessDate)
	if err != nil {
		return err
	}
	w.Post(captured(p.Authority, c, paid, date, now, auth.System(p.Authority).ID))
	if err := s.afterCapture(ctx, tx, d, *p, c); err != nil {
		return err
	}
	if late && d.Totals().Outstanding <= c.Amount.Minor-c.Excess {
		if err := s.cancelOther(ctx, tx, w, d); err != nil {
			return err
		}
	}
	return audit.Queue(&w.Batch, audit.Event{
		Actor: auth.System(p.Authority), At: now, Act: "capture.record", ObjectKind: "capture", ObjectID: c.ID.String(),
		After: map[string]any{"payment": p.ID, "amount": c.Amount.Minor, "excess": c.Excess, "evidence": by, "transaction": c.TransactionID},
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
func (s *Service) cancelOther(ctx context.Context, tx pgx.Tx, w *ledger.Writes, d dossiers.Dossier) error {
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
	return s.move(&w.Batch, auth.System(d.Authority), &live, Cancelled, "paid_otherwise")
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
