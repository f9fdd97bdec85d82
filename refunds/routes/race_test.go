package routes_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/refunds/refundstest"
)

// hold stops the far side after it did one command's work, until release is called.
func (w *world) hold(command string) (reached <-chan struct{}, release func()) {
	w.T.Helper()
	there, leave := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.Far.Interfere(func(f *refundstest.FarSide) {
		f.Answered = func(c string) {
			if c == command {
				once.Do(func() { close(there); <-leave })
			}
		}
	})
	return there, sync.OnceFunc(func() { close(leave) })
}

// While one worker waits for the answer, others leave the refund alone.
func TestOthersWhileSending(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, _ := w.Paid(phi, lePhi)
	r := w.Approved(d)
	reached, release := w.hold("refund")
	defer release()
	sent := make(chan error, 1)
	go func() { sent <- w.Routes.Send(t.Context(), province, r.ID) }()
	<-reached
	w.Send(r.ID)
	w.Inquire(r.ID)
	if queued, err := w.Routes.QueueDue(t.Context()); queued != 0 || err != nil {
		t.Errorf("QueueDue: got %d, %v, want nothing due", queued, err)
	}
	w.Status(r.ID, refunds.Sending)
	release()
	w.Must(<-sent)
	w.Status(r.ID, refunds.Sent)
	w.RequestsSeen(1)
}

// A worker that is stopped while it waits keeps what it knows: nothing.
func TestStoppedWhileSending(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, _ := w.Paid(phi, lePhi)
	r := w.Approved(d)
	reached, release := w.hold("refund")
	defer release()
	ctx, stop := contextWithCancel(t)
	sent := make(chan error, 1)
	go func() { sent <- w.Routes.Send(ctx, province, r.ID) }()
	<-reached
	stop()
	w.Must(<-sent)
	w.Status(r.ID, refunds.Unknown)
	release()
	w.Clock.Advance(time.Minute)
	w.Inquire(r.ID)
	w.Status(r.ID, refunds.Done)
	w.RequestsSeen(1)
}

// The answer that comes after others took the refund for interrupted, or after
// a statement proved it, adds to what is known and undoes nothing.
func TestLateAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		meanwhile func(w *world, id refunds.ID)
		want      refunds.Status
	}{
		"taken for interrupted": {func(w *world, id refunds.ID) {
			w.Clock.Advance(2 * time.Minute)
			w.Send(id)
			w.Status(id, refunds.Unknown)
		}, refunds.Sent},
		"settled": {func(w *world, id refunds.ID) {
			w.Act(accountant, func(act postgres.Act) error {
				return w.Routes.ConfirmBySettlement(w.T.Context(), act, id, "")
			})
		}, refunds.Done},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			d, _ := w.Paid(phi, lePhi)
			r := w.Approved(d)
			reached, release := w.hold("refund")
			defer release()
			sent := make(chan error, 1)
			go func() { sent <- w.Routes.Send(t.Context(), province, r.ID) }()
			<-reached
			c.meanwhile(w, r.ID)
			release()
			w.Must(<-sent)
			w.Status(r.ID, c.want)
			w.RequestsSeen(1)
		})
	}
}

