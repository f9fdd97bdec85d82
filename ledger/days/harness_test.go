package days_test

import (
	"testing"

	"github.com/doisoat/doisoat/ledger/ledgertest"
)

const (
	ngheAn     = ledgertest.NgheAn
	other      = ledgertest.Other
	accountant = ledgertest.Accountant
	chief      = ledgertest.Chief
)

var (
	day, now = ledgertest.Day, ledgertest.Now
	captured = ledgertest.Captured
	cause    = ledgertest.Cause
	acting   = ledgertest.Acting
)

type book struct{ ledgertest.Book }

func newBook(t testing.TB) book { return book{ledgertest.NewBook(t)} }
