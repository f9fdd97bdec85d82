package reconcile

import (
	"context"
	"encoding/json"
	"iter"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/payments/captures"
	"github.com/doisoat/doisoat/reconcile/entries"
	"github.com/doisoat/doisoat/reconcile/matching"
	"github.com/doisoat/doisoat/reconcile/openitems"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/statements"
)

type matchKind struct{}

// Prefix implements ident.Kind.
func (matchKind) Prefix() string { return "mat" }

// MatchID names a match.
type MatchID = ident.ID[matchKind]

func chunks[T any](list []T) iter.Seq[[]T] { return slices.Chunk(list, chunk) }

// save writes the result of a pass in the transaction of the run: first the
// captures and refunds (this order keeps the order of locks), then the items and
// entries, then the matches and breaks.
func (s *Service) save(
	ctx context.Context, act postgres.Act, src statements.Source, run Run, open openitems.Open, out matching.Result,
) error {
	ids := make([]MatchID, len(out.Matches))
	for i := range ids {
		ids[i] = ident.New[matchKind]()
	}
	if err := s.settle(ctx, act, open, out); err != nil {
		return err
	}
	if err := insertItems(ctx, act, run, open.Input, out); err != nil {
		return err
	}
	posted := make([]ledger.EntryID, len(ids))
	if src.Kind == statements.BankSource {
		var err error
		if posted, err = s.postRun(ctx, act, src, open, out, ids); err != nil {
			return err
		}
	}
	if err := insertMatches(ctx, act, run, open.Input, out.Matches, ids, posted); err != nil {
		return err
	}
	if err := saveBreaks(ctx, act, run, open.Input, out); err != nil {
		return err
	}
	if src.Kind == statements.BankSource {
		return saveBalanceBreaks(ctx, act, src, run)
	}
	return nil
}

// settle marks the captures and refunds that the source confirmed as settled.
func (s *Service) settle(ctx context.Context, act postgres.Act, open openitems.Open, out matching.Result) error {
	var ids []payments.CaptureID
	for _, m := range out.Matches {
		if m.Item < 0 {
			continue
		}
		switch item := open.Items[m.Item]; item.Kind {
		case matching.Capture:
			ids = append(ids, payments.CaptureID(item.ID))
		case matching.Refund:
			err := s.Routes.ConfirmBySettlement(ctx, act, refunds.ID(item.ID), open.Lines[m.Line].TransactionID)
			if err != nil {
				return err
			}
		case matching.Transit: // its document said so already
		}
	}
	for part := range chunks(ids) {
		if err := captures.Settle(ctx, act, part); err != nil {
			return err
		}
	}
	return nil
}

// insertItems makes the run account for the book items it decided on, unless an earlier run does.
func insertItems(ctx context.Context, tx pgx.Tx, run Run, in matching.Input, out matching.Result) error {
	var used []matching.Item
	for _, m := range out.Matches {
		if m.Item >= 0 {
			used = append(used, in.Items[m.Item])
		}
	}
	for _, f := range out.Breaks {
		if f.Item >= 0 {
			used = append(used, in.Items[f.Item])
		}
	}
	for part := range chunks(used) {
		_, err := tx.Exec(ctx, `
			insert into reconcile.book_item (id, authority, run_id, capture_id, refund_id, transit_id, amount)
			select coalesce(n.capture, n.refund, n.transit), $1, $2, n.capture, n.refund, n.transit, n.amount
			from unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::bigint[]) as n (capture, refund, transit, amount)
			on conflict (id) do nothing`, run.Authority, run.ID,
			postgres.Column(part, captureID), postgres.Column(part, refundID), postgres.Column(part, transitID),
			postgres.Column(part, func(i *matching.Item) int64 { return i.Amount }))
		if err != nil {
			return err
		}
	}
	return nil
}

// captureID, refundID and transitID return the id of an item of their kind, and zero for an item of another kind.
func captureID(b *matching.Item) (id payments.CaptureID) { return idOf(b, matching.Capture, id) }
func refundID(b *matching.Item) (id refunds.ID)          { return idOf(b, matching.Refund, id) }
func transitID(b *matching.Item) (id ledger.EntryID)     { return idOf(b, matching.Transit, id) }

func idOf[ID ~[16]byte](b *matching.Item, kind matching.ItemKind, none ID) ID {
	if b.Kind == kind {
		return ID(b.ID)
	}
	return none
}

// matchItem is one line or book item of a match.
type matchItem struct {
	match   MatchID
	side    string
	capture payments.CaptureID
	refund  refunds.ID
	transit ledger.EntryID
	line    statements.LineID
	amount  int64
}

