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

// Times of one callback. Together they are less than the time in which the
// program stops, so that a stop loses no message.
const (
	// callbackTimeout bounds the work on one message, counted from the end of its body.
	callbackTimeout = 14 * time.Second
	// keepTimeout bounds keeping a message that could not be applied.
	keepTimeout = 5 * time.Second
	// retryAfter gives a fault time to pass before a job tries again.
	retryAfter = 10 * time.Second
)

// CallbackBounds returns how large a message of a provider may be, and false
// when the provider sends no messages.
func (s *Service) CallbackBounds(provider string) (providers.CallbackBounds, bool) {
	receiver, err := providers.Find[providers.CallbackReceiver](s.Providers, provider)
	if err != nil {
		return providers.CallbackBounds{}, false
	}
	return receiver.CallbackBounds(), true
}

// ReceiveCallback takes a provider's message and returns the answer in the
// provider's words, after the commit. One transaction locks dossier and payment,
// moves the status, posts, audits and keeps the raw message.
//
// A sender who hangs up changes nothing: the work goes on, within callbackTimeout.
// A verified message that cannot be applied is kept in a transaction of its own,
// a job applies it later, and the provider is asked to call again. A message
// that is not verified leaves at most a row in the bounded table of refused ones.
func (s *Service) ReceiveCallback(ctx context.Context, provider, merchant string, raw providers.RawCallback) providers.Reply {
	receiver, err := providers.Find[providers.CallbackReceiver](s.Providers, provider)
	if err != nil {
		return notFound()
	}
	id, err := ident.Parse[merchantKind](merchant)
	if err != nil {
		return notFound()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callbackTimeout)
	defer cancel()
	n := notice{raw: raw, receiver: receiver, merchant: id}
	if n.authority, err = s.authorityOf(ctx, id); err == nil {
		err = s.receive(ctx, &n)
	}
	switch {
	case err == nil:
		return receiver.Reply(n.reply)
	case errors.Is(err, ErrMerchantNotFound):
		return notFound()
	case n.verified:
		kept := s.keepForLater(ctx, n)
		slog.ErrorContext(ctx, "callback not applied", "provider", provider, "kept", kept == nil, "err", errors.Join(err, kept))
	default:
		slog.ErrorContext(ctx, "callback not received", "provider", provider, "err", err)
	}
	return receiver.Reply(providers.ReplyOurError)
}

