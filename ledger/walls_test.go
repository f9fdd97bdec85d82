package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
)

// refusal is how PostgreSQL refused: its constraint or, without one, its code.
func refusal(err error) string {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return fmt.Sprint(err)
	}
	if pg.ConstraintName != "" {
		return pg.ConstraintName
	}
	return pg.Code
}

// Rows of the book stay: rights bind the application, and triggers bind the owner.
func TestNobodyChangesTheBook(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	id := b.MustPost(captured(ngheAn, cause(1), 60_000, uuid.Nil))[0]
	err := b.InTx(ngheAn, func(tx pgx.Tx) error {
		_, err := ledger.Reverse(t.Context(), tx, id, ledger.Cause{Kind: "case", ID: "1", Event: "resolved"}, "why", accountant, day, now)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Owner.Exec(t.Context(), `insert into ledger.day_event (authority, business_date, number, change, at, approved_by)
		values ('H41', '2026-01-01', 0, 'close', now(), 'key_1')`); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{
		"account", "entry", "posting", "cause", "reversal", "day_event", "entry" + b.Month(), "posting" + b.Month(),
	} {
		for _, statement := range []string{
			"update ledger." + table + " set authority = authority",
			"delete from ledger." + table,
			"truncate ledger." + table + " cascade",
		} {
			err := b.InTx(ngheAn, func(tx pgx.Tx) error {
				_, err := tx.Exec(t.Context(), statement)
				return err
			})
			if got, want := refusal(err), pgerrcode.InsufficientPrivilege; got != want {
				t.Errorf("application, %s: got %s, want %s", statement, got, want)
			}
			for _, mode := range []string{"origin", "replica"} { // replica switches ordinary triggers off
				err := pgx.BeginFunc(t.Context(), b.Owner, func(tx pgx.Tx) error {
					if _, err := tx.Exec(t.Context(), "set local session_replication_role = "+mode); err != nil {
						return err
					}
					_, err := tx.Exec(t.Context(), statement)
					return err
				})
				if got, want := refusal(err), "append_only"; got != want {
					t.Errorf("owner as %s, %s: got %s, want %s", mode, statement, got, want)
				}
			}
		}
	}
	err = b.InTx(ngheAn, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `insert into ledger.entry (id, authority, business_date, recorded_at, cause_kind, cause_id,
			cause_event, description, actor, postings, content, marks, tx) values (gen_random_uuid(), 'H41', '2026-11-20', now(), 'k', 'i', 'e', '',
			'a', 2, sha256(''), decode(repeat('00', 8), 'hex'), '999999')`)
		return err
	})
	if got, want := refusal(err), pgerrcode.InsufficientPrivilege; got != want {
		t.Errorf("application names the writing transaction: got %s, want %s", got, want)
	}
}

// Every entry has its content hash and one mark per posting.
func TestContentComesWithItsMarks(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	for columns, want := range map[string]string{
		"sha256(''), null":                           pgerrcode.NotNullViolation,
		"null, decode(repeat('ab', 8), 'hex')":       pgerrcode.NotNullViolation,
		"sha256(''), decode(repeat('ab', 9), 'hex')": "entry_content_check",
		"sha256(''), ''":                             "entry_content_check",
		"'', decode(repeat('ab', 8), 'hex')":         "entry_content_check",
	} {
		err := b.InTx(ngheAn, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), `insert into ledger.entry (id, authority, business_date, recorded_at, cause_kind, cause_id,
				cause_event, description, actor, postings, content, marks)
				values (gen_random_uuid(), 'H41', '2026-11-20', now(), 'k', 'i', 'e', '', 'a', 2, `+columns+`)`)
			return err
		})
		if got := refusal(err); got != want {
			t.Errorf("%s: got %s, want %s", columns, got, want)
		}
	}
}

// raw writes to the book by hand.
type raw struct {
	t        *testing.T
	tx       pgx.Tx
	part     string // of the tables: "" for the whole, "_202611" for a month
	entry    uuid.UUID
	postings int
}

func (r *raw) exec(query string, args ...any) error {
	_, err := r.tx.Exec(r.t.Context(), query, args...)
	return err
}

func (r *raw) open(postings int) error {
	r.entry, r.postings = uuid.Must(uuid.NewV7()), postings
	return r.exec(
		`insert into ledger.entry`+r.part+` (id, authority, business_date, recorded_at, cause_kind, cause_id, cause_event, description,
		actor, postings, content, marks) values ($1::uuid, 'H41', '2026-11-20', now(), 'raw', $1::uuid::text, 'written', '', 'owner',
		$2::smallint, sha256(''), decode(repeat('00', 4 * $2::integer), 'hex'))`,
		r.entry,
		postings,
	)
}

