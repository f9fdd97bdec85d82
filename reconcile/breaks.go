package reconcile

import (
	"cmp"
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/reconcile/matching"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/statements"
)

type breakKind struct{}

// Prefix implements ident.Kind.
func (breakKind) Prefix() string { return "brk" }

// BreakID names a break.
type BreakID = ident.ID[breakKind]

// liveBreak is a break that no run and no person has ended, as far as a pass compares it.
type liveBreak struct {
	ID           BreakID             `db:"id"`
	SourceID     statements.SourceID `db:"source_id"`
	Kind         matching.BreakKind  `db:"kind"`
	Holds        bool                `db:"holds"`
	LineID       statements.LineID   `db:"line_id"`
	CaptureID    payments.CaptureID  `db:"capture_id"`
	RefundID     refunds.ID          `db:"refund_id"`
	TransitID    ledger.EntryID      `db:"transit_id"`
	BatchSource  statements.SourceID `db:"batch_source_id"`
	BatchAccount string              `db:"batch_account"`
	BatchID      string              `db:"batch_id"`
	Amount       int64               `db:"amount"`
	SourceAmount *int64              `db:"source_amount"`
	BookAmount   *int64              `db:"book_amount"`
	Detail       string              `db:"detail"`
}

// liveBreaks returns the breaks of a source about lines, items and batches, and the breaks of other accounts about batches.
func liveBreaks(ctx context.Context, tx pgx.Tx, source statements.SourceID) ([]liveBreak, error) {
	rows, err := tx.Query(ctx, `
		select b.id, b.source_id, b.kind, b.holds, b.line_id, b.capture_id, b.refund_id, b.transit_id,
			b.batch_source_id, b.batch_account, b.batch_id, b.amount, b.source_amount, b.book_amount, b.detail
		from reconcile.break b
		where b.authority = (select app.authority()) and b.status <> 'resolved' and b.statement_id is null
			and (b.source_id = $1 or b.batch_source_id is not null)`, source)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[liveBreak])
}

// breakKey identifies a break: two breaks of the same kind about the same line, item or batch are one break.
type breakKey struct {
	kind  matching.BreakKind
	line  uuid.UUID
	item  uuid.UUID
	batch matching.BatchKey
}

func (r liveBreak) key() breakKey {
	item := cmp.Or(r.CaptureID.UUID(), r.RefundID.UUID(), r.TransitID.UUID())
	return breakKey{r.Kind, r.LineID.UUID(), item, matching.BatchKey{Source: r.BatchSource.UUID(), Account: r.BatchAccount, ID: r.BatchID}}
}

// keyOf returns the key of a break of the matcher.
func keyOf(in matching.Input, f matching.Break) breakKey {
	k := breakKey{kind: f.Kind}
	if f.Line >= 0 {
		k.line = in.Lines[f.Line].ID
	}
	if f.Item >= 0 {
		k.item = in.Items[f.Item].ID
	}
	if f.Batch >= 0 {
		k.batch = in.Batches[f.Batch].BatchKey
	}
	return k
}

// saveBreaks makes the live breaks in the scope of the run equal to the breaks
// of the matcher. A break that the matcher lists again stays, with its new
// amounts. Every other break in the scope ends, and new breaks are written.
func saveBreaks(ctx context.Context, act postgres.Act, run Run, in matching.Input, out matching.Result) error {
	live, err := liveBreaks(ctx, act, run.SourceID)
	if err != nil {
		return err
	}
	scope := scopeOf(in)
	wanted := make(map[breakKey]matching.Break, len(out.Breaks))
	for _, f := range out.Breaks {
		wanted[keyOf(in, f)] = f
	}
	matched := matchedKeys(in, out)
	var ended struct {
		ids  []BreakID
		whys []string
	}
	kept := map[breakKey]bool{}
	for _, b := range live {
		k := b.key()
		f, again := wanted[k]
		switch {
		case b.SourceID != run.SourceID: // another account lists a batch: this one may have paid it
			if matched.batches[k.batch] {
				ended.ids, ended.whys = append(ended.ids, b.ID), append(ended.whys, "matched")
			}
		case again:
			kept[k] = true
			if err := refreshBreak(ctx, act, b, f); err != nil {
				return err
			}
		case b.Holds && scope.touches(k):
			why := "superseded"
			if matched.touches(k) {
				why = "matched"
			}
			ended.ids, ended.whys = append(ended.ids, b.ID), append(ended.whys, why)
		}
	}
	_, err = act.Exec(ctx, `
		update reconcile.break b set status = 'resolved', resolved_at = $3, resolution = n.why
		from unnest($1::uuid[], $2::text[]) as n (id, why) where b.id = n.id`, ended.ids, ended.whys, act.Now)
	if err != nil {
		return err
	}
	var fresh []matching.Break
	for _, f := range out.Breaks {
		if !kept[keyOf(in, f)] {
			fresh = append(fresh, f)
		}
	}
	return InsertBreaks(ctx, act, run, in, fresh)
}

