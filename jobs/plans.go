package jobs

import (
	"context"
	"slices"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/payments/callbacks"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/refunds/routes"
	"github.com/doisoat/doisoat/repricing"
)

// Queues. Jobs that wait for a provider do not hold up other jobs.
const (
	queueDefault   = river.QueueDefault // short work in the program's own database
	queueInquiries = "inquiries"        // asks providers about payments
	queueRefunds   = "refunds"          // sends refunds and asks about them
	queueSweeps    = "sweeps"           // looks for due rows
	queueBook      = "book"             // keeps the ledger's totals: long at times
)

// plan says how jobs of one kind are run.
type plan struct {
	queue    string
	attempts int           // after the last one the job is discarded; a sweep finds the work that is still due
	timeout  time.Duration // of one try
	first    time.Duration // wait after the first failure; doubles each time
	longest  time.Duration // wait at most
}

// defaultTimeout bounds one try of a job in our own database. Jobs that call providers have providers.JobTimeout.
const defaultTimeout = time.Minute

var (
	ownPlan      = plan{queue: queueDefault, attempts: 25, timeout: defaultTimeout, first: 2 * time.Second, longest: time.Hour}
	inquiryPlan  = providerPlan(queueInquiries)
	refundPlan   = providerPlan(queueRefunds)
	sweepPlan    = plan{queue: queueSweeps, attempts: 5, timeout: defaultTimeout, first: time.Second, longest: 10 * time.Second}
	rollUpPlan   = plan{queue: queueBook, attempts: 5, timeout: 2 * time.Minute, first: time.Second, longest: 10 * time.Second}
	sealPlan     = plan{queue: queueBook, attempts: 5, timeout: 2 * time.Minute, first: time.Second, longest: 10 * time.Second}
	plansByKinds = map[string]plan{
		callbacks.ApplyCallback{}.Kind():      ownPlan,
		payments.ProposeExcessRefund{}.Kind(): ownPlan,
		dossiers.ProposeRefunds{}.Kind():      ownPlan,
		dossiers.PriceAgain{}.Kind():          ownPlan,
		payments.InquirePayment{}.Kind():      inquiryPlan,
		refunds.SendRefund{}.Kind():           refundPlan,
		routes.InquireRefund{}.Kind():         refundPlan,
		repricing.Run{}.Kind():                ownPlan,
		SweepInquiries{}.Kind():               sweepPlan,
		SweepRefunds{}.Kind():                 sweepPlan,
		RollUpBook{}.Kind():                   rollUpPlan,
		SealBooks{}.Kind():                    sealPlan,
		MakeMonths{}.Kind():                   sweepPlan,
		DropRefusedCallbacks{}.Kind():         sweepPlan,
	}
)

// providerPlan returns the plan of jobs that call a provider.
func providerPlan(queue string) plan {
	return plan{queue: queue, attempts: 8, timeout: providers.JobTimeout, first: 15 * time.Second, longest: 10 * time.Minute}
}

// planOf returns the plan of a kind.
func planOf(kind string) plan {
	if p, ok := plansByKinds[kind]; ok {
		return p
	}
	return ownPlan
}

func queueNames() []string {
	names := []string{queueDefault}
	for _, p := range plansByKinds {
		if !slices.Contains(names, p.queue) {
			names = append(names, p.queue)
		}
	}
	slices.Sort(names)
	return names
}

// planner gives every inserted job the queue and the number of attempts of its plan, so that a room
// names only the job.
type planner struct{ river.MiddlewareDefaults }

// InsertMany implements rivertype.JobInsertMiddleware.
func (*planner) InsertMany(ctx context.Context, list []*rivertype.JobInsertParams,
	insert func(context.Context) ([]*rivertype.JobInsertResult, error),
) ([]*rivertype.JobInsertResult, error) {
	for _, job := range list {
		p := planOf(job.Kind)
		job.Queue, job.MaxAttempts = p.queue, p.attempts
	}
	return insert(ctx)
}

// retries is River's retry policy: the plan of the kind.
type retries struct{}

// NextRetry implements river.ClientRetryPolicy.
func (retries) NextRetry(job *rivertype.JobRow) time.Time {
	from := time.Now() //nolint:forbidigo // River's schedule is the machine's time
	return from.Add(planOf(job.Kind).wait(len(job.Errors) + 1))
}

// wait is the time before the next try after so many failures.
func (p plan) wait(failures int) time.Duration {
	return min(p.first<<min(max(failures-1, 0), 20), p.longest)
}
