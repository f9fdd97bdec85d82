package seal

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/proof"
)

// mostProblems bounds the problems that a check reports.
const mostProblems = 50

// blocksPerPage bounds the headers in the memory of a check.
const blocksPerPage = 256

// Size returns the number of sealed entries of the transaction's authority: the entries that Check reads.
func Size(ctx context.Context, tx pgx.Tx) (int64, error) {
	now, err := readHorizon(ctx, tx)
	if err != nil {
		return 0, err
	}
	last, err := lastBlock(ctx, tx, now.Authority)
	if err != nil || last == nil {
		return 0, err
	}
	return last.First + int64(last.Entries), nil
}

// Check hashes the book of the transaction's authority again, in the order of its seals, and describes each problem in
// one sentence, in the same order. When it finds none, every sealed entry, posting and block is byte for byte
// unchanged, and the sealer left out no entry. Check calls passed (unless nil) after each block with the number of its
// entries. One block is in memory at a time.
func Check(ctx context.Context, tx pgx.Tx, passed func(entries int)) ([]string, error) {
	now, err := readHorizon(ctx, tx)
	if err != nil {
		return nil, err
	}
	c := checker{ctx: ctx, tx: tx, passed: passed}
	for len(c.problems) < mostProblems {
		after := int64(0)
		if c.last != nil {
			after = c.last.Number
		}
		page, err := selectBlocks(ctx, tx, ` where b.authority = $1 and b.number > $2 order by b.number limit $3`,
			now.Authority, after, blocksPerPage)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			break
		}
		for i := range page {
			if err := c.block(&page[i]); err != nil {
				return nil, err
			}
		}
	}
	if err := c.leftOver(now); err != nil {
		return nil, err
	}
	return c.problems[:min(len(c.problems), mostProblems)], nil
}

type checker struct {
	ctx      context.Context //nolint:containedctx // it lives for one call of Check
	tx       pgx.Tx
	passed   func(entries int)
	last     *proof.Block
	problems []string
}

