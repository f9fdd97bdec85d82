package ledger

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/calendar"
)

// OpenDate returns date, or the first date after it that is not closed.
func OpenDate(ctx context.Context, tx pgx.Tx, authority string, date calendar.Date) (open calendar.Date, err error) {
	b := &pgx.Batch{}
	QueueOpenDate(b, authority, date, &open)
	err = tx.SendBatch(ctx, b).Close()
	return open, err
}

// QueueOpenDate adds the statement of OpenDate to a batch; the batch sets open when the caller sends it.
func QueueOpenDate(b *pgx.Batch, authority string, date calendar.Date, open *calendar.Date) {
	b.Queue(`
		select e.business_date from (
			select distinct on (d.business_date) d.business_date, d.change
			from ledger.day_event d
			where d.authority = $1 and d.business_date >= $2
			order by d.business_date, d.number desc) e
		where e.change = 'close'
		order by e.business_date`, authority, date).Query(func(rows pgx.Rows) error {
		closed, err := pgx.CollectRows(rows, pgx.RowTo[calendar.Date])
		*open = date
		for _, c := range closed {
			if c != *open {
				break
			}
			*open = open.AddDays(1)
		}
		return err
	})
}
