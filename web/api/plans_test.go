package api_test

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/postgres/pgtest"
	"github.com/doisoat/doisoat/ledger/balances"
	"github.com/doisoat/doisoat/ledger/seal"
)

const (
	fillCases   = 130_000 // dossiers, each with up to eight entries and twenty postings
	mustEntries = 1_000_000
	rollUpLimit = time.Minute
)

// TestPlans calls every operation of the description, with every parameter, on
// a database with a million entries, and holds the plan of every statement that
// it sent against the rules of judge.
func TestPlans(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a database with a million entries")
	}
	t.Parallel()
	db := pgtest.New(t)
	heard := listen(t, db)
	h := newHarnessOn(t, db)
	p := &play{harness: h, heard: heard, vars: map[string]string{}, called: map[string]map[string]bool{}}
	p.perform(openingCalls)
	p.fill(db)
	p.perform(dayCalls)
	p.performBeforeRollUp(db, balanceCalls)
	p.rollUp(db)
	p.perform(balanceCalls)
	p.perform(bookCalls)
	p.rollUpOne(db)
	p.seal(db)
	p.perform(lastCalls)
	p.checkCoverage()
	judge(t, db, heard)
}

// play performs calls one after the other; later calls use ids from earlier answers.
type play struct {
	*harness
	heard  *sentStatements
	vars   map[string]string
	called map[string]map[string]bool // parameters by operation
	sent   int
}

// call is one request; $names in it are values that answers before it brought.
type call struct {
	role auth.Role
	line string // method and address
	body string
	keep string // names=members of the answer to keep, for later calls
}

func (p *play) perform(calls []call) {
	p.t.Helper()
	for _, c := range calls {
		if missing := p.missing(c.line + c.body); missing != "" {
			p.t.Errorf("%s: nothing brought $%s", c.line, missing)
			continue
		}
		method, path, _ := strings.Cut(p.expand(c.line), " ")
		body := p.expand(c.body)
		header := []string{}
		p.sent++
		if strings.HasPrefix(body, "--x\r\n") {
			header = append(header, "Content-Type", "multipart/form-data; boundary=x")
		}
		if method == http.MethodPost && strings.HasPrefix(path, "/v1/") {
			header = append(header, "Idempotency-Key", fmt.Sprintf("plans-%08d", p.sent))
		}
		if strings.HasPrefix(path, "/callbacks/sepay/") {
			header = append(header, "Authorization", "Apikey "+sepayKey)
		}
		p.heard.begin(c.line)
		a := p.ask(c.role, method, path, body, header...)
		p.heard.begin("")
		if a.status >= 300 {
			p.t.Errorf("%s: got %d: %s\n%s", c.line, a.status, a.body, body)
			continue
		}
		p.note(method, path)
		for pair := range strings.FieldsSeq(c.keep) {
			name, member, _ := strings.Cut(pair, "=")
			if p.vars[name] = a.text(member); p.vars[name] == "" {
				delete(p.vars, name)
				p.t.Errorf("%s: no %s in %s", c.line, member, a.body)
			}
		}
	}
}

// performBeforeRollUp performs calls while the entries of the day are not rolled up.
func (p *play) performBeforeRollUp(db *pgtest.DB, calls []call) {
	p.t.Helper()
	var tail int
	err := db.Owner.QueryRow(p.t.Context(), `
		select count(*) from ledger.roll_up r join ledger.entry e on e.authority = r.authority and e.tx >= r.horizon
		where r.authority = $1`, province).Scan(&tail)
	if err != nil {
		p.t.Fatal(err)
	}
	if tail < shortestTail {
		p.t.Errorf("got %d entries that are not rolled up, want %d", tail, shortestTail)
	}
	p.heard.allow(tail)
	p.perform(calls)
	p.heard.allow(0)
}

func (p *play) expand(text string) string {
	return os.Expand(text, func(name string) string {
		if name == "notice" {
			return vnpayQuery(vnpaySecret, p.vars["reference"], 60000)
		}
		return p.vars[name]
	})
}

