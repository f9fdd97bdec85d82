package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
)

const (
	// largeDays is over how many business dates the large book is spread.
	largeDays = 365
	// looks is how often each question is asked; a hundred give a 99th percentile.
	looks = 500
	// tail is how many entries are posted after the last roll-up.
	tail = 5_000
)

// wanted99 are the limits of the 99th percentile.
const (
	wantedBalance = 50 * time.Millisecond
	wantedTrial   = 500 * time.Millisecond
)

// large fills a book with COPY, rolls it up, posts a tail that is not rolled up
// and asks for balances through ledger.Service.
func (s *stage) large(ctx context.Context, opt options, out io.Writer) error {
	if err := s.makeTables(ctx); err != nil {
		return err
	}
	begin := time.Now()
	for tenth := range 10 {
		if err := s.fill(ctx, opt.postings/10/2); err != nil {
			return err
		}
		_, _ = fmt.Fprintf(out, "%d of %d postings after %s\n", (tenth+1)*opt.postings/10, opt.postings, time.Since(begin).Round(time.Second))
	}
	app, err := s.pool(ctx, postgres.AppRole, 4)
	if err != nil {
		return err
	}
	s.pools = append(s.pools, app)
	service := &ledger.Service{DB: app}
	if _, err := s.owner.Exec(ctx, `vacuum analyze`); err != nil {
		return err
	}
	begin = time.Now()
	rolled, err := service.RollUp(ctx)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "%d entries rolled up in %s\n", rolled, time.Since(begin).Round(time.Millisecond))
	if err := s.fill(ctx, tail); err != nil {
		return err
	}
	if _, err := s.owner.Exec(ctx, `analyze`); err != nil {
		return err
	}
	return ask(ctx, service, out)
}

// fill copies entries in parts, each a commit.
func (s *stage) fill(ctx context.Context, entries int) error {
	for left := entries; left > 0; left -= batchSize {
		rows, postings := copyRows(min(left, batchSize))
		spread(rows, postings)
		if err := pgx.BeginFunc(ctx, s.owner, func(tx pgx.Tx) error { return copyInto(ctx, tx, rows, postings) }); err != nil {
			return err
		}
	}
	return nil
}

// spread moves rows to business dates of the year that ends with day.
func spread(entries, postings [][]any) {
	for i := range entries {
		date := day.AddDays(-rand.IntN(largeDays))
		entries[i][2], postings[2*i][4], postings[2*i+1][4] = date, date, date
	}
}

// ask measures the questions and prints what they took.
func ask(ctx context.Context, service *ledger.Service, out io.Writer) error {
	actor := auth.Actor{Authority: authority, Role: auth.RoleAccountant, ID: "bench"}
	_, _ = fmt.Fprintf(out, "\n| question, with %d entries since the last roll-up | median | p99 | wanted p99 | |\n| --- | ---: | ---: | ---: | --- |\n", tail)
	for _, q := range []struct {
		name   string
		wanted time.Duration
		ask    func() error
	}{
		{"balance of one account, today", wantedBalance, func() error {
			_, err := service.ListBalances(ctx, actor, ledger.BalanceQuery{Account: bank(rand.IntN(accounts)), AsOf: day})
			return err
		}},
		{"balance of one account, a past date", wantedBalance, func() error {
			_, err := service.ListBalances(ctx, actor, ledger.BalanceQuery{Account: bank(rand.IntN(accounts)), AsOf: day.AddDays(-rand.IntN(largeDays))})
			return err
		}},
		{"trial balance, today", wantedTrial, func() error {
			_, err := service.TrialBalance(ctx, actor, day)
			return err
		}},
		{"trial balance, a past date", wantedTrial, func() error {
			_, err := service.TrialBalance(ctx, actor, day.AddDays(-rand.IntN(largeDays)))
			return err
		}},
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
		p99, verdict := took[len(took)*99/100], "met"
		if p99 > q.wanted {
			verdict = "missed"
		}
		_, _ = fmt.Fprintf(out, "| %s | %s | %s | %s | %s |\n", q.name, round(took[len(took)/2]), round(p99), q.wanted, verdict)
	}
	return nil
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
