package payments

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/providers"
)

// ReceiveCallback takes a provider's message and returns the answer in the
// provider's words, after the commit. In one transaction it keeps the raw
// message, locks dossier and payment, moves the state, posts and audits. When
// that fails for a reason of ours, the message is kept in a transaction of its
// own, a job applies it later, and the provider is asked to call again.
func (s *Service) ReceiveCallback(ctx context.Context, provider, merchant string, raw providers.RawCallback) providers.Reply {
	receiver, err := providers.Find[providers.CallbackReceiver](s.Providers, provider)
	if err != nil {
		return nobody()
	}
	id, err := ident.Parse[merchantKind](merchant)
	if err != nil {
		return nobody()
	}
	authority, err := s.authorityOf(ctx, id)
	if errors.Is(err, ErrMerchantNotFound) {
		return nobody()
	}
	if err != nil {
		slog.ErrorContext(ctx, "callback not received", "provider", provider, "err", err)
		return receiver.Reply(providers.ReplyOurError)
	}
	kind, err := s.receive(ctx, authority, receiver, id, raw)
	if errors.Is(err, ErrMerchantNotFound) {
		return nobody()
	}
	if err != nil {
		kept := s.keepForLater(ctx, authority, provider, id, raw)
		slog.ErrorContext(ctx, "callback not applied", "provider", provider, "kept", kept == nil, "err", errors.Join(err, kept))
		return receiver.Reply(providers.ReplyOurError)
	}
	return receiver.Reply(kind)
}

// nobody answers for a provider or merchant account that does not exist here.
func nobody() providers.Reply {
	return providers.Reply{Status: http.StatusNotFound, ContentType: "text/plain; charset=utf-8", Body: []byte("not found\n")}
}

// authorityOf remembers what it found: an account never changes its authority.
func (s *Service) authorityOf(ctx context.Context, merchant MerchantID) (authority string, err error) {
	if known, ok := s.authorities.Load(merchant); ok {
		return known.(string), nil
	}
	err = postgres.ReadTx(ctx, s.DB.Pool, "", func(tx pgx.Tx) error {
		var found *string
		if err := tx.QueryRow(ctx, `select payments.authority_of_merchant($1)`, merchant).Scan(&found); err != nil {
			return err
		}
		if found == nil {
			return ErrMerchantNotFound
		}
		authority = *found
		s.authorities.Store(merchant, authority)
		return nil
	})
	return authority, err
}

// receive applies a message: what can be known before is read first, the rest
// is done in one transaction, together with the messages that wait meanwhile.
func (s *Service) receive(ctx context.Context, authority string, receiver providers.CallbackReceiver, merchant MerchantID, raw providers.RawCallback) (kind providers.ReplyKind, err error) {
	n, err := s.read(ctx, authority, receiver, merchant, raw)
	if err != nil {
		return "", err
	}
	var (
		locked subject
		row    callbackRow
		now    = s.DB.Instant()
	)
	_, err = s.Group.Do(ctx, authority, n.subject(), ledger.Body{
		Read: func(b *pgx.Batch) {
			if !n.payment.ID.IsZero() {
				s.lockSubject(b, n.payment, n.event, now, &locked)
			}
		},
		Write: func(ctx context.Context, tx pgx.Tx, w *ledger.Writes) error {
			row = n.row()
			act := postgres.Act{Tx: tx, Actor: auth.System(authority), Now: now}
			return s.record(ctx, act, w, n, &locked, &row)
		},
	})
	return row.reply, err
}

// notice is a message as far as it is understood without a lock.
type notice struct {
	raw      providers.RawCallback
	receiver string
	account  MerchantAccount
	merchant providers.Merchant
	verified bool
	event    providers.Event
	kind     providers.ReplyKind // set when the answer is known already
	payment  Payment             // zero when it names none of ours; as it was before the lock
}

// subject is the dossier that a notice locks; one that names no payment locks
// nothing. A transaction locks its dossiers by id, and below a dossier only
// what is its own, so no two that record callbacks wait for each other. Whoever
// else locks dossiers locks one, and waits for nothing outside of it. Only
// settling locks payments of many dossiers (by id): PostgreSQL ends the rare
// deadlock with it after a second, and the notices are recorded one by one.
func (n notice) subject() string {
	if n.payment.ID.IsZero() {
		return ""
	}
	return n.payment.DossierID.String()
}

// row is what is kept of a notice.
func (n notice) row() callbackRow {
	return callbackRow{
		id: ident.New[callbackKind](), merchant: n.account.ID, provider: n.receiver, received: n.raw.ReceivedAt,
		verified: n.verified, event: n.event.ID, payment: n.payment.ID, reply: n.kind,
	}
}

