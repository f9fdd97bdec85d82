package reconcile_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/payments/paytest"
	"github.com/doisoat/doisoat/reconcile/reconciletest"
)

const (
	province   = reconciletest.Authority
	terminal   = paytest.Terminal
	hashSecret = paytest.HashSecret
	hookSecret = paytest.HookSecret
	account    = paytest.Account
	settlement = reconciletest.Settlement
	bank       = reconciletest.Bank
)

var (
	accountant = reconciletest.Accountant
	chief      = reconciletest.Chief
	admin      = paytest.Admin
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