func (c *checker) found(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

// block checks a header and the entries of its block.
func (c *checker) block(b *proof.Block) error {
	if wrong := b.Follows(c.last); wrong != "" {
		c.found("block %d %s", b.Number, wrong)
	}
	c.last = b
	rows, err := selectSealed(c.ctx, c.tx, b.Authority, b.Number)
	if err != nil {
		return err
	}
	ids := make([]ledger.EntryID, len(rows))
	stored := make([]proof.Hash, len(rows))
	for i, row := range rows {
		ids[i], stored[i] = row.ID, row.Leaf
	}
	for i, row := range rows {
		if int(row.Position) != i {
			c.found("block %d has no entry at place %d", b.Number, i)
			return nil
		}
	}
	if len(rows) != int(b.Entries) {
		c.found("block %d has %d entries and its header says %d", b.Number, len(rows), b.Entries)
		return nil
	}
	if err := c.entries(b, rows, ids, stored); err != nil {
		return err
	}
	if c.passed != nil {
		c.passed(len(rows))
	}
	return nil
}

// entries compares every entry of a block with its leaf. When the two differ, the root shows which of them was changed.
func (c *checker) entries(b *proof.Block, rows []sealedRow, ids []ledger.EntryID, stored []proof.Hash) error {
	var (
		now     = make([]proof.Hash, len(ids))
		marks   = make([][]byte, len(ids))
		sum     proof.Tally
		hash    proof.Hasher
		missing bool
	)
	before := len(c.problems)
	sealedTrue := proof.Root(stored) == b.Root
	err := walk(c.ctx, c.tx, ids, func(at int, e *entry) error {
		if e == nil {
			missing = true
			c.found("entry %s of block %d, place %d, is missing", ids[at], b.Number, at)
			return nil
		}
		content, marked := hash.Content(&e.Entry)
		now[at], marks[at] = proof.Leaf(content[:], e.Tx), marked
		switch {
		case sealedTrue && now[at] != stored[at]:
			c.found("%s of block %d, place %d, differs from its seal", changed(&e.Entry, marks[at], rows[at].Marks), b.Number, at)
		case e.strange > 0:
			c.found("posting %d of entry %s of block %d, place %d, differs from its seal", e.strange, e.ID, b.Number, at)
		case !bytes.Equal(e.content, content[:]) || !bytes.Equal(e.marks, marks[at]):
			c.found("entry %s of block %d, place %d, does not carry the hash of its content", e.ID, b.Number, at)
		}
		return sum.Add(&e.Entry)
	})
	if err != nil || missing {
		return err
	}
	switch {
	case !sealedTrue && proof.Root(now) == b.Root:
		for i := range stored {
			if stored[i] != now[i] {
				c.found("block %d, place %d: the sealed hash of entry %s was changed", b.Number, i, ids[i])
			}
		}
	case !sealedTrue:
		c.found("block %d: its entries do not lead to its root", b.Number)
	case len(c.problems) > before:
		return nil
	}
	for i, row := range rows {
		if now[i] == stored[i] && !bytes.Equal(marks[i], row.Marks) {
			c.found("block %d, place %d: the marks of entry %s were changed", b.Number, i, ids[i])
		}
	}
	if sealedTrue && !sum.Matches(b) && len(c.problems) == before {
		c.found("block %d: its postings do not add up to its header", b.Number)
	}
	return nil
}

// changed names the posting that differs, or the entry when none of them does.
func changed(r *proof.Entry, now, then []byte) string {
	for i := 0; i < max(len(now), len(then)); i += proof.MarkSize {
		if i >= len(now) {
			return fmt.Sprintf("entry %s lacks posting %d and", r.ID, i/proof.MarkSize+1)
		}
		if i >= len(then) || !bytes.Equal(now[i:i+proof.MarkSize], then[i:i+proof.MarkSize]) {
			return fmt.Sprintf("posting %d of entry %s", r.Postings[i/proof.MarkSize].Line, r.ID)
		}
	}
	return fmt.Sprintf("entry %s", r.ID)
}

// leftOver finds seals and entries without a block: seals of blocks after the end of the chain, and entries that
// appeared where the sealer had already passed.
func (c *checker) leftOver(now horizon) error {
	end := int64(0)
	if c.last != nil {
		end = c.last.Number
	}
	rows, err := c.tx.Query(c.ctx, `
		select 'entry ent_' || replace(s.entry_id::text, '-', '') || ' is sealed in block ' || s.block || ', which is missing'
		from ledger.sealed_entry s where s.authority = $1 and s.block > $2 order by s.block, s.position limit $3`,
		now.Authority, end, mostProblems)
	if err != nil {
		return err
	}
	orphans, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	c.problems = append(c.problems, orphans...)
	// While the sealer looks through a restored book, the place that it reached says nothing about missing seals.
	if c.last == nil || c.last.Cluster != now.Cluster || c.last.ResumeTx != nil {
		return nil
	}
	rows, err = c.tx.Query(c.ctx, `
		select 'entry ent_' || replace(e.id::text, '-', '') || ' appeared after the sealer had passed its place'
		from ledger.entry e
		where e.authority = $1 and (e.tx, e.id) <= ($2::text::xid8, $3::uuid)
			and not exists (select from ledger.sealed_entry s where s.entry_id = e.id)
		order by e.tx, e.id limit $4`,
		now.Authority, fmt.Sprint(c.last.ReachedTx), c.last.ReachedID, mostProblems)
	if err != nil {
		return err
	}
	hidden, err := pgx.CollectRows(rows, pgx.RowTo[string])
	c.problems = append(c.problems, hidden...)
	return err
}

// late is how long an entry may wait for its seal: many runs of the job.
const late = time.Hour

// Late reports entries of the transaction's authority that wait too long for their seal. Either no sealer runs, or a
// transaction has been open for so long.
func Late(ctx context.Context, tx pgx.Tx, now time.Time) ([]string, error) {
	at, err := readHorizon(ctx, tx)
	if err != nil {
		return nil, err
	}
	last, err := lastBlock(ctx, tx, at.Authority)
	if err != nil {
		return nil, err
	}
	from := place{}
	if last != nil && last.Cluster == at.Cluster && last.ResumeTx == nil {
		from = place{last.ReachedTx, ledger.EntryID(last.ReachedID)}
	}
	var oldest *time.Time
	err = tx.QueryRow(ctx, `
		select min(w.recorded_at) from (
			select e.recorded_at from ledger.entry e
			where e.authority = $1 and (e.tx, e.id) > ($2::text::xid8, $3::uuid)
				and not exists (select from ledger.sealed_entry s where s.entry_id = e.id)
			order by e.tx, e.id limit 100) w`,
		at.Authority, fmt.Sprint(from.Tx), from.ID.UUID()).Scan(&oldest)
	if err != nil || oldest == nil || now.Sub(*oldest) < late {
		return nil, err
	}
	return []string{"entries wait for their seal since " + oldest.In(calendar.HoChiMinh).Format(time.RFC3339)}, nil
}
