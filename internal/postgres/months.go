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

// ErrStrayRows: rows were written for which no month was made. Nothing is lost
// or wrong; they lie in a default partition, which grows and is searched by
// every query. A clock that is far off, or a job that has not run for months.
var ErrStrayRows = fault.New(fault.Internal, "postgres.stray_rows", "rows lie in a default partition")

// MakeMonths makes the monthly partitions of this month and the next three
// where they are missing, and returns the first days of those it made. It fails
// with ErrStrayRows, after making them, when a default partition has rows. It
// may run any number of times, also at once; a table that is busy is left for
// the next time, with ErrBusy.
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

// StrayRows names the tables with rows in their default partition: none when all is well.
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
