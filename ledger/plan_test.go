package ledger_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/balances"
	"github.com/doisoat/doisoat/ledger/days"
)

// statements keeps the statements that a pool sends, so that the test explains exactly these.
type statements struct {
	mu   sync.Mutex
	list []statement
}

type statement struct {
	sql  string
	args []any
}

func (s *statements) add(sql string, args []any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.Contains(sql, "ledger.") {
		s.list = append(s.list, statement{sql, args})
	}
}

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	s.add(d.SQL, d.Args)
	return ctx
}

func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (s *statements) TraceBatchStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceBatchStartData) context.Context {
	for _, q := range d.Batch.QueuedQueries {
		s.add(q.SQL, q.Arguments)
	}
	return ctx
}

func (s *statements) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (s *statements) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// Every statement of the room finds its rows by an index once the book is
// large and rolled up: also the trial balance reads day rows and the tail.
func TestStatementsUseIndexes(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	dossier, id := seed(b, 5_000) // 20,000 postings
	config, err := pgxpool.ParseConfig(b.AppDSN)
	if err != nil {
		t.Fatal(err)
	}
	seen := &statements{}
	config.ConnConfig.Tracer = seen
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	s := &balances.Service{DB: pool}
	for end := time.Now().Add(30 * time.Second); b.Count(`select count(*) from ledger.roll_up`) == 0 && time.Now().Before(end); {
		if _, err := s.RollUp(t.Context()); err != nil { // another test's transaction may hold the horizon for a while
			t.Fatal(err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(postgres.WriteTx(t.Context(), pool, ngheAn, func(tx pgx.Tx) error {
		if _, err := ledger.OpenDate(t.Context(), tx, ngheAn, day); err != nil {
			return err
		}
		if _, err := balances.DossierLedger(t.Context(), tx, dossier); err != nil {
			return err
		}
		_, err := ledger.Reverse(t.Context(), tx, id, ledger.Cause{Kind: "match", ID: "m", Event: "revoked"}, "why", accountant, day, now)
		return err
	}))
	_, next, err := s.ListPostings(t.Context(), reader, balances.PostingQuery{Account: ledger.ProvisionalLePhi, Limit: 50})
	must(err)
	_, _, err = s.ListPostings(t.Context(), reader, balances.PostingQuery{Account: ledger.ProvisionalLePhi, Cursor: next, Limit: 50})
	must(err)
	for _, q := range []balances.Query{
		{AsOf: day},
		{},
		{Account: ledger.ProvisionalLePhi},
		{Dossier: dossier},
		{FeeType: "fee-7"},
		{Policy: "policy-3", AsOf: day},
		{FeeType: "fee-7", Policy: "policy-3", Account: ledger.MemoCollected},
	} {
		_, err = s.ListBalances(t.Context(), reader, q)
		must(err)
	}
	_, _, err = s.ListPostings(t.Context(), reader, balances.PostingQuery{Account: ledger.ProvisionalLePhi, From: day.AddDays(-3), To: day})
	must(err)
	must(postgres.WriteTx(t.Context(), pool, ngheAn, func(tx pgx.Tx) error {
		p, _, err := days.Propose(
			t.Context(),
			acting(tx, ngheAn, accountant),
			days.Request{Date: day, Change: days.Closing, Reason: "done", Key: "key"},
		)
		if err != nil {
			return err
		}
		_, _, err = days.Decide(t.Context(), acting(tx, ngheAn, "key_chief"), p, days.Approved, "")
		if err != nil {
			return err
		}
		_, err = days.Find(t.Context(), tx, day)
		return err
	}))
	if len(seen.list) < 25 {
		t.Fatalf("got %d statements, want all of the room", len(seen.list))
	}
	month := b.Month()
	for _, st := range seen.list {
		plan := explain(b, st)
		for _, table := range []string{"posting", "entry"} { // months to come are empty: to scan them is right
			if strings.Contains(plan, "Seq Scan on "+table+month) {
				t.Errorf("%s\n%s", st.sql, plan)
			}
		}
		if strings.Contains(st.sql, "q.charge_id") && !strings.Contains(plan, "ROW(business_date, entry_id, line) >") {
			t.Errorf("the page does not start at the cursor:\n%s", plan)
		}
	}
}

func explain(b book, st statement) string {
	b.T.Helper()
	var plan string
	err := b.InTx(ngheAn, func(tx pgx.Tx) error {
		rows, err := tx.Query(context.WithoutCancel(b.T.Context()), "explain "+st.sql, st.args...)
		if err != nil {
			return err
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		plan = strings.Join(lines, "\n")
		return err
	})
	if err != nil {
		b.T.Fatalf("explain: %v\n%s", err, st.sql)
	}
	return plan
}

// seed posts captures of many dossiers and days for two authorities; it returns one dossier and one entry of the first.
func seed(b book, entries int) (uuid.UUID, ledger.EntryID) {
	b.T.Helper()
	var (
		dossier uuid.UUID
		id      ledger.EntryID
	)
	const batch = 500
	for from := 0; from < entries; from += batch {
		for _, authority := range []string{ngheAn, other} {
			var list []ledger.Entry
			for n := from; n < from+batch/2; n++ {
				dossier = uuid.Must(uuid.NewV7())
				e := captured(authority, cause(n), int64(1000+n), dossier)
				e.BusinessDate = day.AddDays(-n % 60)
				for i := range e.Postings {
					e.Postings[i].FeeType, e.Postings[i].Policy = fmt.Sprint("fee-", n%20), fmt.Sprint("policy-", n%7)
				}
				list = append(list, e)
			}
			ids := b.MustPost(list...)
			if authority == ngheAn {
				id = ids[0]
			}
		}
	}
	if _, err := b.Owner.Exec(b.T.Context(), `analyze`); err != nil {
		b.T.Fatal(err)
	}
	return dossier, id
}

// BenchmarkPost appends ordinary captures of four postings, one per commit and
// by the hundred, to a book that PostgreSQL has statistics of.
func BenchmarkPost(bench *testing.B) {
	b := newBook(bench)
	seed(b, 5_000)
	var sequence struct {
		sync.Mutex
		n int
	}
	sequence.n = 100_000 // after the seed
	next := func() int {
		sequence.Lock()
		defer sequence.Unlock()
		sequence.n++
		return sequence.n
	}
	for _, clients := range []int{1, 8} {
		bench.Run(fmt.Sprintf("clients=%d", clients), func(bench *testing.B) {
			var group sync.WaitGroup
			work := make(chan int)
			for range clients {
				group.Go(func() {
					for n := range work {
						if _, err := b.Post(captured(ngheAn, cause(n), 60_000, uuid.New())); err != nil {
							bench.Error(err)
						}
					}
				})
			}
			for bench.Loop() {
				work <- next()
			}
			close(work)
			group.Wait()
			bench.ReportMetric(float64(bench.N)/bench.Elapsed().Seconds(), "entries/s")
		})
	}
	bench.Run("batch=100", func(bench *testing.B) {
		for bench.Loop() {
			var list []ledger.Entry
			for range 100 {
				list = append(list, captured(ngheAn, cause(next()), 60_000, uuid.New()))
			}
			b.MustPost(list...)
		}
		bench.ReportMetric(float64(100*bench.N)/bench.Elapsed().Seconds(), "entries/s")
	})
	if got := b.Count(`select coalesce(sum(case side when 'D' then amount else -amount end), 0) from ledger.posting`); got != 0 {
		bench.Errorf("the book is off by %v", money.Dong(int64(got)))
	}
}
