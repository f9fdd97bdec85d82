package seal

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/ledger"
)

// Outdate rewrites a sealed book as the program of version 1 left it: entries
// without the hash of their content, and blocks of that version.
func Outdate(ctx context.Context, tx pgx.Tx, authority string) error {
	if _, err := tx.Exec(ctx, `update ledger.entry set content = null, marks = null where authority = $1`, authority); err != nil {
		return err
	}
	blocks, err := selectBlocks(ctx, tx, ` where b.authority = $1 order by b.number`, authority)
	if err != nil {
		return err
	}
	var (
		previous Hash
		hash     ledger.Hasher
	)
	for i := range blocks {
		b := &blocks[i]
		rows, err := selectSealed(ctx, tx, authority, b.Number)
		if err != nil {
			return err
		}
		var ids []ledger.EntryID
		for _, row := range rows {
			ids = append(ids, row.ID)
		}
		var leaves []Hash
		err = walk(ctx, tx, ids, func(_ int, e *entry) error {
			l, _, _ := leaf(&hash, ledger.FormWithTx, &e.Record)
			leaves = append(leaves, l)
			return nil
		})
		if err != nil {
			return err
		}
		for at, l := range leaves {
			if _, err := tx.Exec(ctx, `update ledger.sealed_entry set leaf = $1 where entry_id = $2`, l, ids[at]); err != nil {
				return err
			}
		}
		b.Version, b.Previous, b.Root = ledger.FormWithTx, previous, merkleRoot(leaves)
		b.Hash = b.headerHash()
		previous = b.Hash
		if _, err := tx.Exec(ctx, `update ledger.block set version = $1, previous = $2, root = $3, hash = $4 where authority = $5 and number = $6`,
			b.Version, b.Previous, b.Root, b.Hash, authority, b.Number); err != nil {
			return err
		}
	}
	return nil
}
