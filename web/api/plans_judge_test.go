package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/postgres/pgtest"
)

// The rules. A table with at most smallTable rows may be read whole. A scan
// may throw away mostWasted rows, or as many as wastedPerRow for each that it
// keeps. A statement reads at most mostPages pages of 8 KiB. While entries wait
// to be rolled up, a balance goes through them one by one: for each it may read
// perTailEntry pages and throw away as many postings, and not more in all.
const (
	smallTable   = 10_000
	mostWasted   = 1_000
	wastedPerRow = 20
	mostPages    = 5_000
	perTailEntry = 5

	fewestStatements = 150   // fewer, and the listener is deaf
	shortestTail     = 4_000 // shorter, and it would not show
)

// readsPeriod lists the requests that must read all rows of a period, with the reason. They may
// read more than mostPages; all other bounds hold for them too.
var readsPeriod = map[string]string{
	"POST /v1/splits":                                    "divides the money collected since the split before",
	"POST /v1/policies/NA-2023-60/preview":               "prices every dossier of the period",
	"POST /v1/policies/NA-2023-60/preview?progress=true": "prices every dossier of the period",
	"POST /v1/repricings":                                "prices every dossier of the period",
	"GET /v1/reports/payment-rate?from=2024-04-20&to=2024-04-21&decimals=1&rounding=half_up&format=csv": "counts every dossier of the period",
	"POST /v1/runs":            "matches all that is open of a source",
	"GET /v1/runs/$run":        "adds up every line of a run that is not closed",
	"POST /v1/runs/$run/close": "adds up every line of a run",
}

// samplesKept bounds how many different calls of one statement are explained.
const samplesKept = 12

// sentStatements keeps the statements that a pool sends, so that the test explains exactly these.
type sentStatements struct {
	mu        sync.Mutex
	request   string               // the request whose statements come now; empty: none
	tail      int                  // entries that are not rolled up, where that is allowed for
	authority map[*pgx.Conn]string // that the connection's transaction is bound to
	list      []*statement
}

// statement is one SQL text and some of the ways in which it was sent.
type statement struct {
	sql     string
	samples []sample
}

type sample struct {
	request, authority string
	args               []any
	tail               int
}

// may is how much is allowed instead of most where a tail is read.
func (s sample) may(most int) int { return max(most, perTailEntry*s.tail) }

// begin says whose statements come from now on.
func (s *sentStatements) begin(request string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.request = request
}

// allow says how many entries are not rolled up from now on.
func (s *sentStatements) allow(tail int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tail = tail
}

var explainable = regexp.MustCompile(`(?i)^\s*(select|with|insert|update|delete)\s`)

func (s *sentStatements) add(conn *pgx.Conn, sql string, args []any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case strings.Contains(sql, "set_config('app.authority'"):
		s.authority[conn], _ = args[0].(string)
		return
	case sql == "commit" || sql == "rollback":
		delete(s.authority, conn)
		return
	}
	if s.request == "" || !explainable.MatchString(sql) {
		return
	}
	at := slices.IndexFunc(s.list, func(st *statement) bool { return st.sql == sql })
	if at < 0 {
		at = len(s.list)
		s.list = append(s.list, &statement{sql: sql})
	}
	st := s.list[at]
	again := slices.ContainsFunc(st.samples, func(x sample) bool { return x.request == s.request && x.tail == s.tail })
	if len(st.samples) < samplesKept && !again {
		st.samples = append(st.samples, sample{s.request, s.authority[conn], args, s.tail})
	}
}

func (s *sentStatements) TraceQueryStart(ctx context.Context, conn *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	s.add(conn, d.SQL, d.Args)
	return ctx
}

