package remittance_test

import (
	"testing"

	"github.com/doisoat/doisoat/refunds/refundstest"
)

const (
	province = refundstest.Province
	lePhi    = refundstest.LePhi
	phi      = refundstest.Phi
	bank     = refundstest.Bank
)

var (
	charge     = refundstest.Charge
	accountant = refundstest.Accountant
	chief      = refundstest.Chief
	auditor    = refundstest.Auditor
)

// treasury adds the steps of this room to the common ground.
type treasury struct{ *refundstest.Treasury }

func newTreasury(t *testing.T) *treasury {
	t.Helper()
	return &treasury{refundstest.NewTreasury(t)}
}
