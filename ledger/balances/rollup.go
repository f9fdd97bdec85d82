package balances

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/postgres"
)

// rollUpEntries is the approximate number of entries per transaction of RollUp: one or two seconds of work, so that a
// time-out or a kill loses little.
const rollUpEntries = 20_000

// rollUpRounds bounds the rounds of one call. The next call rolls up the rest.
const rollUpRounds = 500

// RollUp adds finished entries of every authority to the day rows, and returns the number of entries. It may run any
// number of times, also at once, and may be killed at any moment: balances are the same before, during and after, only
// faster to read. A book that cannot be rolled up does not stop the books of other authorities.
func (s *Service) RollUp(ctx context.Context) (int64, error) {
	var due []string
	err := postgres.WriteTx(ctx, s.DB, "", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `select authority from ledger.due_for_roll_up()`)
		if err != nil {
			return err
		}
		due, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		return 0, err
	}
	var (
		total    int64
		failures []error
	)
	for _, authority := range due {
		rolled, err := s.rollUp(ctx, authority)
		total += rolled
		if err != nil {
			failures = append(failures, fmt.Errorf("roll up %s: %w", authority, err))
		}
	}
	return total, errors.Join(failures...)
}

func (s *Service) rollUp(ctx context.Context, authority string) (int64, error) {
	var total int64
	for range rollUpRounds {
		var rolled int64
		err := postgres.WriteTx(ctx, s.DB, authority, func(tx pgx.Tx) (err error) {
			rolled, err = rollUp(ctx, tx, authority, rollUpEntries)
			return err
		})
		total += rolled
		if err != nil || rolled == 0 {
			return total, err
		}
	}
	return total, nil
}

func rollUp(ctx context.Context, tx pgx.Tx, authority string, most int) (int64, error) {
	var rolled int64
	err := tx.QueryRow(ctx, `select ledger.roll_up($1, $2)`, authority, most).Scan(&rolled)
	return rolled, err
}

// findHorizon returns the transaction up to which the book is rolled up. It is "0" when nothing is rolled up, or when
// the day rows belong to another cluster. The next statement counts day rows below the horizon and postings from the
// horizon on. Both statements must see one snapshot, so tx is a ReadTx.
func findHorizon(ctx context.Context, tx pgx.Tx) (string, error) {
	horizon := "0"
	err := tx.QueryRow(ctx, `
		select r.horizon::text from ledger.roll_up r
		where r.authority = (select app.authority()) and r.home = (select ledger.home())`).Scan(&horizon)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return horizon, err
}
