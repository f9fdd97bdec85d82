package reconcile

import (
	"cmp"
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/page"
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

// BreakState says whether a break is still a difference.
type BreakState string

// The states. Carried means open, and its run is closed.
const (
	BreakOpen     BreakState = "open"
	BreakCarried  BreakState = "carried"
	BreakResolved BreakState = "resolved"
)

// Break is a difference found by a run.
type Break struct {
	ID           BreakID
	Run          RunID
	Source       string
	Kind         matching.BreakKind
	State        BreakState
	Holds        bool // counts in the money identity; others only tell
	Line         statements.LineID
	Capture      payments.CaptureID
	Refund       refunds.ID
	Transit      ledger.EntryID // entry that put money on its way out of the account, or back
	Payment      payments.ID
	DossierCode  string
	Statement    statements.ID
	Batch        string
	Amount       money.Amount // what the break is about: the difference, or all of it where one side is missing
	SourceAmount *int64
	BookAmount   *int64
	Detail       string
	CreatedAt    time.Time
	ResolvedAt   *time.Time
	Resolution   string
}

type breakRow struct {
	ID           BreakID             `db:"id"`
	RunID        RunID               `db:"run_id"`
	Source       string              `db:"source"`
	Kind         matching.BreakKind  `db:"kind"`
	State        BreakState          `db:"state"`
	Holds        bool                `db:"holds"`
	LineID       statements.LineID   `db:"line_id"`
	CaptureID    payments.CaptureID  `db:"capture_id"`
	RefundID     refunds.ID          `db:"refund_id"`
	TransitID    ledger.EntryID      `db:"transit_id"`
	PaymentID    payments.ID         `db:"payment_id"`
	DossierCode  string              `db:"dossier_code"`
	StatementID  statements.ID       `db:"statement_id"`
	BatchSource  statements.SourceID `db:"batch_source_id"`
	BatchAccount string              `db:"batch_account"`
	BatchID      string              `db:"batch_id"`
	Amount       int64               `db:"amount"`
	SourceAmount *int64              `db:"source_amount"`
	BookAmount   *int64              `db:"book_amount"`
	Currency     money.Currency      `db:"currency"`
	Detail       string              `db:"detail"`
	CreatedAt    time.Time           `db:"created_at"`
	ResolvedAt   *time.Time          `db:"resolved_at"`
	Resolution   string              `db:"resolution"`
}

func (r breakRow) found() Break {
	return Break{
		ID: r.ID, Run: r.RunID, Source: r.Source, Kind: r.Kind, State: r.State, Holds: r.Holds, Line: r.LineID, Capture: r.CaptureID,
		Refund: r.RefundID, Transit: r.TransitID, Payment: r.PaymentID, DossierCode: r.DossierCode, Statement: r.StatementID, Batch: r.BatchID,
		Amount: money.Amount{Currency: r.Currency, Minor: r.Amount}, SourceAmount: r.SourceAmount, BookAmount: r.BookAmount,
		Detail: r.Detail, CreatedAt: r.CreatedAt, ResolvedAt: r.ResolvedAt, Resolution: r.Resolution,
	}
}

const selectBreak = `
	select b.id, b.run_id, s.code as source, b.kind, b.state, b.holds, b.line_id, b.capture_id, b.refund_id, b.transit_id, b.payment_id,
		coalesce(d.code, '') as dossier_code, b.statement_id, b.batch_source_id, b.batch_account, b.batch_id, b.amount,
		b.source_amount, b.book_amount, b.currency, b.detail, b.created_at, b.resolved_at, b.resolution
	from reconcile.break b
	join reconcile.source s on s.id = b.source_id
	left join payments.payment p on p.id = b.payment_id
	left join dossiers.dossier d on d.id = p.dossier_id
	where b.authority = (select app.authority())`

func selectBreaks(ctx context.Context, tx pgx.Tx, and string, args ...any) ([]breakRow, error) {
	rows, err := tx.Query(ctx, selectBreak+and, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[breakRow])
}

// BreakFilter narrows a list of breaks; zero members do not filter.
type BreakFilter struct {
	Run    RunID
	Source string
	Kind   matching.BreakKind
	Open   bool // open or carried
	State  BreakState
	After  BreakID // last id of the page before
	Limit  int
}

// ListBreaks returns breaks of the actor's authority, newest first. next is zero at the end.
func (s *Service) ListBreaks(ctx context.Context, actor auth.Actor, f BreakFilter) (list []Break, next BreakID, err error) {
	if err := auth.Require(actor, auth.PermReconcileRead); err != nil {
		return nil, next, err
	}
	f.Limit = page.Limit(f.Limit)
	err = postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) error {
		found, err := selectBreaks(ctx, tx, `
				and (@run::uuid is null or b.run_id = @run) and (@source = '' or b.source_id = (`+statements.SourceIDByCode+`)) and (@kind = '' or b.kind = @kind)
				and (@state = '' or b.state = @state) and (not @open or b.state <> 'resolved') and (@after::uuid is null or b.id < @after)
			order by b.id desc limit @limit`, pgx.StrictNamedArgs{
			"run": f.Run, "source": f.Source, "kind": string(f.Kind), "state": string(f.State), "open": f.Open, "after": f.After, "limit": f.Limit + 1,
		})
		found, next = page.Cut(found, f.Limit, func(x breakRow) BreakID { return x.ID })
		list = make([]Break, len(found))
		for i, r := range found {
			list[i] = r.found()
		}
		return err
	})
	return list, next, err
}

