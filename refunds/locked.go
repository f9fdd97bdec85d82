package refunds

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/payments/captures"
)

// Locked is a refund that its transaction holds, with its dossier. Only a locked
// refund changes: each method takes one edge of the status table, with the entry
// of the book and the audit event that belong to the edge.
type Locked struct {
	Refund
	Dossier dossiers.Dossier
}

// Lock takes the locks of a refund in their order, dossier and then refund. It returns ErrNotFound when there is none.
func Lock(ctx context.Context, tx pgx.Tx, id ID) (*Locked, error) {
	r, err := selectOne(ctx, tx, ` where r.id = $1`, id)
	if err != nil {
		return nil, err
	}
	d, err := dossiers.LockByID(ctx, tx, r.DossierID)
	if err != nil {
		return nil, err
	}
	r, err = lock(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	return &Locked{Refund: r, Dossier: d}, nil
}

// Move takes one edge, writes the refund and audits the edge by its name. It
// ends inquiries unless the provider may have the refund. Edges that move money
// have a method of their own.
func (r *Locked) Move(ctx context.Context, act postgres.Act, to Status, reason string) error {
	name, err := edgeName(r.Status, to)
	if err != nil {
		return err
	}
	before := r.Status
	now := act.Now
	r.Status, r.StatusAt = to, now
	switch to {
	case Approved, Rejected:
		r.DecidedAt, r.DecidedBy, r.DecisionReason = &now, act.Actor.ID, reason
	case Sending:
		r.SentAt = &now
	case Done:
		r.DoneAt = &now
	default: // the others have no time of their own
	}
	if !to.UnderWay() {
		r.NextInquiry = nil
	}
	if err := r.Save(ctx, act); err != nil {
		return err
	}
	return audit.Record(ctx, act, audit.Event{
		Actor: act.Actor, At: now, Act: "refund." + name, ObjectKind: "refund", ObjectID: r.ID.String(), Reason: reason,
		Before: map[string]any{"status": before}, After: map[string]any{"status": to, "amount": r.Amount.Minor},
	})
}

// Save writes the members of the refund that may change.
func (r *Locked) Save(ctx context.Context, act postgres.Act) error { return update(ctx, act, r.Refund) }

// Finish makes a refund done: it posts the refund out of the accounts that paid
// it, ends the refunded obligation and issues adjusting receipts.
func (r *Locked) Finish(ctx context.Context, act postgres.Act, from []Funding, date calendar.Date, reason string) error {
	if err := r.Move(ctx, act, Done, reason); err != nil {
		return err
	}
	charges := r.paid()
	if _, err := ledger.Post(ctx, act, done(r.Refund, charges, from, date, act.Now, act.Actor.ID)); err != nil {
		return err
	}
	return dossiers.RecordRefunded(ctx, act, r.Dossier, charges, r.ID.UUID())
}

// Decline records that the provider refused for good. The book and the capture get the reservation back.
func (r *Locked) Decline(ctx context.Context, act postgres.Act, reason string) error {
	if err := r.Move(ctx, act, Declined, reason); err != nil {
		return err
	}
	date, err := ledger.OpenDate(ctx, act, r.Authority, calendar.On(act.Now))
	if err != nil {
		return err
	}
	if entry, ok := declined(r.Refund, r.paid(), date, act.Now, act.Actor.ID); ok {
		if _, err := ledger.Post(ctx, act, entry); err != nil {
			return err
		}
	}
	return captures.Release(ctx, act, r.CaptureID, portions(r.Items))
}

// BankDocument is the paper by which a refund came back to a bank account, or by which that account paid it again.
type BankDocument struct {
	Seq     int16 // place among the refund's documents
	Number  string
	Account string // code of the bank account
}

// Return records that the money of a done refund came back: it lies in a bank account and is owed again.
func (r *Locked) Return(ctx context.Context, act postgres.Act, doc BankDocument, date calendar.Date) error {
	r.Route = PaymentOrder
	if err := r.Move(ctx, act, Returned, doc.Number); err != nil {
		return err
	}
	_, err := ledger.Post(ctx, act, returned(r.Refund, doc, date, act.Now, act.Actor.ID))
	return err
}

// PayAgain records that a bank account paid a returned refund again.
func (r *Locked) PayAgain(ctx context.Context, act postgres.Act, doc BankDocument, date calendar.Date) error {
	if err := r.Move(ctx, act, Done, doc.Number); err != nil {
		return err
	}
	_, err := ledger.Post(ctx, act, paidAgain(r.Refund, doc, date, act.Now, act.Actor.ID))
	return err
}

// paid pairs the refund's items with the charges they belong to; excess has none.
func (r *Locked) paid() []dossiers.Paid { return paidOf(r.Dossier, r.Refund) }
