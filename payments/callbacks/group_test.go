package callbacks_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/ledgertest"
	"github.com/doisoat/doisoat/payments/callbacks"
)

func TestGroupCommitsConcurrentCallers(t *testing.T) {
	t.Parallel()
	b := ledgertest.NewBook(t)
	g := newGroup(b, 2)
	const callers = 200
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			authority := ledgertest.NgheAn
			if i%3 == 0 {
				authority = ledgertest.Other
			}
			e := ledgertest.Captured(authority, ledgertest.Cause(i), int64(1_000+i), uuid.Nil)
			bad := i%10 == 7
			if bad {
				e.BusinessDate, e.Reverses, e.Reason = ledgertest.Day, ledger.EntryID(uuid.New()), "of what does not exist"
			}
			if err := postIn(t.Context(), g, e); bad != (err != nil) {
				t.Errorf("caller %d: got %v, want an error: %t", i, err, bad)
			}
		})
	}
	all.Wait()
	g.Stop()
	if got, want := b.Count(`select count(*) from ledger.entry`), callers-callers/10; got != want {
		t.Errorf("entries: got %d, want %d", got, want)
	}
	for i := range callers {
		if i%10 != 7 && b.Count(`select count(*) from ledger.entry where cause_id = $1`, ledgertest.Cause(i)) != 1 {
			t.Errorf("the entry of caller %d is missing", i)
		}
	}
	if got, most := b.Count(`select count(distinct tx) from ledger.entry`), callers-callers/10; got > most {
		t.Errorf("transactions: got %d, want at most %d", got, most)
	}
}

// An idle group does not wait for company.
func TestGroupFlushesAtOnceWhenIdle(t *testing.T) {
	t.Parallel()
	b := ledgertest.NewBook(t)
	g := newGroup(b, 2)
	defer g.Stop()
	for range 2 { // the same cause a second time is answered and not written again
		if err := postIn(t.Context(), g, ledgertest.Captured(ledgertest.NgheAn, ledgertest.Cause(1), 1_000, uuid.Nil)); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.Count(`select count(*) from ledger.entry`); got != 1 {
		t.Errorf("entries: got %d, want 1", got)
	}
	if err := postIn(
		t.Context(),
		g,
		ledgertest.Captured(ledgertest.NgheAn, ledgertest.Cause(1), 1_001, uuid.Nil),
	); !ledger.ErrCauseReused.Is(
		err,
	) {
		t.Errorf("other content: got %v, want %v", err, ledger.ErrCauseReused)
	}
	if err := postIn(
		t.Context(),
		g,
		ledgertest.Captured(ledgertest.NgheAn, ledgertest.Cause(2), 1, uuid.Nil),
		ledgertest.Captured(ledgertest.Other, ledgertest.Cause(2), 1, uuid.Nil),
	); !ledger.ErrMalformed.Is(
		err,
	) {
		t.Errorf("two authorities: got %v, want %v", err, ledger.ErrMalformed)
	}
}

// postIn posts through a group, with nothing beside the entries.
func postIn(ctx context.Context, g *callbacks.Group, entries ...ledger.Entry) error {
	return g.Do(ctx, entries[0].Authority, "", callbacks.Body{Write: func(_ context.Context, _ postgres.Act, w *ledger.Writes) error {
		w.Post(entries...)
		return nil
	}})
}

// newGroup makes a group on the book's database.
func newGroup(b ledgertest.Book, leaders int) *callbacks.Group {
	return callbacks.NewGroup(postgres.DB{Pool: b.App, Now: time.Now}, leaders)
}

// occupy keeps the one leader of a group busy until the returned function is called.
func occupy(t *testing.T, g *callbacks.Group) (release func()) {
	t.Helper()
	begun, end := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		err := g.Do(
			context.WithoutCancel(t.Context()),
			ledgertest.NgheAn,
			"",
			callbacks.Body{Write: func(context.Context, postgres.Act, *ledger.Writes) error {
				close(begun)
				<-end
				return nil
			}},
		)
		ended <- err
	}()
	<-begun
	return func() {
		close(end)
		if err := <-ended; err != nil {
			t.Errorf("the one before: got %v", err)
		}
	}
}

// awaitWaiting returns when so many callers wait.
func awaitWaiting(t *testing.T, g *callbacks.Group, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); g.Waiting() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waiting: got %d, want %d", g.Waiting(), n)
		}
	}
}

