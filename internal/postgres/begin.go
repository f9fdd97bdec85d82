package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// unsent is a transaction of which nothing was sent when its body begins. A
// batch that comes first takes the begin along and saves a round trip; anything
// else begins first.
type unsent struct {
	pgx.Tx // nil until it has begun

	pool      *pgxpool.Pool
	options   pgx.TxOptions
	authority string
}

// opening begins the transaction and binds it to its authority: two results.
func (t *unsent) opening() *pgx.Batch {
	b := &pgx.Batch{}
	b.BeginTx(t.options)
	b.Queue(`select set_config('app.authority', $1, true)`, t.authority)
	return b
}

func (t *unsent) begin(ctx context.Context) error {
	if t.Tx != nil {
		return nil
	}
	results := t.pool.SendBatch(ctx, t.opening())
	t.Tx = results.Tx()
	return results.Close()
}

// SendBatch implements pgx.Tx.
func (t *unsent) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	if t.Tx != nil {
		return t.Tx.SendBatch(ctx, b)
	}
	first := t.opening()
	first.QueuedQueries = append(first.QueuedQueries, b.QueuedQueries...)
	results := t.pool.SendBatch(ctx, first)
	t.Tx = results.Tx()
	// The results of the opening are not the caller's. An error stays in results.
	_, _ = results.Exec()
	_, _ = results.Exec()
	return results
}

// Begin implements pgx.Tx.
func (t *unsent) Begin(ctx context.Context) (pgx.Tx, error) {
	if err := t.begin(ctx); err != nil {
		return nil, err
	}
	return t.Tx.Begin(ctx)
}

// CopyFrom implements pgx.Tx.
func (t *unsent) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error) {
	if err := t.begin(ctx); err != nil {
		return 0, err
	}
	return t.Tx.CopyFrom(ctx, table, columns, rows)
}

// Prepare implements pgx.Tx.
func (t *unsent) Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error) {
	if err := t.begin(ctx); err != nil {
		return nil, err
	}
	return t.Tx.Prepare(ctx, name, sql)
}

// Exec implements pgx.Tx.
func (t *unsent) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if err := t.begin(ctx); err != nil {
		return pgconn.CommandTag{}, err
	}
	return t.Tx.Exec(ctx, sql, args...)
}

// Query implements pgx.Tx.
func (t *unsent) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if err := t.begin(ctx); err != nil {
		return failed{err: err}, err
	}
	return t.Tx.Query(ctx, sql, args...) //nolint:rowserrcheck // the caller's to check
}

// QueryRow implements pgx.Tx.
func (t *unsent) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if err := t.begin(ctx); err != nil {
		return failed{err: err}
	}
	return t.Tx.QueryRow(ctx, sql, args...)
}

// Commit implements pgx.Tx. Nothing is to be committed when nothing was sent.
func (t *unsent) Commit(ctx context.Context) error {
	if t.Tx == nil {
		return nil
	}
	return t.Tx.Commit(ctx)
}

// Rollback implements pgx.Tx.
func (t *unsent) Rollback(ctx context.Context) error {
	if t.Tx == nil {
		return nil
	}
	return t.Tx.Rollback(ctx)
}

// Conn implements pgx.Tx: nil until the transaction has begun.
func (t *unsent) Conn() *pgx.Conn {
	if t.Tx == nil {
		return nil
	}
	return t.Tx.Conn()
}

// failed are the rows of a transaction that could not begin: like pgx's own,
// they answer with the error, so that callers may look at it there.
type failed struct {
	pgx.Rows

	err error
}

// Scan implements pgx.Row and pgx.Rows.
func (f failed) Scan(...any) error { return f.err }

// Next implements pgx.Rows.
func (failed) Next() bool { return false }

// Close implements pgx.Rows.
func (failed) Close() {}

// Err implements pgx.Rows.
func (f failed) Err() error { return f.err }

// CommandTag implements pgx.Rows.
func (failed) CommandTag() pgconn.CommandTag { return pgconn.CommandTag{} }
