package seal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/proof"
)

// Faults of sealing.
var (
	ErrSealing   = fault.New(fault.Unavailable, "ledger.sealing", "another sealer is at work on this book")
	ErrNotSealed = fault.New(fault.Precondition, "ledger.not_sealed", "the entry is not sealed yet, try again later")
	ErrNoProof   = fault.New(fault.NotFound, "ledger.no_proof", "nothing was sealed up to this date")
	ErrBroken    = fault.New(fault.Internal, "ledger.seal_broken", "the book does not agree with its seal")
)

// BlockSize is the largest number of entries in a block. One commit seals at most so many entries, and a sealer or
// checker holds at most so many in memory.
const BlockSize = 4096

// Service seals books and proves their entries.
type Service struct {
	DB  *pgxpool.Pool
	Now func() time.Time
	// BlockSize bounds a block; 0 means the constant BlockSize. Tests use smaller blocks.
	BlockSize int
}

// Sealed counts the work of one run.
type Sealed struct {
	Authority string       `json:"authority"`
	Blocks    int          `json:"blocks"`
	Entries   int64        `json:"entries"`
	Postings  int64        `json:"postings"`
	Head      *proof.Block `json:"head,omitempty"` // the chain's last block, absent before the first
}

// Seal seals the finished entries of one authority, block by block, at most blocks of them (0 is no bound). Each block
// is one transaction. A later call seals the entries of transactions that still run. Seal may be killed at any moment
// and called again. It fails with ErrSealing while another sealer works on the book. It locks nothing that posters
// need, so posters do not wait.
func (s *Service) Seal(ctx context.Context, authority string, blocks int) (Sealed, error) {
	done := Sealed{Authority: authority}
	unsealed := false // whether sealBlock must skip entries that are already sealed
	for blocks == 0 || done.Blocks < blocks {
		var (
			head   *proof.Block
			sealed bool
			more   bool
		)
		err := postgres.WriteTx(ctx, s.DB, authority, func(tx pgx.Tx) (err error) {
			head, sealed, more, err = s.sealBlock(ctx, tx, authority, unsealed)
			return err
		})
		if sealedTwice(err) && !unsealed {
			unsealed = true // after a restore, the look through the whole book has sealed entries that the sealer now meets again
			continue
		}
		unsealed = false
		if err != nil {
			return done, fmt.Errorf("seal the book of %s: %w", authority, err)
		}
		done.Head = head
		if sealed {
			done.Blocks++
			done.Entries += int64(head.Entries)
			done.Postings += head.Postings
		}
		if !more {
			break
		}
	}
	return done, nil
}

// blocksPerTurn bounds the blocks per book and run, so that the book of a busy authority does not delay the others.
const blocksPerTurn = 16

