package callbacks

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/providers"
)

// groupSize bounds the callers of one transaction, which holds the locks of all of them until its commit.
const groupSize = 64

// lockPatience bounds each wait of a transaction for a lock. Later callers wait for
// a leader, and every transaction has a connection of the pool. A caller whose rows
// are locked longer gives both back, waits, and tries again alone.
const lockPatience = 300 * time.Millisecond

// apartSize and busySize bound the transactions of callers alone: the callers of a
// group that failed, and among them those whose rows were locked. The pool keeps
// connections for the rest of the program.
const (
	apartSize = 4
	busySize  = 2
)

// ErrStopped refuses a caller of a group that stops with the program.
var ErrStopped = fault.New(fault.Unavailable, "callbacks.stopped", "the program is stopping, try again")

// errApart ends the transaction of a group. Each caller then goes on alone and
// gets its own fault. It also hides a lost race, which InTx would repeat.
var errApart = errors.New("callers of a group go on alone")

// Body is the work of one caller in a transaction. It has no effects outside of
// the database and may run again, even after a commit whose answer was lost.
type Body struct {
	// Lock queues the statements that lock and read first; nil reads nothing.
	Lock func(b *pgx.Batch, now time.Time)
	// Write runs after those statements and leaves its own writes to w.
	Write func(ctx context.Context, act postgres.Act, w *ledger.Writes) error
}

// Group commits the work of callers that wait at the same time in one
// transaction with one posting. It adds no delay: an idle group serves a single
// caller at once, and the callers that arrive meanwhile are the next group.
//
// One of the waiting callers leads: it runs the transaction of all in its own
// goroutine, answers the others after the commit and hands the lead over.
// Bodies run in order of their subjects, so every transaction takes its locks in
// that order. Two callers of one subject never share a transaction, because the
// second would not see the writes of the first.
//
// A group that fails leaves nothing: each caller goes on alone, in a transaction
// of its own with its own answer. That also ends a deadlock with another writer
// that locks in another order. A leader gives up after lockPatience: the rows of
// one caller may stay locked without holding up the callers of other rows. A
// caller alone tries again until its ctx ends.
type Group struct {
	db          postgres.DB
	leaders     int
	apart, busy chan struct{} // a place for each transaction of a caller alone

	mu      sync.Mutex
	waiting []*caller // oldest first; as many as there are goroutines that wait
	leading int
	stopped bool
	inside  sync.WaitGroup // callers
}

// caller is one call of Do. The leader sets committed before it closes turn.
type caller struct {
	authority, subject string
	body               Body
	turn               chan struct{} // closed when the caller leads, or when its leader is done
	led                []*caller     // the caller leads these, itself among them; nil for all others
	committed          bool          // by the leader
}

// NewGroup makes a group that runs so many transactions at the same time: while one waits for the disk, another works.
func NewGroup(db postgres.DB, leaders int) *Group {
	return &Group{db: db, leaders: leaders, apart: make(chan struct{}, apartSize), busy: make(chan struct{}, busySize)}
}

// Do runs body in a transaction of authority and returns after the commit. Other
// callers may share the transaction. subject names the thing that body locks; a
// body with an empty subject locks nothing.
//
// A caller whose ctx ends while it waits is not served. Later ctx counts only
// in a transaction of its own; the end of the group's transaction is then the answer.
//
// Do must not be called inside a transaction, which would hold its locks while
// others commit.
func (g *Group) Do(ctx context.Context, authority, subject string, body Body) error {
	c := &caller{authority: authority, subject: subject, body: body, turn: make(chan struct{})}
	if !g.enter(c) {
		return ErrStopped
	}
	defer g.inside.Done()
	select {
	case <-c.turn:
	case <-ctx.Done():
		if g.leave(c) {
			return ctx.Err()
		}
		<-c.turn
	}
	defer g.handOver(c, false) // also after a panic of a caller alone
	places := g.apart
	if c.led != nil {
		led, cancel := ctx, context.CancelFunc(func() {})
		if len(c.led) > 1 { // not the leader's own deadline, which would end the work of the others
			led, cancel = context.WithTimeout(context.WithoutCancel(ctx), providers.GroupTimeout)
		}
		defer cancel()
		err := postgres.InTx(led, g.db, auth.System(authority), transaction{led, c.led}.write)
		single := len(c.led) == 1
		c.committed = err == nil
		g.handOver(c, c.committed)
		if c.committed || single && !postgres.ErrBusy.Is(err) {
			return err
		}
		if single {
			places = g.busy
		}
	}
	if c.committed {
		return nil
	}
	for {
		err := g.alone(ctx, c, places)
		if !postgres.ErrBusy.Is(err) {
			return err
		}
		places = g.busy
		wait := time.NewTimer(lockPatience)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return err
		}
	}
}

