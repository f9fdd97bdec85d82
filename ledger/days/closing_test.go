package days_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/days"
)

func TestClosedDayTakesNoEntry(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	first := b.MustPost(captured(ngheAn, cause(1), 60_000, uuid.Nil))
	for range 2 { // closing twice changes nothing
		if err := b.CloseDay(ngheAn, day); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Post(captured(ngheAn, cause(2), 60_000, uuid.Nil)); !errors.Is(err, ledger.ErrDayClosed) {
		t.Errorf("got %v, want ErrDayClosed", err)
	}
	// The repeat of an entry in the book gets its answer, and the days before and after stay open.
	if diff := cmp.Diff(b.MustPost(captured(ngheAn, cause(1), 60_000, uuid.Nil)), first); diff != "" {
		t.Errorf("same cause again (-got +want):\n%s", diff)
	}
	b.MustPost(captured(other, cause(2), 60_000, uuid.Nil))
	next := captured(ngheAn, cause(2), 60_000, uuid.Nil)
	next.BusinessDate = day.AddDays(1)
	b.MustPost(next)
	err := b.InTx(ngheAn, func(tx pgx.Tx) error {
		_, err := ledger.Reverse(t.Context(), tx, first[0], ledger.Cause{Kind: "match", ID: "m", Event: "revoked"}, "why", accountant, day, now)
		return err
	})
	if !errors.Is(err, ledger.ErrDayClosed) {
		t.Errorf("reversal on a closed day: got %v, want ErrDayClosed", err)
	}
}

func TestOpenDate(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	for _, n := range []int{0, 1, 3} {
		if err := b.CloseDay(ngheAn, day.AddDays(n)); err != nil {
			t.Fatal(err)
		}
	}
	for asked, want := range map[int]int{-1: -1, 0: 2, 1: 2, 2: 2, 3: 4, 4: 4} {
		var got calendar.Date
		err := b.InTx(ngheAn, func(tx pgx.Tx) (err error) {
			got, err = ledger.OpenDate(t.Context(), tx, ngheAn, day.AddDays(asked))
			return err
		})
		if err != nil || got != day.AddDays(want) {
			t.Errorf("OpenDate(day%+d): got %v, %v, want %v", asked, got, err, day.AddDays(want))
		}
	}
}

// The entries that the closer counts inside its transaction are the entries of the day for ever.
func TestNoEntrySlipsIntoAClosingDay(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	const writers, rounds = 6, 8
	for round := range rounds {
		date := day.AddDays(round)
		var (
			group   sync.WaitGroup
			started = make(chan struct{}, writers)
			refused atomic.Int64
		)
		for w := range writers {
			group.Go(func() {
				for i := 0; ; i++ {
					e := captured(ngheAn, cause(round*1_000_000+w*10_000+i), 1000, uuid.Nil)
					e.BusinessDate = date
					_, err := b.Post(e)
					if i == 0 {
						started <- struct{}{}
					}
					if errors.Is(err, ledger.ErrDayClosed) {
						refused.Add(1)
						return
					}
					if err != nil {
						t.Errorf("Post: %v", err)
						return
					}
				}
			})
		}
		for range writers {
			<-started
		}
		var counted int
		err := b.InTx(ngheAn, func(tx pgx.Tx) error {
			if err := days.Close(context.WithoutCancel(t.Context()), acting(tx, ngheAn, accountant), date); err != nil {
				return err
			}
			return tx.QueryRow(context.WithoutCancel(t.Context()), `select count(*) from ledger.entry where business_date = $1`, date).Scan(&counted)
		})
		if err != nil {
			t.Fatalf("CloseDay: %v", err)
		}
		group.Wait()
		if got := b.Count(`select count(*) from ledger.entry where business_date = $1`, date); got != counted {
			t.Errorf("round %d: the day holds %d entries, the closer counted %d", round, got, counted)
		}
		if got := refused.Load(); got != writers {
			t.Errorf("round %d: %d writers were refused, want %d", round, got, writers)
		}
	}
}

// Sessions that write dates in another way take the same lock.
func TestDayLockDoesNotDependOnTheSession(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	var keys [2]int64
	for i, style := range []string{"ISO, YMD", "SQL, DMY"} {
		err := pgx.BeginFunc(t.Context(), b.Owner, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), `select set_config('datestyle', $1, true)`, style); err != nil {
				return err
			}
			return tx.QueryRow(t.Context(), `select ledger.day_lock('H41', make_date(2026, 11, 20))`).Scan(&keys[i])
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if keys[0] != keys[1] {
		t.Errorf("got keys %v, want them equal", keys)
	}
}
