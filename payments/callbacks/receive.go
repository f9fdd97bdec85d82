package callbacks

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/secret"
	"github.com/doisoat/doisoat/merchants"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/providers"
)

// retryAfter gives a fault time to pass before a job tries again.
const retryAfter = 10 * time.Second

// unended makes a job unique among those that will still run: an ended job keeps no message from waiting again.
var unended = river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
	rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
	rivertype.JobStateRetryable, rivertype.JobStateScheduled,
}}

// Service holds the use cases of callbacks. Jobs only inserts.
type Service struct {
	DB        postgres.DB
	Group     *Group
	Payments  *payments.Service
	Merchants *merchants.Service
	Providers providers.Registry
	Secret    *secret.Keyring
	Jobs      *river.Client[pgx.Tx]
}

// ApplyCallback is the job that applies a message which could not be applied when it arrived.
type ApplyCallback struct {
	Authority string              `json:"authority" river:"unique"`
	Callback  payments.CallbackID `json:"callback" river:"unique"`
}

// Kind implements river.JobArgs.
func (ApplyCallback) Kind() string { return "apply_callback" }

// Bounds returns how large a message of a provider may be, and false when the
// provider sends no messages.
func (s *Service) Bounds(provider string) (providers.CallbackBounds, bool) {
	receiver, err := providers.Find[providers.CallbackReceiver](s.Providers, provider)
	if err != nil {
		return providers.CallbackBounds{}, false
	}
	return receiver.CallbackBounds(), true
}

// Receive takes a provider's message and returns the answer in the provider's
// words, after the commit. One transaction locks dossier and payment, moves the
// status, posts, audits and keeps the raw message. The package comment lists the
// way of a message.
//
// A sender who hangs up changes nothing: the work goes on, within providers.ReceiveTimeout.
// A verified message that cannot be applied is kept in a transaction of its own,
// a job applies it later, and the answer asks the provider to call again. An
// unverified message leaves at most a row in the bounded table of refused ones.
func (s *Service) Receive(ctx context.Context, provider, merchant string, raw providers.RawCallback) providers.Reply {
	receiver, err := providers.Find[providers.CallbackReceiver](s.Providers, provider)
	if err != nil {
		return notFound()
	}
	id, err := merchants.ParseID(merchant)
	if err != nil {
		return notFound()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), providers.ReceiveTimeout)
	defer cancel()
	raw.Header = onlySigned(raw.Header, receiver.CallbackHeaders())
	n := notice{s: s, raw: raw, receiver: receiver, merchant: id}
	defer n.keepAfterPanic(ctx)
	if n.authority, err = s.Merchants.AuthorityOf(ctx, id); err == nil {
		err = n.read(ctx)
	}
	if err == nil && !n.verified {
		n.keepRefused(ctx)
		return receiver.Reply(providers.ReplyBadSignature)
	}
	if err == nil {
		err = s.Group.Do(ctx, n.authority, n.subject(), Body{Lock: n.lock, Write: n.record})
	}
	switch {
	case err == nil:
		return receiver.Reply(n.kept.reply)
	case errors.Is(err, merchants.ErrNotFound):
		return notFound()
	case n.verified:
		kept := n.keepForLater(ctx)
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

// ApplyKept applies a message that was kept with our_error. The message was
// verified before it was kept. Running it again is harmless.
func (s *Service) ApplyKept(ctx context.Context, authority string, id payments.CallbackID) error {
	var kept message
	err := postgres.ReadTx(ctx, s.DB.Pool, authority, func(tx pgx.Tx) (err error) {
		kept, err = selectMessage(ctx, tx, id)
		return err
	})
	if err != nil {
		return err
	}
	n := notice{s: s, authority: authority, merchant: kept.merchant, verified: true}
	if n.raw, err = s.decrypt(kept); err != nil {
		return err
	}
	if n.receiver, err = providers.Find[providers.CallbackReceiver](s.Providers, kept.provider); err != nil {
		return err
	}
	if err := n.read(ctx); err != nil {
		return err
	}
	return s.Group.Do(ctx, authority, n.subject(), Body{Lock: n.lock, Write: n.record})
}

// keepAfterPanic keeps a verified message whose handling panics, and panics again.
func (n *notice) keepAfterPanic(ctx context.Context) {
	cause := recover()
	if cause == nil {
		return
	}
	if n.verified {
		if err := n.keepForLater(ctx); err != nil {
			slog.ErrorContext(ctx, "callback not kept after a panic", "err", err)
		}
	}
	panic(cause)
}

// keepForLater keeps a verified message that could not be applied and queues the
// job that tries again. An event is kept once, however often its sender repeats
// it. A repeat queues the job again when the earlier job has given up.
func (n *notice) keepForLater(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), providers.KeepTimeout)
	defer cancel()
	kept, err := n.message(providers.ReplyOurError)
	if err != nil {
		return err
	}
	return postgres.InTx(ctx, n.s.DB, auth.System(n.authority), func(act postgres.Act) error {
		b := &pgx.Batch{}
		insertMessage(b, n.authority, &kept)
		if err := act.SendBatch(ctx, b).Close(); err != nil {
			return err
		}
		if kept.known {
			if err := act.QueryRow(ctx, keptEvent, kept.merchant, kept.event).Scan(&kept.id); err != nil {
				return err
			}
		}
		_, err := n.s.Jobs.InsertTx(ctx, act, ApplyCallback{Authority: n.authority, Callback: kept.id}, &river.InsertOpts{
			UniqueOpts: unended, ScheduledAt: act.Now.Add(retryAfter),
		})
		return err
	})
}
