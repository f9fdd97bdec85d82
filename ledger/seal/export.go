package seal

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
)

// bookFormat names the shape of an exported book (docs/sealing.md).
const bookFormat = "doisoat book 1"

// An exported book is lines of JSON: bookHead; then for each block its header
// and its entries in order; then bookEnd.
type bookHead struct {
	Format    string `json:"format"`
	Authority string `json:"authority"`
}

type bookBlock struct {
	Block *Block `json:"block"`
}

type bookEntry struct {
	Leaf  Hash           `json:"leaf"` // tells which entry was changed, where the root tells only that one was
	Entry *ledger.Record `json:"entry"`
}

type bookEnd struct {
	End *Exported `json:"end"`
}

// Exported tells what an export holds.
type Exported struct {
	Blocks   int64 `json:"blocks"`
	Entries  int64 `json:"entries"`
	Postings int64 `json:"postings"`
	Head     Hash  `json:"head"` // zeros when nothing is sealed
}

// Export writes the sealed book of the actor's authority, of one moment, for
// Verify. Entries that wait for their seal are not in it. It streams: one block
// is in memory. It stops at an entry that is missing, and does not judge the rest.
func (s *Service) Export(ctx context.Context, actor auth.Actor, w io.Writer) (Exported, error) {
	if err := auth.Require(actor, auth.PermLedgerRead); err != nil {
		return Exported{}, err
	}
	var done Exported
	out := bufio.NewWriterSize(w, 1<<16)
	err := postgres.ReadTx(ctx, s.DB, actor.Authority, func(tx pgx.Tx) error {
		// It reads the whole book: however long that takes, nobody waits for it.
		if _, err := tx.Exec(ctx, `set local statement_timeout = 0`); err != nil {
			return err
		}
		return export(ctx, tx, actor.Authority, json.NewEncoder(out), &done)
	})
	if err != nil {
		return Exported{}, fmt.Errorf("export the book of %s: %w", actor.Authority, err)
	}
	return done, out.Flush()
}

func export(ctx context.Context, tx pgx.Tx, authority string, out *json.Encoder, done *Exported) error {
	if err := out.Encode(bookHead{bookFormat, authority}); err != nil {
		return err
	}
	for {
		page, err := selectBlocks(ctx, tx, ` where b.authority = $1 and b.number > $2 order by b.number limit $3`,
			authority, done.Blocks, blocksPerPage)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return out.Encode(bookEnd{done})
		}
		for i := range page {
			if err := exportBlock(ctx, tx, &page[i], out); err != nil {
				return err
			}
			done.Blocks, done.Head = page[i].Number, page[i].Hash
			done.Entries += int64(page[i].Entries)
			done.Postings += page[i].Postings
		}
	}
}

func exportBlock(ctx context.Context, tx pgx.Tx, b *Block, out *json.Encoder) error {
	b.SealedAt = b.SealedAt.UTC()
	if err := out.Encode(bookBlock{b}); err != nil {
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
		return out.Encode(bookEntry{rows[at].Leaf, &e.Record})
	})
}
