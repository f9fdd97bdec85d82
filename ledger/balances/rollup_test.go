package balances_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/balances"
)

// rollUpAll rolls up until nothing is left: a transaction anywhere on the
// server, also of another test, may hold the horizon for a while.
func (b book) rollUpAll() {
	b.T.Helper()
	s := &balances.Service{DB: b.App}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if _, err := s.RollUp(context.WithoutCancel(b.T.Context())); err != nil {
			b.T.Fatalf("RollUp: %v", err)
		}
		if b.tail() == 0 {
			return
		}
	}
	b.T.Fatalf("%d entries are still not rolled up", b.tail())
}

// tail counts the entries that are not in the day rows.
func (b book) tail() int {
	return b.Count(`
		select count(*) from ledger.entry e left join ledger.roll_up r on r.authority = e.authority
		where e.tx >= coalesce(r.horizon, '0')`)
}

// replay sums postings as the owner sees them: every balance must equal this sum.
func (b book) replay(tx pgx.Tx, q balances.Query) (map[string][2]int64, error) {
	//nolint:rowserrcheck // ForEachRow checks
	rows, err := tx.Query(context.WithoutCancel(b.T.Context()), `
		select a.code || ' ' || a.currency, coalesce(sum(p.amount) filter (where p.side = 'D'), 0)::bigint,
			coalesce(sum(p.amount) filter (where p.side = 'C'), 0)::bigint
		from ledger.posting p join ledger.account a on a.id = p.account_id
		where a.authority = $1 and p.business_date <= $2 and ($3 = '' or a.code = $3) and ($4 = '' or p.fee_type = $4)
			and ($5 = '' or p.policy = $5) and ($6::uuid is null or p.dossier_id = $6)
		group by 1`, ngheAn, q.AsOf, q.Account, q.FeeType, q.Policy, orNil(q.Dossier))
	if err != nil {
		return nil, err
	}
	sums := map[string][2]int64{}
	var (
		name string
		sum  [2]int64
	)
	_, err = pgx.ForEachRow(rows, []any{&name, &sum[0], &sum[1]}, func() error {
		sums[name] = sum
		return nil
	})
	return sums, err
}

