package ledger_test

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/balances"
	"github.com/doisoat/doisoat/ledger/ledgertest"
)

// model is the expected content of the book. It outlives one run of the property, as the book does.
type model struct {
	causes   int
	balances map[string]int64 // account and currency: debits less credits
	entries  []posted
	reversed map[ledger.EntryID]bool
	closed   map[calendar.Date]bool
}

type posted struct {
	id    ledger.EntryID
	entry ledger.Entry
}

func (m *model) add(e ledger.Entry, sign int64) {
	for _, p := range e.Postings {
		amount := sign * p.Amount.Minor
		if p.Side == ledger.Credit {
			amount = -amount
		}
		m.balances[p.Account+" "+string(p.Amount.Currency)] += amount
	}
}

// After any sequence of posts, repeats, reversals, refusals and closings the book equals the model, and balances per
// currency, real and memo apart.
func TestBookStaysBalanced(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	m := &model{balances: map[string]int64{}, reversed: map[ledger.EntryID]bool{}, closed: map[calendar.Date]bool{}}
	rapid.Check(t, func(t *rapid.T) {
		date := func() calendar.Date { return day.AddDays(rapid.IntRange(0, 300).Draw(t, "day")) }
		t.Repeat(map[string]func(*rapid.T){
			"post": func(t *rapid.T) {
				e := captured(ngheAn, "rapid_"+strconv.Itoa(m.causes), 1, uuid.Nil)
				m.causes++
				e.BusinessDate, e.Postings = date(), ledgertest.DrawPostings(t)
				for range rapid.IntRange(0, 2).Draw(t, "more groups") {
					e.Postings = append(e.Postings, ledgertest.DrawPostings(t)...)
				}
				broken := rapid.IntRange(0, 5).Draw(t, "broken") == 0
				if broken {
					e.Postings[0].Amount.Minor++
				}
				ids, err := b.Post(e)
				switch {
				case broken && !errors.Is(err, ledger.ErrUnbalanced):
					t.Fatalf("broken entry: got %v, want ErrUnbalanced", err)
				case !broken && m.closed[e.BusinessDate] && !errors.Is(err, ledger.ErrDayClosed):
					t.Fatalf("closed day: got %v, want ErrDayClosed", err)
				case !broken && !m.closed[e.BusinessDate]:
					if err != nil {
						t.Fatalf("Post: %v", err)
					}
					m.add(e, 1)
					m.entries = append(m.entries, posted{ids[0], e})
				}
			},
			"repeat": func(t *rapid.T) {
				if len(m.entries) == 0 {
					t.Skip("nothing posted")
				}
				p := rapid.SampledFrom(m.entries).Draw(t, "entry")
				again := p.entry
				again.ID = ledger.EntryID{}
				if ids, err := b.Post(again); err != nil || ids[0] != p.id {
					t.Fatalf("posted again: got %v, %v, want %v", ids, err, p.id)
				}
			},
			"reverse": func(t *rapid.T) {
				if len(m.entries) == 0 {
					t.Skip("nothing posted")
				}
				p, on := rapid.SampledFrom(m.entries).Draw(t, "entry"), date()
				m.causes++
				err := b.InTx(ngheAn, func(tx pgx.Tx) error {
					_, err := ledger.Reverse(
						b.T.Context(),
						tx,
						p.id,
						ledger.Cause{Kind: "undo", ID: strconv.Itoa(m.causes), Event: "done"},
						"why",
						accountant,
						on,
						now,
					)
					return err
				})
				switch {
				case m.closed[on] && !errors.Is(err, ledger.ErrDayClosed),
					!m.closed[on] && m.reversed[p.id] && !errors.Is(err, ledger.ErrReversed):
					t.Fatalf("got %v, want a refusal", err)
				case !m.closed[on] && !m.reversed[p.id]:
					if err != nil {
						t.Fatalf("Reverse: %v", err)
					}
					m.reversed[p.id] = true
					m.add(p.entry, -1)
				}
			},
			"close": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "seldom") > 0 {
					t.Skip("not now")
				}
				on := date()
				if err := b.CloseDay(ngheAn, on); err != nil {
					t.Fatal(err)
				}
				m.closed[on] = true
			},
		})
		m.compare(t, b)
	})
}

func (m *model) compare(t *rapid.T, b book) {
	list, err := (&balances.Service{DB: b.App}).TrialBalance(b.T.Context(), reader, day.AddDays(400))
	if err != nil {
		t.Fatal(err)
	}
	got, sums := map[string]int64{}, map[string]int64{}
	for _, a := range list {
		got[a.Code+" "+a.Currency] = a.Debits - a.Credits
		class := "real "
		if a.Class == ledger.Memo {
			class = "memo "
		}
		sums[class+a.Currency] += a.Debits - a.Credits
	}
	if diff := cmp.Diff(got, m.balances); diff != "" {
		t.Fatalf("balances (-got +want):\n%s", diff)
	}
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		if sums[name] != 0 {
			t.Fatalf("%s is off by %d", name, sums[name])
		}
	}
}
