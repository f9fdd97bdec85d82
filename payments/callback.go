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

	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/postgres"
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

func (s *Service) authorityOf(ctx context.Context, merchant MerchantID) (authority string, err error) {
	err = postgres.ReadTx(ctx, s.DB, "", func(tx pgx.Tx) error {
		var found *string
		if err := tx.QueryRow(ctx, `select payments.authority_of_merchant($1)`, merchant).Scan(&found); err != nil {
			return err
		}
		if found == nil {
			return ErrMerchantNotFound
		}
		authority = *found
		return nil
	})
	return authority, err
}

func (s *Service) receive(ctx context.Context, authority string, receiver providers.CallbackReceiver, merchant MerchantID, raw providers.RawCallback) (kind providers.ReplyKind, err error) {
	err = postgres.InTx(ctx, s.DB, authority, func(tx pgx.Tx) error {
		account, m, err := s.merchant(ctx, tx, merchant, ``)
		if err != nil {
			return err
		}
		if account.Provider != receiver.Name() && m.Settings["notifier"] != receiver.Name() {
			return ErrMerchantNotFound
		}
		row := callbackRow{
			id: ident.New[callbackKind](), merchant: merchant, provider: receiver.Name(), received: raw.ReceivedAt,
		}
		if row.sealed, err = s.sealMessage(row.id, withoutCredentials(raw)); err != nil {
			return err
		}
		var event providers.Event
		if err := receiver.Verify(m, raw); err != nil {
			kind = providers.ReplyBadSignature
		} else if event, err = receiver.Translate(m, raw); err != nil {
			row.verified, kind = true, providers.ReplyBadMessage
		} else {
			row.verified, row.event = true, event.ID
			if kind, row.payment, err = s.apply(ctx, tx, account, m, event, ByCallback); err != nil {
				return err
			}
		}
		row.reply = kind
		if enough, err := enoughKept(ctx, tx, row); err != nil || enough {
			return err
		}
		isNew, err := insertCallback(ctx, tx, authority, row)
		if err == nil && !isNew {
			kind = providers.ReplyAlreadyStored
		}
		return err
	})
	return kind, err
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
	return postgres.InTx(ctx, s.DB, authority, func(tx pgx.Tx) error {
		if _, err := insertCallback(ctx, tx, authority, row); err != nil {
			return err
		}
		_, err := s.Jobs.InsertTx(ctx, tx, ApplyCallback{Authority: authority, Callback: row.id}, &river.InsertOpts{
			UniqueOpts: river.UniqueOpts{ByArgs: true}, ScheduledAt: s.Now().Add(retryAfter),
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
	err := postgres.ReadTx(ctx, s.DB, authority, func(tx pgx.Tx) (err error) {
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
