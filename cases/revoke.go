package cases

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/payments/captures"
	"github.com/doisoat/doisoat/reconcile"
	"github.com/doisoat/doisoat/reconcile/entries"
	"github.com/doisoat/doisoat/reconcile/matching"
	"github.com/doisoat/doisoat/statements"
)

// RevokeMatch revokes a match, with a reason. It reverses the entry of the match,
// and its captures and refunds count as not settled; a refund that is done stays
// done. A bank line goes back into suspense, and each side becomes a break again.
// No rule matches the same pair a second time. ErrRevoked when the match is
// revoked already. ErrIdentified when two persons identified the line: the capture
// stays, and money that is not the dossier's goes back as a refund.
func (s *Service) RevokeMatch(ctx context.Context, actor auth.Actor, id reconcile.MatchID, reason string) (match Match, err error) {
	if err := auth.Require(actor, auth.PermReconcile); err != nil {
		return Match{}, err
	}
	if reason == "" {
		return Match{}, ErrInvalid.At("/reason", "must say why")
	}
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		if match, err = matchByID(ctx, act, id); err != nil {
			return err
		}
		run, err := reconcile.RunByID(ctx, act, match.Run)
		if err != nil {
			return err
		}
		if err := statements.TakeTurn(ctx, act, actor.Authority); err != nil {
			return err
		}
		src, err := statements.FindSource(ctx, act, run.Source)
		if err != nil {
			return err
		}
		if match, err = matchByID(ctx, act, id); err != nil {
			return err
		}
		if match.RevokedAt != nil {
			return ErrRevoked
		}
		if match.Lane == matching.LaneIdentified {
			return ErrIdentified.With("two persons identified the line: money that is not the dossier's goes back as a refund")
		}
		if err := s.revoke(ctx, act, src, run, match, reason); err != nil {
			return err
		}
		match, err = matchByID(ctx, act, id)
		return err
	})
	return match, err
}

func (s *Service) revoke(
	ctx context.Context, act postgres.Act, src statements.Source, run reconcile.Run, match Match, reason string,
) error {
	now := act.Now
	for _, r := range match.Refunds {
		if err := s.Routes.Unsettle(ctx, act, r); err != nil {
			return err
		}
	}
	if len(match.Captures) > 0 {
		if err := captures.Unsettle(ctx, act, match.Captures); err != nil {
			return err
		}
	}
	_, err := act.Exec(ctx, `
		with m as (
			update reconcile.match set revoked_at = $2, revoked_by = $3, revoke_reason = $4 where id = $1),
		i as (
			update reconcile.match_item set live = false where match_id = $1 returning line_id, side)
		update reconcile.statement_line l set matched = l.matched and i.side <> 'line', paid_out = l.paid_out and i.side <> 'book'
		from i where l.id = i.line_id`, match.ID, now, act.Actor.ID, reason)
	if err != nil {
		return err
	}
	in, out, err := s.unmatched(ctx, act, match)
	if err != nil {
		return err
	}
	if err := reconcile.InsertBreaks(ctx, act, run, in, out); err != nil {
		return err
	}
	if !match.Entry.IsZero() {
		if err := s.unpost(ctx, act, src, match, in.Lines, reason); err != nil {
			return err
		}
	}
	return audit.Record(ctx, act, audit.Event{
		Actor: act.Actor, At: now, Act: "match.revoke", ObjectKind: "match", ObjectID: match.ID.String(), Reason: reason,
		Before: map[string]any{"rule": match.Rule, "amount": match.Amount.Minor},
	})
}

