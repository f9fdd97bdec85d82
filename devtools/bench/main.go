// Command bench measures the book against the same rows written by hand, side
// by side in one run on one PostgreSQL with default durability. It owns no
// schema; make bench and make bench-large call it.
//
//	go run ./devtools/bench            # posting, grouping, batches: minutes
//	go run ./devtools/bench -large     # balances over 10,000,000 postings
//
// Machines drift, so every load runs once in each round and only ratios of
// the same round are judged; the bench prints their median.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/postgres/pglocal"
	"github.com/doisoat/doisoat/migrations"
	"github.com/doisoat/doisoat/payments/callbacks"
)

// authority owns the measured book.
const authority = "H41"

// options are the flags.
type options struct {
	rounds   int
	duration time.Duration
	only     string // loads whose name contains it
	large    bool
	postings int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has run
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	var opt options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&opt.rounds, "rounds", 4, "how often each load runs")
	flags.DurationVar(&opt.duration, "time", 3*time.Second, "how long a load runs in one round")
	flags.StringVar(&opt.only, "only", "", "run only loads whose name contains this (yardsticks always run)")
	flags.BoolVar(&opt.large, "large", false,
		"measure balances over a large book instead, its seal and its check (-only check: the check alone, unsealed)")
	flags.IntVar(&opt.postings, "postings", 10_000_000, "postings of the large book")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if opt.rounds < 1 || opt.duration < time.Second || opt.postings < 1_000 {
		return errors.New("at least 1 round of 1s, and 1,000 postings")
	}
	s, err := openStage(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.describe(ctx, out); err != nil {
		return err
	}
	if opt.large {
		return s.large(ctx, opt, out)
	}
	return s.rotate(ctx, opt, out)
}

// stage is a server of the bench with an empty book.
type stage struct {
	dir    string
	server *pglocal.Server
	bin    string // PostgreSQL's programs
	owner  *pgxpool.Pool
	pools  []*pgxpool.Pool // of the loads
	group  *callbacks.Group
}

// openStage starts a durable server with PostgreSQL's own settings but for the
// number of connections.
func openStage(ctx context.Context) (*stage, error) {
	bin, err := pglocal.FindBinaries(os.Getenv)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("/var/tmp", "doisoat-bench-")
	if err != nil {
		return nil, err
	}
	s := &stage{dir: dir, bin: bin}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *stage) open(ctx context.Context) (err error) {
	if err := os.Chmod(s.dir, 0o711); err != nil { //nolint:gosec // root's server runs as another user and must pass
		return err
	}
	s.server, err = pglocal.Start(ctx, pglocal.Options{
		DataDir: filepath.Join(s.dir, "data"), Durable: true, BinDir: s.bin,
		Args: []string{"-c", "max_connections=200"},
	})
	if err != nil {
		return err
	}
	if err := migrations.Apply(ctx, s.server.AdminDSN()); err != nil {
		return err
	}
	if s.owner, err = s.pool(ctx, pglocal.Superuser, 2); err != nil {
		return err
	}
	known, err := registry.KnownAuthorities()
	if err != nil {
		return err
	}
	return registry.EnsureAuthorities(ctx, s.owner, known)
}

// pool connects as role, the way the program does.
func (s *stage) pool(ctx context.Context, role string, conns int32) (*pgxpool.Pool, error) {
	return postgres.Open(ctx, postgres.Config{URL: s.server.DSN(role, pglocal.Database), MaxConns: conns, ApplicationName: "bench"})
}

func (s *stage) close() error {
	var err error
	if s.group != nil {
		s.group.Stop()
	}
	for _, p := range s.pools {
		p.Close()
	}
	if s.owner != nil {
		s.owner.Close()
	}
	if s.server != nil {
		err = s.server.Stop(context.Background())
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// describe prints the machine and the settings of the figures.
func (s *stage) describe(ctx context.Context, out io.Writer) error {
	var version, durable string
	err := s.owner.QueryRow(ctx, `select current_setting('server_version'), concat_ws(' ',
		'fsync='||current_setting('fsync'), 'synchronous_commit='||current_setting('synchronous_commit'),
		'full_page_writes='||current_setting('full_page_writes'), 'shared_buffers='||current_setting('shared_buffers'))`).Scan(&version, &durable)
	if err != nil {
		return err
	}
	kernel, err := exec.CommandContext(ctx, "uname", "-sr").Output()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%d CPUs (%s), %s, %s, PostgreSQL %s, %s\nserver, clients and yardstick share the machine\n\n",
		runtime.NumCPU(), processor(), strings.TrimSpace(string(kernel)), runtime.Version(), version, durable)
	return err
}

// processor is the name the kernel gives the first one.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	_, rest, _ := strings.Cut(string(text), "model name")
	name, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(strings.TrimLeft(name, "\t :"))
}
