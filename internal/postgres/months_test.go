package postgres_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/postgres/pgtest"
)

// parts returns the names and bounds of a table's partitions.
func parts(t *testing.T, db *pgtest.DB, parent string) []string {
	t.Helper()
	rows, err := db.Owner.Query(t.Context(), `
		select c.relname || ' ' || pg_get_expr(c.relpartbound, c.oid) from pg_inherits i join pg_class c on c.oid = i.inhrelid
		where i.inhparent = $1::regclass order by 1`, parent)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// dropLastMonth takes away the last month that was made ahead.
const dropLastMonth = `
	do $$
	declare
		suffix text := to_char(now() at time zone 'Asia/Ho_Chi_Minh' + interval '3 months', '_YYYYMM');
		parent text;
	begin
		foreach parent in array array['ledger.posting', 'ledger.entry', 'ledger.sealed_entry', 'audit.event'] loop
			execute format('alter table %1$s detach partition %1$s%2$s', parent, suffix);
		end loop;
		execute format('drop table ledger.posting%1$s, ledger.entry%1$s, ledger.sealed_entry%1$s, audit.event%1$s', suffix);
	end
	$$`

// Every caller makes the missing months, alike in every table. Several callers at once are safe, and a second call
// changes nothing.
func TestMonthsAreMadeAhead(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	parents := []string{"ledger.entry", "ledger.posting", "ledger.sealed_entry", "audit.event"}
	want := map[string][]string{}
	for _, parent := range parents {
		want[parent] = parts(t, db, parent)
		if got := len(want[parent]); got < 5 {
			t.Errorf("%s: got %d partitions of a new database, want 4 months and the default", parent, got)
		}
	}
	walls := func() (n int) {
		err := db.Owner.QueryRow(t.Context(), `
			select (select count(*) from pg_trigger t join pg_class c on c.oid = t.tgrelid where c.relispartition)
				+ (select count(*) from pg_constraint c join pg_class r on r.oid = c.conrelid where r.relispartition)
				+ (select count(*) from pg_policies where tablename ~ '_(default|20\d{4})$')`).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := walls()
	var month string
	const lastMonth = `select date_trunc('month', now() at time zone 'Asia/Ho_Chi_Minh' + interval '3 months')::date::text`
	if err := db.Owner.QueryRow(t.Context(), lastMonth).Scan(&month); err != nil {
		t.Fatal(err)
	}
	exec(t, db, dropLastMonth)
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		made  []string
	)
	for range 4 {
		group.Go(func() {
			list, err := postgres.MakeMonths(t.Context(), db.App)
			if err != nil {
				t.Errorf("MakeMonths: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, m := range list {
				made = append(made, m.Format(time.DateOnly))
			}
		})
	}
	group.Wait()
	if !slices.Equal(made, []string{month}) {
		t.Errorf("made %v, want %s once", made, month)
	}
	for _, parent := range parents {
		if diff := cmp.Diff(parts(t, db, parent), want[parent]); diff != "" {
			t.Errorf("%s (-got +want):\n%s", parent, diff)
		}
	}
	if got := walls(); got != before {
		t.Errorf("got %d triggers, constraints and policies on partitions, want %d as before", got, before)
	}
}

// A row outside of every month is kept, and everybody who looks is told.
func TestStrayRowsRaiseAnAlarm(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	if _, err := postgres.MakeMonths(t.Context(), db.App); err != nil {
		t.Fatalf("MakeMonths: %v", err)
	}
	exec(t, db, `insert into auth.authority (code, name, level) values ('H41', 'Nghệ An', 'province')`)
	// A month that was not made in time: its rows came first, and it stays unmade.
	exec(t, db, dropLastMonth)
	exec(t, db, `insert into audit.event (id, at, authority, actor_role, actor_id, act, object_kind, object_id)
		values (app.first_id(app.month_start((now() at time zone 'Asia/Ho_Chi_Minh' + interval '3 months')::date)),
			now(), 'H41', 'system', 'system', 'act', 'thing', '1')`)
	if _, err := postgres.MakeMonths(t.Context(), db.App); !postgres.ErrStrayRows.Is(err) {
		t.Errorf("got %v, want ErrStrayRows", err)
	}
	got, err := postgres.StrayRows(t.Context(), db.App)
	if diff := cmp.Diff(got, []string{"audit.event"}); err != nil || diff != "" {
		t.Errorf("StrayRows: %v (-got +want):\n%s", err, diff)
	}
}
