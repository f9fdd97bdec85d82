package postgres_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/postgres/pgtest"
)

var errOurs = fault.New(fault.Precondition, "test.ours", "ours")

func exec(t *testing.T, db *pgtest.DB, statement string) {
	t.Helper()
	if _, err := db.Owner.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func TestTransactionsAreBoundToAnAuthority(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	type seen struct{ Authority, Isolation, ReadOnly, Role, Zone string }
	look := func(tx pgx.Tx) (s seen) {
		err := tx.QueryRow(t.Context(), `select coalesce(app.authority(), ''), current_setting('transaction_isolation'),
			current_setting('transaction_read_only'), current_user, current_setting('timezone')`).
			Scan(&s.Authority, &s.Isolation, &s.ReadOnly, &s.Role, &s.Zone)
		if err != nil {
			t.Error(err)
		}
		return s
	}
	var got []seen
	body := func(tx pgx.Tx) error { got = append(got, look(tx)); return nil }
	// One connection, so that nothing of a transaction may stay for the next.
	pool, err := postgres.Open(t.Context(), postgres.Config{URL: db.DSN, Role: postgres.AppRole, MaxConns: 1, ApplicationName: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for _, err := range []error{
		postgres.WriteTx(t.Context(), pool, "H41", body),
		postgres.ReadTx(t.Context(), pool, "H26", body),
		postgres.WriteTx(t.Context(), pool, "", body),
		pgx.BeginFunc(t.Context(), pool, body),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := []seen{
		{"H41", "read committed", "off", "doisoat_app", "UTC"},
		{"H26", "repeatable read", "on", "doisoat_app", "UTC"},
		{"", "read committed", "off", "doisoat_app", "UTC"},
		{"", "read committed", "off", "doisoat_app", "UTC"},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("transactions (-got +want):\n%s", diff)
	}
	err = postgres.ReadTx(t.Context(), db.Owner, "", func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `create table public.t (v int)`)
		return err
	})
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != pgerrcode.ReadOnlySQLTransaction {
		t.Errorf("writing in ReadTx: got %v, want a refusal", err)
	}
}

// The result of body decides: nil commits, every error leaves no trace.
func TestInTxIsAllOrNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	exec(t, db, `create table public.t (v int constraint t_above_zero check (v > 0))`)
	insert := func(v int, then error) error {
		return postgres.WriteTx(t.Context(), db.Owner, "", func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), `insert into public.t values ($1)`, v); err != nil {
				return err
			}
			return then
		})
	}
	if err := insert(1, nil); err != nil {
		t.Fatal(err)
	}
	if err := insert(2, errOurs); !errors.Is(err, errOurs) {
		t.Errorf("got %v, want our fault", err)
	}
	if err := insert(-1, nil); postgres.Constraint(err) != "t_above_zero" {
		t.Errorf("got %v, want the constraint's name", err)
	}
	if name := postgres.Constraint(errOurs); name != "" || postgres.Constraint(nil) != "" {
		t.Errorf("constraint of another error: got %q", name)
	}
	func() {
		defer func() { _ = recover() }()
		_ = postgres.WriteTx(t.Context(), db.Owner, "", func(tx pgx.Tx) error {
			_, _ = tx.Exec(t.Context(), `insert into public.t values (3)`)
			panic("broken invariant")
		})
	}()
	var got []int
	if err := db.Owner.QueryRow(t.Context(), `select array_agg(v) from public.t`).Scan(&got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, []int{1}); diff != "" {
		t.Errorf("rows (-got +want):\n%s", diff)
	}
}

// A body that lost a race runs again, four times at most.
func TestLostRacesAreRunAgain(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for _, tt := range []struct {
		code  string
		loses int
		tries int
		want  error
	}{
		{pgerrcode.SerializationFailure, 3, 4, nil},
		{pgerrcode.DeadlockDetected, 1, 2, nil},
		{pgerrcode.DeadlockDetected, 9, 4, postgres.ErrBusy},
		{pgerrcode.LockNotAvailable, 9, 1, postgres.ErrBusy},
		{pgerrcode.AdminShutdown, 9, 1, postgres.ErrUnavailable},
	} {
		tries := 0
		err := postgres.WriteTx(t.Context(), db.App, "H41", func(tx pgx.Tx) error {
			if tries++; tries <= tt.loses {
				_, err := tx.Exec(t.Context(), `do $$ begin raise exception 'lost' using errcode = '`+tt.code+`'; end $$`)
				return err
			}
			return nil
		})
		if !errors.Is(err, tt.want) && !(err == nil && tt.want == nil) || tries != tt.tries {
			t.Errorf("%s lost %d times: got %v after %d tries, want %v after %d", tt.code, tt.loses, err, tries, tt.want, tt.tries)
		}
	}
}

// Two transactions that lock in opposite order both end well.
func TestDeadlockIsResolved(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	exec(t, db, `create table public.t (id int primary key, v int); insert into public.t values (1, 0), (2, 0)`)
	var (
		group sync.WaitGroup
		meet  = make(chan struct{}, 2)
		errs  [2]error
	)
	for i := range 2 {
		group.Go(func() {
			first := true
			errs[i] = postgres.WriteTx(context.WithoutCancel(t.Context()), db.Owner, "", func(tx pgx.Tx) error {
				ctx := context.WithoutCancel(t.Context())
				if _, err := tx.Exec(ctx, `update public.t set v = v + 1 where id = $1`, i+1); err != nil {
					return err
				}
				if first {
					first = false
					meet <- struct{}{}
					for len(meet) < 2 {
						time.Sleep(time.Millisecond)
					}
				}
				_, err := tx.Exec(ctx, `update public.t set v = v + 1 where id = $1`, 2-i)
				return err
			})
		})
	}
	group.Wait()
	var sum int
	if err := errors.Join(
		append(errs[:], db.Owner.QueryRow(t.Context(), `select sum(v) from public.t`).Scan(&sum))...); err != nil ||
		sum != 4 {
		t.Errorf("got %v, sum %d, want 4", err, sum)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	_, err := postgres.Open(t.Context(), postgres.Config{URL: "postgres://user:geheim@%zz/db"})
	if err == nil || strings.Contains(err.Error(), "geheim") {
		t.Errorf("malformed address: got %v, want an error without the password", err)
	}
	_, err = postgres.Open(t.Context(), postgres.Config{URL: "postgres://user:geheim@127.0.0.1:1/db?connect_timeout=2"})
	if !errors.Is(err, postgres.ErrUnavailable) || strings.Contains(err.Error(), "geheim") {
		t.Errorf("nobody there: got %v, want ErrUnavailable without the password", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	db := pgtest.New(t)
	err = postgres.WriteTx(ctx, db.App, "", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `select pg_sleep(5)`)
		return err
	})
	if !errors.Is(err, postgres.ErrUnavailable) {
		t.Errorf("out of time: got %v, want ErrUnavailable", err)
	}
}
