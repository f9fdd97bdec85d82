package ledgertest

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
	"github.com/doisoat/doisoat/ledger/days"
)

// Authorities and people of the tests of the book.
const (
	NgheAn     = "H41"
	Other      = "H26"
	Accountant = "key_accountant"
	Chief      = "key_chief"
)

// Day and Now are the business date and the instant of the tests' entries.
var (
	Day = calendar.MustParse("2026-11-20")
	Now = time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)
)

// Reader may read the book.
var Reader = auth.Actor{Authority: NgheAn, Role: auth.RoleAccountant, ID: Accountant}

// Book is a database with authorities and nothing posted.
type Book struct {
	*pgtest.DB

	T testing.TB
}

// NewBook makes a Book that ends with the test.
func NewBook(t testing.TB) Book {
	t.Helper()
	db := pgtest.New(t)
	known, err := registry.KnownAuthorities()
	if err != nil {
		t.Fatal(err)
	}
	if err := registry.EnsureAuthorities(t.Context(), db.Owner, known); err != nil {
		t.Fatal(err)
	}
	return Book{db, t}
}

// InTx runs body as the application, for one authority.
func (b Book) InTx(authority string, body func(tx pgx.Tx) error) error {
	return postgres.WriteTx(context.WithoutCancel(b.T.Context()), b.App, authority, body)
}

// Acting is tx as an Act of actor, at the instant of the tests.
func Acting(tx pgx.Tx, authority, actor string) postgres.Act {
	return postgres.Act{Tx: tx, Actor: auth.Actor{Authority: authority, ID: actor}, Now: Now}
}

// Post posts in a transaction of its own.
func (b Book) Post(entries ...ledger.Entry) ([]ledger.EntryID, error) {
	var ids []ledger.EntryID
	err := b.InTx(entries[0].Authority, func(tx pgx.Tx) (err error) {
		ids, err = ledger.Post(b.T.Context(), tx, entries...)
		return err
	})
	return ids, err
}

// MustPost is Post for entries that the book must take.
func (b Book) MustPost(entries ...ledger.Entry) []ledger.EntryID {
	b.T.Helper()
	ids, err := b.Post(entries...)
	if err != nil {
		b.T.Fatalf("Post: %v", err)
	}
	return ids
}

// Count runs a query as the owner, who sees every row.
func (b Book) Count(query string, args ...any) int {
	b.T.Helper()
	var n int
	if err := b.Owner.QueryRow(context.WithoutCancel(b.T.Context()), query, args...).Scan(&n); err != nil {
		b.T.Fatal(err)
	}
	return n
}

// Month is the suffix of the partitions that hold entries made now.
func (b Book) Month() string {
	b.T.Helper()
	var suffix string
	err := b.Owner.QueryRow(
		context.WithoutCancel(b.T.Context()),
		`select to_char(now() at time zone 'Asia/Ho_Chi_Minh', '_YYYYMM')`,
	).Scan(
		&suffix,
	)
	if err != nil {
		b.T.Fatal(err)
	}
	return suffix
}

// Problems returns the problems that ledger.Check finds in the book of an authority.
func (b Book) Problems(authority string) []string {
	b.T.Helper()
	var found []string
	err := postgres.ReadTx(context.WithoutCancel(b.T.Context()), b.App, authority, func(tx pgx.Tx) (err error) {
		found, err = ledger.Check(b.T.Context(), tx)
		return err
	})
	if err != nil {
		b.T.Fatal(err)
	}
	return found
}

// CloseDay closes a date as the accountant.
func (b Book) CloseDay(authority string, date calendar.Date) error {
	return b.InTx(authority, func(tx pgx.Tx) error {
		return days.Close(context.WithoutCancel(b.T.Context()), Acting(tx, authority, Accountant), date)
	})
}

// ChangeDay proposes and approves, two people.
func (b Book) ChangeDay(q days.Request) error {
	return b.InTx(NgheAn, func(tx pgx.Tx) error {
		ctx := context.WithoutCancel(b.T.Context())
		p, _, err := days.Propose(ctx, Acting(tx, NgheAn, Accountant), q)
		if err == nil {
			_, _, err = days.Decide(ctx, Acting(tx, NgheAn, Chief), p, days.Approved, "seen")
		}
		return err
	})
}

// Captured is the entry of an ordinary capture, real and memo.
func Captured(authority, cause string, minor int64, dossier uuid.UUID) ledger.Entry {
	about := ledger.Dimensions{Dossier: dossier}
	amount := money.Dong(minor)
	return ledger.Entry{
		Authority: authority, BusinessDate: Day, RecordedAt: Now, Actor: "system", Description: "capture by vnpay",
		Cause: ledger.Cause{Kind: "capture", ID: cause, Event: "captured"},
		Postings: []ledger.Posting{
			ledger.Dr(ledger.Clearing("vnpay"), amount, about),
			ledger.Cr(ledger.ProvisionalLePhi, amount, about),
			ledger.Dr(ledger.MemoCollected, amount, about),
			ledger.Cr(ledger.MemoReceivable, amount, about),
		},
	}
}

// Cause names the n-th capture of a test.
func Cause(n int) string { return fmt.Sprintf("cap_%06d", n) }
