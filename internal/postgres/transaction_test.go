package postgres_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/postgres/pgtest"
)

// However a body begins, it is in a transaction of its authority from its first statement on.
func TestFirstStatementIsBound(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	exec(t, db, `create table kept (how text primary key, authority text, tx xid8); grant all on kept to doisoat_app`)
	const insert = `insert into public.kept select $1, app.authority(), pg_current_xact_id() returning authority`
	one := func(how string) *pgx.Batch {
		b := &pgx.Batch{}
		b.Queue(insert, how)
		b.Queue(insert, how+" again")
		return b
	}
	var authority string
	bodies := map[string]func(tx pgx.Tx) error{
		"exec": func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), insert, "exec")
			return err
		},
		"row": func(tx pgx.Tx) error { return tx.QueryRow(t.Context(), insert, "row").Scan(&authority) },
		"rows": func(tx pgx.Tx) error {
			rows, err := tx.Query(t.Context(), insert, "rows")
			if err != nil {
				return err
			}
			_, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
			return err
		},
		"batch closed": func(tx pgx.Tx) error { return tx.SendBatch(t.Context(), one("batch closed")).Close() },
		"batch read": func(tx pgx.Tx) error {
			results := tx.SendBatch(t.Context(), one("batch read"))
			err := results.QueryRow().Scan(&authority)
			_, e := results.Exec()
			return errors.Join(err, e, results.Close())
		},
		"nested": func(tx pgx.Tx) error {
			return pgx.BeginFunc(t.Context(), tx, func(tx pgx.Tx) error {
				_, err := tx.Exec(t.Context(), insert, "nested")
				return err
			})
		},
		"copy": func(tx pgx.Tx) error {
			_, err := tx.CopyFrom(
				t.Context(),
				pgx.Identifier{"public", "kept"},
				[]string{"how", "authority"},
				pgx.CopyFromRows([][]any{{"copy", "H41"}}),
			)
			return err
		},
		"nothing": func(pgx.Tx) error { return nil },
	}
	errUndone := errors.New("undone")
	for how, body := range bodies {
		err := postgres.WriteTx(t.Context(), db.App, "H41", func(tx pgx.Tx) error {
			return errors.Join(body(tx), errUndone)
		})
		if !errors.Is(err, errUndone) || err.Error() != errUndone.Error() {
			t.Errorf("%s, given up: got %v", how, err)
		}
		if err := postgres.WriteTx(t.Context(), db.App, "H41", body); err != nil {
			t.Errorf("%s: %v", how, err)
		}
	}
	rows, err := db.Owner.Query(t.Context(), `select how || ' ' || authority from kept order by 1`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	want := []string{
		"batch closed H41",
		"batch closed again H41",
		"batch read H41",
		"batch read again H41",
		"copy H41",
		"exec H41",
		"nested H41",
		"row H41",
		"rows H41",
	}
	if diff := cmp.Diff(got, want); err != nil || diff != "" {
		t.Errorf("rows: %v (-got +want)\n%s", err, diff)
	}
	var transactions int
	if err := db.Owner.QueryRow(t.Context(), `select count(distinct tx) from kept where how like 'batch%'`).
		Scan(&transactions); err != nil ||
		transactions != 2 {
		t.Errorf("batches: got %d transactions, %v, want 2", transactions, err)
	}
}

// A transaction that cannot begin says so wherever the caller looks.
func TestBeginFails(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	pool, err := postgres.Open(t.Context(), postgres.Config{URL: db.DSN, Role: postgres.AppRole, MaxConns: 1, ApplicationName: "test"})
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for how, body := range map[string]func(tx pgx.Tx) error{
		"exec": func(tx pgx.Tx) error {
			_, err := tx.Exec(gone, `select 1`)
			return err
		},
		"row": func(tx pgx.Tx) error { return tx.QueryRow(gone, `select 1`).Scan(nil) },
		"rows": func(tx pgx.Tx) error {
			rows, _ := tx.Query(gone, `select 1`)
			_, err := pgx.CollectRows(rows, pgx.RowTo[int])
			return err
		},
		"batch": func(tx pgx.Tx) error {
			b := &pgx.Batch{}
			b.Queue(`select 1`)
			return tx.SendBatch(gone, b).Close()
		},
		"nested": func(tx pgx.Tx) error {
			_, err := tx.Begin(gone)
			return err
		},
		"copy": func(tx pgx.Tx) error {
			_, err := tx.CopyFrom(gone, pgx.Identifier{"x"}, nil, pgx.CopyFromRows(nil))
			return err
		},
		"prepare": func(tx pgx.Tx) error {
			_, err := tx.Prepare(gone, "x", `select 1`)
			return err
		},
	} {
		if err := postgres.WriteTx(t.Context(), pool, "H41", body); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want that it was cancelled", how, err)
		}
	}
	pool.Close() // hangs when one of them kept its connection
}