// breakKey is what makes two breaks the same: kind and what it is about.
type breakKey struct {
	kind  matching.BreakKind
	line  uuid.UUID
	item  uuid.UUID
	batch matching.BatchKey
}

func (r breakRow) key() breakKey {
	item := cmp.Or(r.CaptureID.UUID(), r.RefundID.UUID(), r.TransitID.UUID())
	return breakKey{r.Kind, r.LineID.UUID(), item, matching.BatchKey{Source: r.BatchSource.UUID(), Account: r.BatchAccount, ID: r.BatchID}}
}

// keyOf is the key of what the matcher found.
func keyOf(in matching.Input, f matching.Finding) breakKey {
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

// saveBreaks makes the live breaks of the run's scope be what the matcher
// found: those found again stay, the others end, new ones are written.
func saveBreaks(ctx context.Context, act postgres.Act, run Run, in matching.Input, out matching.Result) error {
	live, err := selectBreaks(ctx, act, `
		and b.state <> 'resolved' and b.statement_id is null and (b.source_id = $1 or b.batch_source_id is not null)`, run.SourceID)
	if err != nil {
		return err
	}
	scope := scopeOf(in)
	wanted := make(map[breakKey]matching.Finding, len(out.Findings))
	for _, f := range out.Findings {
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
		case b.Source != run.Source: // another account lists a batch: this one may have paid it
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
		update reconcile.break b set state = 'resolved', resolved_at = $3, resolution = n.why
		from unnest($1::uuid[], $2::text[]) as n (id, why) where b.id = n.id`, ended.ids, ended.whys, act.Now)
	if err != nil {
		return err
	}
	var fresh []matching.Finding
	for _, f := range out.Findings {
		if !kept[keyOf(in, f)] {
			fresh = append(fresh, f)
		}
	}
	return insertBreaks(ctx, act, run, in, fresh)
}

// refreshBreak keeps the amounts of a live break true, for example of a batch that grew.
func refreshBreak(ctx context.Context, tx pgx.Tx, b breakRow, f matching.Finding) error {
	if b.Amount == f.Amount && equal(b.SourceAmount, f.Source) && equal(b.BookAmount, f.Book) && b.Detail == f.Detail {
		return nil
	}
	_, err := tx.Exec(ctx, `
		update reconcile.break set amount = $2, source_amount = $3, book_amount = $4, detail = $5 where id = $1`,
		b.ID, f.Amount, f.Source, f.Book, f.Detail)
	return err
}

func equal(a, b *int64) bool { return a == b || (a != nil && b != nil && *a == *b) }

func insertBreaks(ctx context.Context, act postgres.Act, run Run, in matching.Input, list []matching.Finding) error {
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
			insert into reconcile.break (id, authority, run_id, source_id, kind, state, holds, line_id, capture_id, refund_id, transit_id, payment_id,
				batch_source_id, batch_account, batch_id, amount, source_amount, book_amount, currency, detail, created_at)
			select n.id, @authority, @run, @source, n.kind, 'open', not n.tells, n.line, n.capture, n.refund, n.transit, n.payment,
				n.batch_source, n.batch_account, n.batch, n.amount, n.source_amount, n.book_amount, @currency, n.detail, @now
			from unnest(@ids::uuid[], @kinds::text[], @tells::boolean[], @lines::uuid[], @captures::uuid[], @refunds::uuid[],
					@transits::uuid[], @payments::uuid[], @batch_sources::uuid[], @batch_accounts::text[], @batches::text[], @amounts::bigint[],
					@source_amounts::bigint[], @book_amounts::bigint[], @details::text[])
				as n (id, kind, tells, line, capture, refund, transit, payment, batch_source, batch_account, batch, amount,
					source_amount, book_amount, detail)`,
			pgx.StrictNamedArgs{
				"authority": run.Authority, "run": run.ID, "source": run.SourceID, "currency": run.Currency, "now": act.Now,
				"ids":   postgres.Column(part, func(*matching.Finding) BreakID { return ident.New[breakKind]() }),
				"kinds": postgres.Column(part, func(f *matching.Finding) string { return string(f.Kind) }), "tells": postgres.Column(part, func(f *matching.Finding) bool { return f.Tells }),
				"lines": lines, "captures": postgres.Column(items, captureID), "refunds": postgres.Column(items, refundID),
				"transits":       postgres.Column(items, transitID),
				"payments":       postgres.Column(part, func(f *matching.Finding) payments.ID { return payments.ID(f.Payment) }),
				"batch_sources":  postgres.Column(batches, func(k *matching.BatchKey) statements.SourceID { return statements.SourceID(k.Source) }),
				"batch_accounts": postgres.Column(batches, func(k *matching.BatchKey) string { return k.Account }),
				"batches":        postgres.Column(batches, func(k *matching.BatchKey) string { return k.ID }),
				"amounts":        postgres.Column(part, func(f *matching.Finding) int64 { return f.Amount }),
				"source_amounts": postgres.Column(part, func(f *matching.Finding) *int64 { return f.Source }),
				"book_amounts":   postgres.Column(part, func(f *matching.Finding) *int64 { return f.Book }),
				"details":        postgres.Column(part, func(f *matching.Finding) string { return f.Detail }),
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