func (s *sentStatements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (s *sentStatements) TraceBatchStart(ctx context.Context, conn *pgx.Conn, d pgx.TraceBatchStartData) context.Context {
	for _, q := range d.Batch.QueuedQueries {
		s.add(conn, q.SQL, q.Arguments)
	}
	return ctx
}

func (s *sentStatements) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (s *sentStatements) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// node is a step of a plan.
type node struct {
	Type      string  `json:"Node Type"`
	Relation  string  `json:"Relation Name"`
	Schema    string  `json:"Schema"`
	Alias     string  `json:"Alias"`
	Index     string  `json:"Index Name"`
	Condition string  `json:"Index Cond"`
	Filter    string  `json:"Filter"`
	Cost      float64 `json:"Total Cost"`
	Rows      float64 `json:"Actual Rows"`
	Loops     float64 `json:"Actual Loops"`
	Wasted    float64 `json:"Rows Removed by Filter"`
	Hit       int     `json:"Shared Hit Blocks"`
	Read      int     `json:"Shared Read Blocks"`
	Parent    string  `json:"Parent Relationship"`
	Plans     []node  `json:"Plans"`
}

// explained is the answer to one EXPLAIN.
type explained struct {
	Plan node    `json:"Plan"`
	Time float64 `json:"Execution Time"`
}

// court explains statements and collects their faults.
type court struct {
	t     *testing.T
	conn  *pgx.Conn
	large map[string]int64 // rows of the tables and indexes that no statement may read whole
	found map[string]bool  // faults that were reported
	table []cost
}

type cost struct {
	pages   int
	time    float64
	sql     string
	request string
	tail    int
}

// judge explains every statement as the application, under the authority that
// sent it, with the arguments of each of its samples, and once more the way
// PostgreSQL plans it for all arguments.
func judge(t *testing.T, db *pgtest.DB, heard *sentStatements) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.AppDSN)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	c := &court{t: t, conn: conn, found: map[string]bool{}}
	c.large = c.largeRelations(db)
	for _, st := range heard.list {
		dearest := 0.0
		for _, s := range st.samples {
			dearest = max(dearest, c.judge(st.sql, s))
		}
		c.judgeGeneric(st, dearest)
	}
	if len(heard.list) < fewestStatements {
		t.Errorf("heard %d statements, want all of the API", len(heard.list))
	}
	slices.SortFunc(c.table, func(a, b cost) int { return b.pages - a.pages })
	t.Logf("%d statements; those that read most:", len(heard.list))
	for _, x := range c.table[:min(25, len(c.table))] {
		t.Logf("%7d pages %8.1f ms  tail %5d  %-40.40s %s", x.pages, x.time, x.tail, x.request, short(x.sql))
	}
}

func (c *court) largeRelations(db *pgtest.DB) map[string]int64 {
	c.t.Helper()
	//nolint:rowserrcheck // ForEachRow checks
	rows, err := db.Owner.Query(c.t.Context(), `
		select n.nspname || '.' || c.relname, c.reltuples::bigint from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relkind in ('r', 'p', 'i', 'I') and c.reltuples > $1`, smallTable)
	if err != nil {
		c.t.Fatal(err)
	}
	large := map[string]int64{}
	var (
		name string
		size int64
	)
	if _, err := pgx.ForEachRow(rows, []any{&name, &size}, func() error { large[name] = size; return nil }); err != nil {
		c.t.Fatal(err)
	}
	return large
}

var errRollback = errors.New("roll back")

// under runs body in a transaction of the authority that leaves nothing behind.
func (c *court) under(authority string, body func(tx pgx.Tx) error) {
	c.t.Helper()
	err := pgx.BeginFunc(c.t.Context(), c.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(c.t.Context(), `select set_config('app.authority', $1, true)`, authority); err != nil {
			return err
		}
		if err := body(tx); err != nil {
			return err
		}
		return errRollback
	})
	if !errors.Is(err, errRollback) {
		c.t.Error(err)
	}
}

func explain(ctx context.Context, tx pgx.Tx, options, sql string, args ...any) (explained, string, error) {
	var text string
	if err := tx.QueryRow(ctx, `explain (`+options+`verbose, format json) `+sql, args...).Scan(&text); err != nil {
		return explained{}, "", fmt.Errorf("explain: %w\n%s", err, sql)
	}
	var list []explained
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return explained{}, "", err
	}
	return list[0], text, nil
}

// judge looks at one sample. A statement that writes is only planned; a statement that reads also
// runs.
func (c *court) judge(sql string, s sample) (dear float64) {
	c.t.Helper()
	c.under(s.authority, func(tx pgx.Tx) error {
		e, text, err := explain(c.t.Context(), tx, ``, sql, s.args...)
		if err != nil {
			return err
		}
		dear = e.Plan.Cost
		if !e.Plan.has("ModifyTable") {
			if e, text, err = explain(c.t.Context(), tx, `analyze, buffers, timing off, `, sql, s.args...); err != nil {
				return err
			}
			pages := e.Plan.Hit + e.Plan.Read
			c.table = append(c.table, cost{pages, e.Time, sql, s.request, s.tail})
			if pages > s.may(mostPages) && readsPeriod[s.request] == "" {
				c.tell(sql, s.request, fmt.Sprintf("reads %d pages", pages), text)
			}
		}
		c.walk(e.Plan, s.may(mostWasted), func(fault string) { c.tell(sql, s.request, fault, text) })
		return nil
	})
	return dear
}

