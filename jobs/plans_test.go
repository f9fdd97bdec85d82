package jobs

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/riverqueue/river"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/payments/callbacks"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/refunds/routes"
	"github.com/doisoat/doisoat/repricing"
)

func TestHopeless(t *testing.T) {
	t.Parallel()
	tests := map[fault.Kind]bool{
		fault.Invalid: true, fault.Unauthenticated: true, fault.Forbidden: true, fault.NotFound: true,
		fault.Conflict: true, fault.Precondition: true,
		fault.Unavailable: false, fault.OutcomeUnknown: false, fault.Internal: false,
	}
	for kind, want := range tests {
		if got := hopeless(fault.New(kind, "x.y", "text")); got != want {
			t.Errorf("hopeless(%s) = %t, want %t", kind, got, want)
		}
	}
	if hopeless(errors.New("no fault at all")) {
		t.Error("an error of no kind was given up, want it tried again")
	}
}

func TestWaitsGrowUpToTheLongest(t *testing.T) {
	t.Parallel()
	p := plan{first: 15 * time.Second, longest: 10 * time.Minute}
	var got []time.Duration
	for _, failures := range []int{0, 1, 2, 3, 7, 1000} {
		got = append(got, p.wait(failures))
	}
	want := []time.Duration{15 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 10 * time.Minute, 10 * time.Minute}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("waits differ (-got +want):\n%s", diff)
	}
}

// TestPlansAreSound: a lost job is found after every time-out, and every kind that is worked has a plan.
func TestPlansAreSound(t *testing.T) {
	t.Parallel()
	for kind, p := range plansByKinds {
		if p.timeout >= providers.RescueAfter {
			t.Errorf("%s: got time-out %s, want below %s", kind, p.timeout, providers.RescueAfter)
		}
		if p.attempts < 1 || p.first <= 0 || p.longest < p.first || p.queue == "" {
			t.Errorf("%s: got an incomplete plan %+v", kind, p)
		}
	}
	for _, args := range []river.JobArgs{
		payments.InquirePayment{},
		callbacks.ApplyCallback{},
		payments.ProposeExcessRefund{},
		dossiers.ProposeRefunds{},
		dossiers.PriceAgain{},
		refunds.SendRefund{},
		routes.InquireRefund{},
		repricing.Run{},
		SweepInquiries{},
		SweepRefunds{},
		RollUpBook{},
		SealBooks{},
		MakeMonths{},
		DropRefusedCallbacks{},
	} {
		if _, ok := plansByKinds[args.Kind()]; !ok {
			t.Errorf("%s has no plan", args.Kind())
		}
	}
}