// SealDue seals the finished entries in the books of all authorities. It skips a book on which another sealer works. A
// book that cannot be sealed does not stop the others; SealDue returns all failures together.
func (s *Service) SealDue(ctx context.Context) error {
	list, err := registry.Service{DB: s.DB, Now: s.Now}.ListAuthorities(ctx)
	if err != nil {
		return err
	}
	var failures []error
	for _, a := range list {
		if _, err := s.Seal(ctx, a.Code, blocksPerTurn); err != nil && !ErrSealing.Is(err) {
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}

// sealBlock seals the next block. With unsealed it leaves out entries that are already sealed; without, it fails when
// it meets such an entry. head is the last block afterwards. more says that the block was full, so that further entries
// may wait.
func (s *Service) sealBlock(
	ctx context.Context,
	tx pgx.Tx,
	authority string,
	unsealed bool,
) (head *proof.Block, sealed, more bool, err error) {
	// The planner must read by index and in order, even when its statistics about the growing book are old.
	var alone bool
	err = tx.QueryRow(ctx, `select pg_try_advisory_xact_lock(ledger.seal_lock($1)),
		set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true)`, authority).Scan(&alone, nil, nil)
	if err != nil {
		return nil, false, false, err
	}
	if !alone {
		return nil, false, false, ErrSealing
	}
	last, err := lastBlock(ctx, tx, authority)
	if err != nil {
		return nil, false, false, err
	}
	now, err := readHorizon(ctx, tx)
	if err != nil {
		return nil, false, false, err
	}
	next, found, err := s.gather(ctx, tx, last, now, unsealed)
	if err != nil {
		return nil, false, false, err
	}
	if next == nil {
		return last, false, false, nil
	}
	s.complete(next, last, found)
	if err := insertBlock(ctx, tx, next, found); err != nil {
		return nil, false, false, err
	}
	return next, true, len(found.ids) == s.size(), nil
}

func (s *Service) size() int {
	if s.BlockSize > 0 {
		return s.BlockSize
	}
	return BlockSize
}

// contents are the entries of a block: their hashes, marks and sums.
type contents struct {
	ids    []ledger.EntryID
	leaves []proof.Hash
	marks  [][]byte
	sum    proof.Tally
	last   place
}

// gather chooses the entries of the next block; it returns no block when there are none.
//
// Within one cluster the sealer goes through the entries in the order (tx, id), up to the oldest running transaction.
// Every transaction below has committed or never will, so no entry can appear behind the sealer.
//
// After a restore the last block names another cluster, and the old transaction numbers have no meaning. The sealer
// then looks once through the whole book, in the same order, for entries without a seal. Afterwards it goes on from the
// place where this cluster stood when that look began (resume_tx).
func (s *Service) gather(ctx context.Context, tx pgx.Tx, last *proof.Block, now horizon, unsealed bool) (*proof.Block, *contents, error) {
	next := &proof.Block{Authority: now.Authority, Cluster: now.Cluster}
	from := place{}
	resume := &now.Tx
	if last != nil && last.Cluster == now.Cluster {
		from = place{last.ReachedTx, ledger.EntryID(last.ReachedID)}
		resume = last.ResumeTx
	}
	read := func(query string, from place) (*contents, error) {
		return readContents(ctx, tx, query, pgx.StrictNamedArgs{
			"authority": now.Authority, "tx": fmt.Sprint(from.Tx), "id": from.ID.UUID(), "horizon": fmt.Sprint(now.Tx), "limit": s.size(),
		}, s.size())
	}
	var (
		found = &contents{}
		err   error
	)
	if resume != nil {
		if found, err = read(chosenEntries(true, true), from); err != nil {
			return nil, nil, err
		}
		if len(found.ids) == s.size() {
			next.ResumeTx = resume
		}
	}
	if len(found.ids) == 0 && (resume == nil || from != place{}) {
		if resume != nil {
			from = place{Tx: *resume}
		}
		if found, err = read(chosenEntries(false, unsealed), from); err != nil {
			return nil, nil, err
		}
		resume = nil
	}
	// An empty block records a fact for later runs: the look through the whole book is done, or the sealer has passed
	// the entries that this look sealed.
	if len(found.ids) == 0 && !unsealed && (last == nil || last.Cluster == now.Cluster && last.ResumeTx == nil) {
		return nil, nil, nil
	}
	switch {
	case len(found.ids) == s.size():
		next.ReachedTx, next.ReachedID = found.last.Tx, found.last.ID.UUID()
	case resume != nil:
		next.ReachedTx, next.ReachedID = *resume, uuid.Nil
	default:
		next.ReachedTx, next.ReachedID = now.Tx, uuid.Nil
	}
	return next, found, nil
}

// readContents reads the content hashes of the entries that a query chooses, at most so many.
func readContents(ctx context.Context, tx pgx.Tx, query string, args pgx.StrictNamedArgs, most int) (*contents, error) {
	rows, err := tx.Query(ctx, query, args)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var (
		c       = &contents{sum: proof.Tally{Totals: proof.Totals{}}}
		id      ledger.EntryID
		number  uint64
		content pgtype.DriverBytes // the driver owns the bytes; they are used only before the next row
		marks   []byte
	)
	for rows.Next() {
		if c.ids == nil {
			c.ids, c.leaves, c.marks = make([]ledger.EntryID, 0, most), make([]proof.Hash, 0, most), make([][]byte, 0, most)
		}
		marks = nil // Scan must not write into the slice of the row before
		if err := rows.Scan(&id, &number, &content, &marks); err != nil {
			return nil, err
		}
		c.last = place{int64(number), id}
		c.ids, c.leaves, c.marks = append(c.ids, id), append(c.leaves, proof.Leaf(content, c.last.Tx)), append(c.marks, marks)
	}
	if err := rows.Err(); err != nil || len(c.ids) == 0 {
		return c, err
	}
	c.sum, err = sumPostings(ctx, tx, c.ids)
	return c, err
}

// complete fills in the header of the block after last.
func (s *Service) complete(b, last *proof.Block, c *contents) {
	b.Number, b.Version = 1, proof.Version
	b.SealedAt = s.Now().UTC().Truncate(time.Microsecond)
	if last != nil {
		b.Number, b.Previous, b.First = last.Number+1, last.Hash, last.First+int64(last.Entries)
		if b.SealedAt.Before(last.SealedAt) { // the clock was set back
			b.SealedAt = last.SealedAt.UTC()
		}
	}
	b.Root, b.Postings, b.Totals = proof.Root(c.leaves), c.sum.Postings, c.sum.Totals
	b.Entries = int32(len(c.ids)) //nolint:gosec // BlockSize bounds it
	b.Hash = b.HeaderHash()
}