// SaveMatch writes a match that posted no entry, makes the run account for it
// and marks its lines as matched. It returns the id of the match. The caller
// holds the turn of the authority. When another live match holds a line or an
// item, a unique index refuses the match.
func SaveMatch(ctx context.Context, act postgres.Act, run Run, in matching.Input, m matching.Match) (MatchID, error) {
	id := ident.New[matchKind]()
	return id, insertMatches(ctx, act, run, in, []matching.Match{m}, []MatchID{id}, make([]ledger.EntryID, 1))
}

func insertMatches(
	ctx context.Context, act postgres.Act, run Run, in matching.Input, list []matching.Match, ids []MatchID, posted []ledger.EntryID,
) error {
	if len(list) == 0 {
		return nil
	}
	inputs := make([][]byte, len(list))
	var items []matchItem
	for i, m := range list {
		var err error
		if inputs[i], err = json.Marshal(m.Inputs); err != nil {
			return err
		}
		match, line := ids[i], in.Lines[m.Line]
		items = append(items, matchItem{match: match, side: "line", line: statements.LineID(line.ID), amount: line.Amount})
		if m.Batch >= 0 {
			b := in.Batches[m.Batch]
			for n, id := range b.Lines {
				items = append(items, matchItem{match: match, side: "book", line: statements.LineID(id), amount: b.Nets[n]})
			}
			continue
		}
		item := &in.Items[m.Item]
		items = append(items, matchItem{
			match: match, side: "book", capture: captureID(item), refund: refundID(item), transit: transitID(item), amount: item.Amount,
		})
	}
	_, err := act.Exec(ctx, `
		insert into reconcile.match (id, authority, run_id, lane, rule, version, kind, score, inputs, amount, currency, entry_id,
			created_at, created_by)
		select n.id, @authority, @run, n.lane, n.rule, @version, n.kind, n.score, n.inputs, n.amount, @currency, n.entry, @now, @by
		from unnest(@ids::uuid[], @lanes::text[], @rules::text[], @kinds::text[], @scores::smallint[], @inputs::jsonb[],
				@amounts::bigint[], @entries::uuid[])
			as n (id, lane, rule, kind, score, inputs, amount, entry)`,
		pgx.StrictNamedArgs{
			"authority": run.Authority, "run": run.ID, "version": matching.Version, "currency": run.Currency, "now": act.Now, "by": act.Actor.ID,
			"ids": ids, "inputs": inputs, "entries": posted,
			"lanes":   postgres.Column(list, func(m *matching.Match) string { return m.Lane }),
			"rules":   postgres.Column(list, func(m *matching.Match) string { return m.Rule }),
			"kinds":   postgres.Column(list, func(m *matching.Match) string { return m.Kind }),
			"scores":  postgres.Column(list, func(m *matching.Match) int { return m.Score }),
			"amounts": postgres.Column(list, func(m *matching.Match) int64 { return in.Lines[m.Line].Amount }),
		})
	if err != nil {
		return err
	}
	return insertMatchItems(ctx, act, run.Authority, items)
}

// insertMatchItems writes the sides of matches and marks their lines.
func insertMatchItems(ctx context.Context, tx pgx.Tx, authority string, items []matchItem) error {
	for part := range chunks(items) {
		_, err := tx.Exec(ctx, `
			with n as (
				select * from unnest(@matches::uuid[], @sides::text[], @captures::uuid[], @refunds::uuid[], @transits::uuid[],
						@lines::uuid[], @amounts::bigint[])
					as n (match, side, capture, refund, transit, line, amount)),
			i as (
				insert into reconcile.match_item (match_id, authority, side, capture_id, refund_id, transit_id, line_id, amount)
				select n.match, @authority, n.side, n.capture, n.refund, n.transit, n.line, n.amount from n)
			update reconcile.statement_line l set matched = l.matched or n.side = 'line', paid_out = l.paid_out or n.side = 'book'
			from n where l.id = n.line and l.id = any(@lines::uuid[])`,
			pgx.StrictNamedArgs{
				"authority": authority,
				"matches":   postgres.Column(part, func(i *matchItem) MatchID { return i.match }),
				"sides":     postgres.Column(part, func(i *matchItem) string { return i.side }),
				"captures":  postgres.Column(part, func(i *matchItem) payments.CaptureID { return i.capture }),
				"refunds":   postgres.Column(part, func(i *matchItem) refunds.ID { return i.refund }),
				"transits":  postgres.Column(part, func(i *matchItem) ledger.EntryID { return i.transit }),
				"lines":     postgres.Column(part, func(i *matchItem) statements.LineID { return i.line }),
				"amounts":   postgres.Column(part, func(i *matchItem) int64 { return i.amount }),
			})
		if err != nil {
			return err
		}
	}
	return nil
}

