package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/ledger"
)

// One bad entry among many in one commit is named, and nothing is written.
func TestBatchNamesTheBadEntry(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	first := b.mustPost(captured(ngheAn, cause(100), 5_000, uuid.Nil))[0]
	if _, err := b.Owner.Exec(t.Context(), `insert into ledger.closed_day values ('H41', '2026-01-02', now(), 'key_1')`); err != nil {
		t.Fatal(err)
	}
	if err := b.inTx(ngheAn, func(tx pgx.Tx) error {
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
	before := b.count(`select count(*) from ledger.entry`)
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
		_, err := b.post(entries...)
		f, ok := fault.Of(err)
		if !ok || !tt.want.Is(f) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
			continue
		}
		want := []fault.Field{{Pointer: "/entries/31", Detail: fmt.Sprintf("entry for capture %s captured", tt.bad.Cause.ID)}}
		if diff := cmp.Diff(f.Fields, want); diff != "" {
			t.Errorf("%s, what it points at (-got +want):\n%s", name, diff)
		}
		if got := b.count(`select count(*) from ledger.entry`); got != before {
			t.Errorf("%s: got %d entries, want still %d", name, got, before)
		}
	}
}

// New accounts, known causes and new entries may come together.
func TestBatchMixesNewAndKnown(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	known := b.mustPost(captured(ngheAn, cause(1), 1_000, uuid.Nil))[0]
	fresh := captured(ngheAn, cause(2), 2_000, uuid.Nil)
	fresh.Postings[0].Account = ledger.Clearing("another")
	got := b.mustPost(captured(ngheAn, cause(1), 1_000, uuid.Nil), fresh, fresh)
	if got[0] != known || got[1] != got[2] || got[1] == known {
		t.Errorf("ids: got %v, want the known one, then the new one twice", got)
	}
	if got := b.count(`select count(*) from ledger.posting`); got != 8 {
		t.Errorf("postings: got %d, want 8", got)
	}
}

func TestGroupCommitsConcurrentCallers(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	g := ledger.NewGroup(b.App)
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
			got, err := g.Post(t.Context(), e)
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
	if got, want := b.count(`select count(*) from ledger.entry`), callers-callers/10; got != want {
		t.Errorf("entries: got %d, want %d", got, want)
	}
	for i, id := range ids {
		if i%10 != 7 && b.count(`select count(*) from ledger.entry where id = $1 and cause_id = $2`, id, cause(i)) != 1 {
			t.Errorf("caller %d was given an entry of another", i)
		}
	}
	if got, most := b.count(`select count(distinct tx) from ledger.entry`), callers-callers/10; got > most {
		t.Errorf("transactions: got %d, want at most %d", got, most)
	}
}

// An idle group does not wait for company.
func TestGroupFlushesAtOnceWhenIdle(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	g := ledger.NewGroup(b.App)
	defer g.Stop()
	id, err := g.Post(t.Context(), captured(ngheAn, cause(1), 1_000, uuid.Nil))
	if err != nil {
		t.Fatal(err)
	}
	again, err := g.Post(t.Context(), captured(ngheAn, cause(1), 1_000, uuid.Nil))
	if err != nil || again[0] != id[0] {
		t.Errorf("the same cause: got %v, %v, want %v", again, err, id)
	}
	if _, err := g.Post(t.Context(), captured(ngheAn, cause(1), 1_001, uuid.Nil)); !ledger.ErrCauseReused.Is(err) {
		t.Errorf("other content: got %v, want %v", err, ledger.ErrCauseReused)
	}
	if _, err := g.Post(t.Context(), captured(ngheAn, cause(2), 1, uuid.Nil), captured(other, cause(2), 1, uuid.Nil)); !ledger.ErrMalformed.Is(err) {
		t.Errorf("two authorities: got %v, want %v", err, ledger.ErrMalformed)
	}
}

// A caller that goes away is answered at once and takes nobody along; a
// stopped group answers all who are in and lets nobody else in.
func TestGroupEndsCleanly(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.mustPost(captured(ngheAn, cause(0), 1_000, uuid.Nil))
	locked, err := b.Owner.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := locked.Exec(t.Context(), `lock table ledger.entry in access exclusive mode`); err != nil {
		t.Fatal(err)
	}
	g := ledger.NewGroup(b.App)
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			ctx := t.Context()
			leaves := i%2 == 0
			if leaves {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 50*time.Millisecond)
				defer cancel()
			}
			_, err := g.Post(ctx, captured(ngheAn, cause(i+1), 1_000, uuid.Nil))
			if leaves != errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("caller %d: got %v, left: %t", i, err, leaves)
			}
		})
	}
	time.Sleep(300 * time.Millisecond)
	if err := locked.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	g.Stop()
	g.Stop()
	if _, err := g.Post(t.Context(), captured(ngheAn, cause(99), 1_000, uuid.Nil)); !ledger.ErrStopped.Is(err) {
		t.Errorf("after Stop: got %v, want %v", err, ledger.ErrStopped)
	}
	for i := range 40 {
		if i%2 == 1 && b.count(`select count(*) from ledger.entry where cause_id = $1`, cause(i+1)) != 1 {
			t.Errorf("caller %d: its entry is missing", i)
		}
	}
}
