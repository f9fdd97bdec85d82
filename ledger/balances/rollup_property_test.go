package balances_test

import (
	"errors"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/balances"
	"github.com/doisoat/doisoat/ledger/days"
	"github.com/doisoat/doisoat/ledger/ledgertest"
)

// Any sequence of posts on any dates, corrections, reversals, roll-ups of any
// size, killed roll-ups, closes and reopens: the balance at any date, by any
// dimension, is the replay of the postings up to it.
func TestBalanceIsTheReplayAlways(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	var (
		causes int
		ids    []ledger.EntryID
		closed = map[calendar.Date]bool{}
	)
	rapid.Check(t, func(t *rapid.T) {
		date := func() calendar.Date { return day.AddDays(rapid.IntRange(-9, 0).Draw(t, "day")) }
		refused := func(err error, on calendar.Date) bool {
			if closed[on] != errors.Is(err, ledger.ErrDayClosed) {
				t.Fatalf("%v, closed %t: got %v", on, closed[on], err)
			}
			return closed[on]
		}
		t.Repeat(map[string]func(*rapid.T){
			"post": func(t *rapid.T) {
				causes++
				e := captured(ngheAn, "replay_"+strconv.Itoa(causes), 1, uuid.Nil)
				e.BusinessDate, e.Postings = date(), ledgertest.DrawPostings(t)
				for i := range e.Postings {
					e.Postings[i].FeeType = rapid.SampledFrom([]string{"", "fee-0", "fee-1"}).Draw(t, "fee type")
					e.Postings[i].Policy = rapid.SampledFrom([]string{"", "policy-0", "policy-2"}).Draw(t, "policy")
					e.Postings[i].Dossier = uuid.UUID{15: byte(rapid.IntRange(0, 3).Draw(t, "dossier"))}
				}
				made, err := b.Post(e)
				if refused(err, e.BusinessDate) {
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, made...)
			},
			"reverse": func(t *rapid.T) {
				if len(ids) == 0 {
					t.Skip("nothing posted")
				}
				causes++
				id, on := rapid.SampledFrom(ids).Draw(t, "entry"), date()
				err := b.InTx(ngheAn, func(tx pgx.Tx) (err error) {
					_, err = ledger.Reverse(b.T.Context(), tx, id, because(causes), "why", accountant, on, now)
					return err
				})
				if errors.Is(err, ledger.ErrReversed) {
					return
				}
				if !refused(err, on) && err != nil {
					t.Fatal(err)
				}
			},
			"roll up": func(t *rapid.T) {
				most, kill := rapid.IntRange(1, 50).Draw(t, "entries"), rapid.IntRange(0, 3).Draw(t, "kill") == 0
				killed := errors.New("killed")
				err := b.InTx(ngheAn, func(tx pgx.Tx) error {
					if _, err := tx.Exec(b.T.Context(), `select ledger.roll_up($1, $2)`, ngheAn, most); err != nil {
						return err
					}
					if kill {
						return killed
					}
					return nil
				})
				if err != nil && !errors.Is(err, killed) {
					t.Fatal(err)
				}
			},
			"close or reopen": func(t *rapid.T) {
				q := days.Request{Date: date(), Change: days.Closing, Reason: "why"}
				if closed[q.Date] {
					q.Change = days.Reopening
				} else if rapid.IntRange(0, 2).Draw(t, "seldom") > 0 {
					t.Skip("not now")
				}
				if err := b.ChangeDay(q); err != nil {
					t.Fatal(err)
				}
				closed[q.Date] = !closed[q.Date]
			},
		})
		q := rapid.SampledFrom(mixedQueries).Draw(t, "query")
		q.AsOf = date()
		list, err := (&balances.Service{DB: b.App}).ListBalances(b.T.Context(), reader, q)
		if err != nil {
			t.Fatal(err)
		}
		var want map[string][2]int64
		err = pgx.BeginFunc(b.T.Context(), b.Owner, func(tx pgx.Tx) (err error) {
			want, err = b.replay(tx, q)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sumsOf(list), want); diff != "" {
			t.Fatalf("%+v (-got +want):\n%s", q, diff)
		}
	})
	b.compareBalances(t)
	b.rollUpAll()
	b.compareBalances(t)
}
