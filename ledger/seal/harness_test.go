package seal_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/postgres/pgtest"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/seal"
)

const (
	ngheAn = "H41"
	other  = "H26"
)

var (
	day     = calendar.MustParse("2026-11-20")
	now     = time.Date(2026, 11, 20, 3, 0, 0, 123456000, time.UTC)
	auditor = auth.Actor{Authority: ngheAn, Role: auth.RoleAuditor, ID: "key_auditor"}
)

// book is a database with authorities and nothing posted, and its sealer.
type book struct {
	*pgtest.DB
	t    testing.TB
	seal *seal.Service
}

func newBook(t testing.TB, blockSize int) book {
	t.Helper()
	db := pgtest.New(t)
	known, err := registry.KnownAuthorities()
	if err != nil {
		t.Fatal(err)
	}
	if err := registry.EnsureAuthorities(t.Context(), db.Owner, known); err != nil {
		t.Fatal(err)
	}
	return book{db, t, &seal.Service{DB: db.App, Now: func() time.Time { return now }, BlockSize: blockSize}}
}

// post posts in one transaction.
func (b book) post(entries ...ledger.Entry) []ledger.EntryID {
	b.t.Helper()
	var ids []ledger.EntryID
	err := postgres.WriteTx(b.t.Context(), b.App, entries[0].Authority, func(tx pgx.Tx) (err error) {
		ids, err = ledger.Post(b.t.Context(), tx, entries...)
		return err
	})
	if err != nil {
		b.t.Fatalf("Post: %v", err)
	}
	return ids
}

// postMany posts n captures, each in a transaction of its own.
func (b book) postMany(authority string, from, n int) []ledger.EntryID {
	b.t.Helper()
	var ids []ledger.EntryID
	for i := from; i < from+n; i++ {
		ids = append(ids, b.post(captured(authority, i))...)
	}
	return ids
}

// mustSeal seals the entries posted before. Databases of other tests share the server and its transaction numbers, so
// mustSeal waits until no older transaction of another test runs.
func (b book) mustSeal(authority string) seal.Sealed {
	b.t.Helper()
	b.waitForHorizon()
	done, err := b.seal.Seal(b.t.Context(), authority, 0)
	if err != nil {
		b.t.Fatalf("Seal: %v", err)
	}
	return done
}

// waitForHorizon waits until every transaction that runs now has ended.
func (b book) waitForHorizon() {
	b.t.Helper()
	next := b.count(`select pg_snapshot_xmax(pg_current_snapshot())::text::bigint`)
	b.eventually("an older transaction does not end", func() bool {
		return b.count(`select pg_snapshot_xmin(pg_current_snapshot())::text::bigint`) >= next
	})
}

func (b book) eventually(otherwise string, done func() bool) {
	b.t.Helper()
	for range 2_000 {
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.t.Fatal(otherwise)
}

// check returns the problems of the book, as the application sees it.
func (b book) check(authority string) []string {
	b.t.Helper()
	var problems []string
	err := postgres.ReadTx(b.t.Context(), b.App, authority, func(tx pgx.Tx) (err error) {
		problems, err = seal.Check(b.t.Context(), tx, nil)
		return err
	})
	if err != nil {
		b.t.Fatalf("Check: %v", err)
	}
	return problems
}

// force makes a forbidden change: as the superuser, with every trigger and foreign key switched off.
func (b book) force(query string, args ...any) {
	b.t.Helper()
	b.forced(func(tx pgx.Tx) error {
		tag, err := tx.Exec(b.t.Context(), query, args...)
		if err == nil && tag.RowsAffected() == 0 {
			err = fmt.Errorf("%s changed nothing", query)
		}
		return err
	})
}

// forced is force for more than one statement.
func (b book) forced(change func(tx pgx.Tx) error) {
	b.t.Helper()
	err := pgx.BeginFunc(b.t.Context(), b.Owner, func(tx pgx.Tx) error {
		if err := triggers(b.t.Context(), tx, "disable"); err != nil {
			return err
		}
		if err := change(tx); err != nil {
			return err
		}
		return triggers(b.t.Context(), tx, "enable")
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// triggers switches all triggers of the ledger, those of foreign keys and of months included.
func triggers(ctx context.Context, tx pgx.Tx, to string) error {
	_, err := tx.Exec(ctx, `
		do $$
		declare target regclass;
		begin
			for target in select oid::regclass from pg_class where relnamespace = 'ledger'::regnamespace and relkind in ('r', 'p') loop
				execute format('alter table %s `+to+` trigger all', target);
			end loop;
		end
		$$`)
	return err
}

func (b book) count(query string, args ...any) int {
	b.t.Helper()
	var n int
	if err := b.Owner.QueryRow(context.WithoutCancel(b.t.Context()), query, args...).Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// captured is the entry of an ordinary capture, real and memo.
func captured(authority string, n int) ledger.Entry {
	about := ledger.Dimensions{
		Dossier: uuid.New(), Payment: uuid.New(), Charge: uuid.New(), FeeType: "PHI-" + fmt.Sprint(n%3), Policy: "NQ-01",
	}
	amount := money.Dong(int64(1000 + n))
	return ledger.Entry{
		Authority: authority, BusinessDate: day, RecordedAt: now, Actor: "system", Description: "capture by vnpay",
		Cause: ledger.Cause{Kind: "capture", ID: fmt.Sprintf("cap_%032x", n), Event: "captured"},
		Postings: []ledger.Posting{
			ledger.Dr(ledger.Clearing("vnpay"), amount, ledger.Dimensions{Payment: about.Payment}),
			ledger.Cr(ledger.ProvisionalLePhi, amount, about),
			ledger.Dr(ledger.MemoCollected, amount, about),
			ledger.Cr(ledger.MemoReceivable, amount, about),
		},
	}
}