// notFound answers for a provider or merchant account that does not exist here.
func notFound() providers.Reply {
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

// receive reads a message and sets the answer. A verified message is applied in
// one transaction, together with the messages that wait at the same time.
func (s *Service) receive(ctx context.Context, n *notice) error {
	if err := s.read(ctx, n); err != nil {
		return err
	}
	if !n.verified {
		n.reply = providers.ReplyBadSignature
		if err := s.keepRefused(ctx, n); err != nil { // the answer is right all the same
			slog.ErrorContext(ctx, "refused callback not kept", "provider", n.receiver.Name(), "err", err)
		}
		return nil
	}
	var (
		locked subject
		row    callbackRow
		now    = s.DB.Instant()
	)
	_, err := s.Group.Do(ctx, n.authority, n.subject(), ledger.Body{
		Read: func(b *pgx.Batch) {
			if !n.payment.ID.IsZero() {
				s.lockSubject(b, n.payment, n.event, now, &locked)
			}
		},
		Write: func(ctx context.Context, tx pgx.Tx, w *ledger.Writes) error {
			row = n.row()
			act := postgres.Act{Tx: tx, Actor: auth.System(n.authority), Now: now}
			return s.record(ctx, act, w, n, &locked, &row)
		},
	})
	n.reply = row.reply
	return err
}

// notice is a message as far as it is understood without a lock.
type notice struct {
	authority string
	receiver  providers.CallbackReceiver
	merchant  MerchantID
	raw       providers.RawCallback
	verified  bool // the signature is right; a message that was kept was verified when it came
	refusal   refusal
	event     providers.Event
	payment   Payment             // as it was before the lock; zero when the message names no payment
	reply     providers.ReplyKind // set early when the answer needs no lock
}

// subject is the dossier that a notice locks; one that names no payment locks
// nothing. A transaction locks its dossiers by id, and below a dossier only
// what is its own, so no two that record callbacks wait for each other. Whoever
// else locks dossiers locks one, and waits for nothing outside of it. Only
// settling locks payments of many dossiers (by id): PostgreSQL ends the rare
// deadlock with it after a second, and the notices are recorded one by one.
func (n *notice) subject() string {
	if n.payment.ID.IsZero() {
		return ""
	}
	return n.payment.DossierID.String()
}

// row is the row that keeps a notice.
func (n *notice) row() callbackRow {
	return callbackRow{
		id: ident.New[callbackKind](), merchant: n.merchant, provider: n.receiver.Name(), received: n.raw.ReceivedAt,
		event: n.event.ID, payment: n.payment.ID, reply: n.reply,
	}
}

// read verifies and translates a message and finds the payment that it names.
func (s *Service) read(ctx context.Context, n *notice) error {
	return postgres.ReadTx(ctx, s.DB.Pool, n.authority, func(tx pgx.Tx) error {
		n.reply = ""
		account, m, err := s.merchant(ctx, tx, n.merchant, ``)
		if err != nil {
			return err
		}
		if name := n.receiver.Name(); account.Provider != name && m.Settings["notifier"] != name {
			return ErrMerchantNotFound
		}
		if !n.verified {
			if err := n.receiver.Verify(m, n.raw); err != nil {
				return s.readRefusal(ctx, tx, n, err)
			}
			n.verified = true
		}
		if n.event, err = n.receiver.Translate(m, n.raw); err != nil {
			n.reply = providers.ReplyBadMessage
			return nil //nolint:nilerr // the sender's fault: it is the answer
		}
		n.payment, err = findForEvent(ctx, tx, account, m, n.event)
		switch {
		case !ErrNotFound.Is(err):
			return err
		case n.event.Reference == "": // a bank notice that names no payment: the statement will show the money
			n.reply = providers.ReplyStored
		default:
			n.reply = providers.ReplyUnknownOrder
		}
		return nil
	})
}

// record applies a notice to what is locked and keeps its message with our answer.
func (s *Service) record(ctx context.Context, act postgres.Act, w *ledger.Writes, n *notice, locked *subject,
	row *callbackRow,
) (err error) {
	if row.sealed, err = s.sealMessage(row.id, withoutCredentials(n.raw)); err != nil {
		return err
	}
	if n.reply == "" {
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

// keepForLater keeps a verified message that could not be applied and queues the
// job that tries again. An event waits once, however often its sender repeats it.
func (s *Service) keepForLater(ctx context.Context, n notice) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTimeout)
	defer cancel()
	n.reply = providers.ReplyOurError
	row := n.row()
	var err error
	if row.sealed, err = s.sealMessage(row.id, withoutCredentials(n.raw)); err != nil {
		return err
	}
	return postgres.InTx(ctx, s.DB, auth.System(n.authority), func(act postgres.Act) error {
		b := &pgx.Batch{}
		insertCallback(b, n.authority, &row)
		if err := act.SendBatch(ctx, b).Close(); err != nil || row.known {
			return err
		}
		_, err := s.Jobs.InsertTx(ctx, act, ApplyCallback{Authority: n.authority, Callback: row.id}, &river.InsertOpts{
			UniqueOpts: river.UniqueOpts{ByArgs: true}, ScheduledAt: act.Now.Add(retryAfter),
		})
		return err
	})
}

// ApplyKept applies a message that was kept with our_error. The message was
// verified before it was kept. Running it again is harmless.
func (s *Service) ApplyKept(ctx context.Context, authority string, id CallbackID) error {
	var row callbackRow
	err := postgres.ReadTx(ctx, s.DB.Pool, authority, func(tx pgx.Tx) (err error) {
		row, err = selectCallback(ctx, tx, id)
		return err
	})
	if err != nil {
		return err
	}
	n := notice{authority: authority, merchant: row.merchant, verified: true}
	text, err := s.Secret.Decrypt(row.sealed, messageAt(id))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &n.raw); err != nil {
		return err
	}
	if n.receiver, err = providers.Find[providers.CallbackReceiver](s.Providers, row.provider); err != nil {
		return err
	}
	return s.receive(ctx, &n)
}

func (s *Service) sealMessage(id CallbackID, raw providers.RawCallback) ([]byte, error) {
	text, err := json.Marshal(raw)
	if err != nil {
		return nil, err
	}
	return s.Secret.Encrypt(text, messageAt(id))
}

// withoutCredentials drops the header that carries a provider's key. After the
// check the key is no evidence, and a kept key could be stolen.
func withoutCredentials(raw providers.RawCallback) providers.RawCallback {
	raw.Header = raw.Header.Clone()
	raw.Header.Del("Authorization")
	return raw
}

func messageAt(id CallbackID) string { return "payments.callback/message/" + id.String() }
