package ledger_test

import (
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/balances"
)

const (
	manyMonths = 130 // more than ten years of the book
	fullMonths = 4
)

// fillMonth posts 5,000 entries, each about a dossier of its own, that were made in a month.
func (b book) fillMonth(month string) {
	b.T.Helper()
	_, err := b.Owner.Exec(b.T.Context(), `
		with e as (
			insert into ledger.entry (id, authority, business_date, recorded_at, cause_kind, cause_id, cause_event, description,
				actor, postings, content, marks)
			select (left(app.first_id(app.month_start(@month::text::date))::text, 24) || lpad(to_hex(n), 12, '0'))::uuid, @authority,
				@month::text::date, now(), 'capture', @month || n, 'captured', '', 'system', 2,
				decode(repeat('00', 32), 'hex'), decode(repeat('00', 8), 'hex')
			from generate_series(1, 5000) n
			returning id, authority, business_date)
		insert into ledger.posting (entry_id, line, postings, authority, business_date, account_id, side, amount, currency, memo, dossier_id)
		select e.id, l.line, 2, e.authority, e.business_date, a.id, l.side, 60000, 'VND', false, e.id
		from e cross join (values (1, 'D', @debit), (2, 'C', @credit)) as l (line, side, code)
		join ledger.account a on a.authority = e.authority and a.code = l.code`,
		pgx.StrictNamedArgs{
			"month": month, "authority": ngheAn, "debit": ledger.Clearing("vnpay"), "credit": ledger.ProvisionalLePhi,
		})
	if err != nil {
		b.T.Fatal(err)
	}
}

// addMonths gives the book months of the past until it has n, besides the
// default. The latest fullMonths of them have entries.
func (b book) addMonths(n int) {
	b.T.Helper()
	full := 0
	month := time.Date(b.Count(`select extract(year from now() at time zone 'Asia/Ho_Chi_Minh')::int`),
		time.Month(b.Count(`select extract(month from now() at time zone 'Asia/Ho_Chi_Minh')::int`)), 1, 0, 0, 0, 0, time.UTC)
	for have := b.months(); have < n; have++ {
		month = month.AddDate(0, -1, 0)
		if _, err := b.Owner.Exec(
			b.T.Context(),
			`call app.make_part($1, $2)`,
			month.Format("200601"),
			month.Format(time.DateOnly),
		); err != nil {
			b.T.Fatal(err)
		}
		if full++; full <= fullMonths {
			b.fillMonth(month.Format(time.DateOnly))
		}
	}
	if _, err := b.Owner.Exec(b.T.Context(), `analyze ledger.entry, ledger.posting`); err != nil {
		b.T.Fatal(err)
	}
}

func (b book) months() int {
	b.T.Helper()
	return b.Count(`select count(*) - 1 from pg_inherits where inhparent = 'ledger.entry'::regclass`)
}

// onlyConn is a pool of one connection that has prepared nothing yet.
func (b book) onlyConn(tracer pgx.QueryTracer) *pgxpool.Pool {
	b.T.Helper()
	config, err := pgxpool.ParseConfig(b.AppDSN)
	if err != nil {
		b.T.Fatal(err)
	}
	config.MaxConns, config.ConnConfig.Tracer = 1, tracer
	pool, err := pgxpool.NewWithConfig(b.T.Context(), config)
	if err != nil {
		b.T.Fatal(err)
	}
	b.T.Cleanup(pool.Close)
	return pool
}

// locked posts an entry and lists the tables and indexes that the transaction has locked after every check, the
// deferred checks too. It posts often enough before, so that PostgreSQL uses a plan for all arguments.
func (b book) locked(first int) (list []string) {
	b.T.Helper()
	pool := b.onlyConn(nil)
	for n := range 12 {
		err := postgres.WriteTx(b.T.Context(), pool, ngheAn, func(tx pgx.Tx) error {
			if _, err := ledger.Post(b.T.Context(), tx, captured(ngheAn, cause(first+n), 60_000, uuid.New())); err != nil {
				return err
			}
			if _, err := tx.Exec(b.T.Context(), `set constraints all immediate`); err != nil {
				return err
			}
			rows, err := b.Owner.Query(b.T.Context(), `
				select distinct c.oid::regclass::text from pg_locks l join pg_class c on c.oid = l.relation
				join pg_database d on d.oid = l.database and d.datname = current_database()
				where l.pid = $1 and c.relnamespace::regnamespace::text not like 'pg\_%' order by 1`, tx.Conn().PgConn().PID())
			if err != nil {
				return err
			}
			list, err = pgx.CollectRows(rows, pgx.RowTo[string])
			return err
		})
		if err != nil {
			b.T.Fatal(err)
		}
	}
	return list
}

// The locks of a posting, and so the tables that it can read, do not grow with the number of months. Nor do past months
// make a query scan the book.
func TestMonthsDoNotCount(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	dossier, id := seed(b, 2_000)
	few := b.locked(100_000)
	b.addMonths(manyMonths)
	if got := b.months(); got != manyMonths {
		t.Fatalf("got %d months, want %d", got, manyMonths)
	}
	many := b.locked(200_000)
	if diff := cmp.Diff(many, few); diff != "" {
		t.Errorf("locked by a posting with %d months (-got +want with few):\n%s", manyMonths, diff)
	}
	if month := "ledger.posting" + b.Month(); !slices.Contains(few, month) || slices.Contains(few, "ledger.posting_default") {
		t.Errorf("got %q, want %s among them and no other month", few, month)
	}

	for _, x := range []struct {
		name   string
		months int // of postings that the plan may name
		ask    func(tx pgx.Tx) error
	}{
		{"entry", 1, func(tx pgx.Tx) error {
			_, err := ledger.FindEntry(t.Context(), tx, id)
			return err
		}},
		{"dossier", manyMonths + 1, func(tx pgx.Tx) error {
			_, err := balances.DossierLedger(t.Context(), tx, dossier)
			return err
		}},
		{"account", manyMonths + 1, func(pgx.Tx) error { return nil }},
	} {
		heard := &statements{}
		pool := b.onlyConn(heard)
		err := postgres.WriteTx(t.Context(), pool, ngheAn, x.ask)
		if x.name == "account" {
			_, _, err = (&balances.Service{DB: pool}).ListPostings(
				t.Context(),
				reader,
				balances.PostingQuery{Account: ledger.ProvisionalLePhi, Limit: 50},
			)
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(heard.list) == 0 {
			t.Errorf("%s: no statement was heard", x.name)
		}
		for _, st := range heard.list {
			b.byIndex(st, x.name, x.months)
		}
	}
}

var (
	planned = regexp.MustCompile(`on (posting_\w+) `)
	scanned = regexp.MustCompile(`Seq Scan on (\w+_\w+) `)
)

// byIndex fails when a plan scans a month that has rows, or names more months than it may.
func (b book) byIndex(st statement, name string, months int) {
	b.T.Helper()
	plan := explain(b, st)
	tables := map[string]bool{}
	for _, found := range planned.FindAllStringSubmatch(plan, -1) {
		tables[found[1]] = true
	}
	if len(tables) > months {
		b.T.Errorf("%s: the plan names %d months, want %d at most:\n%s", name, len(tables), months, plan)
	}
	for _, scan := range scanned.FindAllStringSubmatch(plan, -1) {
		if b.Count(`select reltuples::int from pg_class where oid = ('ledger.' || $1)::regclass`, scan[1]) > 0 {
			b.T.Errorf("%s: scans %s, which has rows:\n%s", name, scan[1], plan)
		}
	}
}
