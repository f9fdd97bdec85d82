package seal

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/proof"
)

const blockColumns = `
	select b.authority, b.number, b.version, b.sealed_at, b.previous, b.root, b.first, b.entries, b.postings, b.totals,
		b.cluster, b.reached_tx::text::bigint as reached_tx, b.reached_id, b.resume_tx::text::bigint as resume_tx, b.hash
	from ledger.block b`

// blockRow is a header with its totals as the table keeps them.
type blockRow struct {
	proof.Block
	Totals string `db:"totals"`
}

func selectBlocks(ctx context.Context, tx pgx.Tx, where string, args ...any) ([]proof.Block, error) {
	rows, err := tx.Query(ctx, blockColumns+where, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (proof.Block, error) {
		b, err := pgx.RowToStructByName[blockRow](row)
		b.Block.Totals = proof.ParseTotals(b.Totals)
		return b.Block, err
	})
}

// lastBlock returns the head of the chain, or nil before the first block.
func lastBlock(ctx context.Context, tx pgx.Tx, authority string) (*proof.Block, error) {
	list, err := selectBlocks(ctx, tx, ` where b.authority = $1 order by b.number desc limit 1`, authority)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

// horizon is the database's report on running transactions: every transaction with a number below Tx has ended.
type horizon struct {
	Authority string
	Cluster   string
	Tx        int64
}

func readHorizon(ctx context.Context, tx pgx.Tx) (horizon, error) {
	var h horizon
	err := tx.QueryRow(ctx, `
		select coalesce(app.authority(), ''), ledger.home()::text, pg_snapshot_xmin(pg_current_snapshot())::text::bigint`).
		Scan(&h.Authority, &h.Cluster, &h.Tx)
	return h, err
}

// place is the position of an entry in the sealer's order.
type place struct {
	Tx int64
	ID ledger.EntryID
}

// chosenEntries returns the query for the finished entries of the next block: entries after a place that no running
// transaction can precede. The place is in sub-selects, which hide its value from the planner. The planner's statistics
// do not know the newest entries yet; with the value it would read all waiting entries again for every block.
//
// everywhere looks through a book that came from another cluster. In such a book a transaction number that this cluster
// has not reached yet came with the restore, so its entry is finished. Only during and after such a look can an entry
// already have a seal. unsealed leaves such entries out, by key, because the planner would rather read all seals.
func chosenEntries(everywhere, unsealed bool) string {
	query := `
	select e.id, e.tx, e.content, e.marks
	from ledger.entry e
	where e.authority = @authority and (e.tx, e.id) > ((select @tx::text::xid8), (select @id::uuid))`
	if everywhere {
		query += `
		and (e.tx < (select @horizon::text::xid8) or e.tx >= pg_snapshot_xmax(pg_current_snapshot()))`
	} else {
		query += `
		and e.tx < (select @horizon::text::xid8)`
	}
	if unsealed {
		query += `
		and (select true from ledger.sealed_entry s where s.entry_id = e.id) is not true`
	}
	return query + `
	order by e.tx, e.id
	limit @limit`
}

// sealedTwice reports whether the database refused a second seal of an entry.
func sealedTwice(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == pgerrcode.UniqueViolation && strings.HasPrefix(pg.TableName, "sealed_entry") // of a partition
}

// sumPostings counts and sums the postings of entries, per currency and class.
func sumPostings(ctx context.Context, tx pgx.Tx, ids []ledger.EntryID) (proof.Tally, error) {
	rows, err := tx.Query(ctx, `
		select p.currency, p.memo, count(*),
			coalesce(sum(p.amount) filter (where p.side = 'D'), 0)::bigint, coalesce(sum(p.amount) filter (where p.side = 'C'), 0)::bigint
		from ledger.posting p
		where p.entry_id = any ((select @ids::uuid[])::uuid[])
		group by p.currency, p.memo`, pgx.StrictNamedArgs{"ids": pgtype.FlatArray[ledger.EntryID](ids)})
	if err != nil {
		return proof.Tally{}, err
	}
	defer rows.Close()
	sum := proof.Tally{Totals: proof.Totals{}}
	for rows.Next() {
		var (
			postings int64
			total    proof.Total
		)
		if err := rows.Scan(&total.Currency, &total.Memo, &postings, &total.Debits, &total.Credits); err != nil {
			return proof.Tally{}, err
		}
		sum.Postings += postings
		*sum.Total(total.Currency, total.Memo) = total
	}
	return sum, rows.Err()
}

// insertBlock writes the header, then the entries in one statement.
func insertBlock(ctx context.Context, tx pgx.Tx, b *proof.Block, c *contents) error {
	_, err := tx.Exec(ctx, `
		insert into ledger.block (authority, number, version, sealed_at, previous, root, first, entries, postings, totals,
			cluster, reached_tx, reached_id, resume_tx, hash)
		values (@authority, @number, @version, @sealed_at, @previous, @root, @first, @entries, @postings, @totals,
			@cluster, @reached_tx::bigint::text::xid8, @reached_id, @resume_tx::bigint::text::xid8, @hash)`,
		pgx.StrictNamedArgs{
			"authority": b.Authority, "number": b.Number, "version": b.Version, "sealed_at": b.SealedAt, "previous": b.Previous,
			"root": b.Root, "first": b.First, "entries": b.Entries, "postings": b.Postings, "totals": b.Totals.Text(),
			"cluster": b.Cluster, "reached_tx": b.ReachedTx, "reached_id": b.ReachedID, "resume_tx": b.ResumeTx, "hash": b.Hash,
		})
	if err != nil || len(c.ids) == 0 {
		return err
	}
	hashes := make(pgtype.FlatArray[[]byte], len(c.leaves))
	for i := range c.leaves {
		hashes[i] = c.leaves[i][:]
	}
	_, err = tx.Exec(
		ctx,
		`
		insert into ledger.sealed_entry (authority, block, position, entry_id, leaf, marks)
		select @authority, @block, n.place - 1, n.id, n.leaf, n.marks
		from unnest((select @ids::uuid[]), (select @leaves::bytea[]), (select @marks::bytea[])) with ordinality as n (id, leaf, marks, place)`,
		pgx.StrictNamedArgs{
			"authority": b.Authority,
			"block":     b.Number,
			"ids":       pgtype.FlatArray[ledger.EntryID](c.ids),
			"leaves":    hashes,
			"marks":     pgtype.FlatArray[[]byte](c.marks),
		},
	)
	return err
}

// sealedRow is the seal of one entry in a block.
type sealedRow struct {
	Position int32          `db:"position"`
	ID       ledger.EntryID `db:"entry_id"`
	Leaf     proof.Hash     `db:"leaf"`
	Marks    []byte         `db:"marks"`
}

func selectSealed(ctx context.Context, tx pgx.Tx, authority string, block int64) ([]sealedRow, error) {
	rows, err := tx.Query(ctx, `
		select s.position, s.entry_id, s.leaf, s.marks from ledger.sealed_entry s
		where s.authority = $1 and s.block = $2 order by s.position`, authority, block)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[sealedRow])
}

