package reconcile

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/refunds"
)

// Match is lines and book items judged the same, and why.
type Match struct {
	ID           MatchID
	Run          RunID
	Lane         string
	Rule         string
	Version      int
	Kind         string // exact, rule, grouped, manual
	Score        int    // 0 to 100
	Inputs       map[string]string
	Amount       money.Amount
	Entry        ledger.EntryID // what it posted; zero when nothing
	CreatedAt    time.Time
	CreatedBy    string
	RevokedAt    *time.Time
	RevokedBy    string
	RevokeReason string
	Lines        []LineID
	Captures     []payments.CaptureID
	Refunds      []refunds.ID
	BookLines    []LineID // settlement rows of a batch, at most MaxPage of them
	BookRows     int      // how many they are
}

type matchRow struct {
	ID           MatchID              `db:"id"`
	RunID        RunID                `db:"run_id"`
	Lane         string               `db:"lane"`
	Rule         string               `db:"rule"`
	Version      int                  `db:"version"`
	Kind         string               `db:"kind"`
	Score        int                  `db:"score"`
	Inputs       []byte               `db:"inputs"`
	Amount       int64                `db:"amount"`
	Currency     money.Currency       `db:"currency"`
	EntryID      ledger.EntryID       `db:"entry_id"`
	CreatedAt    time.Time            `db:"created_at"`
	CreatedBy    string               `db:"created_by"`
	RevokedAt    *time.Time           `db:"revoked_at"`
	RevokedBy    string               `db:"revoked_by"`
	RevokeReason string               `db:"revoke_reason"`
	Lines        []LineID             `db:"lines"`
	Captures     []payments.CaptureID `db:"captures"`
	Refunds      []refunds.ID         `db:"refunds"`
	BookLines    []LineID             `db:"book_lines"`
	BookRows     int                  `db:"book_rows"`
}

const selectMatch = `
	select m.id, m.run_id, m.lane, m.rule, m.version, m.kind, m.score, m.inputs, m.amount, m.currency, m.entry_id, m.created_at,
		m.created_by, m.revoked_at, coalesce(m.revoked_by, '') as revoked_by, m.revoke_reason,
		array(select i.line_id from reconcile.match_item i where i.match_id = m.id and i.side = 'line' order by i.line_id) as lines,
		array(select i.capture_id from reconcile.match_item i where i.match_id = m.id and i.capture_id is not null order by 1) as captures,
		array(select i.refund_id from reconcile.match_item i where i.match_id = m.id and i.refund_id is not null order by 1) as refunds,
		array(select i.line_id from reconcile.match_item i where i.match_id = m.id and i.side = 'book' and i.line_id is not null
			order by 1 limit 200) as book_lines,
		(select count(*) from reconcile.match_item i where i.match_id = m.id and i.side = 'book' and i.line_id is not null)::integer as book_rows
	from reconcile.match m where m.authority = (select app.authority())`