// VNPAY answers an inquiry with the newest refund of the payment, whichever was meant.
func TestAnswersAboutAnotherRefund(t *testing.T) {
	t.Parallel()
	t.Run("sent while we asked", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		d, _ := w.Paid(phi, lePhi)
		lost := w.Approved(d, refunds.Item{Charge: charge(t, d, lePhi).ID, Amount: 50_000})
		w.Script.Fault(t, "vnpay", "refund", "timeout_not_done")
		w.Send(lost.ID)
		w.Status(lost.ID, refunds.Unknown)
		w.Script.Fault(t, "vnpay", "refund", "")
		other := w.Approved(d, refunds.Item{Charge: charge(t, d, phi).ID, Amount: 100_000})
		var once sync.Once
		w.Far.Interfere(func(f *refundstest.FarSide) {
			f.Arrived = func(command string) {
				if command == "querydr" {
					once.Do(func() { w.Send(other.ID); w.Clock.Advance(time.Minute) })
				}
			}
		})
		w.Inquire(lost.ID)
		w.Status(lost.ID, refunds.Unknown)
		w.Inquire(lost.ID)
		w.Status(lost.ID, refunds.Unknown)
		w.RequestsSeen(2)
	})
	t.Run("taken on and refused earlier", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		d, _ := w.Paid(phi, lePhi)
		first := w.Approved(d, refunds.Item{Charge: charge(t, d, lePhi).ID, Amount: 50_000})
		w.Script.Fault(t, "vnpay", "refund", "refused_later")
		w.Send(first.ID)
		w.Clock.Advance(time.Minute)
		w.Inquire(first.ID)
		w.Status(first.ID, refunds.Declined)
		second := w.Approved(d, refunds.Item{Charge: charge(t, d, phi).ID, Amount: 100_000})
		w.Script.Fault(t, "vnpay", "refund", "timeout_not_done")
		w.Send(second.ID)
		w.Inquire(second.ID) // answered with the end of the first
		w.Status(second.ID, refunds.Unknown)
	})
	t.Run("refused at once is none", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		d, _ := w.Paid(phi, lePhi)
		w.Script.Fault(t, "vnpay", "refund", "refused")
		w.Send(w.Approved(d, refunds.Item{Charge: charge(t, d, lePhi).ID, Amount: 50_000}).ID)
		w.Script.Fault(t, "vnpay", "refund", "timeout_but_done")
		second := w.Approved(d, refunds.Item{Charge: charge(t, d, phi).ID, Amount: 100_000})
		w.Send(second.ID)
		w.Clock.Advance(time.Minute)
		w.Inquire(second.ID)
		w.Status(second.ID, refunds.Done)
	})
}

func TestSweepQueuesWhatIsDueOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sweep := func(want int) {
		t.Helper()
		if got, err := w.Routes.QueueDue(t.Context()); err != nil || got != want {
			t.Errorf("QueueDue: got %d, %v, want %d", got, err, want)
		}
	}
	d, _ := w.Paid(phi, lePhi)
	w.Request(d, refunds.Item{Charge: charge(t, d, lePhi).ID, Amount: 1_000})
	r := w.Approved(d, refunds.Item{Charge: charge(t, d, phi).ID, Amount: 100_000})
	w.Clock.Advance(2 * time.Hour)
	sweep(0) // its first job still waits
	finish := func(as string) {
		_, err := w.DB.Owner.Exec(t.Context(), `update river.river_job set state = $1, finalized_at = now() where state = 'available'`, as)
		w.Must(err)
	}
	finish("completed") // it found another that was sending, and that one could not
	sweep(1)
	finish("discarded") // tried too often
	sweep(1)
	sweep(0)
	if got := w.Queued("send_refund"); len(got) != 1 {
		t.Errorf("jobs: got %q, want one that sends", got)
	}
	finish("completed")
	w.Script.Fault(t, "vnpay", "refund", "timeout_not_done")
	w.Send(r.ID)
	sweep(0)
	w.Clock.Advance(10 * time.Second)
	sweep(1)
	sweep(0)
	if got := w.Queued("inquire_refund"); len(got) != 1 || got[0] != `{"refund": "`+r.ID.String()+`", "authority": "H41"}` {
		t.Errorf("jobs: got %q, want one inquiry with ids alone", got)
	}
	finish("completed")
	w.Inquire(r.ID)
	sweep(0)
	w.Clock.Advance(time.Hour)
	sweep(1)
}

func TestNoProviderMeansAPaymentOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, _ := w.Paid(phi, lePhi)
	w.Refunds.Providers, w.Routes.Providers = providers.NewRegistry(), providers.NewRegistry()
	r := w.Approved(d)
	if r.Route != refunds.PaymentOrder || len(w.Queued("send_refund")) != 0 {
		t.Errorf("got route %s and jobs %q, want a payment order and none", r.Route, w.Queued("send_refund"))
	}
	w.Send(r.ID)
	w.Status(r.ID, refunds.Reserved)
	w.Clock.Advance(2 * time.Hour)
	if got, err := w.Routes.QueueDue(t.Context()); got != 0 || err != nil {
		t.Errorf("QueueDue: got %d, %v, want nothing: people pay it", got, err)
	}
	w.Book(promised)
}

func contextWithCancel(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(t.Context())
}
