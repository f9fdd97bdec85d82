package refunds_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/refunds"
)

func itemsOf(feeType string) []quote.ItemRequest { return []quote.ItemRequest{{FeeType: feeType}} }

// hold stops the far side after it did one command's work, until release is called.
func (w *world) hold(command string) (reached <-chan struct{}, release func()) {
	w.t.Helper()
	there, leave := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.far.interfere(func(f *farSide) {
		f.answered = func(c string) {
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
	d, _ := w.paid(phi, lePhi)
	r := w.approved(d)
	reached, release := w.hold("refund")
	defer release()
	sent := make(chan error, 1)
	go func() { sent <- w.refunds.Send(t.Context(), province, r.ID) }()
	<-reached
	w.send(r.ID)
	w.inquire(r.ID)
	if queued, err := w.refunds.QueueDue(t.Context()); queued != 0 || err != nil {
		t.Errorf("QueueDue: got %d, %v, want nothing due", queued, err)
	}
	w.status(r.ID, refunds.Sending)
	release()
	w.ok(<-sent)
	w.status(r.ID, refunds.Sent)
	w.requestsSeen(1)
}

// A worker that is stopped while it waits keeps what it knows: nothing.
func TestStoppedWhileSending(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, _ := w.paid(phi, lePhi)
	r := w.approved(d)
	reached, release := w.hold("refund")
	defer release()
	ctx, stop := contextWithCancel(t)
	sent := make(chan error, 1)
	go func() { sent <- w.refunds.Send(ctx, province, r.ID) }()
	<-reached
	stop()
	w.ok(<-sent)
	w.status(r.ID, refunds.Unknown)
	release()
	w.clock.advance(time.Minute)
	w.inquire(r.ID)
	w.status(r.ID, refunds.Done)
	w.requestsSeen(1)
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
			w.clock.advance(2 * time.Minute)
			w.send(id)
			w.status(id, refunds.Unknown)
		}, refunds.Sent},
		"settled": {func(w *world, id refunds.ID) {
			w.act(accountant, func(act postgres.Act) error {
				return w.refunds.ConfirmBySettlement(w.t.Context(), act, id, "")
			})
		}, refunds.Done},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			d, _ := w.paid(phi, lePhi)
			r := w.approved(d)
			reached, release := w.hold("refund")
			defer release()
			sent := make(chan error, 1)
			go func() { sent <- w.refunds.Send(t.Context(), province, r.ID) }()
			<-reached
			c.meanwhile(w, r.ID)
			release()
			w.ok(<-sent)
			w.status(r.ID, c.want)
			w.requestsSeen(1)
		})
	}
}

// VNPAY answers an inquiry with the newest refund of the payment, whichever was meant.
func TestAnswersAboutAnotherRefund(t *testing.T) {
	t.Parallel()
	t.Run("sent while we asked", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		d, _ := w.paid(phi, lePhi)
		lost := w.approved(d, refunds.Item{Charge: charge(t, d, lePhi).ID, Amount: 50_000})
		w.script.Fault(t, "vnpay", "refund", "timeout_not_done")
		w.send(lost.ID)
		w.status(lost.ID, refunds.Unknown)
		w.script.Fault(t, "vnpay", "refund", "")
		other := w.approved(d, refunds.Item{Charge: charge(t, d, phi).ID, Amount: 100_000})
		var once sync.Once
		w.far.interfere(func(f *farSide) {
			f.arrived = func(command string) {
				if command == "querydr" {
					once.Do(func() { w.send(other.ID); w.clock.advance(time.Minute) })
				}
			}
		})
		w.inquire(lost.ID)
		w.status(lost.ID, refunds.Unknown)
		w.inquire(lost.ID)
		w.status(lost.ID, refunds.Unknown)
		w.requestsSeen(2)
	})
	t.Run("taken on and refused earlier", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		d, _ := w.paid(phi, lePhi)
		first := w.approved(d, refunds.Item{Charge: charge(t, d, lePhi).ID, Amount: 50_000})
		w.script.Fault(t, "vnpay", "refund", "refused_later")
		w.send(first.ID)
		w.clock.advance(time.Minute)
		w.inquire(first.ID)
		w.status(first.ID, refunds.Declined)
		second := w.approved(d, refunds.Item{Charge: charge(t, d, phi).ID, Amount: 100_000})
		w.script.Fault(t, "vnpay", "refund", "timeout_not_done")
		w.send(second.ID)
		w.inquire(second.ID) // answered with the end of the first
		w.status(second.ID, refunds.Unknown)
	})
	t.Run("refused at once is none", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		d, _ := w.paid(phi, lePhi)
		w.script.Fault(t, "vnpay", "refund", "refused")
		w.send(w.approved(d, refunds.Item{Charge: charge(t, d, lePhi).ID, Amount: 50_000}).ID)
		w.script.Fault(t, "vnpay", "refund", "timeout_but_done")
		second := w.approved(d, refunds.Item{Charge: charge(t, d, phi).ID, Amount: 100_000})
		w.send(second.ID)
		w.clock.advance(time.Minute)
		w.inquire(second.ID)
		w.status(second.ID, refunds.Done)
	})
}

func TestSweepQueuesWhatIsDueOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sweep := func(want int) {
		t.Helper()
		if got, err := w.refunds.QueueDue(t.Context()); err != nil || got != want {
			t.Errorf("QueueDue: got %d, %v, want %d", got, err, want)
		}
	}
	d, _ := w.paid(phi, lePhi)
	w.request(d, refunds.Item{Charge: charge(t, d, lePhi).ID, Amount: 1_000})
	r := w.approved(d, refunds.Item{Charge: charge(t, d, phi).ID, Amount: 100_000})
	w.clock.advance(2 * time.Hour)
	sweep(0) // its first job still waits
	finish := func(as string) {
		_, err := w.db.Owner.Exec(t.Context(), `update river.river_job set state = $1, finalized_at = now() where state = 'available'`, as)
		w.ok(err)
	}
	finish("completed") // it found another that was sending, and that one could not
	sweep(1)
	finish("discarded") // tried too often
	sweep(1)
	sweep(0)
	if got := w.jobs("send_refund"); len(got) != 1 {
		t.Errorf("jobs: got %q, want one that sends", got)
	}
	finish("completed")
	w.script.Fault(t, "vnpay", "refund", "timeout_not_done")
	w.send(r.ID)
	sweep(0)
	w.clock.advance(10 * time.Second)
	sweep(1)
	sweep(0)
	if got := w.jobs("inquire_refund"); len(got) != 1 || got[0] != `{"refund": "`+r.ID.String()+`", "authority": "H41"}` {
		t.Errorf("jobs: got %q, want one inquiry with ids alone", got)
	}
	finish("completed")
	w.inquire(r.ID)
	sweep(0)
	w.clock.advance(time.Hour)
	sweep(1)
}

func TestNoProviderMeansAPaymentOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, _ := w.paid(phi, lePhi)
	w.refunds.Providers = providers.NewRegistry()
	r := w.approved(d)
	if r.Route != refunds.PaymentOrder || len(w.jobs("send_refund")) != 0 {
		t.Errorf("got route %s and jobs %q, want a payment order and none", r.Route, w.jobs("send_refund"))
	}
	w.send(r.ID)
	w.status(r.ID, refunds.Reserved)
	w.clock.advance(2 * time.Hour)
	if got, err := w.refunds.QueueDue(t.Context()); got != 0 || err != nil {
		t.Errorf("QueueDue: got %d, %v, want nothing: people pay it", got, err)
	}
	w.book(promised)
}

func contextWithCancel(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(t.Context())
}
