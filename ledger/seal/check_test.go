package seal_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/seal"
)

// column is one column of a table that a seal covers.
type column struct {
	Table, Name, Type string
}

// change writes another value of the column's type.
func (c column) change() string {
	switch c.Type {
	case "uuid":
		return "gen_random_uuid()"
	case "text":
		return fmt.Sprintf("coalesce(%s, '') || 'x'", c.Name)
	case "smallint", "integer", "bigint":
		return c.Name + " + 1"
	case "bytea":
		return fmt.Sprintf("coalesce(set_byte(%s, 0, get_byte(%s, 0) # 1), '\\xab')", c.Name, c.Name)
	case "date":
		return c.Name + " + 1"
	case "timestamp with time zone":
		return c.Name + " + interval '1 microsecond'"
	case "boolean":
		return "not " + c.Name
	case "xid8":
		return fmt.Sprintf("(coalesce(%s::text::bigint, 0) + 1)::text::xid8", c.Name)
	}
	panic("no change for type " + c.Type)
}

// tampered runs change as the superuser with triggers, keys and checks gone,
// looks at the book as the application, and undoes it all.
func (b book) tampered(change string, args ...any) []string {
	b.t.Helper()
	var problems []string
	err := pgx.BeginFunc(b.t.Context(), b.Owner, func(tx pgx.Tx) error {
		tag, err := tx.Exec(b.t.Context(), change, args...)
		if err == nil && tag.RowsAffected() == 0 {
			err = fmt.Errorf("nothing was changed: %s", change)
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(
			b.t.Context(),
			`select set_config('role', $1, true), set_config('app.authority', $2, true)`,
			postgres.AppRole,
			ngheAn,
		); err != nil {
			return err
		}
		if problems, err = seal.Check(b.t.Context(), tx, nil); err != nil {
			return err
		}
		return errUndo
	})
	if err != errUndo { //nolint:errorlint // it is returned as it is
		b.t.Errorf("%s: %v", change, err)
	}
	return problems
}

var errUndo = fmt.Errorf("undo")

// disarm takes every wall away, so that all can be changed. It ends the life of the book.
func (b book) disarm() {
	b.t.Helper()
	_, err := b.Owner.Exec(b.t.Context(), `
		do $$
		declare c record;
		begin
			for c in select conrelid::regclass as target, conname from pg_constraint
			         where connamespace = 'ledger'::regnamespace and contype in ('c', 'f') order by coninhcount loop
				execute format('alter table %s drop constraint if exists %I', c.target, c.conname);
			end loop;
			for c in select tgrelid::regclass as target, tgname from pg_trigger t join pg_class r on r.oid = t.tgrelid
			         where r.relnamespace = 'ledger'::regnamespace and not tgisinternal and tgparentid = 0 loop
				execute format('drop trigger %I on %s', c.tgname, c.target);
			end loop;
		end
		$$`)
	if err != nil {
		b.t.Fatal(err)
	}
}

// sealed returns ten entries, sealed in three blocks.
func (b book) sealed() []ledger.EntryID {
	b.t.Helper()
	ids := b.postMany(ngheAn, 0, 10)
	b.mustSeal(ngheAn)
	if got := b.check(ngheAn); len(got) > 0 {
		b.t.Fatalf("Check: %v", got)
	}
	return ids
}

// Every column of every row that a seal covers: one change, and check names the row.
func TestCheckFindsEveryChangedColumn(t *testing.T) {
	t.Parallel()
	b := newBook(t, 4)
	ids := b.sealed()
	b.disarm()
	rows, err := b.Owner.Query(t.Context(), `
		select table_name, column_name, data_type from information_schema.columns
		where table_schema = 'ledger' and table_name in ('entry', 'posting', 'block', 'sealed_entry', 'account') and is_generated = 'NEVER'
		order by table_name, ordinal_position`)
	if err != nil {
		t.Fatal(err)
	}
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[column])
	if err != nil {
		t.Fatal(err)
	}
	id := ids[5] // block 2, place 1
	here := map[string]string{
		"entry":        fmt.Sprintf("id = '%s'", id.UUID()),
		"posting":      fmt.Sprintf("entry_id = '%s' and line = 2", id.UUID()),
		"block":        "number = 2",
		"sealed_entry": "block = 2 and position = 1",
		"account":      "code = 'L-TAMTHU-LEPHI'",
	}
	named := map[string]string{
		"entry":        "entry " + id.String() + " of block 2, place 1, differs from its seal",
		"posting":      "posting 2 of entry " + id.String() + " of block 2, place 1, differs from its seal",
		"block":        "block 2 has a header that was changed",
		"sealed_entry": "block 2, place 1: ",
		"account":      "posting 2 of entry " + ids[0].String() + " of block 1, place 0, differs from its seal",
	}
	// Columns that say which row it is: the row is then missing where it was.
	moved := map[string]string{
		"entry id":               "entry " + id.String() + " of block 2, place 1, is missing",
		"entry authority":        "entry " + id.String() + " of block 2, place 1, is missing",
		"entry content":          "entry " + id.String() + " of block 2, place 1, does not carry the hash of its content",
		"entry marks":            "entry " + id.String() + " of block 2, place 1, does not carry the hash of its content",
		"posting entry_id":       "entry " + id.String() + " of block 2",
		"posting authority":      "entry " + id.String() + " of block 2",
		"posting line":           "entry " + id.String() + " of block 2",
		"block authority":        "block 3 does not stand behind its predecessor",
		"block number":           "block 3 ",
		"block version":          "block 2 has an unknown version",
		"block hash":             "block 2 has a header that was changed",
		"sealed_entry authority": "block 2 has no entry at place 1",
		"sealed_entry block":     "block 2 has no entry at place 1",
		"sealed_entry position":  "block 2 has no entry at place 1",
		"sealed_entry entry_id":  " of block 2, place 1, is missing",
	}
	// The columns that tell accounts apart are in no entry; postings name the account's code.
	outside := map[string]bool{"account authority": true, "account currency": true, "account created_at": true, "account id": true}
	for _, c := range columns {
		name := c.Table + " " + c.Name
		if outside[name] {
			continue
		}
		value := c.change()
		switch name {
		case "posting line", "sealed_entry position", "sealed_entry block", "block number", "block version":
			value = "77" // the next one is taken
		}
		query := fmt.Sprintf("update ledger.%s set %s = %s where %s", c.Table, c.Name, value, here[c.Table])
		got := b.tampered(query)
		want, ok := moved[name]
		if !ok {
			want = named[c.Table]
		}
		if len(got) == 0 || !strings.Contains(got[0], want) {
			t.Errorf("%s changed: got %q, want first %q", name, got, want)
		}
	}
}

