package jobs

import (
	"time"

	"github.com/riverqueue/river"
)

// SweepInquiries looks for payments that are to be asked about, of all
// authorities, and queues an inquiry for each.
type SweepInquiries struct{}

// Kind implements river.JobArgs.
func (SweepInquiries) Kind() string { return "sweep_inquiries" }

// SweepRefunds looks for refunds that are to be sent or asked about, of all
// authorities, and queues a job for each.
type SweepRefunds struct{}

// Kind implements river.JobArgs.
func (SweepRefunds) Kind() string { return "sweep_refunds" }

// RollUpBook adds finished entries of all authorities to the ledger's day rows.
// Balances are right without it; it keeps them quick.
type RollUpBook struct{}

// Kind implements river.JobArgs.
func (RollUpBook) Kind() string { return "roll_up_book" }

// SealBooks seals the finished entries of all authorities, off the write path.
// The next turn goes on where one ended or was killed.
type SealBooks struct{}

// Kind implements river.JobArgs.
func (SealBooks) Kind() string { return "seal_books" }

// MakeMonths makes the partitions of the months to come, and fails while rows
// lie outside of every month: that is the alarm.
type MakeMonths struct{}

// Kind implements river.JobArgs.
func (MakeMonths) Kind() string { return "make_months" }

// monthsEach is how often months are looked after: they are made three months ahead.
const monthsEach = 6 * time.Hour

// DropRefusedCallbacks empties the days of refused callbacks that are older than a week.
type DropRefusedCallbacks struct{}

// Kind implements river.JobArgs.
func (DropRefusedCallbacks) Kind() string { return "drop_refused_callbacks" }

// dropEach is how often a day of refused callbacks may become old enough.
const dropEach = 6 * time.Hour

// sealTurns is how many sweeps pass between two turns of the sealer: a proof may
// wait some minutes, and fuller blocks are fewer.
const sealTurns = 30

// periodic lists the jobs that the elected leader inserts again and again. A
// tick can be missed or come twice: each of them looks for due rows. They are
// not unique: a sweep whose process was killed stays "running" until it is
// rescued, and would hold up every other one for as long.
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
