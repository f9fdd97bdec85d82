package balances_test

import (
	"strconv"
	"testing"

	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/ledgertest"
)

const (
	ngheAn     = ledgertest.NgheAn
	other      = ledgertest.Other
	accountant = ledgertest.Accountant
)

var (
	day, now = ledgertest.Day, ledgertest.Now
	captured = ledgertest.Captured
	cause    = ledgertest.Cause
	reader   = ledgertest.Reader
)

type book struct{ ledgertest.Book }

func newBook(t testing.TB) book { return book{ledgertest.NewBook(t)} }

func because(n int) ledger.Cause {
	return ledger.Cause{Kind: "case", ID: strconv.Itoa(n), Event: "resolved"}
}
