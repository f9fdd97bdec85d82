package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/riverqueue/river"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger/balances"
	"github.com/doisoat/doisoat/ledger/seal"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/payments/callbacks"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/refunds/routes"
	"github.com/doisoat/doisoat/repricing"
)

// Rooms are the use cases that jobs call.
type Rooms struct {
	Payments  *payments.Service
	Callbacks *callbacks.Service
	Refunds   *refunds.Service
	Routes    *routes.Service
	Repricing *repricing.Service
	Ledger    *balances.Service
	Seal      *seal.Service
}

// register adds a worker for every kind of job there is.
func (r Rooms) register(w *river.Workers) {
	add(w, func(ctx context.Context, a payments.InquirePayment) error {
		_, err := r.Payments.Inquire(ctx, auth.System(a.Authority), a.Payment)
		return err
	})
	add(w, func(ctx context.Context, a callbacks.ApplyCallback) error {
		return r.Callbacks.ApplyKept(ctx, a.Authority, a.Callback)
	})
	add(w, func(ctx context.Context, a payments.ProposeExcessRefund) error {
		return r.Refunds.ProposeExcess(ctx, a.Authority, a.Capture)
	})
	add(w, func(ctx context.Context, a dossiers.ProposeRefunds) error {
		return r.Refunds.ProposeForDossier(ctx, a.Authority, a.Dossier, a.Reason)
	})
	add(w, func(ctx context.Context, a dossiers.PriceAgain) error {
		return r.Repricing.PriceAgain(ctx, a.Authority, a.Dossier, a.Day)
	})
	add(w, func(ctx context.Context, a refunds.SendRefund) error {
		return r.Routes.Send(ctx, a.Authority, a.Refund)
	})
	add(w, func(ctx context.Context, a routes.InquireRefund) error {
		return r.Routes.Inquire(ctx, a.Authority, a.Refund)
	})
	add(w, func(ctx context.Context, a repricing.Run) error {
		return r.Repricing.Reprice(ctx, a.Authority, a.Repricing)
	})
	add(w, func(ctx context.Context, _ SweepInquiries) error {
		_, err := r.Payments.QueueDue(ctx)
		return err
	})
	add(w, func(ctx context.Context, _ SweepRefunds) error {
		_, refunding := r.Routes.QueueDue(ctx)
		_, repricing := r.Repricing.QueueDue(ctx)
		return errors.Join(refunding, repricing)
	})
	add(w, func(ctx context.Context, _ SealBooks) error {
		return r.Seal.SealDue(ctx)
	})
	add(w, func(ctx context.Context, _ MakeMonths) error {
		_, err := postgres.MakeMonths(ctx, r.Ledger.DB)
		return err
	})
	add(w, func(ctx context.Context, _ DropRefusedCallbacks) error {
		_, err := r.Callbacks.DropRefused(ctx)
		return err
	})
	add(w, func(ctx context.Context, _ RollUpBook) error {
		_, err := r.Ledger.RollUp(ctx)
		return err
	})
}

// worker runs one kind of job by its plan.
type worker[A river.JobArgs] struct {
	river.WorkerDefaults[A]
	do func(ctx context.Context, args A) error
}

// Work implements river.Worker.
func (w *worker[A]) Work(ctx context.Context, job *river.Job[A]) error { return w.do(ctx, job.Args) }

// Timeout implements river.Worker.
func (w *worker[A]) Timeout(job *river.Job[A]) time.Duration { return planOf(job.Kind).timeout }

func add[A river.JobArgs](w *river.Workers, do func(ctx context.Context, args A) error) {
	river.AddWorker(w, &worker[A]{do: do})
}