func orNil(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

func sumsOf(list []balances.AccountBalance) map[string][2]int64 {
	sums := map[string][2]int64{}
	for _, a := range list {
		if a.Debits != 0 || a.Credits != 0 {
			sums[a.Code+" "+a.Currency] = [2]int64{a.Debits, a.Credits}
		}
	}
	return sums
}

// mixed is a capture with dimensions, on one of twenty days.
func mixed(n int) ledger.Entry {
	random := rand.New(rand.NewPCG(7, uint64(n)))
	e := captured(ngheAn, cause(n), 1000+random.Int64N(1e6), uuid.UUID{15: byte(random.IntN(5) + 1)})
	e.BusinessDate = day.AddDays(-random.IntN(20))
	for i := range e.Postings {
		if i%2 == 0 {
			e.Postings[i].FeeType = fmt.Sprint("fee-", random.IntN(3))
		}
		if random.IntN(2) == 0 {
			e.Postings[i].Policy = fmt.Sprint("policy-", random.IntN(3))
		}
	}
	return e
}

var mixedQueries = []balances.Query{
	{AsOf: day},
	{AsOf: day.AddDays(-7)},
	{AsOf: day.AddDays(-19)},
	{AsOf: day.AddDays(-20)},
	{AsOf: day, Account: ledger.ProvisionalLePhi},
	{AsOf: day, FeeType: "fee-1"},
	{AsOf: day.AddDays(-5), Policy: "policy-2"},
	{AsOf: day.AddDays(-3), FeeType: "fee-2", Policy: "policy-0"},
	{AsOf: day, Dossier: uuid.UUID{15: 3}},
	{AsOf: day.AddDays(-9), Dossier: uuid.UUID{15: 2}, FeeType: "fee-0"},
	{AsOf: day, FeeType: "fee-9"},
}

// compareAll compares every query with the replay of the same book. No test posts meanwhile.
func (b book) compareAll(t testing.TB) {
	t.Helper()
	b.compareBalances(t)
	if got := b.Problems(ngheAn); len(got) != 0 {
		t.Errorf("Check: %q", got)
	}
}

func (b book) compareBalances(t testing.TB) {
	t.Helper()
	s := &balances.Service{DB: b.App}
	for _, q := range mixedQueries {
		list, err := s.ListBalances(t.Context(), reader, q)
		if err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		var want map[string][2]int64
		err = pgx.BeginFunc(t.Context(), b.Owner, func(tx pgx.Tx) (err error) {
			want, err = b.replay(tx, q)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sumsOf(list), want); diff != "" {
			t.Errorf("%+v (-got +want):\n%s", q, diff)
		}
	}
}

func TestBalancesEqualTheReplay(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	s := &balances.Service{DB: b.App}
	n := 0
	more := func(count int) {
		for range count {
			b.MustPost(mixed(n))
			n++
		}
	}
	more(30)
	b.compareAll(t) // nothing is rolled up yet
	b.rollUpAll()
	if got := b.Count(`select count(*) from ledger.account_day`); got == 0 {
		t.Error("no day rows after a roll-up")
	}
	b.compareAll(t)
	more(30) // earlier dates again: a tail over rolled days
	b.compareAll(t)
	if _, err := s.RollUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.compareAll(t)
	b.rollUpAll()
	if rolled, err := s.RollUp(t.Context()); err != nil || rolled != 0 {
		t.Errorf("a roll-up of nothing: got %d, %v, want 0", rolled, err)
	}
	b.compareAll(t)
}

// An entry that was written before the horizon moved on, but is committed
// after, with an earlier business date, is in no day row and is counted.
func TestLateCommitIsCounted(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	s := &balances.Service{DB: b.App}
	b.MustPost(mixed(1), mixed(2))
	late, err := b.App.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer late.Rollback(context.WithoutCancel(t.Context()))
	if _, err := late.Exec(t.Context(), `select set_config('app.authority', $1, true)`, ngheAn); err != nil {
		t.Fatal(err)
	}
	e := mixed(3)
	e.BusinessDate = day.AddDays(-19)
	if _, err := ledger.Post(t.Context(), late, e); err != nil {
		t.Fatal(err)
	}
	b.MustPost(mixed(4), mixed(5)) // commits before, with a later transaction
	if _, err := s.RollUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.tail(); got < 2 {
		t.Errorf("%d entries are beyond the horizon, want those that came after the open one", got)
	}
	b.compareAll(t)
	if err := late.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.compareAll(t)
	b.rollUpAll()
	b.compareAll(t)
}

// Posters, several roll-ups and readers at once: in every snapshot the balance
// is the replay of that snapshot.
func TestRollUpBesidePosters(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	ctx := context.WithoutCancel(t.Context())
	var posters, others sync.WaitGroup
	stop := make(chan struct{})
	for w := range 4 {
		posters.Go(func() {
			for n := range 60 {
				if _, err := b.Post(mixed(w*1000 + n)); err != nil {
					t.Errorf("Post: %v", err)
				}
			}
		})
	}
	until := func(body func() error) {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := body(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 2 {
		until(func() error {
			_, err := (&balances.Service{DB: b.App}).RollUp(ctx)
			return err
		})
	}
	for i := range 2 {
		until(func() error {
			return postgres.ReadTx(ctx, b.App, ngheAn, func(tx pgx.Tx) error {
				q := mixedQueries[rand.IntN(len(mixedQueries))]
				list, err := balances.ListIn(ctx, tx, q)
				if err != nil {
					return err
				}
				want, err := b.replay(tx, q)
				if diff := cmp.Diff(sumsOf(list), want); err == nil && diff != "" {
					return fmt.Errorf("reader %d, %+v (-got +want):\n%s", i, q, diff)
				}
				return err
			})
		})
	}
	posters.Wait()
	close(stop)
	others.Wait()
	b.rollUpAll()
	b.compareAll(t)
}

// A roll-up whose connection is killed in the middle has done nothing, and the next one does all.
func TestKilledRollUp(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	for n := range 20 {
		b.MustPost(mixed(n))
	}
	b.rollUpAll()
	for n := range 20 {
		b.MustPost(mixed(100 + n))
	}
	for range 3 {
		conn, err := pgx.Connect(t.Context(), b.AppDSN)
		if err != nil {
			t.Fatal(err)
		}
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), `select ledger.roll_up($1, 7)`, ngheAn); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Owner.Exec(t.Context(), `select pg_terminate_backend($1, 5000)`, conn.PgConn().PID()); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(t.Context()); err == nil {
			t.Error("a killed session committed")
		}
		conn.Close(context.WithoutCancel(t.Context()))
		b.compareAll(t)
	}
	b.rollUpAll()
	b.compareAll(t)
}

// Only one session rolls a book up; another one leaves it at that and does not wait.
func TestSecondRollUpDoesNotWait(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.MustPost(mixed(1))
	b.rollUpAll()
	b.MustPost(mixed(2))
	err := b.InTx(ngheAn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `select ledger.roll_up($1, 10)`, ngheAn); err != nil {
			return err
		}
		rolled, err := (&balances.Service{DB: b.App}).RollUp(t.Context())
		if err != nil || rolled != 0 {
			t.Errorf("beside a running roll-up: got %d, %v, want 0", rolled, err)
		}
		return errors.New("roll back")
	})
	if err == nil {
		t.Error("want the error of the body")
	}
	b.compareAll(t)
}