// missing names a value that text needs and no answer brought.
func (p *play) missing(text string) (found string) {
	os.Expand(text, func(name string) string {
		if p.vars[name] == "" && name != "notice" {
			found = name
		}
		return ""
	})
	return found
}

// note remembers that an operation was called, and with which parameters.
func (p *play) note(method, path string) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, http.NoBody)
	if err != nil {
		p.t.Fatal(err)
	}
	route, _, err := p.routes.FindRoute(r)
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, path, err)
	}
	seen := p.called[route.Operation.OperationID]
	if seen == nil {
		seen = map[string]bool{}
		p.called[route.Operation.OperationID] = seen
	}
	for name := range r.URL.Query() {
		seen[name] = true
	}
}

// uncalled are operations that send no statement, or one of the process alone.
var uncalled = map[string]string{
	"healthz":     "reads no table",
	"readyz":      "pings",
	"metrics":     "counters of the process",
	"openapiJSON": "a file",
	"docs":        "files",
	"console":     "a page without data",
}

// checkCoverage fails for every operation that was not called and for every
// parameter of the query that no call used.
func (p *play) checkCoverage() {
	p.t.Helper()
	doc := p.description()
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			if uncalled[operation.OperationID] != "" {
				continue
			}
			seen, ok := p.called[operation.OperationID]
			if !ok {
				p.t.Errorf("%s %s (%s) was not called", method, path, operation.OperationID)
				continue
			}
			for _, parameter := range operation.Parameters {
				if parameter.Value.In == "query" && !seen[parameter.Value.Name] {
					p.t.Errorf("%s %s was not called with %s", method, path, parameter.Value.Name)
				}
			}
		}
	}
}

//go:embed testdata/fill.sql
var fillSQL string

