package seal

import (
	"context"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/proof"
)

// Export writes the sealed book of the actor's authority, as of one moment, for doisoat verify. Entries without a seal
// are absent. One block is in memory at a time. Export stops at a missing entry; it makes no other check.
func (s *Service) Export(ctx context.Context, actor auth.Actor, w io.Writer) (done proof.Exported, err error) {
	if err := auth.Require(actor, auth.PermLedgerRead); err != nil {
		return done, err
	}
	book, err := proof.NewWriter(w, actor.Authority)
	if err != nil {
		return done, err
	}
	err = postgres.ReadTx(ctx, s.DB, actor.Authority, func(tx pgx.Tx) error {
		// The whole book may take longer than a request; readers block no writer.
		if _, err := tx.Exec(ctx, `set local statement_timeout = 0`); err != nil {
			return err
		}
		return export(ctx, tx, actor.Authority, book)
	})
	if err != nil {
		return done, fmt.Errorf("export the book of %s: %w", actor.Authority, err)
	}
	return book.End()
}

func export(ctx context.Context, tx pgx.Tx, authority string, book *proof.Writer) error {
	after := int64(0)
	for {
		page, err := selectBlocks(ctx, tx, ` where b.authority = $1 and b.number > $2 order by b.number limit $3`,
			authority, after, blocksPerPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for i := range page {
			if err := exportBlock(ctx, tx, &page[i], book); err != nil {
				return err
			}
			after = page[i].Number
		}
	}
}

func exportBlock(ctx context.Context, tx pgx.Tx, b *proof.Block, book *proof.Writer) error {
	if err := book.Block(b); err != nil {
		return err
	}
	rows, err := selectSealed(ctx, tx, b.Authority, b.Number)
	if err != nil {
		return err
	}
	ids := make([]ledger.EntryID, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	return walk(ctx, tx, ids, func(at int, e *entry) error {
		if e == nil {
			return ErrBroken.With("entry %s of block %d is missing", ids[at], b.Number)
		}
		return book.Entry(rows[at].Leaf, &e.Entry)
	})
}