// read verifies and translates a message and finds the payment it speaks of.
func (s *Service) read(ctx context.Context, authority string, receiver providers.CallbackReceiver, merchant MerchantID, raw providers.RawCallback) (n notice, err error) {
	err = postgres.ReadTx(ctx, s.DB.Pool, authority, func(tx pgx.Tx) error {
		n = notice{raw: raw, receiver: receiver.Name()}
		if n.account, n.merchant, err = s.merchant(ctx, tx, merchant, ``); err != nil {
			return err
		}
		if n.account.Provider != n.receiver && n.merchant.Settings["notifier"] != n.receiver {
			return ErrMerchantNotFound
		}
		if receiver.Verify(n.merchant, raw) != nil {
			n.kind = providers.ReplyBadSignature
			return nil
		}
		n.verified = true
		event, err := receiver.Translate(n.merchant, raw)
		if err != nil {
			n.kind = providers.ReplyBadMessage
			return nil
		}
		n.event = event
		n.payment, err = findForEvent(ctx, tx, n.account, n.merchant, n.event)
		switch {
		case !ErrNotFound.Is(err):
			return err
		case n.event.Reference == "": // a bank notice that names no payment: the statement will show the money
			n.kind = providers.ReplyStored
		default:
			n.kind = providers.ReplyUnknownOrder
		}
		return nil
	})
	return n, err
}

// record applies a notice to what is locked and keeps its message with our answer.
func (s *Service) record(ctx context.Context, act postgres.Act, w *ledger.Writes, n notice, locked *subject, row *callbackRow) (err error) {
	if row.sealed, err = s.sealMessage(row.id, withoutCredentials(n.raw)); err != nil {
		return err
	}
	if n.kind == "" {
		if row.reply, err = s.apply(ctx, act, w, locked, n.event, ByCallback); err != nil {
			return err
		}
	}
	if enough, err := enoughKept(ctx, act, *row); err != nil || enough {
		return err
	}
	insertCallback(&w.Batch, act.Actor.Authority, row)
	return nil
}

// keepForLater stores a message that could not be applied and queues the job that tries again.
func (s *Service) keepForLater(ctx context.Context, authority, provider string, merchant MerchantID, raw providers.RawCallback) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTimeout)
	defer cancel()
	row := callbackRow{
		id: ident.New[callbackKind](), merchant: merchant, provider: provider, received: raw.ReceivedAt, reply: providers.ReplyOurError,
	}
	var err error
	if row.sealed, err = s.sealMessage(row.id, raw); err != nil {
		return err
	}
	return postgres.InTx(ctx, s.DB, auth.System(authority), func(act postgres.Act) error {
		b := &pgx.Batch{}
		insertCallback(b, authority, &row)
		if err := act.SendBatch(ctx, b).Close(); err != nil {
			return err
		}
		_, err := s.Jobs.InsertTx(ctx, act, ApplyCallback{Authority: authority, Callback: row.id}, &river.InsertOpts{
			UniqueOpts: river.UniqueOpts{ByArgs: true}, ScheduledAt: act.Now.Add(retryAfter),
		})
		return err
	})
}

// keepTimeout bounds the rescue of a message whose request may be over; retryAfter gives the fault time to pass.
const (
	keepTimeout = 5 * time.Second
	retryAfter  = 10 * time.Second
)

// ApplyKept applies a message that was kept with our_error. Running it again is harmless.
func (s *Service) ApplyKept(ctx context.Context, authority string, id CallbackID) error {
	var (
		row callbackRow
		raw providers.RawCallback
	)
	err := postgres.ReadTx(ctx, s.DB.Pool, authority, func(tx pgx.Tx) (err error) {
		row, err = selectCallback(ctx, tx, id)
		return err
	})
	if err != nil {
		return err
	}
	text, err := s.Secret.Open(row.sealed, messageAt(id))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return err
	}
	receiver, err := providers.Find[providers.CallbackReceiver](s.Providers, row.provider)
	if err != nil {
		return err
	}
	_, err = s.receive(ctx, authority, receiver, row.merchant, raw)
	return err
}

func (s *Service) sealMessage(id CallbackID, raw providers.RawCallback) ([]byte, error) {
	text, err := json.Marshal(raw)
	if err != nil {
		return nil, err
	}
	return s.Secret.Seal(text, messageAt(id))
}

// withoutCredentials drops the header that carries a provider's key to us: once
// a message is verified, the key is no evidence and must not be kept.
func withoutCredentials(raw providers.RawCallback) providers.RawCallback {
	raw.Header = raw.Header.Clone()
	raw.Header.Del("Authorization")
	return raw
}

func messageAt(id CallbackID) string { return "payments.callback/message/" + id.String() }
