package refunds_test

import (
	"testing"

	"github.com/doisoat/doisoat/refunds/refundstest"
)

const (
	province = refundstest.Province
	lePhi    = refundstest.LePhi
	phi      = refundstest.Phi
)

var (
	charge     = refundstest.Charge
	untouched  = refundstest.Untouched
	promised   = refundstest.Promised
	bookAfter  = refundstest.BookAfter
	portal     = refundstest.Portal
	accountant = refundstest.Accountant
	chief      = refundstest.Chief
	otherChief = refundstest.OtherChief
	auditor    = refundstest.Auditor
	begin      = refundstest.Begin
)

// world adds the steps of this room to the common ground.
type world struct{ *refundstest.World }

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{refundstest.New(t)}
}

// acts are the audited acts on an object, oldest first.
func (w *world) acts(kind, id string) []string {
	w.T.Helper()
	return w.Texts(`select act from audit.event where object_kind = $1 and object_id = $2 order by at, id`, kind, id)
}
