package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/postgres/pglocal"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/balances"
	"github.com/doisoat/doisoat/ledger/seal"
)

const (
	// looks is the number of repeats of each query; some hundreds give a 99th percentile.
	looks = 500
	// tail is the number of entries posted after the last roll-up.
	tail = 5_000
)

// wanted99 are the limits of the 99th percentile.
const (
	wantedBalance = 50 * time.Millisecond
	wantedTrial   = 500 * time.Millisecond
)

// large fills a book, rolls it up, posts a tail that is not rolled up, asks for
// balances through balances.Service, seals the book and checks it.
func (s *stage) large(ctx context.Context, opt options, out io.Writer) error {
	if err := s.makeTables(ctx); err != nil {
		return err
	}
	if err := s.fillBook(ctx, opt.postings/2, out); err != nil {
		return err
	}
	app, err := s.pool(ctx, postgres.AppRole, 4)
	if err != nil {
		return err
	}
	s.pools = append(s.pools, app)
	service := &balances.Service{DB: app}
	if err := s.analyze(ctx); err != nil {
		return err
	}
	if opt.only == "check" {
		return s.check(ctx, out)
	}
	begin := time.Now()
	rolled, err := service.RollUp(ctx)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "%d entries rolled up in %s\n", rolled, time.Since(begin).Round(time.Millisecond))
	if err := s.fill(ctx, tail); err != nil {
		return err
	}
	if err := s.analyze(ctx); err != nil {
		return err
	}
	if err := ask(ctx, service, out); err != nil {
		return err
	}
	begin = time.Now()
	done, err := (&seal.Service{DB: app, Now: time.Now}).Seal(ctx, authority, 0)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "\n%d entries sealed in %s\n", done.Entries, time.Since(begin).Round(time.Millisecond))
	return s.check(ctx, out)
}

// analyze does the work of autovacuum in a book that grew slowly. It leaves the tables of seals out while they are
// empty: the planner expects an analyzed empty table to stay empty, and would read all of it for each entry until
// autovacuum runs.
func (s *stage) analyze(ctx context.Context) error {
	_, err := s.owner.Exec(
		ctx,
		`vacuum analyze ledger.account, ledger.cause, ledger.entry, ledger.posting, ledger.account_day, ledger.dimension_day`,
	)
	return err
}

// fill posts entries of now in parts, each a commit.
func (s *stage) fill(ctx context.Context, entries int) error {
	for left := entries; left > 0; left -= batchSize {
		list := make([]ledger.Entry, min(left, batchSize))
		for i := range list {
			list[i] = newEntry(false)
			list[i].Cause.Kind = "bench" // no capture that payments should know
		}
		err := postgres.WriteTx(ctx, s.owner, authority, func(tx pgx.Tx) error {
			_, err := ledger.Post(ctx, tx, list...)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ask measures the questions and prints their times.
func ask(ctx context.Context, service *balances.Service, out io.Writer) error {
	actor := auth.Actor{Authority: authority, Role: auth.RoleAccountant, ID: "bench"}
	look := func(q balances.Query) func() error {
		return func() error {
			if q.Account != "" {
				q.Account = bank(rand.IntN(accounts))
			}
			if q.AsOf.Before(day) {
				q.AsOf = day.AddDays(-rand.IntN(largeDays))
			}
			_, err := service.ListBalances(ctx, actor, q)
			return err
		}
	}
	past := day.AddDays(-1)
	_, _ = fmt.Fprintf(out,
		"\n| question, with %d entries since the last roll-up | median | p99 | wanted p99 | |\n| --- | ---: | ---: | ---: | --- |\n",
		tail)
	for _, q := range []struct {
		name   string
		wanted time.Duration
		ask    func() error
	}{
		{"balance of one account, today", wantedBalance, look(balances.Query{Account: "any", AsOf: day})},
		{"balance of one account, a past date", wantedBalance, look(balances.Query{Account: "any", AsOf: past})},
		{
			"balance of a fee type and policy on one account, a past date", wantedBalance,
			look(balances.Query{Account: "any", FeeType: "PHI-7", Policy: "NQ-3", AsOf: past}),
		},
		{"a page of an account's ledger from a past date on", 0, func() error {
			_, _, err := service.ListPostings(ctx, actor,
				balances.PostingQuery{Account: bank(rand.IntN(accounts)), From: day.AddDays(-rand.IntN(largeDays))})
			return err
		}},
		{"trial balance, today", wantedTrial, look(balances.Query{AsOf: day})},
		{"trial balance, a past date", wantedTrial, look(balances.Query{AsOf: past})},
	} {
		var took []time.Duration
		for n := range looks + 10 { // the first ones prepare their statements
			begin := time.Now()
			if err := q.ask(); err != nil {
				return fmt.Errorf("%s: %w", q.name, err)
			}
			if n >= 10 {
				took = append(took, time.Since(begin))
			}
		}
		slices.Sort(took)
		p99, wanted, verdict := took[len(took)*99/100], "", ""
		if q.wanted > 0 {
			wanted, verdict = q.wanted.String(), "met"
			if p99 > q.wanted {
				verdict = "missed"
			}
		}
		_, _ = fmt.Fprintf(out, "| %s | %s | %s | %s | %s |\n", q.name, round(took[len(took)/2]), round(p99), wanted, verdict)
	}
	return nil
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// check runs doisoat check over the book, as an operator would, and prints how
// long it took and the most memory that it and a database process held.
func (s *stage) check(ctx context.Context, out io.Writer) error {
	binary := filepath.Join(s.dir, "doisoat")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/doisoat")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w: %s", err, text)
	}
	cmd := exec.CommandContext(ctx, binary, "check", "--authority", authority)
	cmd.Env = append(os.Environ(), "DOISOAT_DATABASE_URL="+s.server.DSN(postgres.AppRole, pglocal.Database))
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	most := make(chan int)
	go func() { most <- s.mostMemory(ended) }()
	err := cmd.Wait()
	close(ended)
	server := <-most
	if err != nil {
		return fmt.Errorf("check: %w: %s", err, output.Bytes())
	}
	usage, _ := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	_, err = fmt.Fprintf(out, "doisoat check in %s, at most %d MiB of its own and %d MiB of a database process:\n%s",
		time.Since(begin).Round(time.Second), usage.Maxrss/1024, server/1024, output.Bytes())
	return err
}

// mostMemory returns the largest private memory of a server process, in KiB and without shared buffers. It
// measures every 100 milliseconds until ended is closed.
func (s *stage) mostMemory(ended <-chan struct{}) int {
	most := 0
	for {
		select {
		case <-ended:
			return most
		case <-time.After(100 * time.Millisecond):
		}
		paths, _ := filepath.Glob("/proc/[0-9]*/status")
		for _, path := range paths {
			text, err := os.ReadFile(path) //nolint:gosec // a process's own account
			if err != nil || !strings.Contains(string(text), "\nPPid:\t"+strconv.Itoa(s.server.PID())+"\n") {
				continue
			}
			_, rest, _ := strings.Cut(string(text), "\nRssAnon:")
			if fields := strings.Fields(rest); len(fields) > 0 {
				if n, err := strconv.Atoi(fields[0]); err == nil {
					most = max(most, n)
				}
			}
		}
	}
}
