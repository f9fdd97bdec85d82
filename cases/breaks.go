package cases

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/page"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/reconcile"
	"github.com/doisoat/doisoat/reconcile/matching"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/statements"
)

// BreakStatus says whether a break is still a difference.
type BreakStatus string

// The statuses. Carried means: the break is open, and its run is closed.
const (
	BreakOpen     BreakStatus = "open"
	BreakCarried  BreakStatus = "carried"
	BreakResolved BreakStatus = "resolved"
)

// Break is a difference found by a run.
type Break struct {
	ID           reconcile.BreakID
	Run          reconcile.RunID
	Source       string
	Kind         matching.BreakKind
	Status       BreakStatus
	Holds        bool // counts in the money identity; others only tell
	Line         statements.LineID
	Capture      payments.CaptureID
	Refund       refunds.ID
	Transit      ledger.EntryID // entry that put money on its way out of the account, or back
	Payment      payments.ID
	DossierCode  string
	Statement    statements.ID
	Batch        string
	Amount       money.Amount // the difference, or the whole amount when one side is missing
	SourceAmount *int64
	BookAmount   *int64
	Detail       string
	CreatedAt    time.Time
	ResolvedAt   *time.Time
	Resolution   string
}

type breakRow struct {
	ID           reconcile.BreakID   `db:"id"`
	RunID        reconcile.RunID     `db:"run_id"`
	Source       string              `db:"source"`
	Kind         matching.BreakKind  `db:"kind"`
	Status       BreakStatus         `db:"status"`
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

func (r breakRow) shown() Break {
	return Break{
		ID: r.ID, Run: r.RunID, Source: r.Source, Kind: r.Kind, Status: r.Status, Holds: r.Holds, Line: r.LineID, Capture: r.CaptureID,
		Refund: r.RefundID, Transit: r.TransitID, Payment: r.PaymentID, DossierCode: r.DossierCode, Statement: r.StatementID, Batch: r.BatchID,
		Amount: money.Amount{Currency: r.Currency, Minor: r.Amount}, SourceAmount: r.SourceAmount, BookAmount: r.BookAmount,
		Detail: r.Detail, CreatedAt: r.CreatedAt, ResolvedAt: r.ResolvedAt, Resolution: r.Resolution,
	}
}

const selectBreak = `
	select b.id, b.run_id, s.code as source, b.kind, b.status, b.holds, b.line_id, b.capture_id, b.refund_id, b.transit_id, b.payment_id,
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
	Run    reconcile.RunID
	Source string
	Kind   matching.BreakKind
	Open   bool // open or carried
	Status BreakStatus
	After  reconcile.BreakID // last id of the page before
	Limit  int
}

// ListBreaks returns breaks of the actor's authority, newest first. next is zero at the end.
func (s *Service) ListBreaks(ctx context.Context, actor auth.Actor, f BreakFilter) (list []Break, next reconcile.BreakID, err error) {
	if err := auth.Require(actor, auth.PermReconcileRead); err != nil {
		return nil, next, err
	}
	f.Limit = page.Limit(f.Limit)
	err = postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) error {
		rows, err := selectBreaks(ctx, tx, `
				and (@run::uuid is null or b.run_id = @run)
				and (@source = '' or b.source_id = (`+statements.SourceIDByCode+`)) and (@kind = '' or b.kind = @kind)
				and (@status = '' or b.status = @status) and (not @open or b.status <> 'resolved') and (@after::uuid is null or b.id < @after)
			order by b.id desc limit @limit`, pgx.StrictNamedArgs{
			"run": f.Run, "source": f.Source, "kind": string(f.Kind), "status": string(f.Status),
			"open": f.Open, "after": f.After, "limit": f.Limit + 1,
		})
		rows, next = page.Cut(rows, f.Limit, func(x breakRow) reconcile.BreakID { return x.ID })
		list = make([]Break, len(rows))
		for i, r := range rows {
			list[i] = r.shown()
		}
		return err
	})
	return list, next, err
}
