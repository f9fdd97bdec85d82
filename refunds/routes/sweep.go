package routes

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/refunds"
)

// sweepSize bounds the jobs of one kind in one sweep.
const sweepSize = 1000

// QueueDue queues jobs for refunds of all authorities: an inquiry for each
// refund that is due for one, and the sending of each approved refund that
// still waits. A job that is queued already is not queued twice. It returns the
// number of jobs that it queued.
func (s *Service) QueueDue(ctx context.Context) (int, error) {
	queued := 0
	err := postgres.InTx(ctx, s.DB, auth.System(""), func(act postgres.Act) error {
		queued = 0
		now := act.Now
		inquiries, err := due[InquireRefund](ctx, act, `select authority, refund_id from refunds.due_for_inquiry($1, $2)`, now)
		if err != nil {
			return err
		}
		unsent, err := due[refunds.SendRefund](ctx, act, `select authority, refund_id from refunds.due_for_sending($1, $2)`,
			now.Add(-refunds.UnsentAfter))
		if err != nil {
			return err
		}
		list := slices.Concat(inquiries, unsent)
		if len(list) == 0 {
			return nil
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

// due makes a job of each row that a function of the sweep finds.
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
		list[i] = river.InsertManyParams{Args: args, InsertOpts: refunds.UnlessQueued()}
	}
	return list, nil
}