// alone runs the transaction of one caller when one of the places is free.
func (g *Group) alone(ctx context.Context, c *caller, places chan struct{}) error {
	select {
	case places <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-places }()
	return postgres.InTx(ctx, g.db, auth.System(c.authority), transaction{ctx, []*caller{c}}.write)
}

// Stop returns when every caller inside has its answer. Later callers get ErrStopped.
func (g *Group) Stop() {
	g.mu.Lock()
	g.stopped = true
	g.mu.Unlock()
	g.inside.Wait()
}

// enter lets a caller in. While fewer than g.leaders lead, the caller leads at once.
func (g *Group) enter(c *caller) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return false
	}
	g.inside.Add(1)
	g.waiting = append(g.waiting, c)
	if g.leading < g.leaders {
		g.leading++
		g.lead()
	}
	return true
}

// leave takes a caller out, unless a leader has taken it.
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

// handOver answers the callers that c led and gives the lead to the oldest
// waiting caller. It does nothing for a caller that leads no more.
func (g *Group) handOver(c *caller, committed bool) {
	for _, other := range c.led {
		if other != c {
			other.committed = committed
			close(other.turn)
		}
	}
	if c.led == nil {
		return
	}
	c.led = nil
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lead()
}

// lead makes the oldest waiting caller the leader of the callers of its
// authority, in order of subjects. Without a waiting caller one leader fewer
// works. Its caller holds g.mu.
func (g *Group) lead() {
	if len(g.waiting) == 0 {
		g.leading--
		return
	}
	leader := g.waiting[0]
	taken := map[string]bool{}
	g.waiting = slices.DeleteFunc(g.waiting, func(c *caller) bool {
		if c.authority != leader.authority || taken[c.subject] || len(leader.led) == groupSize {
			return false
		}
		taken[c.subject] = c.subject != ""
		leader.led = append(leader.led, c)
		return true
	})
	slices.SortStableFunc(leader.led, func(a, b *caller) int { return strings.Compare(a.subject, b.subject) })
	close(leader.turn)
}

// transaction is the one transaction of a group, or of a caller alone.
type transaction struct {
	ctx     context.Context //nolint:containedctx // of this one transaction
	callers []*caller
}

// write runs the bodies of all callers: it locks and reads in one round trip,
// then writes in two. A panic of a body ends a shared transaction like an error,
// so the body panics in the goroutine of its own caller.
func (t transaction) write(act postgres.Act) (err error) {
	if len(t.callers) > 1 {
		defer func() {
			if recover() != nil || err != nil {
				err = errApart
			}
		}()
	}
	var (
		locks pgx.Batch
		w     ledger.Writes
	)
	locks.Queue(`select set_config('lock_timeout', $1, true)`, strconv.FormatInt(lockPatience.Milliseconds(), 10))
	for _, c := range t.callers {
		if c.body.Lock != nil {
			c.body.Lock(&locks, act.Now)
		}
	}
	if err := act.SendBatch(t.ctx, &locks).Close(); err != nil {
		return err
	}
	for _, c := range t.callers {
		if err := c.body.Write(t.ctx, act, &w); err != nil {
			return err
		}
	}
	_, err = w.Send(t.ctx, act)
	return err
}
