package callbacks

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/merchants"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/providers"
)

// notice is a message as far as it is understood without a lock.
type notice struct {
	s         *Service
	authority string
	receiver  providers.CallbackReceiver
	merchant  merchants.ID
	raw       providers.RawCallback
	verified  bool // the signature is right; a kept message was verified when it came
	refusal   refusal
	event     providers.Event
	payment   payments.Payment    // as it was before the lock; zero when the message names no payment
	early     providers.ReplyKind // the answer when it needs no lock
	stored    bool                // a message with the same event is stored
	locked    payments.Subject
	kept      message // with the answer, which counts after the commit
}

// subject is the dossier that a notice locks. A notice that names no payment
// locks nothing. A transaction locks its dossiers by id, and below a dossier only
// rows of that dossier, so no two groups of callbacks wait for each other. All
// other writers lock one dossier and wait for nothing outside of it. Only
// settling locks payments of many dossiers (by id): PostgreSQL ends the rare
// deadlock with it after a second, and the notices then go on one by one.
func (n *notice) subject() string {
	if n.payment.ID.IsZero() || n.early != "" {
		return "event " + n.eventID() // repeats of one event count one after the other
	}
	return n.payment.DossierID.String()
}

// read verifies and translates a message and finds the payment that it names.
func (n *notice) read(ctx context.Context) error {
	return postgres.ReadTx(ctx, n.s.DB.Pool, n.authority, func(tx pgx.Tx) error {
		n.early = ""
		account, m, err := n.s.Merchants.Open(ctx, tx, n.merchant)
		if err != nil {
			return err
		}
		if name := n.receiver.Name(); account.Provider != name && m.Settings["notifier"] != name {
			return merchants.ErrNotFound
		}
		if !n.verified {
			if err := n.receiver.Verify(m, n.raw); err != nil {
				return n.readRefusal(ctx, tx, err)
			}
			n.verified = true
		}
		if n.event, err = n.receiver.Translate(m, n.raw); err != nil {
			n.early = providers.ReplyBadMessage
			return nil //nolint:nilerr // the sender's fault: it is the answer
		}
		n.payment, err = payments.FindForEvent(ctx, tx, account, n.event)
		switch {
		case err == nil:
			return n.readStored(ctx, tx)
		case !payments.ErrNotFound.Is(err):
			return err
		case n.event.Reference == "": // a bank notice that names no payment: the statement will show the money
			n.early = providers.ReplyStored
		default:
			n.early = providers.ReplyUnknownOrder
		}
		return nil
	})
}

// readStored answers a repeat of a stored event before any lock, so that repeats
// never wait for a payment that another transaction has locked.
func (n *notice) readStored(ctx context.Context, tx pgx.Tx) error {
	if err := tx.QueryRow(ctx, storedEvent, n.payment.MerchantID, n.event.ID).Scan(&n.stored); err != nil {
		return err
	}
	if n.stored {
		n.early = providers.ReplyAlreadyStored
	}
	return nil
}

// lock queues the locks of the payment and its dossier.
func (n *notice) lock(b *pgx.Batch, now time.Time) {
	if n.payment.ID.IsZero() || n.early != "" {
		return
	}
	payments.Lock(b, n.payment, n.event, now, &n.locked)
	// after the lock: a delivery of the same event that was faster has committed
	b.Queue(storedEvent, n.payment.MerchantID, n.event.ID).QueryRow(func(row pgx.Row) error { return row.Scan(&n.stored) })
}

// record applies a notice to the locked rows and keeps its message with our answer.
func (n *notice) record(ctx context.Context, act postgres.Act, w *ledger.Writes) (err error) {
	reply := n.early
	switch {
	case reply != "":
	case n.stored:
		reply = providers.ReplyAlreadyStored
	default:
		if reply, err = n.s.Payments.Apply(ctx, act, w, &n.locked, n.event, payments.ByCallback); err != nil {
			return err
		}
	}
	if n.kept, err = n.message(reply); err != nil {
		return err
	}
	if enough, err := enoughKept(ctx, act, n.kept); err != nil || enough {
		return err
	}
	insertMessage(&w.Batch, n.authority, &n.kept)
	return nil
}
