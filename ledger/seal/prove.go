package seal

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/proof"
)

// settled is how long after midnight a block of the day before may still commit. It is longer than every time-out of a
// sealing transaction.
const settled = 10 * time.Minute

// DailyProof is an authority's record of a day: the head of its chain at the end of the day (Viet Nam time), and the
// number of blocks and entries sealed on the day. The holder of ChainHead can later prove each entry that was sealed up
// to the end of the day.
type DailyProof struct {
	Authority string        `json:"authority"`
	Date      calendar.Date `json:"date"`
	Final     bool          `json:"final"`      // the day is over: the answer will not change
	ChainHead proof.Hash    `json:"chain_head"` // hash of the last block
	Root      proof.Hash    `json:"root"`       // of the last block's Merkle tree
	Block     proof.Block   `json:"block"`      // the last block sealed up to the end of the day
	Blocks    int           `json:"blocks"`     // sealed on the day
	Entries   int64         `json:"entries"`
	Postings  int64         `json:"postings"`
	Totals    proof.Totals  `json:"totals"`
	AllTime   int64         `json:"entries_all_time"` // entries in the whole chain
}

// DailyProof returns the proof of a date for the actor's authority, or
// ErrNoProof when nothing was sealed up to its end.
func (s *Service) DailyProof(ctx context.Context, actor auth.Actor, date calendar.Date) (DailyProof, error) {
	if err := auth.Require(actor, auth.PermLedgerRead); err != nil {
		return DailyProof{}, err
	}
	end := date.AddDays(1).Start()
	daily := DailyProof{Authority: actor.Authority, Date: date, Final: !s.Now().Before(end.Add(settled)), Totals: proof.Totals{}}
	err := postgres.ReadTx(ctx, s.DB, actor.Authority, func(tx pgx.Tx) error {
		last, err := selectBlocks(ctx, tx, ` where b.authority = $1 and b.sealed_at < $2 order by b.sealed_at desc, b.number desc limit 1`,
			actor.Authority, end)
		if err != nil {
			return err
		}
		if len(last) == 0 {
			return ErrNoProof
		}
		daily.Block = last[0]
		list, err := blocksOf(ctx, tx, actor.Authority, date)
		if err != nil {
			return err
		}
		for i := range list {
			daily.Blocks++
			daily.Entries += int64(list[i].Entries)
			daily.Postings += list[i].Postings
			if daily.Totals, err = daily.Totals.Add(list[i].Totals); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return DailyProof{}, err
	}
	b := &daily.Block
	if b.HeaderHash() != b.Hash {
		return DailyProof{}, ErrBroken.With("the header of block %d was changed", b.Number)
	}
	daily.ChainHead, daily.Root, daily.AllTime = b.Hash, b.Root, b.First+int64(b.Entries)
	return daily, nil
}

// Prove returns the inclusion proof of an entry of the actor's authority. ledger.ErrEntryNotFound when there is no such
// entry, ErrNotSealed while the entry waits for its block, ErrBroken when the book no longer agrees with its seal.
func (s *Service) Prove(ctx context.Context, actor auth.Actor, id ledger.EntryID) (proof.InclusionProof, error) {
	return s.prove(ctx, actor, func(pgx.Tx) (ledger.EntryID, error) { return id, nil })
}

// ProveCause proves the entry of a cause. For a receipt the cause is the capture that the receipt confirms.
func (s *Service) ProveCause(ctx context.Context, actor auth.Actor, cause ledger.Cause) (proof.InclusionProof, error) {
	return s.prove(ctx, actor, func(tx pgx.Tx) (ledger.EntryID, error) { return findCaused(ctx, tx, actor.Authority, cause) })
}

func (s *Service) prove(ctx context.Context, actor auth.Actor, find func(tx pgx.Tx) (ledger.EntryID, error)) (proof.InclusionProof, error) {
	if err := auth.Require(actor, auth.PermLedgerRead); err != nil {
		return proof.InclusionProof{}, err
	}
	var p proof.InclusionProof
	err := postgres.ReadTx(ctx, s.DB, actor.Authority, func(tx pgx.Tx) error {
		id, err := find(tx)
		if err != nil {
			return err
		}
		p, err = prove(ctx, tx, actor.Authority, id)
		return err
	})
	if err != nil {
		return proof.InclusionProof{}, err
	}
	if err := p.Verify(); err != nil {
		return proof.InclusionProof{}, ErrBroken.Because(err)
	}
	return p, nil
}

func prove(ctx context.Context, tx pgx.Tx, authority string, id ledger.EntryID) (proof.InclusionProof, error) {
	p := proof.InclusionProof{Format: proof.ProofFormat, Chain: []proof.Block{}}
	err := walk(ctx, tx, []ledger.EntryID{id}, func(_ int, e *entry) error {
		if e == nil {
			return ledger.ErrEntryNotFound
		}
		p.Entry = e.Entry
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
	leaves := make([]proof.Hash, len(rows))
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
	p.Block, p.Position, p.Leaf, p.Path, p.Head = own[0], position, leaves[position], proof.Path(leaves, int(position)), own[0].Hash
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