// findSealed returns the block and position of an entry.
func findSealed(ctx context.Context, tx pgx.Tx, id ledger.EntryID) (block int64, position int32, err error) {
	err = tx.QueryRow(ctx, `select s.block, s.position from ledger.sealed_entry s where s.entry_id = $1`, id).Scan(&block, &position)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, 0, ErrNotSealed
	}
	return block, position, err
}

// findCaused returns the entry of a cause, or ledger.ErrEntryNotFound.
func findCaused(ctx context.Context, tx pgx.Tx, authority string, cause ledger.Cause) (ledger.EntryID, error) {
	var id ledger.EntryID
	err := tx.QueryRow(ctx, `
		select c.entry_id from ledger.cause c
		where c.authority = $1 and c.kind = $2 and c.id = $3 and c.event = $4`,
		authority, cause.Kind, cause.ID, cause.Event).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return id, ledger.ErrEntryNotFound
	}
	return id, err
}

// blocksOf returns the blocks sealed on a day in Viet Nam, in order.
func blocksOf(ctx context.Context, tx pgx.Tx, authority string, date calendar.Date) ([]proof.Block, error) {
	return selectBlocks(ctx, tx, ` where b.authority = $1 and b.sealed_at >= $2 and b.sealed_at < $3 order by b.number`,
		authority, date.Start(), date.AddDays(1).Start())
}
