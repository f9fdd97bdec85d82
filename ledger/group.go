package ledger

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/postgres"
)

// Bounds of a Group.
const (
	// groupSize is how many callers share one transaction: their locks are held until the last of them is done.
	groupSize = 64
	// groupTimeout ends a transaction that waits longer than one lock may; its callers go on alone.
	groupTimeout = 15 * time.Second
)

// ErrStopped: the group takes nothing any more.
var ErrStopped = fault.New(fault.Unavailable, "ledger.stopped", "the program is stopping, try again")

// errApart ends the transaction of a group; its callers go on alone and learn their own faults.
var errApart = errors.New("callers of a group go on alone")

// Writes is what a transaction writes at its end, in as few round trips as it
// can: queued statements, in order, then the entries.
type Writes struct {
	pgx.Batch
	entries []Entry
}

// Post adds entries to those that Send posts.
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

// Body is what a caller does in a transaction. It has no effects outside of the
// database and may run again, even after a commit whose answer was lost.
type Body struct {
	// Read queues what is locked and read first; nil reads nothing.
	Read func(b *pgx.Batch)
	// Write runs when that was read and leaves to w what is written.
	Write func(ctx context.Context, tx pgx.Tx, w *Writes) error
}

// Group commits what callers that wait at the same time do, in one transaction
// with one posting. It adds no delay: an idle group serves a single caller at
// once, and what arrives meanwhile is the next group.
//
// Bodies of a group run in order of their subjects, so each transaction locks
// in the same one. What they read goes in one round trip, then what they write.
// No two of a group have one subject: the second would not see what the first
// writes.
//
// When a group fails, for whatever reason, it leaves nothing: each caller
// goes on alone, in a transaction of its own with its own answer. That is also
// the way out of a deadlock with somebody who locks in another order.
type Group struct {
	db         *pgxpool.Pool
	committers int

	mu      sync.Mutex
	waiting []*caller // oldest first; as many as there are goroutines that wait
	running int       // committers at work
	stopped bool
	inside  sync.WaitGroup // callers
}

// caller is one call of Do.
type caller struct {
	ctx                context.Context //nolint:containedctx // the caller's: one that has gone is not served
	authority, subject string
	body               Body
	entries            int // of this caller
	ids                []EntryID
	err                error
	alone              bool          // to be served by its own goroutine
	done               chan struct{} // closed when the members above are set
}

// NewGroup makes a group that runs so many transactions at the same time: while one waits for the disk, another works.
func NewGroup(db *pgxpool.Pool, committers int) *Group {
	return &Group{db: db, committers: committers}
}

// Do runs body in a transaction of authority and answers after the commit, with
// the ids of its entries. The transaction may be that of several callers.
// subject names what body locks; an empty one locks nothing.
//
// A caller whose ctx ends while it waits is not served. Later ctx counts only
// when the transaction is its own; how the group ends is then the answer.
//
// It must not be called inside a transaction, which would hold locks while
// others commit.
func (g *Group) Do(ctx context.Context, authority, subject string, body Body) ([]EntryID, error) {
	c := &caller{ctx: ctx, authority: authority, subject: subject, body: body, done: make(chan struct{})}
	if !g.enter(c) {
		return nil, ErrStopped
	}
	defer g.inside.Done()
	select {
	case <-c.done:
	case <-ctx.Done():
		if g.leave(c) {
			return nil, ctx.Err()
		}
		<-c.done
	}
	if c.alone {
		c.err = g.run(ctx, c)
	}
	if c.err != nil {
		return nil, c.err
	}
	return c.ids, nil
}

// Stop returns when all who are in have their answer. Later callers get ErrStopped.
func (g *Group) Stop() {
	g.mu.Lock()
	g.stopped = true
	g.mu.Unlock()
	g.inside.Wait()
}

// enter lets a caller in and sees to it that somebody commits.
func (g *Group) enter(c *caller) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return false
	}
	g.inside.Add(1)
	g.waiting = append(g.waiting, c)
	if g.running < g.committers {
		g.running++
		go g.commit()
	}
	return true
}

// leave takes a caller out, unless it is being served.
func (g *Group) leave(c *caller) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, c)
	if i < 0 {
		return false
	}
	g.waiting = slices.Delete(g.waiting, i, i+1)
	return true
}

// commit serves whoever waits, until nobody does.
func (g *Group) commit() {
	for group := g.take(); len(group) > 0; group = g.take() {
		g.serve(group)
	}
}

// take returns those who wait, of the authority of the first, in order of subjects.
// When there is nobody the committer is done.
func (g *Group) take() []*caller {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.running--
		return nil
	}
	var group []*caller
	authority, taken := g.waiting[0].authority, map[string]bool{}
	g.waiting = slices.DeleteFunc(g.waiting, func(c *caller) bool {
		if c.authority != authority || taken[c.subject] || len(group) == groupSize {
			return false
		}
		taken[c.subject] = c.subject != ""
		group = append(group, c)
		return true
	})
	slices.SortStableFunc(group, func(a, b *caller) int { return strings.Compare(a.subject, b.subject) })
	return group
}

// serve answers a group. After a panic every caller goes on alone, and the one
// whose body it is panics in its own goroutine, as it would without a group.
func (g *Group) serve(group []*caller) {
	apart := true
	defer func() {
		_ = recover()
		for _, c := range group {
			c.alone = apart
			close(c.done)
		}
	}()
	if len(group) == 1 {
		group[0].err = g.run(group[0].ctx, group[0])
		apart = false
		return
	}
	// Not a caller's context: one that goes away must not take the others along.
	ctx, cancel := context.WithTimeout(context.Background(), groupTimeout)
	defer cancel()
	apart = g.run(ctx, group...) != nil
}

// run is the one transaction of a group, or of a caller alone.
func (g *Group) run(ctx context.Context, group ...*caller) error {
	return postgres.WriteTx(ctx, g.db, group[0].authority, func(tx pgx.Tx) error {
		err := together(ctx, tx, group)
		if err != nil && len(group) > 1 {
			return errApart // hides a lost race, which InTx would run again
		}
		return err
	})
}

func together(ctx context.Context, tx pgx.Tx, group []*caller) error {
	var (
		reads pgx.Batch
		w     Writes
	)
	for _, c := range group {
		if c.body.Read != nil {
			c.body.Read(&reads)
		}
	}
	if reads.Len() > 0 {
		if err := tx.SendBatch(ctx, &reads).Close(); err != nil {
			return err
		}
	}
	for _, c := range group {
		before := len(w.entries)
		if err := c.body.Write(ctx, tx, &w); err != nil {
			return err
		}
		c.entries = len(w.entries) - before
	}
	for i := range w.entries {
		if w.entries[i].Authority != group[0].authority {
			return blame(ErrMalformed.With("one call posts for one authority"), w.entries, i)
		}
	}
	ids, err := w.Send(ctx, tx)
	if err != nil {
		return err
	}
	for _, c := range group {
		c.ids, ids = ids[:c.entries:c.entries], ids[c.entries:]
	}
	return nil
}
