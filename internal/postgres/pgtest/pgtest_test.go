package pgtest

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// seen is the state of a connection.
type seen struct {
	User      string
	Superuser bool
	Zone      string
}

func look(t *testing.T, dsn string) seen {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(t.Context(), `select session_user::text as user, rolsuper as superuser, current_setting('timezone') as zone
		from pg_catalog.pg_roles where rolname = session_user`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[seen])
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestNewGivesBothRoles(t *testing.T) {
	t.Parallel()
	db := New(t)
	got := map[string]seen{"app": look(t, db.AppDSN), "owner": look(t, db.DSN)}
	want := map[string]seen{
		"app":   {User: "doisoat_app", Zone: "UTC"},
		"owner": {User: "postgres", Superuser: true, Zone: "UTC"},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("connections (-got +want):\n%s", diff)
	}
	var app, owner string
	if err := db.App.QueryRow(t.Context(), "select current_user::text").Scan(&app); err != nil {
		t.Fatal(err)
	}
	if err := db.Owner.QueryRow(t.Context(), "select current_user::text").Scan(&owner); err != nil {
		t.Fatal(err)
	}
	if got, want := [2]string{app, owner}, [2]string{"doisoat_app", "postgres"}; got != want {
		t.Errorf("roles of the pools: got %v, want %v", got, want)
	}
	var river bool
	if err := db.Owner.QueryRow(t.Context(), "select to_regclass('river.river_job') is not null").Scan(&river); err != nil {
		t.Fatal(err)
	}
	if !river {
		t.Error("River's tables: got none, want them migrated")
	}
}

func TestEachTestHasItsOwnDatabase(t *testing.T) {
	t.Parallel()
	for range 3 {
		t.Run("same table again", func(t *testing.T) {
			t.Parallel()
			db := New(t)
			if _, err := db.Owner.Exec(t.Context(), "create table public.mine (v int)"); err != nil {
				t.Errorf("got %v, want a fresh database", err)
			}
		})
	}
}

func TestDatabaseGoesWithItsTest(t *testing.T) {
	t.Parallel()
	var gone, name string
	t.Run("inner", func(t *testing.T) {
		db := New(t)
		if err := db.App.QueryRow(t.Context(), "select current_database()").Scan(&gone); err != nil {
			t.Fatal(err)
		}
	})
	db := New(t)
	err := db.Owner.QueryRow(t.Context(), "select coalesce((select datname::text from pg_catalog.pg_database where datname = $1), '')",
		gone).Scan(&name)
	if err != nil || name != "" {
		t.Errorf("database after its test: got %q, %v, want none", name, err)
	}
}

func TestSlots(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	first, err := prepareSlot(dir, "boot 1")
	if err != nil || first == nil {
		t.Fatalf("a new slot: got %v, %v, want it", first, err)
	}
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if taken, err := prepareSlot(dir, "boot 1"); taken != nil || err != nil {
		t.Errorf("a taken slot: got %v, %v, want neither", taken, err)
	}
	giveBack(first)
	again, err := prepareSlot(dir, "boot 1")
	if err != nil || again == nil {
		t.Fatalf("a slot given back: got %v, %v, want it", again, err)
	}
	if _, err := os.Stat(data); err != nil {
		t.Errorf("data of the same boot: got %v, want it kept", err)
	}
	giveBack(again)
	later, err := prepareSlot(dir, "boot 2")
	if err != nil || later == nil {
		t.Fatalf("a slot after a boot: got %v, %v, want it", later, err)
	}
	defer giveBack(later)
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Errorf("data of another boot: got %v, want it gone", err)
	}
}

func TestServerBeginsCleanAndMendsItself(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	parent, err := os.MkdirTemp("/var/tmp", "pgtest-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(parent) })
	if err := os.Chmod(parent, 0o711); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(parent, "data")
	first, err := startIn(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, first.AdminDSN())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"create database testdb_tpl_a is_template true", "create database testdb_tpl_a_inst_1", "create database testdb_tpl_a_inst_2",
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := first.Stop(ctx); err != nil {
		t.Fatal(err)
	}

	second, err := startIn(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	conn, err = pgx.Connect(ctx, second.AdminDSN())
	if err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(ctx, "select datname::text from pg_catalog.pg_database where datname like 'testdb%'")
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if diff := cmp.Diff(got, []string{"testdb_tpl_a"}); err != nil || diff != "" {
		t.Errorf("databases at the next start: %v (-got +want):\n%s", err, diff)
	}
	if err := conn.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := second.Stop(ctx); err != nil {
		t.Fatal(err)
	}

	if err := os.Remove(filepath.Join(second.Folder(), "global", "pg_control")); err != nil {
		t.Fatal(err)
	}
	third, err := startIn(ctx, dir)
	if err != nil {
		t.Fatalf("a damaged slot: got %v, want it made anew", err)
	}
	if err := third.Stop(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	config, err := configOf("postgres://postgres@/doisoat?host=/tmp/folder")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := config.URL(), "postgres://postgres:@:5432/postgres?host=/tmp/folder"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, wrong := range []string{"", "host=/tmp user=postgres", "postgres://", "http://a@b/c", "postgres://%zz"} {
		if _, err := configOf(wrong); err == nil {
			t.Errorf("configOf(%q): got no error", wrong)
		}
	}
}