// line is one posting written by hand; code M-… is memo.
type line struct {
	no       int
	code     string
	side     string
	amount   int64
	currency string
}

// write inserts lines with one statement.
func (r *raw) write(lines ...line) error {
	query := `insert into ledger.posting` + r.part +
		` (entry_id, line, postings, authority, business_date, account_id, side, amount, currency, memo) values `
	for i, l := range lines {
		if i > 0 {
			query += ", "
		}
		query += fmt.Sprintf(
			"('%s', %d, %d, 'H41', '2026-11-20', (select id from ledger.account where code = '%s' and currency = '%s'), '%s', %d, '%s', %t)",
			r.entry,
			l.no,
			r.postings,
			l.code,
			l.currency,
			l.side,
			l.amount,
			l.currency,
			l.code[0] == 'M',
		)
	}
	return r.exec(query)
}

// SQL written by hand meets the same rules, at the statement or at the commit.
func TestRawSQLCannotCommitABrokenEntry(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	finished := b.MustPost(captured(ngheAn, cause(1), 100, uuid.Nil))[0].UUID()
	month := b.Month()
	if _, err := b.Owner.Exec(t.Context(), `insert into ledger.account (authority, code, currency, class, normal)
		values ('H41', 'L-REFUND', 'USD', 'liability', 'C'), ('H41', 'L-REFUND', 'VND', 'liability', 'C')`); err != nil {
		t.Fatal(err)
	}
	const (
		clearing, refund = "A-CLR-vnpay", "L-REFUND"
		owed, collected  = "M-RECEIVABLE", "M-COLLECTED"
	)
	for name, tt := range map[string]struct {
		write func(r *raw) error
		want  string
	}{
		"right": {func(r *raw) error {
			return errors.Join(r.open(4), r.write(line{1, clearing, "D", 100, "VND"}, line{2, refund, "C", 100, "VND"},
				line{3, collected, "D", 5, "VND"}, line{4, owed, "C", 5, "VND"}))
		}, "<nil>"},
		"in two statements": {func(r *raw) error {
			return errors.Join(r.open(4), r.write(line{1, clearing, "D", 100, "VND"}, line{2, refund, "C", 100, "VND"}),
				r.write(line{3, collected, "D", 5, "VND"}, line{4, owed, "C", 5, "VND"}))
		}, "entry_complete"},
		"real off": {func(r *raw) error {
			return errors.Join(r.open(2), r.write(line{1, clearing, "D", 100, "VND"}, line{2, refund, "C", 99, "VND"}))
		}, "posting_balanced"},
		"memo off": {func(r *raw) error {
			return errors.Join(r.open(4), r.write(line{1, clearing, "D", 100, "VND"}, line{2, refund, "C", 100, "VND"},
				line{3, collected, "D", 5, "VND"}, line{4, owed, "C", 6, "VND"}))
		}, "posting_balanced"},
		"real against memo": {func(r *raw) error {
			return errors.Join(r.open(2), r.write(line{1, clearing, "D", 100, "VND"}, line{2, owed, "C", 100, "VND"}))
		}, "posting_balanced"},
		"currency against currency": {func(r *raw) error {
			return errors.Join(r.open(2), r.write(line{1, clearing, "D", 100, "VND"}, line{2, refund, "C", 100, "USD"}))
		}, "posting_balanced"},
		"one statement per side": {func(r *raw) error {
			if err := errors.Join(r.open(2), r.write(line{1, clearing, "D", 100, "VND"})); err != nil {
				return err
			}
			return r.write(line{2, refund, "C", 100, "VND"})
		}, "posting_balanced"},
		"no postings":           {func(r *raw) error { return r.open(2) }, "entry_complete"},
		"one posting announced": {func(r *raw) error { return r.open(1) }, "entry_postings_check"},
		"fewer than announced": {func(r *raw) error {
			return errors.Join(r.open(4), r.write(line{1, clearing, "D", 100, "VND"}, line{2, refund, "C", 100, "VND"}))
		}, "entry_complete"},
		"more than announced": {func(r *raw) error {
			return errors.Join(r.open(2), r.write(line{1, clearing, "D", 100, "VND"}, line{2, refund, "C", 100, "VND"},
				line{3, collected, "D", 5, "VND"}, line{4, owed, "C", 5, "VND"}))
		}, "posting_line"},
		"added to a finished entry": {func(r *raw) error {
			r.entry, r.postings = finished, 4
			return r.write(line{3, clearing, "D", 100, "VND"}, line{4, refund, "C", 100, "VND"})
		}, "posting_key"},
		"added to a finished entry that announced more": {func(r *raw) error {
			r.entry, r.postings = finished, 6
			return r.write(line{5, clearing, "D", 100, "VND"}, line{6, refund, "C", 100, "VND"})
		}, "posting_entry"},
		"added to a finished entry of this transaction": {func(r *raw) error {
			err := r.open(2)
			return errors.Join(err, r.write(line{1, clearing, "D", 1, "VND"}, line{2, refund, "C", 1, "VND"}),
				r.exec(`set constraints all immediate`), r.write(line{3, clearing, "D", 1, "VND"}, line{4, refund, "C", 1, "VND"}))
		}, "posting_line"},
		"negative": {func(r *raw) error {
			return errors.Join(r.open(2), r.write(line{1, clearing, "D", -100, "VND"}, line{2, refund, "C", -100, "VND"}))
		}, "posting_amount"},
		"posting of another entry": {func(r *raw) error {
			r.entry, r.postings = uuid.Must(uuid.NewV7()), 2
			return r.write(line{1, clearing, "D", 100, "VND"}, line{2, refund, "C", 100, "VND"})
		}, "posting_entry"},
		"account of another class": {func(r *raw) error {
			return errors.Join(r.open(2), r.exec(`insert into ledger.posting`+r.part+`
					(entry_id, line, postings, authority, business_date, account_id, side, amount, currency, memo)
				select $1, case side when 'D' then 1 else 2 end, 2, 'H41', '2026-11-20',
					(select id from ledger.account where code = 'M-COLLECTED'), side, 7, 'VND', false
				from unnest('{D,C}'::text[]) side`, r.entry))
		}, "posting_account"},
	} {
		for _, who := range []struct {
			name string
			pool *pgxpool.Pool
			part string
		}{{"owner", b.Owner, ""}, {"application", b.App, ""}, {"owner by month", b.Owner, month}} {
			err := postgres.WriteTx(context.WithoutCancel(t.Context()), who.pool, ngheAn, func(tx pgx.Tx) error {
				return tt.write(&raw{t: t, tx: tx, part: who.part})
			})
			if got := refusal(err); got != tt.want && got != strings.Replace(tt.want, "posting_key", "posting"+month+"_pkey", 1) {
				t.Errorf("%s, %s: got %s, want %s", who.name, name, got, tt.want)
			}
		}
	}
	if got := b.Count(`select count(*) from (select from ledger.posting group by entry_id, currency, memo
		having sum(case side when 'D' then amount else -amount end) <> 0) off`); got != 0 {
		t.Errorf("entries that do not balance: got %d, want none", got)
	}
}