func selectMatches(ctx context.Context, tx pgx.Tx, and string, args ...any) ([]Match, error) {
	rows, err := tx.Query(ctx, selectMatch+and, args...)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[matchRow])
	if err != nil {
		return nil, err
	}
	list := make([]Match, len(found))
	for i, r := range found {
		list[i] = Match{
			ID: r.ID, Run: r.RunID, Lane: r.Lane, Rule: r.Rule, Version: r.Version, Kind: r.Kind, Score: r.Score,
			Amount: money.Amount{Currency: r.Currency, Minor: r.Amount}, Entry: r.EntryID, CreatedAt: r.CreatedAt, CreatedBy: r.CreatedBy,
			RevokedAt: r.RevokedAt, RevokedBy: r.RevokedBy, RevokeReason: r.RevokeReason, Lines: r.Lines, Captures: r.Captures,
			Refunds: r.Refunds, BookLines: r.BookLines, BookRows: r.BookRows,
		}
		if err := json.Unmarshal(r.Inputs, &list[i].Inputs); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// MatchFilter narrows a list of matches; zero members do not filter.
type MatchFilter struct {
	Run     RunID
	Payment payments.ID
	After   MatchID // last id of the page before
	Limit   int
}

// ListMatches returns matches of the actor's authority, revoked ones included,
// newest first. next is zero at the end.
func (s *Service) ListMatches(ctx context.Context, actor auth.Actor, f MatchFilter) (list []Match, next MatchID, err error) {
	if err := auth.Require(actor, auth.PermReconcileRead); err != nil {
		return nil, next, err
	}
	f.Limit = page(f.Limit)
	err = postgres.ReadTx(ctx, s.DB, actor.Authority, func(tx pgx.Tx) error {
		list, err = selectMatches(ctx, tx, `
				and (@run::uuid is null or m.run_id = @run) and (@after::uuid is null or m.id < @after)
				and (@payment::uuid is null or m.id in (
					select i.match_id from payments.capture c join reconcile.match_item i on i.capture_id = c.id where c.payment_id = @payment
					union
					select i.match_id from refunds.refund r join reconcile.match_item i on i.refund_id = r.id where r.payment_id = @payment))
			order by m.id desc limit @limit`, pgx.StrictNamedArgs{"run": f.Run, "payment": f.Payment, "after": f.After, "limit": f.Limit + 1})
		return err
	})
	if len(list) > f.Limit {
		list = list[:f.Limit]
		next = list[f.Limit-1].ID
	}
	return list, next, err
}

// RevokeMatch undoes a match, with a reason: its entry is reversed, captures
// and refunds count as not settled (a refund that is done stays done), a bank
// line goes back into suspense, and each side is listed as a break again. No
// rule makes that pair a second time. ErrRevoked when it was revoked before.
func (s *Service) RevokeMatch(ctx context.Context, actor auth.Actor, id MatchID, reason string) (match Match, err error) {
	if err := auth.Require(actor, auth.PermReconcile); err != nil {
		return Match{}, err
	}
	if reason == "" {
		return Match{}, ErrInvalid.At("/reason", "must say why")
	}
	err = postgres.InTx(ctx, s.DB, actor.Authority, func(tx pgx.Tx) error {
		if match, err = matchByID(ctx, tx, id); err != nil {
			return err
		}
		run, err := runByID(ctx, tx, match.Run, ``)
		if err != nil {
			return err
		}
		src, err := s.takeTurn(ctx, tx, actor.Authority, run.Source)
		if err != nil {
			return err
		}
		if match, err = matchByID(ctx, tx, id); err != nil {
			return err
		}
		if match.RevokedAt != nil {
			return ErrRevoked
		}
		if err := s.revoke(ctx, tx, actor, src, run, match, reason); err != nil {
			return err
		}
		match, err = matchByID(ctx, tx, id)
		return err
	})
	return match, err
}

func matchByID(ctx context.Context, tx pgx.Tx, id MatchID) (Match, error) {
	list, err := selectMatches(ctx, tx, ` and m.id = $1`, id)
	if err != nil {
		return Match{}, err
	}
	if len(list) != 1 {
		return Match{}, ErrUnknownMatch
	}
	return list[0], nil
}

func (s *Service) revoke(ctx context.Context, tx pgx.Tx, actor auth.Actor, src Source, run Run, match Match, reason string) error {
	now := s.now()
	for _, r := range match.Refunds {
		if err := s.Refunds.Unsettle(ctx, tx, actor, r); err != nil {
			return err
		}
	}
	if len(match.Captures) > 0 {
		if err := s.Payments.Unsettle(ctx, tx, actor, match.Captures, now); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, `
		with m as (
			update reconcile.match set revoked_at = $2, revoked_by = $3, revoke_reason = $4 where id = $1),
		i as (
			update reconcile.match_item set live = false where match_id = $1 returning line_id, side)
		update reconcile.statement_line l set matched = l.matched and i.side <> 'line', paid_out = l.paid_out and i.side <> 'book'
		from i where l.id = i.line_id`, match.ID, now, actor.ID, reason)
	if err != nil {
		return err
	}
	in, out, err := s.unmatched(ctx, tx, match)
	if err != nil {
		return err
	}
	if err := insertBreaks(ctx, tx, run, in, out, now); err != nil {
		return err
	}
	if !match.Entry.IsZero() {
		if err := s.unpost(ctx, tx, actor, src, match, in.Lines, reason, now); err != nil {
			return err
		}
	}
	return audit.Record(ctx, tx, audit.Event{
		Actor: actor, At: now, Act: "match.revoke", ObjectKind: "match", ObjectID: match.ID.String(), Reason: reason,
		Before: map[string]any{"rule": match.Rule, "amount": match.Amount.Minor},
	})
}

// unmatched lists as breaks what a revoked match held.
func (s *Service) unmatched(ctx context.Context, tx pgx.Tx, match Match) (in input, list []finding, err error) {
	rows, err := tx.Query(ctx, `select id, business_date, amount from reconcile.statement_line where id = any($1::uuid[]) order by id`, match.Lines)
	if err != nil {
		return in, nil, err
	}
	const detail = "its match was revoked"
	var l matchLine
	_, err = pgx.ForEachRow(rows, []any{&l.ID, &l.Date, &l.Amount}, func() error {
		in.Lines = append(in.Lines, l)
		amount := l.Amount
		list = append(list, finding{
			Kind: Unidentified, Line: len(in.Lines) - 1, Item: -1, Batch: -1, Amount: amount, Source: &amount, Detail: detail,
		})
		return nil
	})
	if err != nil {
		return in, nil, err
	}
	rows, err = tx.Query(ctx, `
		select coalesce(i.capture_id, i.refund_id), i.refund_id is not null, coalesce(c.payment_id, r.payment_id), i.amount
		from reconcile.match_item i
		left join payments.capture c on c.id = i.capture_id
		left join refunds.refund r on r.id = i.refund_id
		where i.match_id = $1 and i.line_id is null`, match.ID)
	if err != nil {
		return in, nil, err
	}
	var (
		item     bookItem
		isRefund bool
	)
	_, err = pgx.ForEachRow(rows, []any{&item.ID, &isRefund, &item.Payment, &item.Amount}, func() error {
		f := finding{Kind: MissingAtSource, Line: -1, Item: len(in.Items), Batch: -1, Payment: item.Payment, Amount: item.Amount, Detail: detail}
		item.Kind = captureItem
		if isRefund {
			item.Kind, f.Kind = refundItem, RefundUnmatched
		}
		amount := item.Amount
		f.Book = &amount
		in.Items, list = append(in.Items, item), append(list, f)
		return nil
	})
	if err != nil || match.BookRows == 0 {
		return in, list, err
	}
	rows, err = tx.Query(ctx, `
		select l.source_id, l.account, l.batch_id, sum(l.net)::bigint
		from reconcile.match_item i join reconcile.statement_line l on l.id = i.line_id
		where i.match_id = $1 and i.side = 'book' group by 1, 2, 3`, match.ID)
	if err != nil {
		return in, nil, err
	}
	var b batch
	_, err = pgx.ForEachRow(rows, []any{&b.Source, &b.Account, &b.ID, &b.Net}, func() error {
		net := b.Net
		in.Batches = append(in.Batches, b)
		list = append(list, finding{Kind: MissingAtSource, Line: -1, Item: -1, Batch: len(in.Batches) - 1, Amount: net, Book: &net, Detail: detail})
		return nil
	})
	return in, list, err
}

// unpost reverses what a match posted, on an open date, and puts its bank lines into suspense.
func (s *Service) unpost(ctx context.Context, tx pgx.Tx, actor auth.Actor, src Source, match Match, lines []matchLine, reason string, now time.Time) error {
	p := s.poster(actor, src, now)
	date, err := p.date(ctx, tx, calendar.On(now))
	if err != nil {
		return err
	}
	cause := ledger.Cause{Kind: "match", ID: match.ID.String(), Event: "revoked"}
	if _, err := ledger.Reverse(ctx, tx, match.Entry, cause, reason, actor.ID, date, now); err != nil {
		return err
	}
	times := map[LineID]int{}
	rows, err := tx.Query(ctx, `select id, suspensions from reconcile.statement_line where id = any($1::uuid[])`, match.Lines)
	if err != nil {
		return err
	}
	var (
		id uuid.UUID
		n  int
	)
	if _, err := pgx.ForEachRow(rows, []any{&id, &n}, func() error { times[LineID(id)] = n; return nil }); err != nil {
		return err
	}
	for i := range lines {
		lines[i].Date = date // the correction is of today, not of the line's day
	}
	return p.suspend(ctx, tx, lines, func(id LineID) int { return times[id] + 1 })
}
