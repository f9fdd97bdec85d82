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

// Months that are missing are made by whoever comes, also by several at once,
// alike in every table, and a second time changes nothing.
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
	month := time.Now().In(time.FixedZone("+07", 7*3600)).AddDate(0, 0, 1-time.Now().In(time.FixedZone("+07", 7*3600)).Day()).AddDate(0, 3, 0)
	suffix := month.Format("_200601")
	exec(t, db, `drop table ledger.posting`+suffix+`, ledger.entry`+suffix+`, ledger.sealed_entry`+suffix+`, audit.event`+suffix)
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
				made = append(made, m.Format("2006-01-02"))
			}
		})
	}
	group.Wait()
	if got := []string{month.Format("2006-01-02")}; !slices.Equal(made, got) {
		t.Errorf("made %v, want %v once", made, got)
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
	exec(t, db, `do $$
		declare suffix text := to_char(now() at time zone 'Asia/Ho_Chi_Minh' + interval '3 months', '_YYYYMM');
		begin
			execute format('drop table ledger.posting%1$s, ledger.entry%1$s, ledger.sealed_entry%1$s, audit.event%1$s', suffix);
		end $$`)
	exec(t, db, `insert into audit.event (id, at, authority, actor_role, actor_id, act, object_kind, object_id)
		values (app.first_id(app.month_start((now() at time zone 'Asia/Ho_Chi_Minh' + interval '3 months')::date)), now(), 'H41', 'system', 'system', 'act', 'thing', '1')`)
	if _, err := postgres.MakeMonths(t.Context(), db.App); !postgres.ErrStrayRows.Is(err) {
		t.Errorf("got %v, want ErrStrayRows", err)
	}
	got, err := postgres.StrayRows(t.Context(), db.App)
	if diff := cmp.Diff(got, []string{"audit.event"}); err != nil || diff != "" {
		t.Errorf("StrayRows: %v (-got +want):\n%s", err, diff)
	}
}
