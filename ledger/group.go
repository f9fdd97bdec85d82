package ledger

import (
	"context"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/postgres"
)

// Bounds of a Group.
const (
	// groupCommitters commit at the same time: while one waits for the disk, the other works.
	groupCommitters = 2
	// groupEntries is about how many entries one transaction takes.
	groupEntries = 256
	// groupWaiting bounds the callers that wait; the next one waits to be let in.
	groupWaiting = 1024
)

// ErrStopped: the group takes nothing any more.
var ErrStopped = fault.New(fault.Unavailable, "ledger.stopped", "the program is stopping, try again")

// Group commits the entries of callers that wait at the same time in one
// transaction. It adds no delay: an idle group commits a single caller at once,
// and what arrives meanwhile is the next group.
//
// It is for callers whose entries stand alone. Who writes anything else with
// them calls Post in a transaction of its own, so that both commit or neither.
type Group struct {
	db      *pgxpool.Pool
	waiting chan *waiter

	mu      sync.RWMutex // held for reading while a caller is let in
	stopped bool
	running sync.WaitGroup
}

// waiter is one caller of Post.
type waiter struct {
	ctx     context.Context //nolint:containedctx // the caller's: one that has gone is not written
	entries []Entry
	ids     []EntryID
	err     error
	done    chan struct{} // closed when ids and err are set
}

// NewGroup starts a group; Stop ends it.
func NewGroup(db *pgxpool.Pool) *Group {
	g := &Group{db: db, waiting: make(chan *waiter, groupWaiting)}
	for range groupCommitters {
		g.running.Go(g.commit)
	}
	return g
}

// Post is like the function Post, in a transaction of its own or of several
// callers: the entries of one call, of one authority, are written all or none,
// and what is wrong with the entries of another call does not matter. It
// returns after the commit. When ctx ends first the entries may or may not be
// written: post them again, with the same causes.
//
// It must not be called inside a transaction, which would hold locks while
// others commit.
func (g *Group) Post(ctx context.Context, entries ...Entry) ([]EntryID, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	for i := range entries {
		if entries[i].Authority != entries[0].Authority {
			return nil, blame(ErrMalformed.With("one call posts for one authority"), entries, i)
		}
		if err := entries[i].Validate(); err != nil {
			return nil, blame(err, entries, i)
		}
	}
	w := &waiter{ctx: ctx, entries: slices.Clone(entries), done: make(chan struct{})}
	if err := g.enter(ctx, w); err != nil {
		return nil, err
	}
	select {
	case <-w.done:
		return w.ids, w.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// enter lets a caller in, or tells why not.
func (g *Group) enter(ctx context.Context, w *waiter) error {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.stopped {
		return ErrStopped
	}
	select {
	case g.waiting <- w:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stop writes what waits and returns when all is answered. Later callers get ErrStopped.
func (g *Group) Stop() {
	g.mu.Lock()
	if !g.stopped {
		g.stopped = true
		close(g.waiting)
	}
	g.mu.Unlock()
	g.running.Wait()
}

// commit takes whoever waits, until the group is stopped and empty.
func (g *Group) commit() {
	for first := range g.waiting {
		group := g.take(first)
		for len(group) > 0 { // a transaction belongs to one authority
			authority := group[0].entries[0].Authority
			same := group[:0:0]
			group = slices.DeleteFunc(group, func(w *waiter) bool {
				if w.entries[0].Authority != authority {
					return false
				}
				same = append(same, w)
				return true
			})
			g.write(authority, same)
		}
	}
}

// take returns first and those who wait already, without waiting for more.
func (g *Group) take(first *waiter) []*waiter {
	group := []*waiter{first}
	for n := len(first.entries); n < groupEntries; {
		select {
		case w, ok := <-g.waiting:
			if !ok {
				return group
			}
			group = append(group, w)
			n += len(w.entries)
		default:
			return group
		}
	}
	return group
}

// write posts a group at once. When that fails each caller is written alone
// and gets an answer of its own: the bad one its fault, the others their ids.
func (g *Group) write(authority string, group []*waiter) {
	group = slices.DeleteFunc(group, func(w *waiter) bool {
		if err := w.ctx.Err(); err != nil { // nobody waits any more
			w.answer(nil, err)
			return true
		}
		return false
	})
	if len(group) > 1 {
		var all []Entry
		for _, w := range group {
			all = append(all, w.entries...)
		}
		// Not a caller's context: one that goes away must not take the others along.
		if ids, err := g.post(context.Background(), authority, all); err == nil {
			for _, w := range group {
				w.answer(ids[:len(w.entries):len(w.entries)], nil)
				ids = ids[len(w.entries):]
			}
			return
		}
	}
	for _, w := range group {
		ids, err := g.post(w.ctx, authority, w.entries)
		w.answer(ids, err)
	}
}

func (g *Group) post(ctx context.Context, authority string, entries []Entry) ([]EntryID, error) {
	var ids []EntryID
	err := postgres.InTx(ctx, g.db, authority, func(tx pgx.Tx) (err error) {
		ids, err = Post(ctx, tx, entries...)
		return err
	})
	return ids, err
}

func (w *waiter) answer(ids []EntryID, err error) {
	w.ids, w.err = ids, err
	close(w.done)
}