// refreshBreak keeps the amounts of a live break true, for example of a batch that grew.
func refreshBreak(ctx context.Context, tx pgx.Tx, b liveBreak, f matching.Break) error {
	if b.Amount == f.Amount && equal(b.SourceAmount, f.Source) && equal(b.BookAmount, f.Book) && b.Detail == f.Detail {
		return nil
	}
	_, err := tx.Exec(ctx, `
		update reconcile.break set amount = $2, source_amount = $3, book_amount = $4, detail = $5 where id = $1`,
		b.ID, f.Amount, f.Source, f.Book, f.Detail)
	return err
}

func equal(a, b *int64) bool { return a == b || (a != nil && b != nil && *a == *b) }

// InsertBreaks writes breaks of the matcher as open breaks of a run. The caller
// holds the turn of the authority. When another live break holds the same money,
// a unique index refuses the whole list.
func InsertBreaks(ctx context.Context, act postgres.Act, run Run, in matching.Input, list []matching.Break) error {
	for part := range chunks(list) {
		lines, batches, items := make([]statements.LineID, len(part)), make([]matching.BatchKey, len(part)), make([]matching.Item, len(part))
		for i, f := range part {
			k := keyOf(in, f)
			lines[i], batches[i] = statements.LineID(k.line), k.batch
			if f.Item >= 0 {
				items[i] = in.Items[f.Item]
			}
		}
		_, err := act.Exec(ctx, `
			insert into reconcile.break (id, authority, run_id, source_id, kind, status, holds, line_id, capture_id, refund_id, transit_id,
				payment_id, batch_source_id, batch_account, batch_id, amount, source_amount, book_amount, currency, detail, created_at)
			select n.id, @authority, @run, @source, n.kind, 'open', not n.tells, n.line, n.capture, n.refund, n.transit, n.payment,
				n.batch_source, n.batch_account, n.batch, n.amount, n.source_amount, n.book_amount, @currency, n.detail, @now
			from unnest(@ids::uuid[], @kinds::text[], @tells::boolean[], @lines::uuid[], @captures::uuid[], @refunds::uuid[],
					@transits::uuid[], @payments::uuid[], @batch_sources::uuid[], @batch_accounts::text[], @batches::text[], @amounts::bigint[],
					@source_amounts::bigint[], @book_amounts::bigint[], @details::text[])
				as n (id, kind, tells, line, capture, refund, transit, payment, batch_source, batch_account, batch, amount,
					source_amount, book_amount, detail)`,
			pgx.StrictNamedArgs{
				"authority": run.Authority, "run": run.ID, "source": run.SourceID, "currency": run.Currency, "now": act.Now,
				"ids":   postgres.Column(part, func(*matching.Break) BreakID { return ident.New[breakKind]() }),
				"kinds": postgres.Column(part, func(f *matching.Break) string { return string(f.Kind) }),
				"tells": postgres.Column(part, func(f *matching.Break) bool { return f.Tells }),
				"lines": lines, "captures": postgres.Column(items, captureID), "refunds": postgres.Column(items, refundID),
				"transits":       postgres.Column(items, transitID),
				"payments":       postgres.Column(part, func(f *matching.Break) payments.ID { return payments.ID(f.Payment) }),
				"batch_sources":  postgres.Column(batches, func(k *matching.BatchKey) statements.SourceID { return statements.SourceID(k.Source) }),
				"batch_accounts": postgres.Column(batches, func(k *matching.BatchKey) string { return k.Account }),
				"batches":        postgres.Column(batches, func(k *matching.BatchKey) string { return k.ID }),
				"amounts":        postgres.Column(part, func(f *matching.Break) int64 { return f.Amount }),
				"source_amounts": postgres.Column(part, func(f *matching.Break) *int64 { return f.Source }),
				"book_amounts":   postgres.Column(part, func(f *matching.Break) *int64 { return f.Book }),
				"details":        postgres.Column(part, func(f *matching.Break) string { return f.Detail }),
			})
		if err != nil {
			return err
		}
	}
	return nil
}

// scope is a set of lines, items and batches.
type scope struct {
	lines   map[uuid.UUID]bool
	items   map[uuid.UUID]bool
	batches map[matching.BatchKey]bool
}

func (s scope) touches(k breakKey) bool {
	return s.lines[k.line] || s.items[k.item] || s.batches[k.batch]
}

// scopeOf is everything the run looked at.
func scopeOf(in matching.Input) scope {
	s := scope{map[uuid.UUID]bool{}, map[uuid.UUID]bool{}, map[matching.BatchKey]bool{}}
	for _, l := range in.Lines {
		s.lines[l.ID] = true
	}
	for _, i := range in.Items {
		s.items[i.ID] = true
	}
	for _, b := range in.Batches {
		s.batches[b.BatchKey] = true
	}
	return s
}

// matchedKeys is everything that the run matched.
func matchedKeys(in matching.Input, out matching.Result) scope {
	s := scope{map[uuid.UUID]bool{}, map[uuid.UUID]bool{}, map[matching.BatchKey]bool{}}
	for _, m := range out.Matches {
		s.lines[in.Lines[m.Line].ID] = true
		if m.Item >= 0 {
			s.items[in.Items[m.Item].ID] = true
		}
		if m.Batch >= 0 {
			s.batches[in.Batches[m.Batch].BatchKey] = true
		}
	}
	return s
}
