package jobs

import (
	"time"

	"github.com/riverqueue/river"
)

// SweepInquiries queues an inquiry for each payment of all authorities that is due for one.
type SweepInquiries struct{}

// Kind implements river.JobArgs.
func (SweepInquiries) Kind() string { return "sweep_inquiries" }

// SweepRefunds queues a job for each refund of all authorities that is due to be sent or asked
// about.
type SweepRefunds struct{}

// Kind implements river.JobArgs.
func (SweepRefunds) Kind() string { return "sweep_refunds" }

// RollUpBook adds finished entries of all authorities to the ledger's day rows. Balances are also
// right without these rows; with them they are quick.
type RollUpBook struct{}

// Kind implements river.JobArgs.
func (RollUpBook) Kind() string { return "roll_up_book" }

// SealBooks seals the finished entries of all authorities, outside the transactions that post. A
// turn goes on where the last one ended or was killed.
type SealBooks struct{}

// Kind implements river.JobArgs.
func (SealBooks) Kind() string { return "seal_books" }

// MakeMonths makes the partitions of the coming months. It fails while rows lie outside of every
// month: the failure is the alarm.
type MakeMonths struct{}

// Kind implements river.JobArgs.
func (MakeMonths) Kind() string { return "make_months" }

// monthsEach is the time between two turns of MakeMonths; partitions exist three months ahead.
const monthsEach = 6 * time.Hour

// DropRefusedCallbacks empties the days of refused callbacks that are older than a week.
type DropRefusedCallbacks struct{}

// Kind implements river.JobArgs.
func (DropRefusedCallbacks) Kind() string { return "drop_refused_callbacks" }

// dropEach is the time between two turns of DropRefusedCallbacks.
const dropEach = 6 * time.Hour

// sealTurns is the number of sweeps between two turns of the sealer. A proof may wait some minutes,
// and fuller blocks are fewer.
const sealTurns = 30

// periodic lists the jobs that the elected leader inserts again and again. A tick can be missed or
// come twice, so each job looks for due rows. The jobs are not unique: a sweep whose process was
// killed stays "running" until it is rescued, and a unique sweep would hold up all others until
// then.
func periodic(each time.Duration) []*river.PeriodicJob {
	return []*river.PeriodicJob{
		sweep("sweep-inquiries", each, SweepInquiries{}),
		sweep("sweep-refunds", each, SweepRefunds{}),
		sweep("roll-up-book", each, RollUpBook{}),
		sweep("seal-books", sealTurns*each, SealBooks{}),
		sweep("make-months", monthsEach, MakeMonths{}),
		sweep("drop-refused-callbacks", dropEach, DropRefusedCallbacks{}),
	}
}

func sweep(id string, each time.Duration, args river.JobArgs) *river.PeriodicJob {
	return river.NewPeriodicJob(river.PeriodicInterval(each),
		func() (river.JobArgs, *river.InsertOpts) {
			return args, nil
		},
		&river.PeriodicJobOpts{ID: id, RunOnStart: true})
}
