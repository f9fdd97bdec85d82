package cases_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/payments/paytest"
	"github.com/doisoat/doisoat/reconcile/reconciletest"
	"github.com/doisoat/doisoat/statements/statementstest"
)

const (
	province   = reconciletest.Authority
	account    = paytest.Account
	settlement = reconciletest.Settlement
	bank       = reconciletest.Bank
)

var (
	portal     = paytest.Portal
	accountant = reconciletest.Accountant
	chief      = reconciletest.Chief
	day        = reconciletest.Day
)

// world is an authority whose provider and bank account are sources.
type world struct{ *reconciletest.World }

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{reconciletest.New(t)}
}

func same[T any](t *testing.T, name string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("%s (-got +want):\n%s", name, diff)
	}
}

type entry struct {
	ref     string
	amount  int64
	content string
}

func camt(date calendar.Date, opening, closing int64, list ...entry) []byte {
	entries := make([]statementstest.Entry, len(list))
	for i, e := range list {
		entries[i] = statementstest.Entry{Ref: e.ref, Amount: e.amount, Content: e.content}
	}
	return statementstest.Bank(account, date, opening, closing, entries...)
}

// settled is a file of VNPAY with one settled payment, without a fee.
func settled(reference, transaction string, amount int64, batch string) []byte {
	return statementstest.Settlement(paytest.Terminal,
		fmt.Sprintf("%s,%s,PAYMENT,,%d,0,0,%d,SETTLED,%s", reference, transaction, amount, amount, batch))
}