// planningCost is the cost that PostgreSQL adds, per table, to a plan for given arguments before it
// compares the plan with the generic one.
const planningCost = 2.5

// judgeGeneric looks at the plan for all arguments where PostgreSQL would come
// to prefer it: when it is not dearer than the plans for the arguments it saw.
func (c *court) judgeGeneric(st *statement, dearest float64) {
	c.t.Helper()
	first := st.samples[0]
	c.under(first.authority, func(tx pgx.Tx) error {
		sql, args := st.sql, first.args
		if len(args) == 1 {
			if named, ok := args[0].(pgx.QueryRewriter); ok {
				var err error
				if sql, args, err = named.RewriteQuery(c.t.Context(), c.conn, sql, nil); err != nil {
					return err
				}
			}
		}
		if _, err := tx.Exec(c.t.Context(), `set local plan_cache_mode = force_generic_plan`); err != nil {
			return err
		}
		if _, err := tx.Exec(c.t.Context(), `prepare judged as `+sql); err != nil {
			return fmt.Errorf("prepare: %w\n%s", err, sql)
		}
		defer func() { _, _ = tx.Exec(c.t.Context(), `deallocate judged`) }()
		execute := `execute judged`
		if len(args) > 0 {
			execute += `(` + strings.Repeat(`null, `, len(args)-1) + `null)`
		}
		e, text, err := explain(c.t.Context(), tx, ``, execute)
		if err != nil {
			return err
		}
		if e.Plan.Cost < dearest+planningCost*float64(e.Plan.tables()+1) {
			c.walk(e.Plan, mostWasted, func(fault string) { c.tell(st.sql, first.request, "for all arguments: "+fault, text) })
		}
		return nil
	})
}

// walk reports the faults of a plan. Each scan may throw away at most most rows.
func (c *court) walk(n node, most int, fault func(string)) {
	rows := c.large[n.Schema+"."+n.Relation]
	kept := n.Rows * max(n.Loops, 1)
	wasted := n.Wasted * max(n.Loops, 1)
	switch {
	case rows == 0:
	case n.Type == "Seq Scan" || n.Type == "Parallel Seq Scan":
		fault(fmt.Sprintf("reads all %d rows of %s.%s", rows, n.Schema, n.Relation))
	case strings.HasPrefix(n.Type, "Index") && n.Condition == "" && c.large[n.Schema+"."+n.Index] > 0 &&
		(n.Loops == 0 || kept+wasted > mostWasted):
		fault(fmt.Sprintf("walks through the index %s from its end", n.Index))
	case wasted > float64(most) && wasted > wastedPerRow*kept:
		fault(fmt.Sprintf("throws away %.0f rows of %s.%s for %.0f that it keeps", wasted, n.Schema, n.Relation, kept))
	}
	if n.Type == "Limit" {
		if sorted := n.sorted(); sorted > mostWasted && sorted > wastedPerRow*kept {
			fault(fmt.Sprintf("sorts %.0f rows to show %.0f", sorted, kept))
		}
	}
	for _, child := range n.Plans {
		c.walk(child, most, fault)
	}
}

// tell reports a fault once per statement, with the first request that shows it.
func (c *court) tell(sql, request, fault, plan string) {
	c.t.Helper()
	key := sql + regexp.MustCompile(`\d+`).ReplaceAllString(fault, "")
	if c.found[key] {
		return
	}
	c.found[key] = true
	c.t.Errorf("%s: %s\n%s\n%s", request, fault, sql, plan)
}

// sorted is how many rows go into the sort below a limit.
func (n node) sorted() float64 {
	for _, p := range n.Plans {
		switch {
		case p.Parent != "Outer":
		case p.Type == "Sort":
			return p.fed()
		default:
			return p.sorted()
		}
	}
	return 0
}

// fed is how many rows a step gets.
func (n node) fed() float64 {
	for _, p := range n.Plans {
		if p.Parent == "Outer" {
			return p.Rows * max(p.Loops, 1)
		}
	}
	return 0
}

func (n node) has(kind string) bool {
	return n.Type == kind || slices.ContainsFunc(n.Plans, func(p node) bool { return p.has(kind) })
}

func (n node) tables() int {
	count := 0
	if n.Relation != "" {
		count = 1
	}
	for _, p := range n.Plans {
		count += p.tables()
	}
	return count
}

var blanks = regexp.MustCompile(`\s+`)

func short(sql string) string {
	return fmt.Sprintf("%.110s", strings.TrimSpace(blanks.ReplaceAllString(sql, " ")))
}