// Callers that wait together share one transaction, in their order.
func TestGroupSharesOneTransaction(t *testing.T) {
	t.Parallel()
	b := ledgertest.NewBook(t)
	g := newGroup(b, 1)
	defer g.Stop()
	release := occupy(t, g)
	const callers = 20
	var (
		all sync.WaitGroup
		mu  sync.Mutex
		ran []int
	)
	for _, i := range rand.Perm(callers) {
		all.Go(func() {
			err := g.Do(
				t.Context(),
				ledgertest.NgheAn,
				ledgertest.Cause(i),
				callbacks.Body{Write: func(ctx context.Context, act postgres.Act, w *ledger.Writes) error {
					mu.Lock()
					ran = append(ran, i)
					mu.Unlock()
					if i%2 == 0 {
						w.Post(ledgertest.Captured(ledgertest.NgheAn, ledgertest.Cause(i), 1_000, uuid.Nil))
						return nil
					}
					_, err := ledger.Post(
						ctx,
						act,
						ledgertest.Captured(ledgertest.NgheAn, ledgertest.Cause(i), 1_000, uuid.Nil),
					) // the body's own write is in the group's transaction too
					return err
				}},
			)
			if err != nil {
				t.Errorf("caller %d: got %v", i, err)
			}
		})
	}
	awaitWaiting(t, g, callers)
	release()
	all.Wait()
	if got := b.Count(`select count(distinct tx) from ledger.entry`); got != 1 {
		t.Errorf("transactions: got %d, want 1", got)
	}
	if got := b.Count(`select count(*) from ledger.entry`); got != callers {
		t.Errorf("entries: got %d, want %d", got, callers)
	}
	if !slices.IsSorted(ran) || len(ran) != callers {
		t.Errorf("bodies ran as %v, want each once, in order", ran)
	}
	for i := range callers {
		if b.Count(`select count(*) from ledger.entry where cause_id = $1`, ledgertest.Cause(i)) != 1 {
			t.Errorf("the entry of caller %d is missing", i)
		}
	}
}

// Two callers of one subject never share a transaction, so the second sees the writes of the first.
func TestGroupKeepsSubjectsApart(t *testing.T) {
	t.Parallel()
	b := ledgertest.NewBook(t)
	g := newGroup(b, 1)
	defer g.Stop()
	release := occupy(t, g)
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			err := g.Do(
				t.Context(),
				ledgertest.NgheAn,
				ledgertest.Cause(i%3),
				callbacks.Body{Write: func(ctx context.Context, act postgres.Act, w *ledger.Writes) error {
					var seen int
					err := act.QueryRow(ctx, `select count(*) from ledger.entry where cause_kind = $1`, ledgertest.Cause(i%3)).Scan(&seen)
					e := ledgertest.Captured(ledgertest.NgheAn, fmt.Sprint(seen), 1_000, uuid.Nil)
					e.Cause.Kind = ledgertest.Cause(i % 3)
					w.Post(e)
					return err
				}},
			)
			if err != nil {
				t.Errorf("caller %d: got %v", i, err)
			}
		})
	}
	awaitWaiting(t, g, 12)
	release()
	all.Wait()
	if got := b.Count(`select count(*) from ledger.entry`); got != 12 {
		t.Errorf("entries: got %d, want 12", got)
	}
	if got := b.Count(`select count(distinct tx) from ledger.entry`); got != 4 {
		t.Errorf("transactions: got %d, want 4", got)
	}
}

// A caller that fails gets its own answer, and so do the others, for each kind of failure.
func TestGroupGoesApart(t *testing.T) {
	t.Parallel()
	errOwn := errors.New("of its own")
	for name, tt := range map[string]struct {
		bad  func(context.Context, postgres.Act, *ledger.Writes) error
		want error
	}{
		"a body's error": {func(context.Context, postgres.Act, *ledger.Writes) error { return errOwn }, errOwn},
		"a bad entry": {func(_ context.Context, _ postgres.Act, w *ledger.Writes) error {
			e := ledgertest.Captured(ledgertest.NgheAn, ledgertest.Cause(99), 1_000, uuid.Nil)
			e.Postings = e.Postings[:3]
			w.Post(e)
			return nil
		}, ledger.ErrUnbalanced},
		"a broken statement": {func(ctx context.Context, act postgres.Act, _ *ledger.Writes) error {
			_, _ = act.Exec(ctx, `select 1/0`) // the transaction is lost, although the body returns nil
			return nil
		}, pgx.ErrTxCommitRollback},
		"a broken write": {func(_ context.Context, _ postgres.Act, w *ledger.Writes) error {
			w.Queue(`select 1`).Exec(func(pgconn.CommandTag) error { return errOwn })
			return nil
		}, errOwn},
		"a panic": {func(context.Context, postgres.Act, *ledger.Writes) error { panic(errOwn) }, errOwn},
		"a deadlock": {func() func(context.Context, postgres.Act, *ledger.Writes) error {
			first := true
			return func(ctx context.Context, act postgres.Act, _ *ledger.Writes) error {
				if first {
					first = false
					_, err := act.Exec(ctx, `do $$ begin raise exception 'lost' using errcode = '40P01'; end $$`)
					return err
				}
				return nil
			}
		}(), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := ledgertest.NewBook(t)
			g := newGroup(b, 1)
			defer g.Stop()
			release := occupy(t, g)
			const callers = 10
			var (
				all  sync.WaitGroup
				runs [callers]int
			)
			for i := range callers {
				all.Go(func() {
					var want error
					defer func() {
						if v := recover(); v != nil {
							if err, ok := v.(error); !ok || !errors.Is(err, want) {
								t.Errorf("caller %d: panics with %v, want %v", i, v, want)
							}
						}
					}()
					err := g.Do(
						t.Context(),
						ledgertest.NgheAn,
						ledgertest.Cause(i),
						callbacks.Body{Write: func(ctx context.Context, act postgres.Act, w *ledger.Writes) error {
							runs[i]++
							if i == callers/2 {
								want = tt.want
								return tt.bad(ctx, act, w)
							}
							w.Post(ledgertest.Captured(ledgertest.NgheAn, ledgertest.Cause(i), 1_000, uuid.Nil))
							return nil
						}},
					)
					if !errors.Is(err, want) {
						t.Errorf("caller %d: got %v, want %v", i, err, want)
					}
				})
			}
			awaitWaiting(t, g, callers)
			release()
			all.Wait()
			if got := b.Count(`select count(*) from ledger.entry`); got != callers-1 {
				t.Errorf("entries: got %d, want %d", got, callers-1)
			}
			if got := b.Count(`select count(distinct tx) from ledger.entry`); got != callers-1 {
				t.Errorf("transactions: got %d, want one for each of %d", got, callers-1)
			}
			if runs[0] != 2 || runs[callers/2] != 2 {
				t.Errorf("the first ran %d times, the bad one %d times, want twice each: together, then alone", runs[0], runs[callers/2])
			}
		})
	}
}