// Rows taken away, put in or exchanged.
func TestCheckFindsMissingAndAddedRows(t *testing.T) {
	t.Parallel()
	b := newBook(t, 4)
	ids := b.sealed()
	b.disarm()
	id, next := ids[5], ids[6]
	forged := "entry " + id.String() + " of block 2, place 1, does not carry the hash of its content"
	for name, c := range map[string]struct{ change, want string }{
		"entry deleted": {
			`delete from ledger.entry where id = '` + id.UUID().String() + `'`,
			"entry " + id.String() + " of block 2, place 1, is missing",
		},
		"posting deleted": {
			`delete from ledger.posting where line = 4 and entry_id = '` + id.UUID().String() + `'`,
			"entry " + id.String() + " lacks posting 4",
		},
		"posting added": {
			`insert into ledger.posting
				(entry_id, line, postings, authority, business_date, account_id, side, amount, currency, memo, tx)
			select entry_id, 5, postings, authority, business_date, account_id, side, amount, currency, memo, tx
			from ledger.posting where line = 4 and entry_id = '` + id.UUID().String() + `'`,
			"posting 5 of entry " + id.String(),
		},
		"block deleted":      {`delete from ledger.block where number = 2`, "block 3 does not stand behind its predecessor: a block is missing"},
		"last block deleted": {`delete from ledger.block where number = 3`, "is sealed in block 3, which is missing"},
		"seal deleted":       {`delete from ledger.sealed_entry where block = 2 and position = 1`, "block 2 has no entry at place 1"},
		"last seal deleted":  {`delete from ledger.sealed_entry where block = 2 and position = 3`, "block 2 has 3 entries and its header says 4"},
		"seal added": {`insert into ledger.sealed_entry select authority, block, 4, gen_random_uuid(), leaf, marks
			from ledger.sealed_entry where block = 2 and position = 3`, "block 2 has 5 entries and its header says 4"},
		"entries exchanged": {`update ledger.sealed_entry set position = 3 - position + 10 where block = 2`, "block 2 has no entry at place 0"},
		"entry behind the sealer": {
			`insert into ledger.entry (id, authority, business_date, recorded_at, cause_kind, cause_id, cause_event, description,
				actor, postings, content, marks, tx)
			select gen_random_uuid(), authority, business_date, recorded_at, cause_kind, 'forged', cause_event, description,
				actor, postings, content, marks, tx
			from ledger.entry where id = '` + next.UUID().String() + `'`,
			"appeared after the sealer had passed its place",
		},
		"entry and leaf forged": {
			`with e as (update ledger.entry set description = 'forged' where id = '` + id.UUID().String() + `')
			update ledger.sealed_entry set leaf = decode(repeat('ab', 32), 'hex') where entry_id = '` + id.UUID().String() + `'`,
			forged,
		},
	} {
		got := b.tampered(c.change)
		if len(got) == 0 || !strings.Contains(got[0], c.want) {
			t.Errorf("%s: got %q, want first %q", name, got, c.want)
		}
	}
}