// In a book that was restored into another cluster the day rows do not count until RollUp makes them again, because the
// old transaction numbers have no meaning there.
func TestRestoredBookIsRolledUpAnew(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	for n := range 10 {
		b.MustPost(mixed(n))
	}
	b.rollUpAll()
	for _, query := range []string{
		`update ledger.roll_up set home = home + 1`,
		`update ledger.account_day set debits = debits + 1000`, // must not be looked at
	} {
		if _, err := b.Owner.Exec(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	b.compareAll(t)
	if _, err := (&balances.Service{DB: b.App}).RollUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.compareAll(t)
	b.rollUpAll()
	b.compareAll(t)
}

// Check finds a day row that was changed, and a day row that is missing.
func TestCheckFindsWrongDayRows(t *testing.T) {
	t.Parallel()
	for name, query := range map[string]string{
		"account": `update ledger.account_day set debits = debits + 1 where (account_id, business_date) in
			(select account_id, business_date from ledger.account_day limit 1)`,
		"missing": `delete from ledger.account_day where (account_id, business_date) in
			(select account_id, business_date from ledger.account_day limit 1)`,
		"dimension": `update ledger.dimension_day set credits = credits + 1 where (account_id, business_date, fee_type, policy) in
			(select account_id, business_date, fee_type, policy from ledger.dimension_day limit 1)`,
		"extra": `insert into ledger.dimension_day
			select authority, 'fee-x', '', account_id, business_date, 1, 0 from ledger.account_day limit 1`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBook(t)
			b.MustPost(mixed(1), mixed(2), mixed(3))
			b.rollUpAll()
			if got := b.Problems(ngheAn); len(got) != 0 {
				t.Fatalf("before: %q", got)
			}
			if _, err := b.Owner.Exec(t.Context(), query); err != nil {
				t.Fatal(err)
			}
			if got := b.Problems(ngheAn); len(got) != 1 {
				t.Errorf("got %q, want one problem", got)
			}
		})
	}
}

// The application reads day rows and cannot write them.
func TestDayRowsAreWrittenByRollUpOnly(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.MustPost(mixed(1))
	b.rollUpAll()
	for _, query := range []string{
		`update ledger.account_day set debits = 0`, `delete from ledger.dimension_day`, `update ledger.roll_up set horizon = '0'`,
		`insert into ledger.roll_up values ('H26', 1, '0', now())`, `insert into ledger.account_day select * from ledger.account_day`,
	} {
		err := b.InTx(ngheAn, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), query)
			return err
		})
		if err == nil {
			t.Errorf("%s: got no error, want a refusal", query)
		}
	}
}

// Pages of an account ledger carry the balance from the beginning of the book,
// per currency, wherever they begin.
func TestRunningBalance(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	s := &balances.Service{DB: b.App}
	var posted []ledger.Entry
	for n := range 40 {
		e := mixed(n)
		if n%4 == 0 {
			for i := range e.Postings {
				e.Postings[i].Amount.Currency = "USD"
			}
		}
		if n%5 == 0 { // money goes back
			e.Postings[0].Side, e.Postings[1].Side = ledger.Credit, ledger.Debit
		}
		e.ID = b.MustPost(e)[0]
		posted = append(posted, e)
		if n == 25 {
			b.rollUpAll()
		}
	}
	slices.SortFunc(posted, func(x, y ledger.Entry) int {
		if c := x.BusinessDate.Compare(y.BusinessDate); c != 0 {
			return c
		}
		return slices.Compare(x.ID[:], y.ID[:])
	})
	type row struct {
		Entry   ledger.EntryID
		Running int64
	}
	for _, from := range []calendar.Date{{}, day.AddDays(-30), day.AddDays(-10)} {
		var want []row
		running := map[money.Currency]int64{}
		for _, e := range posted {
			p := e.Postings[1]
			signed := p.Amount.Minor
			if p.Side == ledger.Debit {
				signed = -signed
			}
			running[p.Amount.Currency] += signed
			if !e.BusinessDate.Before(from) && !day.AddDays(-2).Before(e.BusinessDate) {
				want = append(want, row{e.ID, running[p.Amount.Currency]})
			}
		}
		for _, limit := range []int{1, 7, 100} {
			var got []row
			for cursor := ""; ; {
				list, next, err := s.ListPostings(t.Context(), reader, balances.PostingQuery{
					Account: ledger.ProvisionalLePhi, From: from, To: day.AddDays(-2), Cursor: cursor, Limit: limit,
				})
				if err != nil {
					t.Fatal(err)
				}
				for _, l := range list {
					got = append(got, row{l.ID, l.Running})
				}
				if cursor = next; next == "" {
					break
				}
			}
			if diff := cmp.Diff(got, want); diff != "" {
				t.Errorf("from %v by %d (-got +want):\n%s", from, limit, diff)
			}
		}
	}
}
