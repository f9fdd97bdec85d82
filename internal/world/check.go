package world

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/seal"
	"github.com/doisoat/doisoat/payments/checks"
	"github.com/doisoat/doisoat/reconcile"
	"github.com/doisoat/doisoat/refunds/refundcheck"
	"github.com/doisoat/doisoat/remittance"
)

// roomChecks recompute one room inside a transaction of one authority.
var roomChecks = []struct {
	room  string
	check func(ctx context.Context, tx pgx.Tx) ([]string, error)
}{
	{"ledger", ledger.Check},
	{"dossiers", dossiers.Check},
	{"payments", checks.Check},
	{"remittance", remittance.Check},
	{"refunds", refundcheck.Check},
	{"reconcile", reconcile.Check},
}

// roomWarnings find overdue work.
var roomWarnings = []struct {
	room  string
	stuck func(ctx context.Context, tx pgx.Tx, now time.Time) ([]string, error)
}{
	{"ledger", seal.Late},
	{"payments", checks.Stuck},
	{"refunds", refundcheck.Stuck},
}

// Checked holds the findings for one authority.
type Checked struct {
	Authority string           `json:"authority"`
	Checked   map[string]int64 `json:"checked"` // rows looked at, by noun
	Problems  []Finding        `json:"problems"`
	Warnings  []Finding        `json:"warnings"`
}

// Finding is one sentence of a room about its own rows.
type Finding struct {
	Room   string `json:"room"`
	Detail string `json:"detail"`
}

// Steps starts to show the progress of work in so many units: add counts the
// units done, end stops.
type Steps func(text, unit string, size int64) (add func(units int), end func())

// Check recomputes all rooms of an authority in one read-only snapshot. Problems
// are sums that differ; warnings are overdue work.
func Check(ctx context.Context, pool *pgxpool.Pool, code string, now time.Time, steps Steps) (Checked, error) {
	one := Checked{Authority: code, Checked: map[string]int64{}, Problems: []Finding{}, Warnings: []Finding{}}
	err := postgres.ReadTx(ctx, pool, code, func(tx pgx.Tx) error {
		// It reads the whole book, month by month where it can, and blocks no writer.
		if _, err := tx.Exec(ctx, `select set_config(n, v, true) from (values ('statement_timeout', '0'), ('work_mem', '64MB'),
			('enable_partitionwise_join', 'on'), ('enable_partitionwise_aggregate', 'on')) as s (n, v)`); err != nil {
			return err
		}
		add, end := steps("recomputing the sums of "+code, "rooms", int64(len(roomChecks)))
		for _, r := range roomChecks {
			found, err := r.check(ctx, tx)
			if err != nil {
				return fmt.Errorf("%s: %w", r.room, err)
			}
			for _, detail := range found {
				one.Problems = append(one.Problems, Finding{r.room, detail})
			}
			add(1)
		}
		end()
		found, err := checkSeal(ctx, tx, code, steps)
		if err != nil {
			return fmt.Errorf("seal: %w", err)
		}
		for _, detail := range found {
			one.Problems = append(one.Problems, Finding{"seal", detail})
		}
		for _, r := range roomWarnings {
			found, err := r.stuck(ctx, tx, now)
			if err != nil {
				return fmt.Errorf("%s: %w", r.room, err)
			}
			for _, detail := range found {
				one.Warnings = append(one.Warnings, Finding{r.room, detail})
			}
		}
		return countChecked(ctx, tx, one.Checked)
	})
	return one, err
}

// checkSeal hashes the whole book. Hashing takes the longest, so a terminal shows the progress.
func checkSeal(ctx context.Context, tx pgx.Tx, code string, steps Steps) ([]string, error) {
	size, err := seal.Size(ctx, tx)
	if err != nil {
		return nil, err
	}
	if size == 0 {
		return seal.Check(ctx, tx, nil)
	}
	add, end := steps("hashing the book of "+code, "entries", size)
	defer end()
	return seal.Check(ctx, tx, add)
}

type checkedNoun struct {
	Noun  string
	Count int64
}

// countChecked counts the rows that row-level security showed to the checks, so
// that a clean report over no rows is recognised.
func countChecked(ctx context.Context, tx pgx.Tx, counts map[string]int64) error {
	rows, err := tx.Query(ctx, `
		select 'entries', count(*) from ledger.entry
		union all select 'postings', count(*) from ledger.posting
		union all select 'sealed', count(*) from ledger.sealed_entry
		union all select 'blocks', count(*) from ledger.block
		union all select 'dossiers', count(*) from dossiers.dossier
		union all select 'charges', count(*) from dossiers.charge
		union all select 'assessed', count(*) from dossiers.charge where assessed_ground <> ''
		union all select 'payments', count(*) from payments.payment
		union all select 'captures', count(*) from payments.capture
		union all select 'refunds', count(*) from refunds.refund
		union all select 'lines', count(*) from reconcile.statement_line
		union all select 'matches', count(*) from reconcile.match`)
	if err != nil {
		return err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[checkedNoun])
	for _, c := range list {
		counts[c.Noun] = c.Count
	}
	return err
}