// A row of one authority does not exist for another, and without an authority nothing exists.
func TestAuthoritiesAreApart(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.MustPost(captured(ngheAn, cause(1), 60_000, uuid.Nil))
	b.MustPost(captured(other, cause(1), 60_000, uuid.Nil))
	b.MustPost(captured(other, cause(2), 60_000, uuid.Nil))
	for authority, want := range map[string][3]int{ngheAn: {4, 1, 4}, other: {4, 2, 8}, "H99": {}, "": {}} {
		var got [3]int
		err := b.InTx(authority, func(tx pgx.Tx) error {
			return tx.QueryRow(t.Context(), `select (select count(*) from ledger.account), (select count(*) from ledger.entry),
				(select count(*) from ledger.posting)`).Scan(&got[0], &got[1], &got[2])
		})
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("authority %q sees accounts, entries, postings %v, want %v", authority, got, want)
		}
	}
	var rows int
	if err := b.App.QueryRow(t.Context(), `select count(*) from ledger.posting`).Scan(&rows); err != nil || rows != 0 {
		t.Errorf("without the setting: got %d rows, %v, want none", rows, err)
	}
	err := b.InTx(other, func(tx pgx.Tx) error {
		r := &raw{t: t, tx: tx}
		return r.open(2) // writes for H41
	})
	if got, want := refusal(err), pgerrcode.InsufficientPrivilege; got != want {
		t.Errorf("writing for another authority: got %s, want %s", got, want)
	}
}

// The code decides class and side of an account: a liability cannot pass for money at a bank.
func TestAccountIsWhatItsCodeSays(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	for _, class := range []string{"liability", "expense", "memo"} {
		err := b.InTx(ngheAn, func(tx pgx.Tx) error {
			_, err := tx.Exec(
				t.Context(),
				`insert into ledger.account (authority, code, currency, class, normal) values ('H41', 'A-BANK-x', 'VND', $1, 'C')`,
				class,
			)
			return err
		})
		if got, want := refusal(err), "account_class_of_code"; got != want {
			t.Errorf("A-BANK-x as %s: got %s, want %s", class, got, want)
		}
	}
}
