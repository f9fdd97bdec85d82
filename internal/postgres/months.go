package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/internal/fault"
)

// ErrStrayRows: a room wrote rows for a month that has no partition. Either a clock is far off, or the job
// that makes partitions has not run for months. No row is lost or wrong: such rows are in the default
// partition. But the default partition grows, and every query searches it.
var ErrStrayRows = fault.New(fault.Internal, "postgres.stray_rows", "rows lie in a default partition")

// MakeMonths makes the monthly partitions of this month and of the next three where they are missing, and
// returns the first day of each month that it made. When a default partition has rows, it makes the
// partitions and then returns ErrStrayRows. When another transaction uses a table, MakeMonths leaves the
// table for the next time and returns ErrBusy. It may run any number of times, also at once.
func MakeMonths(ctx context.Context, pool *pgxpool.Pool) ([]time.Time, error) {
	var made []time.Time
	err := WriteTx(ctx, pool, "", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `select made from app.make_months() as made`)
		if err != nil {
			return err
		}
		made, err = pgx.CollectRows(rows, pgx.RowTo[time.Time])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make months: %w", err)
	}
	stray, err := StrayRows(ctx, pool)
	if err == nil && len(stray) > 0 {
		err = ErrStrayRows.With("rows of %s lie in a default partition", strings.Join(stray, ", "))
	}
	return made, err
}

// StrayRows names the tables with rows in their default partition: normally none.
func StrayRows(ctx context.Context, pool *pgxpool.Pool) ([]string, error) {
	var stray []string
	err := WriteTx(ctx, pool, "", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `select parent from app.stray_rows() as parent`)
		if err != nil {
			return err
		}
		stray, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for stray rows: %w", err)
	}
	return stray, nil
}