// fill makes the database large. Two connections work at once: the book is half of it.
func (p *play) fill(db *pgtest.DB) {
	t := p.t
	t.Helper()
	began := time.Now()
	run := func(ctx context.Context, steps ...string) error {
		conn, err := db.Owner.Acquire(ctx)
		if err != nil {
			return err
		}
		defer conn.Release()
		const settings = `set session_replication_role = replica; set statement_timeout = 0;
			set work_mem = '256MB'; set maintenance_work_mem = '512MB'`
		for _, step := range append([]string{settings}, steps...) {
			start := time.Now()
			if _, err := conn.Exec(ctx, step); err != nil {
				return fmt.Errorf("%.60s: %w", step, err)
			}
			t.Logf("%6.1fs %.60s", time.Since(start).Seconds(), strings.TrimSpace(step))
		}
		_, err = conn.Exec(ctx, `reset all`)
		return err
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	both := func(one, other []string) {
		t.Helper()
		group, ctx := errgroup.WithContext(t.Context())
		group.Go(func() error { return run(ctx, one...) })
		group.Go(func() error { return run(ctx, other...) })
		must(group.Wait())
	}
	must(run(t.Context(), fillSQL, `call fill.months()`, `call fill.disarm()`, `call fill.desks(array['H41', 'H26', 'H56'])`,
		fmt.Sprintf(`call fill.cases(array['H41', 'H26', 'H56'], %d)`, fillCases), `analyze fill.case`))
	both([]string{`call fill.ledger(5000)`, `call fill.seal()`},
		[]string{`call fill.dossiers()`, `call fill.payments()`, `call fill.refunds()`, `call fill.remittance()`, `call fill.reconcile()`})
	rooms := []string{"audit", "dossiers", "merchants", "payments", "refunds", "remittance", "reconcile"}
	both([]string{`call fill.build(array['ledger'])`},
		[]string{fmt.Sprintf(`call fill.build('{%s}')`, strings.Join(rooms, ",")), `call fill.horizons()`})
	must(run(t.Context(), `call fill.arm()`))
	var book, others string
	must(db.Owner.QueryRow(t.Context(), `select fill.tables(array['ledger']), fill.tables($1)`, rooms).Scan(&book, &others))
	both([]string{`select ledger.roll_up('H41', 2000000)`, `vacuum analyze ` + book},
		[]string{`select ledger.roll_up('H26', 2000000)`, `select ledger.roll_up('H56', 2000000)`, `vacuum analyze ` + others})
	p.rollUp(db)
	must(run(t.Context(), `analyze ledger.account_day, ledger.dimension_day`))
	var entries int
	must(db.Owner.QueryRow(t.Context(), `select count(*) from ledger.entry`).Scan(&entries))
	if entries < mustEntries {
		t.Fatalf("got %d entries, want %d", entries, mustEntries)
	}
	t.Logf("%6.1fs in all to fill", time.Since(began).Seconds())
}

// rollUp brings the day rows up to the last entry. Only a transaction that is
// still running anywhere on the server holds it up, and tests of other packages have short ones.
func (p *play) rollUp(db *pgtest.DB) {
	p.t.Helper()
	start := time.Now()
	for left := true; left; {
		if _, err := (&balances.Service{DB: db.App}).RollUp(p.t.Context()); err != nil {
			p.t.Fatal(err)
		}
		err := db.Owner.QueryRow(p.t.Context(), `
			select exists (select from ledger.roll_up r join ledger.entry e on e.authority = r.authority and e.tx >= r.horizon)`).Scan(&left)
		if err != nil {
			p.t.Fatal(err)
		}
		if left && time.Since(start) > rollUpLimit {
			p.t.Fatal("the roll-up does not end: a transaction of another test is running")
		}
	}
	p.t.Logf("%6.1fs roll-up", time.Since(start).Seconds())
}

// rollUpOne rolls up the entry of one more dossier. The roll-up must read only the new entries, not
// the book. The statements of the function are no statements of the API, so the other tests do not
// explain them.
func (p *play) rollUpOne(db *pgtest.DB) {
	p.t.Helper()
	p.perform([]call{{auth.RolePortal, "POST /v1/dossiers", plansDossier("0099"), ""}})
	const tail = `select exists (select from ledger.roll_up r join ledger.entry e on e.authority = r.authority and e.tx >= r.horizon)`
	start, pages := time.Now(), 0
	for left := true; left; {
		var plan []struct {
			Plan struct {
				Hit  int `json:"Shared Hit Blocks"`
				Read int `json:"Shared Read Blocks"`
			}
		}
		err := db.Owner.QueryRow(p.t.Context(), `explain (analyze, buffers, format json) select ledger.roll_up($1, 1000)`, province).Scan(&plan)
		if err == nil {
			err = db.Owner.QueryRow(p.t.Context(), tail).Scan(&left)
		}
		if err != nil {
			p.t.Fatal(err)
		}
		pages = max(pages, plan[0].Plan.Hit+plan[0].Plan.Read)
		if left && time.Since(start) > rollUpLimit {
			p.t.Fatal("the roll-up does not end: a transaction of another test is running")
		}
	}
	if pages > mostPages {
		p.t.Errorf("rolling up one dossier read %d pages, want at most %d", pages, mostPages)
	}
	p.t.Logf("%d pages to roll up one dossier", pages)
}

// seal seals the entries of the calls.
func (p *play) seal(db *pgtest.DB) {
	p.t.Helper()
	now := func() time.Time { return time.Date(2024, 5, 2, 4, 0, 0, 0, time.UTC) }
	if _, err := (&seal.Service{DB: db.App, Now: now}).Seal(p.t.Context(), province, 100); err != nil {
		p.t.Fatal(err)
	}
}

// listen gives db an application pool whose statements are heard.
func listen(t *testing.T, db *pgtest.DB) *sentStatements {
	t.Helper()
	heard := &sentStatements{authority: map[*pgx.Conn]string{}}
	config := db.App.Config()
	config.ConnConfig.Tracer = heard
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	db.App = pool
	return heard
}