// unmatched returns the lines, items and batches of a revoked match, and a break for each.
func (s *Service) unmatched(ctx context.Context, tx pgx.Tx, match Match) (in matching.Input, list []matching.Break, err error) {
	const detail = "its match was revoked"
	lines, err := ask[revokedLine](ctx, tx, `
		select id, business_date, amount, suspensions from reconcile.statement_line where id = any($1::uuid[]) order by id`, match.Lines)
	if err != nil {
		return in, nil, err
	}
	for i, l := range lines {
		in.Lines = append(in.Lines, matching.Line{ID: l.ID.UUID(), Date: l.Date, Amount: l.Amount})
		list = append(list, matching.Break{
			Kind: matching.Unidentified, Line: i, Item: -1, Batch: -1, Amount: l.Amount, Source: &lines[i].Amount, Detail: detail,
		})
	}
	items, err := ask[revokedItem](ctx, tx, `
		select coalesce(i.capture_id, i.refund_id, i.transit_id), i.refund_id is not null, i.transit_id is not null,
			coalesce(c.payment_id, r.payment_id, (select p.payment_id from ledger.posting p where p.entry_id = i.transit_id limit 1)), i.amount
		from reconcile.match_item i
		left join payments.capture c on c.id = i.capture_id
		left join refunds.refund r on r.id = i.refund_id
		where i.match_id = $1 and i.line_id is null`, match.ID)
	if err != nil {
		return in, nil, err
	}
	for i, item := range items {
		kind, missing := matching.Capture, matching.MissingAtSource
		switch {
		case item.IsRefund:
			kind, missing = matching.Refund, matching.RefundUnmatched
		case item.IsTransit && item.Payment.Valid: // of a refund; a voucher is of no payment
			kind, missing = matching.Transit, matching.RefundUnmatched
		case item.IsTransit:
			kind = matching.Transit
		}
		in.Items = append(in.Items, matching.Item{Kind: kind, ID: item.ID, Payment: item.Payment.UUID, Amount: item.Amount})
		list = append(list, matching.Break{
			Kind: missing, Line: -1, Item: i, Batch: -1, Payment: item.Payment.UUID, Amount: item.Amount, Book: &items[i].Amount, Detail: detail,
		})
	}
	batches, err := revokedBatches(ctx, tx, match.ID)
	for i, b := range batches {
		key := matching.BatchKey{Source: b.Source.UUID(), Account: b.Account, ID: b.ID}
		in.Batches = append(in.Batches, matching.Batch{BatchKey: key, Net: b.Net})
		list = append(list, matching.Break{
			Kind: matching.MissingAtSource, Line: -1, Item: -1, Batch: i, Amount: b.Net, Book: &batches[i].Net, Detail: detail,
		})
	}
	return in, list, err
}

// revokedBatches returns the batches of a revoked match, each with the sum of all
// its rows that are not paid. A batch with a live break, for rows that came later,
// is not returned; revokedBatches raises the amount of that break.
func revokedBatches(ctx context.Context, tx pgx.Tx, id reconcile.MatchID) ([]revokedBatch, error) {
	return ask[revokedBatch](ctx, tx, `
		with unpaid as (
			select l.source_id, l.account, l.batch_id, sum(l.net)::bigint as net
			from reconcile.statement_line l
			where not l.paid_out and l.booked and l.batch_id <> '' and (l.source_id, l.account, l.batch_id) in (
				select f.source_id, f.account, f.batch_id
				from reconcile.match_item i join reconcile.statement_line f on f.id = i.line_id
				where i.match_id = $1 and i.side = 'book')
			group by 1, 2, 3),
		grown as (
			update reconcile.break b
			set book_amount = u.net, amount = case when b.source_amount is null then u.net else b.source_amount - u.net end
			from unpaid u
			where b.batch_source_id = u.source_id and b.batch_account = u.account and b.batch_id = u.batch_id
				and b.holds and b.status <> 'resolved'
			returning u.source_id, u.account, u.batch_id)
		select u.source_id, u.account, u.batch_id, u.net from unpaid u
		where (u.source_id, u.account, u.batch_id) not in (select g.source_id, g.account, g.batch_id from grown g)`, id)
}

type (
	revokedLine struct {
		ID          statements.LineID
		Date        calendar.Date
		Amount      int64
		Suspensions int
	}
	revokedItem struct {
		ID        uuid.UUID
		IsRefund  bool
		IsTransit bool
		Payment   uuid.NullUUID
		Amount    int64
	}
	revokedBatch struct {
		Source  statements.SourceID
		Account string
		ID      string
		Net     int64
	}
)

// ask reads all rows of a query into structs, by position.
func ask[T any](ctx context.Context, tx pgx.Tx, query string, args ...any) ([]T, error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[T])
}

// unpost reverses the entry of a match, on an open date, and puts the bank lines of the match into suspense.
func (s *Service) unpost(
	ctx context.Context, act postgres.Act, src statements.Source, match Match, lines []matching.Line, reason string,
) error {
	p := entries.NewPoster(act.Actor.ID, src, act.Now)
	date, err := p.Revoke(ctx, act, match.Entry, match.ID.String(), reason)
	if err != nil {
		return err
	}
	before, err := ask[revokedLine](ctx, act, `
		select id, business_date, amount, suspensions from reconcile.statement_line where id = any($1::uuid[])`, match.Lines)
	if err != nil {
		return err
	}
	times := make(map[uuid.UUID]int, len(before))
	for _, l := range before {
		times[l.ID.UUID()] = l.Suspensions
	}
	for i := range lines {
		lines[i].Date = date // the correction is of today, not of the line's day
	}
	return p.Suspend(ctx, act, lines, func(id uuid.UUID) int { return times[id] + 1 })
}
