package ledger

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Writes collects the writes of a transaction and sends them at its end in two
// round trips: first the queued statements, in order, then the entries.
type Writes struct {
	pgx.Batch

	entries []Entry
}

// Post adds entries to the list that Send posts.
func (w *Writes) Post(entries ...Entry) { w.entries = append(w.entries, entries...) }

// Send writes everything and returns the ids of the entries, as the function Post does.
func (w *Writes) Send(ctx context.Context, tx pgx.Tx) ([]EntryID, error) {
	if w.Len() > 0 {
		if err := tx.SendBatch(ctx, &w.Batch).Close(); err != nil {
			return nil, err
		}
	}
	return Post(ctx, tx, w.entries...)
}
