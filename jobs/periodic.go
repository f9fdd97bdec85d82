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

// periodic lists the jobs that the elected leader inserts again and again. A
// tick can be missed or come twice: each of them looks for due rows. They are
// not unique: a sweep whose process was killed stays "running" until it is
// rescued, and would hold up every other one for as long.
func periodic(each time.Duration) []*river.PeriodicJob {
	return []*river.PeriodicJob{
		sweep("sweep-inquiries", each, SweepInquiries{}),
		sweep("sweep-refunds", each, SweepRefunds{}),
	}
}

func sweep(id string, each time.Duration, args river.JobArgs) *river.PeriodicJob {
	return river.NewPeriodicJob(river.PeriodicInterval(each),
		func() (river.JobArgs, *river.InsertOpts) {
			return args, nil
		},
		&river.PeriodicJobOpts{ID: id, RunOnStart: true})
}
