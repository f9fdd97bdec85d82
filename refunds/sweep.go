package refunds

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/providers"
)

// Times of inquiries about refunds: soon, then more and more rarely, never stopping.
const (
	firstInquiry   = 10 * time.Second
	longestBackoff = time.Hour
	sweepSize      = 1000
)

// unsentAfter is when a sweep queues a reserved refund again: its job was given
// up, because nothing could be sent for long, or is lost.
const unsentAfter = time.Hour

// interrupted tells of a refund in sending that nobody sends any more.
func interrupted(r Refund, now time.Time) bool {
	return now.Sub(r.StatusAt) >= providers.InterruptedAfter
}

func nextInquiry(r Refund, now time.Time) *time.Time {
	var at time.Time
	switch r.Status {
	case Sending:
		at = now.Add(providers.InterruptedAfter)
	case Sent, Unknown:
		at = now.Add(min(firstInquiry<<min(r.Inquiries, 12), longestBackoff))
	default:
		return nil
	}
	return &at
}

// QueueDue queues, for refunds of all authorities, an inquiry for each that is
// due, and the sending of each that is approved and still waits to be sent. A job that
// is queued already is not queued twice. It returns how many jobs it queued.
func (s *Service) QueueDue(ctx context.Context) (int, error) {
	queued := 0
	err := postgres.InTx(ctx, s.DB, auth.System(""), func(act postgres.Act) error {
		queued = 0
		now := act.Now
		inquiries, err := due[InquireRefund](ctx, act, `select authority, refund_id from refunds.due_for_inquiry($1, $2)`, now)
		if err != nil {
			return err
		}
		unsent, err := due[SendRefund](ctx, act, `select authority, refund_id from refunds.due_for_sending($1, $2)`, now.Add(-unsentAfter))
		if err != nil {
			return err
		}
		list := slices.Concat(inquiries, unsent)
		if err != nil || len(list) == 0 {
			return err
		}
		results, err := s.Jobs.InsertManyTx(ctx, act, list)
		for _, result := range results {
			if !result.UniqueSkippedAsDuplicate {
				queued++
			}
		}
		return err
	})
	return queued, err
}

// due makes a job of each row that a sweep's function finds, unless one is on its way.
func due[A river.JobArgs](ctx context.Context, tx pgx.Tx, query string, at time.Time) ([]river.InsertManyParams, error) {
	rows, err := tx.Query(ctx, query, at, sweepSize)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[A])
	if err != nil {
		return nil, err
	}
	list := make([]river.InsertManyParams, len(found))
	for i, args := range found {
		list[i] = river.InsertManyParams{Args: args, InsertOpts: unlessQueued()}
	}
	return list, nil
}

// unlessQueued inserts a job unless one with the same arguments is on its way.
// One that has ended, however it did, is in nobody's way.
func unlessQueued() *river.InsertOpts {
	return &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
		rivertype.JobStateRetryable, rivertype.JobStateScheduled,
	}}}
}
