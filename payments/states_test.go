package payments

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every pair of statuses: a move that the table does not name is refused.
func TestEveryEdge(t *testing.T) {
	t.Parallel()
	all := []Status{Pending, Unknown, Captured, Settled, Failed, Expired, Cancelled}
	want := map[[2]Status]string{
		{Pending, Captured}: "capture", {Pending, Failed}: "decline", {Pending, Expired}: "expire", {Pending, Cancelled}: "cancel",
		{Pending, Unknown}: "lose_sight",
		{Unknown, Pending}: "found_pending", {Unknown, Captured}: "capture", {Unknown, Failed}: "decline", {Unknown, Expired}: "expire",
		{Captured, Settled}: "settle", {Settled, Captured}: "unsettle",
		{Failed, Captured}: "capture_late", {Expired, Captured}: "capture_late", {Cancelled, Captured}: "capture_late",
	}
	got := map[[2]Status]string{}
	for _, from := range all {
		for _, to := range append(all, "", "no_such_state") {
			name, err := EdgeName(from, to)
			switch {
			case err == nil:
				got[[2]Status{from, to}] = name
			case !errors.Is(err, ErrStatus) || name != "":
				t.Errorf("%s to %s: got %q, %v, want ErrStatus", from, to, name, err)
			}
		}
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("edges (-got +want):\n%s", diff)
	}
}
