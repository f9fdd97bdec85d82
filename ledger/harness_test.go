package ledger_test

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
)

const (
	ngheAn     = "H41"
	other      = "H26"
	accountant = "key_accountant"
)

var (
	day = calendar.MustParse("2026-11-20")
	now = time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)
)

// book is a database with authorities and nothing posted.
type book struct {
	*pgtest.DB
	t testing.TB
}

func newBook(t testing.TB) book {
	t.Helper()
	db := pgtest.New(t)
	known, err := registry.KnownAuthorities()
	if err != nil {
		t.Fatal(err)
	}
	if err := registry.EnsureAuthorities(t.Context(), db.Owner, known); err != nil {
		t.Fatal(err)
	}
	return book{db, t}
}

// inTx runs body as the application, for one authority.
func (b book) inTx(authority string, body func(tx pgx.Tx) error) error {
	return postgres.WriteTx(context.WithoutCancel(b.t.Context()), b.App, authority, body)
}

// acting is tx as an Act of actor, at the instant of the tests.
func acting(tx pgx.Tx, authority, actor string) postgres.Act {
	return postgres.Act{Tx: tx, Actor: auth.Actor{Authority: authority, ID: actor}, Now: now}
}

// post posts in a transaction of its own.
func (b book) post(entries ...ledger.Entry) ([]ledger.EntryID, error) {
	var ids []ledger.EntryID
	err := b.inTx(entries[0].Authority, func(tx pgx.Tx) (err error) {
		ids, err = ledger.Post(b.t.Context(), tx, entries...)
		return err
	})
	return ids, err
}

func (b book) mustPost(entries ...ledger.Entry) []ledger.EntryID {
	b.t.Helper()
	ids, err := b.post(entries...)
	if err != nil {
		b.t.Fatalf("Post: %v", err)
	}
	return ids
}

// count asks the owner, who sees every row.
func (b book) count(query string, args ...any) int {
	b.t.Helper()
	var n int
	if err := b.Owner.QueryRow(context.WithoutCancel(b.t.Context()), query, args...).Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// month is the end of the names of tables where entries of now lie.
func (b book) month() string {
	b.t.Helper()
	var suffix string
	err := b.Owner.QueryRow(context.WithoutCancel(b.t.Context()), `select to_char(now() at time zone 'Asia/Ho_Chi_Minh', '_YYYYMM')`).Scan(&suffix)
	if err != nil {
		b.t.Fatal(err)
	}
	return suffix
}

// captured is the entry of an ordinary capture, real and memo.
func captured(authority, cause string, minor int64, dossier uuid.UUID) ledger.Entry {
	about := ledger.Dimensions{Dossier: dossier}
	amount := money.Dong(minor)
	return ledger.Entry{
		Authority: authority, BusinessDate: day, RecordedAt: now, Actor: "system", Description: "capture by vnpay",
		Cause: ledger.Cause{Kind: "capture", ID: cause, Event: "captured"},
		Postings: []ledger.Posting{
			ledger.Dr(ledger.Clearing("vnpay"), amount, about),
			ledger.Cr(ledger.ProvisionalLePhi, amount, about),
			ledger.Dr(ledger.MemoCollected, amount, about),
			ledger.Cr(ledger.MemoReceivable, amount, about),
		},
	}
}

func cause(n int) string { return fmt.Sprintf("cap_%06d", n) }
