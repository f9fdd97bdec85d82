package callbacks_test

import (
	"context"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/payments/callbacks"
	"github.com/doisoat/doisoat/payments/paytest"
	"github.com/doisoat/doisoat/providers"
)

// listed finds the way of a message in the package comment.
var listed = regexp.MustCompile(`(?m)^//\t *\d+ (\S+ \S+)  `)

// The package comment lists the functions from the handler to the last SQL statement.
func TestWayOfACallback(t *testing.T) {
	t.Parallel()
	comment, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, m := range listed.FindAllStringSubmatch(string(comment), -1) {
		want = append(want, m[1])
	}
	if len(want) > 12 {
		t.Errorf("the way has %d functions, want at most 12", len(want))
	}
	d := paytest.New(t)
	p := d.Begin(d.Dossier(1, 60_000).Code, "vnpay")
	seen := &stacks{}
	service := watched(t, d, seen)
	for _, transaction := range []string{"14000001", "14000002"} { // the second is excess: its capture queues a job, which is a statement
		reply := service.Receive(t.Context(), "vnpay", d.VNPAY.ID.String(), providers.RawCallback{
			Method: http.MethodGet, ReceivedAt: d.Clock.Now(),
			RawQuery: paytest.IPN(paytest.HashSecret, paytest.Terminal, p.Reference, transaction, 60_000, "00", "00"),
		})
		if got := paytest.Word(string(reply.Body)); got != "00" {
			t.Fatalf("answered %s, want 00", got)
		}
	}
	if diff := cmp.Diff(seen.way("payments capture"), want[1:]); diff != "" { // web/api tests the handler
		t.Errorf("functions of a callback (-got +want):\n%s", diff)
	}
}

// watched is the desk's callbacks on a pool that notes the stack of each statement.
func watched(t *testing.T, d *paytest.Desk, seen *stacks) *callbacks.Service {
	t.Helper()
	config, err := pgxpool.ParseConfig(d.DSN)
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.RuntimeParams["role"] = postgres.AppRole
	config.ConnConfig.Tracer = seen
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	service := *d.Callbacks
	service.DB = postgres.DB{Pool: pool, Now: d.Clock.Now}
	service.Group = callbacks.NewGroup(service.DB, 1)
	return &service
}

// stacks keeps, for each statement, the functions of this module that led to it.
type stacks [][]string

// TraceQueryStart implements pgx.QueryTracer.
func (s *stacks) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if data.SQL != "commit" {
		s.note()
	}
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (*stacks) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TraceBatchStart implements pgx.BatchTracer.
func (s *stacks) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	s.note()
	return ctx
}

// TraceBatchQuery implements pgx.BatchTracer.
func (*stacks) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements pgx.BatchTracer.
func (*stacks) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func (s *stacks) note() {
	programCounters := make([]uintptr, 100)
	frames := runtime.CallersFrames(programCounters[:runtime.Callers(1, programCounters)])
	var list []string
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		if name, ours := strings.CutPrefix(f.Function, "github.com/doisoat/doisoat/"); ours && !strings.Contains(name, "_test.") {
			receiver := strings.NewReplacer("(*Service).", "", "(*", "", ")", "")
			pkg, function, _ := strings.Cut(name[strings.LastIndex(name, "/")+1:], ".")
			list = append(list, pkg+" "+receiver.Replace(function))
		}
	}
	slices.Reverse(list)
	*s = append(*s, list)
}

// way is the stack of the last statement, with the functions between that stack
// and the named one, which returned before, in between.
func (s stacks) way(named string) []string {
	last := s[len(s)-1]
	for _, list := range slices.Backward(s) {
		i := slices.Index(list, named)
		if i < 0 {
			continue
		}
		common := 0
		for common < len(last) && common <= i && last[common] == list[common] {
			common++
		}
		return slices.Concat(list[:i+1], last[common:])
	}
	return last
}
