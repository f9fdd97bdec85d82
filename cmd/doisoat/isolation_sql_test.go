package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/doisoat/doisoat/internal/postgres"
)

// public lists the tables whose rows every authority reads, with the reason.
// Recording under a foreign name is refused there as well.
var public = map[string]string{
	"fees.fee_type":         "fee types are legal norms",
	"fees.fee_type_version": "fee types are legal norms",
	"fees.policy":           "policies are legal norms",
	"fees.policy_version":   "policies are legal norms",
}

// undivided lists the tables without an authority, with the reason.
var undivided = map[string]string{
	"auth.authority": "who the authorities are is public",
}

// table is one table of the program, read from the catalog, so that a new table is tested too.
type table struct {
	Name      string // schema and name
	Divided   bool   // it has an authority column
	Protected bool   // row-level security is on, and forced
	Part      bool   // one month of another
	Insert    []string
	Update    []string
}

func tablesOf(t *testing.T, db *pgx.Conn) []table {
	t.Helper()
	rows, err := db.Query(t.Context(), `
		select n.nspname || '.' || c.relname as name,
			bool_or(a.attname = 'authority') as divided,
			c.relrowsecurity and c.relforcerowsecurity as protected, c.relispartition as part,
			coalesce(array_agg(a.attname::text order by a.attnum) filter (where a.attgenerated = '' and a.attidentity <> 'a'
				and has_column_privilege($1, c.oid, a.attnum, 'insert')), '{}') as insert,
			coalesce(array_agg(a.attname::text order by a.attnum) filter (where has_column_privilege($1, c.oid, a.attnum, 'update')), '{}') as update
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
			join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
		where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema', 'river', 'public')
			and n.nspname not like 'pg\_%'
		group by n.nspname, c.relname, c.oid order by 1`, postgres.AppRole)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[table])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// quoted writes the name as SQL: "break" is a word of SQL elsewhere.
func (t table) quoted() string { return pgx.Identifier(strings.Split(t.Name, ".")).Sanitize() }

// databaseIsDivided reads every table as the application's role, like a query that forgot the
// authority.
func (d *devProgram) databaseIsDivided() {
	t := d.t
	owner, app := d.database(), d.database()
	if _, err := app.Exec(t.Context(), "set role "+postgres.AppRole); err != nil {
		t.Fatal(err)
	}
	list := tablesOf(t, owner)
	filled := 0
	for _, one := range list {
		if !one.Divided {
			if _, ok := undivided[one.Name]; !ok {
				t.Errorf("%s has no authority column: give it one, or a reason in this list", one.Name)
			}
			continue
		}
		if !one.Protected {
			t.Errorf("%s has an authority and no forced row-level security", one.Name)
			continue
		}
		if count(t, owner, `select count(*) from `+one.quoted()+` where authority = $1`, firstAuthority) > 0 {
			filled++
		}
		d.readsAreDivided(app, one)
		d.writesAreDivided(owner, app, one)
	}
	if filled < 20 {
		t.Errorf("only %d tables hold rows of %s: too few to show anything", filled, firstAuthority)
	}
	t.Logf("%d tables, %d of them with rows of %s", len(list), filled, firstAuthority)
}

// asAuthority runs body in a transaction that is rolled back.
func asAuthority(t *testing.T, app *pgx.Conn, authority string, body func(tx pgx.Tx)) {
	t.Helper()
	tx, err := app.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(t.Context(), `select set_config('app.authority', $1, true)`, authority); err != nil {
		t.Fatal(err)
	}
	body(tx)
}

func (d *devProgram) readsAreDivided(app *pgx.Conn, one table) {
	t := d.t
	if _, ok := public[one.Name]; ok {
		return
	}
	for authority, foreign := range map[string]string{"": `true`, stranger: `authority <> '` + stranger + `'`} {
		asAuthority(t, app, authority, func(tx pgx.Tx) {
			var n int64
			err := tx.QueryRow(t.Context(), `select count(*) from `+one.quoted()+` where `+foreign).Scan(&n)
			if n != 0 || err != nil && !refused(err) {
				t.Errorf("%s as authority %q: got %d foreign rows, %v, want 0", one.Name, authority, n, err)
			}
		})
	}
}

// writesAreDivided tries to write a row of firstAuthority as the stranger: a
// copy of a real one, in the columns that the application may write.
func (d *devProgram) writesAreDivided(owner, app *pgx.Conn, one table) {
	t := d.t
	if slices.Contains(one.Insert, "authority") {
		sample := map[string]any{"authority": firstAuthority}
		var text []byte
		err := owner.QueryRow(t.Context(), `select to_jsonb(x) from `+one.quoted()+` x where authority = $1 limit 1`, firstAuthority).Scan(&text)
		if err == nil {
			err = json.Unmarshal(text, &sample)
		} else if errors.Is(err, pgx.ErrNoRows) {
			err = nil
		}
		if err != nil {
			t.Fatal(err)
		}
		columns := strings.Join(one.Insert, `", "`)
		for _, authority := range []string{"", stranger} {
			asAuthority(t, app, authority, func(tx pgx.Tx) {
				_, err := tx.Exec(t.Context(), `insert into `+one.quoted()+` ("`+columns+`") select "`+columns+
					`" from jsonb_populate_record(null::`+one.quoted()+`, $1)`, sample)
				if !refused(err) {
					t.Errorf("insert into %s for %s as %q: got %v, want that row-level security refuses", one.Name, firstAuthority, authority, err)
				}
			})
		}
	}
	for _, column := range one.Update {
		asAuthority(t, app, stranger, func(tx pgx.Tx) {
			tag, err := tx.Exec(t.Context(), `update `+one.quoted()+` set "`+column+`" = "`+column+`" where authority <> $1`, stranger)
			if err != nil || tag.RowsAffected() != 0 {
				t.Errorf("update %s.%s as %s: got %d rows, %v, want none", one.Name, column, stranger, tag.RowsAffected(), err)
			}
		})
	}
}

// refused reports whether rights or row-level security said no.
func refused(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == pgerrcode.InsufficientPrivilege
}
