package ledger_test

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

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/ledger"
)

// One bad entry among many in one commit is named, and nothing is written.
func TestBatchNamesTheBadEntry(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	first := b.MustPost(captured(ngheAn, cause(100), 5_000, uuid.Nil))[0]
	if _, err := b.Owner.Exec(t.Context(), `insert into ledger.day_event (authority, business_date, number, change, at, approved_by)
		values ('H41', '2026-01-02', 0, 'close', now(), 'key_1')`); err != nil {
		t.Fatal(err)
	}
	if err := b.InTx(ngheAn, func(tx pgx.Tx) error {
		_, err := ledger.Reverse(t.Context(), tx, first, ledger.Cause{Kind: "capture", ID: cause(100), Event: "reversed"}, "wrong", accountant, day, now)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	mirror := captured(ngheAn, cause(101), 5_000, uuid.Nil)
	mirror.Reverses, mirror.Reason = first, "again"
	unbalanced := captured(ngheAn, cause(102), 5_000, uuid.Nil)
	unbalanced.Postings = unbalanced.Postings[:3]
	closed := captured(ngheAn, cause(103), 5_000, uuid.Nil)
	closed.BusinessDate = calendar.MustParse("2026-01-02")
	before := b.Count(`select count(*) from ledger.entry`)
	for name, tt := range map[string]struct {
		bad  ledger.Entry
		want *fault.Error
	}{
		"unbalanced":       {unbalanced, ledger.ErrUnbalanced},
		"closed day":       {closed, ledger.ErrDayClosed},
		"reversed already": {mirror, ledger.ErrReversed},
		"cause reused":     {captured(ngheAn, cause(100), 7_000, uuid.Nil), ledger.ErrCauseReused},
		"unknown account": {func() ledger.Entry {
			e := captured(ngheAn, cause(104), 5_000, uuid.Nil)
			e.Postings[0].Account = "A-NOWHERE"
			return e
		}(), ledger.ErrUnknownAccount},
	} {
		entries := make([]ledger.Entry, 50)
		for i := range entries {
			entries[i] = captured(ngheAn, cause(i), 1_000, uuid.Nil)
		}
		entries[31] = tt.bad
		_, err := b.Post(entries...)
		f, ok := fault.Of(err)
		if !ok || !tt.want.Is(f) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
			continue
		}
		want := []fault.Field{{Pointer: "/entries/31", Detail: fmt.Sprintf("entry for capture %s captured", tt.bad.Cause.ID)}}
		if diff := cmp.Diff(f.Fields, want); diff != "" {
			t.Errorf("%s, what it points at (-got +want):\n%s", name, diff)
		}
		if got := b.Count(`select count(*) from ledger.entry`); got != before {
			t.Errorf("%s: got %d entries, want still %d", name, got, before)
		}
	}
}

// New accounts, known causes and new entries may come together.
func TestBatchMixesNewAndKnown(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	known := b.MustPost(captured(ngheAn, cause(1), 1_000, uuid.Nil))[0]
	fresh := captured(ngheAn, cause(2), 2_000, uuid.Nil)
	fresh.Postings[0].Account = ledger.Clearing("another")
	got := b.MustPost(captured(ngheAn, cause(1), 1_000, uuid.Nil), fresh, fresh)
	if got[0] != known || got[1] != got[2] || got[1] == known {
		t.Errorf("ids: got %v, want the known one, then the new one twice", got)
	}
	if got := b.Count(`select count(*) from ledger.posting`); got != 8 {
		t.Errorf("postings: got %d, want 8", got)
	}
}

func TestGroupCommitsConcurrentCallers(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	g := ledger.NewGroup(b.App, 2)
	const callers = 200
	var (
		all sync.WaitGroup
		ids [callers]ledger.EntryID
	)
	for i := range callers {
		all.Go(func() {
			authority := ngheAn
			if i%3 == 0 {
				authority = other
			}
			e := captured(authority, cause(i), int64(1_000+i), uuid.Nil)
			bad := i%10 == 7
			if bad {
				e.BusinessDate, e.Reverses, e.Reason = day, ledger.EntryID(uuid.New()), "of what does not exist"
			}
			got, err := postIn(t.Context(), g, e)
			if bad != (err != nil) {
				t.Errorf("caller %d: got %v, want an error: %t", i, err, bad)
				return
			}
			if err == nil {
				ids[i] = got[0]
			}
		})
	}
	all.Wait()
	g.Stop()
	if got, want := b.Count(`select count(*) from ledger.entry`), callers-callers/10; got != want {
		t.Errorf("entries: got %d, want %d", got, want)
	}
	for i, id := range ids {
		if i%10 != 7 && b.Count(`select count(*) from ledger.entry where id = $1 and cause_id = $2`, id, cause(i)) != 1 {
			t.Errorf("caller %d was given an entry of another", i)
		}
	}
	if got, most := b.Count(`select count(distinct tx) from ledger.entry`), callers-callers/10; got > most {
		t.Errorf("transactions: got %d, want at most %d", got, most)
	}
}

// An idle group does not wait for company.
func TestGroupFlushesAtOnceWhenIdle(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	g := ledger.NewGroup(b.App, 2)
	defer g.Stop()
	id, err := postIn(t.Context(), g, captured(ngheAn, cause(1), 1_000, uuid.Nil))
	if err != nil {
		t.Fatal(err)
	}
	again, err := postIn(t.Context(), g, captured(ngheAn, cause(1), 1_000, uuid.Nil))
	if err != nil || again[0] != id[0] {
		t.Errorf("the same cause: got %v, %v, want %v", again, err, id)
	}
	if _, err := postIn(t.Context(), g, captured(ngheAn, cause(1), 1_001, uuid.Nil)); !ledger.ErrCauseReused.Is(err) {
		t.Errorf("other content: got %v, want %v", err, ledger.ErrCauseReused)
	}
	if _, err := postIn(t.Context(), g, captured(ngheAn, cause(2), 1, uuid.Nil), captured(other, cause(2), 1, uuid.Nil)); !ledger.ErrMalformed.Is(err) {
		t.Errorf("two authorities: got %v, want %v", err, ledger.ErrMalformed)
	}
}

// postIn posts through a group, with nothing beside the entries.
func postIn(ctx context.Context, g *ledger.Group, entries ...ledger.Entry) ([]ledger.EntryID, error) {
	return g.Do(ctx, entries[0].Authority, "", ledger.Body{Write: func(_ context.Context, _ pgx.Tx, w *ledger.Writes) error {
		w.Post(entries...)
		return nil
	}})
}

// occupy keeps the one committer of a group busy until the returned function is called.
func occupy(t *testing.T, g *ledger.Group) (release func()) {
	t.Helper()
	begun, end := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		_, err := g.Do(context.WithoutCancel(t.Context()), ngheAn, "", ledger.Body{Write: func(context.Context, pgx.Tx, *ledger.Writes) error {
			close(begun)
			<-end
			return nil
		}})
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
func awaitWaiting(t *testing.T, g *ledger.Group, n int) {
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
	b := newBook(t)
	g := ledger.NewGroup(b.App, 1)
	defer g.Stop()
	release := occupy(t, g)
	const callers = 20
	var (
		all sync.WaitGroup
		mu  sync.Mutex
		ran []int
		ids [callers]ledger.EntryID
	)
	for _, i := range rand.Perm(callers) {
		all.Go(func() {
			got, err := g.Do(t.Context(), ngheAn, cause(i), ledger.Body{Write: func(ctx context.Context, tx pgx.Tx, w *ledger.Writes) error {
				mu.Lock()
				ran = append(ran, i)
				mu.Unlock()
				if i%2 == 0 {
					w.Post(captured(ngheAn, cause(i), 1_000, uuid.Nil))
					return nil
				}
				_, err := ledger.Post(ctx, tx, captured(ngheAn, cause(i), 1_000, uuid.Nil)) // what a body writes itself is there too
				return err
			}})
			if err != nil || len(got) != (i+1)%2 {
				t.Errorf("caller %d: got %v, %v", i, got, err)
			} else if len(got) > 0 {
				ids[i] = got[0]
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
	for i, id := range ids {
		if i%2 == 0 && b.Count(`select count(*) from ledger.entry where id = $1 and cause_id = $2`, id, cause(i)) != 1 {
			t.Errorf("caller %d was given an entry of another", i)
		}
	}
}

// What one leaves to be written is seen by the next of its subject, which never
// runs in the same transaction.
func TestGroupKeepsSubjectsApart(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	g := ledger.NewGroup(b.App, 1)
	defer g.Stop()
	release := occupy(t, g)
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			_, err := g.Do(t.Context(), ngheAn, cause(i%3), ledger.Body{Write: func(ctx context.Context, tx pgx.Tx, w *ledger.Writes) error {
				var seen int
				err := tx.QueryRow(ctx, `select count(*) from ledger.entry where cause_kind = $1`, cause(i%3)).Scan(&seen)
				e := captured(ngheAn, fmt.Sprint(seen), 1_000, uuid.Nil)
				e.Cause.Kind = cause(i % 3)
				w.Post(e)
				return err
			}})
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

// One that fails, in whatever way, gets its own answer, and so do the others.
func TestGroupGoesApart(t *testing.T) {
	t.Parallel()
	errOwn := errors.New("of its own")
	for name, tt := range map[string]struct {
		bad  func(context.Context, pgx.Tx, *ledger.Writes) error
		want error
	}{
		"a body's error": {func(context.Context, pgx.Tx, *ledger.Writes) error { return errOwn }, errOwn},
		"a bad entry": {func(_ context.Context, _ pgx.Tx, w *ledger.Writes) error {
			e := captured(ngheAn, cause(99), 1_000, uuid.Nil)
			e.Postings = e.Postings[:3]
			w.Post(e)
			return nil
		}, ledger.ErrUnbalanced},
		"a broken statement": {func(ctx context.Context, tx pgx.Tx, _ *ledger.Writes) error {
			_, _ = tx.Exec(ctx, `select 1/0`) // the transaction is lost, whatever the body says
			return nil
		}, pgx.ErrTxCommitRollback},
		"a broken write": {func(_ context.Context, _ pgx.Tx, w *ledger.Writes) error {
			w.Queue(`select 1`).Exec(func(pgconn.CommandTag) error { return errOwn })
			return nil
		}, errOwn},
		"a panic": {func(context.Context, pgx.Tx, *ledger.Writes) error { panic(errOwn) }, errOwn},
		"a deadlock": {func() func(context.Context, pgx.Tx, *ledger.Writes) error {
			first := true
			return func(ctx context.Context, tx pgx.Tx, _ *ledger.Writes) error {
				if first {
					first = false
					_, err := tx.Exec(ctx, `do $$ begin raise exception 'lost' using errcode = '40P01'; end $$`)
					return err
				}
				return nil
			}
		}(), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBook(t)
			g := ledger.NewGroup(b.App, 1)
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
					_, err := g.Do(t.Context(), ngheAn, cause(i), ledger.Body{Write: func(ctx context.Context, tx pgx.Tx, w *ledger.Writes) error {
						runs[i]++
						if i == callers/2 {
							want = tt.want
							return tt.bad(ctx, tx, w)
						}
						w.Post(captured(ngheAn, cause(i), 1_000, uuid.Nil))
						return nil
					}})
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

// A caller that goes away while it waits is answered at once and not served;
// while it is served it learns how its group ends, and takes nobody along.
func TestGroupWithoutThoseWhoLeave(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	g := ledger.NewGroup(b.App, 1)
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
				_, err := g.Do(from, ngheAn, cause(i), ledger.Body{Write: func(_ context.Context, _ pgx.Tx, w *ledger.Writes) error {
					if i == 1 {
						leaveLate()
					}
					w.Post(captured(ngheAn, cause(i), 1_000, uuid.Nil))
					return nil
				}})
				if err != nil {
					t.Errorf("caller %d stayed: got %v", i, err)
				}
			})
			continue
		}
		left.Go(func() {
			if _, err := postIn(ctx, g, captured(ngheAn, cause(i), 1_000, uuid.Nil)); !errors.Is(err, context.Canceled) {
				t.Errorf("caller %d left: got %v, want %v", i, err, context.Canceled)
			}
		})
	}
	awaitWaiting(t, g, 40)
	leave()
	left.Wait() // while the committer is busy
	release()
	stay.Wait()
	for i := range 40 {
		if got := b.Count(`select count(*) from ledger.entry where cause_id = $1`, cause(i)); got != i%2 {
			t.Errorf("caller %d: got %d entries, want %d", i, got, i%2)
		}
	}
	if got := b.Count(`select count(distinct tx) from ledger.entry`); got != 1 {
		t.Errorf("transactions: got %d, want 1", got)
	}
}

// A stopped group answers all who are in, after their commit, and lets nobody else in.
func TestGroupStops(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	g := ledger.NewGroup(b.App, 1)
	release := occupy(t, g)
	var (
		all      sync.WaitGroup
		answered atomic.Int32
	)
	for i := range 10 {
		all.Go(func() {
			if _, err := postIn(t.Context(), g, captured(ngheAn, cause(i), 1_000, uuid.Nil)); err != nil {
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
	for stopping := false; !stopping; { // it lets nobody in before it has ended
		ctx, leave := context.WithTimeout(t.Context(), time.Millisecond)
		_, err := postIn(ctx, g, captured(ngheAn, cause(98), 1_000, uuid.Nil))
		stopping = ledger.ErrStopped.Is(err)
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
	if _, err := postIn(t.Context(), g, captured(ngheAn, cause(99), 1_000, uuid.Nil)); !ledger.ErrStopped.Is(err) {
		t.Errorf("after Stop: got %v, want %v", err, ledger.ErrStopped)
	}
}