// A caller whose context ends while it waits is answered at once and not served. A caller whose
// context ends while it is served still gets the group's answer, and the others are not affected.
func TestGroupWithoutThoseWhoLeave(t *testing.T) {
	t.Parallel()
	b := ledgertest.NewBook(t)
	g := newGroup(b, 1)
	defer g.Stop()
	release := occupy(t, g)
	var stay, left sync.WaitGroup
	ctx, leave := context.WithCancel(t.Context())
	late, leaveLate := context.WithCancel(t.Context())
	defer leaveLate()
	for i := range 40 {
		if i%2 == 1 {
			stay.Go(func() {
				from := t.Context()
				if i == 1 {
					from = late
				}
				err := g.Do(
					from,
					ledgertest.NgheAn,
					ledgertest.Cause(i),
					callbacks.Body{Write: func(_ context.Context, _ postgres.Act, w *ledger.Writes) error {
						if i == 1 {
							leaveLate()
						}
						w.Post(ledgertest.Captured(ledgertest.NgheAn, ledgertest.Cause(i), 1_000, uuid.Nil))
						return nil
					}},
				)
				if err != nil {
					t.Errorf("caller %d stayed: got %v", i, err)
				}
			})
			continue
		}
		left.Go(func() {
			if err := postIn(
				ctx,
				g,
				ledgertest.Captured(ledgertest.NgheAn, ledgertest.Cause(i), 1_000, uuid.Nil),
			); !errors.Is(
				err,
				context.Canceled,
			) {
				t.Errorf("caller %d left: got %v, want %v", i, err, context.Canceled)
			}
		})
	}
	awaitWaiting(t, g, 40)
	leave()
	left.Wait() // while the leader is busy
	release()
	stay.Wait()
	for i := range 40 {
		if got := b.Count(`select count(*) from ledger.entry where cause_id = $1`, ledgertest.Cause(i)); got != i%2 {
			t.Errorf("caller %d: got %d entries, want %d", i, got, i%2)
		}
	}
	if got := b.Count(`select count(distinct tx) from ledger.entry`); got != 1 {
		t.Errorf("transactions: got %d, want 1", got)
	}
}

// A stopped group answers its callers after their commit, and refuses later callers.
func TestGroupStops(t *testing.T) {
	t.Parallel()
	b := ledgertest.NewBook(t)
	g := newGroup(b, 1)
	release := occupy(t, g)
	var (
		all      sync.WaitGroup
		answered atomic.Int32
	)
	for i := range 10 {
		all.Go(func() {
			if err := postIn(t.Context(), g, ledgertest.Captured(ledgertest.NgheAn, ledgertest.Cause(i), 1_000, uuid.Nil)); err != nil {
				t.Errorf("caller %d: got %v", i, err)
			}
			answered.Add(1)
		})
	}
	awaitWaiting(t, g, 10)
	stopped := make(chan int32)
	go func() {
		g.Stop()
		stopped <- int32(b.Count(`select count(*) from ledger.entry`))
	}()
	for stopping := false; !stopping; { // callers are refused before Stop returns
		ctx, leave := context.WithTimeout(t.Context(), time.Millisecond)
		err := postIn(ctx, g, ledgertest.Captured(ledgertest.NgheAn, ledgertest.Cause(98), 1_000, uuid.Nil))
		stopping = callbacks.ErrStopped.Is(err)
		leave()
	}
	if answered.Load() != 0 {
		t.Error("answered before the commit")
	}
	release()
	if got := <-stopped; got != 10 {
		t.Errorf("entries when it has stopped: got %d, want 10", got)
	}
	all.Wait()
	g.Stop()
	if err := postIn(
		t.Context(),
		g,
		ledgertest.Captured(ledgertest.NgheAn, ledgertest.Cause(99), 1_000, uuid.Nil),
	); !callbacks.ErrStopped.Is(
		err,
	) {
		t.Errorf("after Stop: got %v, want %v", err, callbacks.ErrStopped)
	}
}
