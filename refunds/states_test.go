package refunds

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var allStatuses = []Status{Requested, Approved, Rejected, Reserved, Sending, Sent, Unknown, Done, Declined, Returned}

func TestEveryEdge(t *testing.T) {
	t.Parallel()
	want := map[[2]Status]string{
		{Requested, Approved}: "approve", {Requested, Rejected}: "reject",
		{Approved, Reserved}: "reserve", {Reserved, Sending}: "send",
		{Sending, Reserved}: "not_sent", {Sending, Sent}: "accepted", {Sending, Done}: "done",
		{Sending, Declined}: "decline", {Sending, Unknown}: "lose_sight",
		{Sent, Done}: "done", {Sent, Declined}: "decline", {Sent, Unknown}: "lose_sight",
		{Unknown, Sent}: "found_accepted", {Unknown, Done}: "done", {Unknown, Declined}: "decline",
		{Reserved, Done}: "confirm", {Done, Returned}: "return", {Returned, Done}: "pay_again",
	}
	got := map[[2]Status]string{}
	for _, from := range allStatuses {
		for _, to := range allStatuses {
			name, err := edgeName(from, to)
			if err == nil {
				got[[2]Status{from, to}] = name
			} else if !ErrStatus.Is(err) {
				t.Errorf("%s to %s: got %v, want %v", from, to, err, ErrStatus)
			}
		}
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("edges (-got +want):\n%s", diff)
	}
}

// The table knows the statuses that the code knows.
func TestStatusesOfTheTable(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../migrations/11_refunds.sql")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(text), "refund_status check (status in (")
	list, _, _ = strings.Cut(list, "))")
	got := map[Status]bool{}
	for name := range strings.FieldsFuncSeq(list, func(r rune) bool { return strings.ContainsRune(" ,'\n\t", r) }) {
		got[Status(name)] = true
	}
	want := map[Status]bool{}
	for _, s := range allStatuses {
		want[s] = true
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("statuses of the table (-got +want):\n%s", diff)
	}
}
