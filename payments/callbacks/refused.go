package callbacks

import (
	"context"
	"crypto/sha256"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/payments"
)

// Bounds of the refused messages. Anybody can send a message without a
// signature, so the table has a fixed size: the first refusedPerDay messages of
// an account and day, with their first refusedHead bytes, for refusedDays days.
// Later messages of the day are answered and leave nothing.
const (
	refusedPerDay = 50
	refusedHead   = 2 << 10
	refusedReason = 200
	refusedDays   = 7
)

// refusal says why a message was not verified, and how many refused messages of its account and day are kept.
type refusal struct {
	reason string
	kept   int
}

// readRefusal notes why a message is not verified.
func (n *notice) readRefusal(ctx context.Context, tx pgx.Tx, cause error) error {
	n.refusal.reason = cause.Error()
	if len(n.refusal.reason) > refusedReason {
		n.refusal.reason = n.refusal.reason[:refusedReason]
	}
	return tx.QueryRow(ctx, `
		select count(*) from payments.refused_callback
		where part = ($1::date - date '2000-01-01') % 8 and day = $1 and merchant_account_id = $2`,
		calendar.On(n.raw.ReceivedAt), n.merchant).Scan(&n.refusal.kept)
}

// keepRefused keeps a refused message while its day has room. Of two messages
// that take the same number at once, the later one is not kept. A fault is only
// logged, because the answer to the sender is right without the row.
func (n *notice) keepRefused(ctx context.Context) {
	if n.refusal.kept >= refusedPerDay {
		return
	}
	id := payments.NewCallbackID()
	text := append([]byte(n.raw.RawQuery+"\n"), n.raw.Body...)
	hash := sha256.Sum256(text)
	head, err := n.s.Secret.Encrypt(text[:min(len(text), refusedHead)], "payments.refused_callback/head/"+id.String())
	if err == nil {
		err = postgres.WriteTx(ctx, n.s.DB.Pool, n.authority, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `
				insert into payments.refused_callback (part, day, merchant_account_id, number, authority, id, provider, received_at,
					reason, length, hash, head)
				values (($1::date - date '2000-01-01') % 8, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
				on conflict do nothing`,
				calendar.On(n.raw.ReceivedAt), n.merchant, n.refusal.kept, n.authority, id, n.receiver.Name(), n.raw.ReceivedAt,
				n.refusal.reason, len(text)-1, hash[:], head)
			return err
		})
	}
	if err != nil {
		slog.ErrorContext(ctx, "refused callback not kept", "provider", n.receiver.Name(), "err", err)
	}
}

// DropRefused empties the days of refused messages that are older than
// refusedDays, and returns how many. A day that is busy is left for the next time.
func (s *Service) DropRefused(ctx context.Context) (days int, err error) {
	err = postgres.InTx(ctx, s.DB, auth.System(""), func(act postgres.Act) error {
		before := calendar.On(act.Now).AddDays(1 - refusedDays)
		return act.QueryRow(ctx, `select payments.drop_refused_callbacks($1)`, before).Scan(&days)
	})
	return days, err
}
