package seal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
)

// settled is how long after midnight a block of the day before may still
// commit: above every time-out of a sealing transaction.
const settled = 10 * time.Minute

// DailyProof is what an authority writes down of a day: the head of its chain
// at the end of the day (Viet Nam time) and what was sealed in it. Who keeps
// ChainHead can prove anything that was sealed up to then.
type DailyProof struct {
	Authority string        `json:"authority"`
	Date      calendar.Date `json:"date"`
	Final     bool          `json:"final"`      // the day is over: asked again, the answer is the same
	ChainHead Hash          `json:"chain_head"` // hash of the last block
	Root      Hash          `json:"root"`       // of the last block's Merkle tree
	Block     Block         `json:"block"`      // the last block sealed up to the end of the day
	Blocks    int           `json:"blocks"`     // sealed on the day
	Entries   int64         `json:"entries"`
	Postings  int64         `json:"postings"`
	Totals    Totals        `json:"totals"`
	AllTime   int64         `json:"entries_all_time"` // entries in the whole chain
}

// DailyProof returns the proof of a date for the actor's authority, or
// ErrNoProof when nothing was sealed up to its end.
func (s *Service) DailyProof(ctx context.Context, actor auth.Actor, date calendar.Date) (DailyProof, error) {
	if err := auth.Require(actor, auth.PermLedgerRead); err != nil {
		return DailyProof{}, err
	}
	end := date.AddDays(1).Start()
	proof := DailyProof{Authority: actor.Authority, Date: date, Final: !s.Now().Before(end.Add(settled)), Totals: Totals{}}
	err := postgres.ReadTx(ctx, s.DB, actor.Authority, func(tx pgx.Tx) error {
		last, err := selectBlocks(ctx, tx, ` where b.authority = $1 and b.sealed_at < $2 order by b.sealed_at desc, b.number desc limit 1`,
			actor.Authority, end)
		if err != nil {
			return err
		}
		if len(last) == 0 {
			return ErrNoProof
		}
		proof.Block = last[0]
		list, err := blocksOf(ctx, tx, actor.Authority, date)
		if err != nil {
			return err
		}
		for i := range list {
			proof.Blocks++
			proof.Entries += int64(list[i].Entries)
			proof.Postings += list[i].Postings
			if proof.Totals, err = proof.Totals.add(list[i].Totals); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return DailyProof{}, err
	}
	b := &proof.Block
	if b.headerHash() != b.Hash {
		return DailyProof{}, ErrBroken.With("the header of block %d was changed", b.Number)
	}
	proof.ChainHead, proof.Root, proof.AllTime = b.Hash, b.Root, b.First+int64(b.Entries)
	return proof, nil
}

// proofFormat names the shape of an inclusion proof.
const proofFormat = "doisoat proof 1"

// InclusionProof shows that one entry is in the book of a day: entry → leaf →
// root of its block → hash of its block → … → Head, which the DailyProof of
// that day names as chain_head. Verify checks it without the database.
type InclusionProof struct {
	Format   string        `json:"format"`
	Entry    ledger.Record `json:"entry"`
	Position int32         `json:"position"` // in the block, from 0
	Leaf     Hash          `json:"leaf"`
	Path     []Hash        `json:"path"`  // neighbours up to the root, nearest first
	Block    Block         `json:"block"` // the entry's block
	Chain    []Block       `json:"chain"` // the blocks after it, to the last of its day
	Head     Hash          `json:"head"`
}

// errProof wraps what Verify finds.
var errProof = errors.New("the proof does not hold")

// Verify checks the whole proof; nil means that the entry is in the book whose
// chain has the hash Head. It says nothing of who published Head.
func (p *InclusionProof) Verify() error {
	if p.Format != proofFormat {
		return fmt.Errorf("%w: it is not of the format %q", errProof, proofFormat)
	}
	if err := sound(&p.Entry); err != nil {
		return fmt.Errorf("%w: the entry is not one of a book: %w", errProof, err)
	}
	if p.Block.Version != ledger.FormWithTx && p.Block.Version != version {
		return fmt.Errorf("%w: block %d has an unknown version", errProof, p.Block.Number)
	}
	if again, _, _ := leaf(&ledger.Hasher{}, p.Block.Version, &p.Entry); again != p.Leaf {
		return fmt.Errorf("%w: the entry does not have the hash of its leaf", errProof)
	}
	if root, ok := rootOfPath(p.Leaf, int(p.Position), int(p.Block.Entries), p.Path); !ok || root != p.Block.Root {
		return fmt.Errorf("%w: the path does not lead to the root of block %d", errProof, p.Block.Number)
	}
	if !whole(p.Block.SealedAt) {
		return fmt.Errorf("%w: the time of block %d is not in whole microseconds of UTC", errProof, p.Block.Number)
	}
	if p.Block.headerHash() != p.Block.Hash {
		return fmt.Errorf("%w: the header of block %d does not have its hash", errProof, p.Block.Number)
	}
	if p.Entry.Authority != p.Block.Authority {
		return fmt.Errorf("%w: entry and block are of different authorities", errProof)
	}
	last := &p.Block
	for i := range p.Chain {
		if !whole(p.Chain[i].SealedAt) {
			return fmt.Errorf("%w: the time of block %d is not in whole microseconds of UTC", errProof, p.Chain[i].Number)
		}
		if wrong := p.Chain[i].follows(last); wrong != "" {
			return fmt.Errorf("%w: block %d %s", errProof, p.Chain[i].Number, wrong)
		}
		last = &p.Chain[i]
	}
	if last.Hash != p.Head {
		return fmt.Errorf("%w: the chain does not end at the head", errProof)
	}
	return nil
}

// Prove returns the inclusion proof of an entry of the actor's authority:
// ledger.ErrEntryNotFound when there is none, ErrNotSealed while it waits for
// its block, ErrBroken when the book no longer agrees with its seal.
func (s *Service) Prove(ctx context.Context, actor auth.Actor, id ledger.EntryID) (InclusionProof, error) {
	return s.prove(ctx, actor, func(pgx.Tx) (ledger.EntryID, error) { return id, nil })
}

// ProveCause proves the entry of a cause, for a receipt the capture that it confirms.
func (s *Service) ProveCause(ctx context.Context, actor auth.Actor, cause ledger.Cause) (InclusionProof, error) {
	return s.prove(ctx, actor, func(tx pgx.Tx) (ledger.EntryID, error) { return findCaused(ctx, tx, actor.Authority, cause) })
}

func (s *Service) prove(ctx context.Context, actor auth.Actor, find func(tx pgx.Tx) (ledger.EntryID, error)) (InclusionProof, error) {
	if err := auth.Require(actor, auth.PermLedgerRead); err != nil {
		return InclusionProof{}, err
	}
	var proof InclusionProof
	err := postgres.ReadTx(ctx, s.DB, actor.Authority, func(tx pgx.Tx) error {
		id, err := find(tx)
		if err != nil {
			return err
		}
		proof, err = prove(ctx, tx, actor.Authority, id)
		return err
	})
	if err != nil {
		return InclusionProof{}, err
	}
	if err := proof.Verify(); err != nil {
		return InclusionProof{}, ErrBroken.Because(err)
	}
	return proof, nil
}

func prove(ctx context.Context, tx pgx.Tx, authority string, id ledger.EntryID) (InclusionProof, error) {
	p := InclusionProof{Format: proofFormat, Chain: []Block{}}
	err := walk(ctx, tx, []ledger.EntryID{id}, func(_ int, e *entry) error {
		if e == nil {
			return ledger.ErrEntryNotFound
		}
		p.Entry = e.Record
		p.Entry.Postings = slices.Clone(e.Postings)
		return nil
	})
	if err != nil {
		return p, err
	}
	number, position, err := findSealed(ctx, tx, id)
	if err != nil {
		return p, err
	}
	rows, err := selectSealed(ctx, tx, authority, number)
	if err != nil {
		return p, err
	}
	leaves := make([]Hash, len(rows))
	for i, row := range rows {
		leaves[i] = row.Leaf
	}
	own, err := selectBlocks(ctx, tx, ` where b.authority = $1 and b.number = $2`, authority, number)
	if err != nil {
		return p, err
	}
	if len(own) == 0 || int(position) >= len(leaves) {
		return p, ErrBroken.With("block %d is missing or lacks entries", number)
	}
	p.Block, p.Position, p.Leaf, p.Path, p.Head = own[0], position, leaves[position], auditPath(leaves, int(position)), own[0].Hash
	day, err := blocksOf(ctx, tx, authority, calendar.On(p.Block.SealedAt))
	if err != nil {
		return p, err
	}
	for i := range day {
		if day[i].Number > number {
			p.Chain, p.Head = append(p.Chain, day[i]), day[i].Hash
		}
	}
	return p, nil
}