// postRun posts the entries of a bank's run. A matched line leaves suspense, and
// its match is posted. A booked line without a match goes into suspense, once.
// postRun returns the entry of each match.
func (s *Service) postRun(
	ctx context.Context, act postgres.Act, src statements.Source, open openitems.Open, out matching.Result, ids []MatchID,
) ([]ledger.EntryID, error) {
	p := entries.NewPoster(act.Actor.ID, src, act.Now)
	list := make([]ledger.Entry, 0, len(out.Matches))
	var freed []statements.LineID
	done := map[uuid.UUID]bool{}
	for i, m := range out.Matches {
		line := open.Lines[m.Line]
		done[line.ID] = true
		date, err := p.Date(ctx, act, line.Date)
		if err != nil {
			return nil, err
		}
		if held := open.Suspense[line.ID]; !held.Entry.IsZero() {
			if err := p.Identify(ctx, act, statements.LineID(line.ID), held.Entry, held.Times, date); err != nil {
				return nil, err
			}
			freed = append(freed, statements.LineID(line.ID))
		}
		switch {
		case m.Batch >= 0:
			list = append(list, p.PaidOut(ids[i].String(), open.Batches[m.Batch], date))
		case open.Items[m.Item].Kind == matching.Transit:
			list = append(list, p.Arrived(ids[i].String(), open.Items[m.Item], date))
		default:
			list = append(list, p.Transferred(ids[i].String(), open.Items[m.Item], date))
		}
	}
	if _, err := act.Exec(ctx, `update reconcile.statement_line set suspense_entry = null where id = any($1::uuid[])`, freed); err != nil {
		return nil, err
	}
	posted, err := entries.Post(ctx, act, list)
	if err != nil {
		return nil, err
	}
	var waiting []matching.Line
	for _, l := range open.Lines {
		if l.Booked && l.Amount != 0 && !done[l.ID] && open.Suspense[l.ID].Entry.IsZero() {
			waiting = append(waiting, l)
		}
	}
	return posted, p.Suspend(ctx, act, waiting, func(id uuid.UUID) int { return open.Suspense[id].Times + 1 })
}

// saveBalanceBreaks compares the opening balance of each recent statement with
// the closing balance of the statement before it. Files may arrive in any order,
// so every run compares all recent statements again. When a late file fills a
// gap, the break ends.
func saveBalanceBreaks(ctx context.Context, act postgres.Act, src statements.Source, run Run) error {
	rows, err := act.Query(ctx, `
		select st.id, before.closing, st.opening
		from reconcile.statement st
		cross join lateral (
			select p.closing from reconcile.statement p
			where p.source_id = st.source_id and p.status in ('accepted', 'partial') and p.closing is not null and p.period_to < st.period_from
			order by p.period_to desc, p.id desc limit 1) before
		where st.source_id = $1 and st.status in ('accepted', 'partial') and st.opening is not null
			and st.period_from <= $2 and st.period_from > $3 and before.closing <> st.opening`,
		src.ID, run.BusinessDate, run.BusinessDate.AddDays(-openitems.RecentDays))
	if err != nil {
		return err
	}
	type gap struct {
		Statement        statements.ID
		Closing, Opening int64
	}
	gaps, err := pgx.CollectRows(rows, pgx.RowToStructByPos[gap])
	if err != nil {
		return err
	}
	ids := postgres.Column(gaps, func(g *gap) statements.ID { return g.Statement })
	_, err = act.Exec(ctx, `
		update reconcile.break b set status = 'resolved', resolved_at = $5, resolution = 'filled'
		from reconcile.statement st
		where b.source_id = $1 and b.kind = 'balance_break' and b.status <> 'resolved' and st.id = b.statement_id
			and st.period_from <= $2 and st.period_from > $3 and b.statement_id <> all($4::uuid[])`,
		src.ID, run.BusinessDate, run.BusinessDate.AddDays(-openitems.RecentDays), ids, act.Now)
	if err != nil {
		return err
	}
	_, err = act.Exec(ctx, `
		insert into reconcile.break (id, authority, run_id, source_id, kind, status, holds, statement_id, amount, source_amount, book_amount,
			currency, detail, created_at)
		select n.id, @authority, @run, @source, 'balance_break', 'open', false, n.statement, n.opening - n.closing, n.opening, n.closing,
			@currency, 'the statement opens with another balance than the one before it closed with', @now
		from unnest(@ids::uuid[], @statements::uuid[], @openings::bigint[], @closings::bigint[]) as n (id, statement, opening, closing)
		on conflict (statement_id, kind) where status <> 'resolved' and statement_id is not null do nothing`,
		pgx.StrictNamedArgs{
			"authority": run.Authority, "run": run.ID, "source": src.ID, "currency": run.Currency, "now": act.Now,
			"ids": postgres.Column(gaps, func(*gap) BreakID { return ident.New[breakKind]() }), "statements": ids,
			"openings": postgres.Column(gaps, func(g *gap) int64 { return g.Opening }),
			"closings": postgres.Column(gaps, func(g *gap) int64 { return g.Closing }),
		})
	return err
}
