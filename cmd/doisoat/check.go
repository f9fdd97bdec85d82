package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/seal"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/reconcile"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/remittance"
)

type checkCommand struct {
	place
	Authority string `help:"Check one authority only."`
	JSON      bool   `help:"As JSON."`
}

// roomChecks recompute one room inside a transaction of one authority.
var roomChecks = []struct {
	room  string
	check func(ctx context.Context, tx pgx.Tx) ([]string, error)
}{
	{"ledger", ledger.Check},
	{"dossiers", dossiers.Check},
	{"payments", payments.Check},
	{"remittance", remittance.Check},
	{"refunds", refunds.Check},
	{"reconcile", reconcile.Check},
}

// roomWarnings find overdue work.
var roomWarnings = []struct {
	room  string
	stuck func(ctx context.Context, tx pgx.Tx, now time.Time) ([]string, error)
}{
	{"ledger", seal.Late},
	{"payments", payments.Stuck},
	{"refunds", refunds.Stuck},
}

// checkReport is the answer of the command.
type checkReport struct {
	OK          bool             `json:"ok"`
	Problems    int              `json:"problems"`
	Warnings    int              `json:"warnings"`
	Stray       []string         `json:"stray"` // tables with rows in their default partition
	Authorities []checkedAccount `json:"authorities"`
}

// checkedAccount is the finding for one authority.
type checkedAccount struct {
	Authority string           `json:"authority"`
	Checked   map[string]int64 `json:"checked"` // rows looked at, by noun
	Problems  []finding        `json:"problems"`
	Warnings  []finding        `json:"warnings"`
}

type finding struct {
	Room   string `json:"room"`
	Detail string `json:"detail"`
}

// Run recomputes everything, as the application sees it, authority by
// authority, each in one read-only snapshot. It fails when anything is wrong;
// work that is late is a warning.
func (c *checkCommand) Run(ctx context.Context, p *program) error {
	report := checkReport{Authorities: []checkedAccount{}, Stray: []string{}}
	err := withPool(ctx, p, c.place, func(pool *pgxpool.Pool) error {
		codes, err := authorityCodes(ctx, p, pool, c.Authority)
		if err != nil {
			return err
		}
		stray, err := postgres.StrayRows(ctx, pool)
		if err != nil {
			return err
		}
		report.Stray = append(report.Stray, stray...)
		report.Problems += len(stray)
		for _, code := range codes {
			one, err := checkAuthority(ctx, p, pool, code)
			if err != nil {
				return fmt.Errorf("check %s: %w", code, err)
			}
			report.Problems += len(one.Problems)
			report.Warnings += len(one.Warnings)
			report.Authorities = append(report.Authorities, one)
		}
		return nil
	})
	if err != nil {
		return err
	}
	report.OK = report.Problems == 0
	if c.JSON {
		err = p.writeJSON(report)
	} else {
		printCheck(p, report)
	}
	if err == nil && !report.OK {
		return errNotWell
	}
	return err
}

// authorityCodes returns the one that is named, or all.
func authorityCodes(ctx context.Context, p *program, pool *pgxpool.Pool, only string) ([]string, error) {
	service := registry.Service{DB: pool, Now: p.now}
	if only != "" {
		found, err := service.FindAuthority(ctx, only)
		return []string{found.Code}, err
	}
	list, err := service.ListAuthorities(ctx)
	codes := make([]string, len(list))
	for i, a := range list {
		codes[i] = a.Code
	}
	return codes, err
}

func checkAuthority(ctx context.Context, p *program, pool *pgxpool.Pool, code string) (checkedAccount, error) {
	one := checkedAccount{Authority: code, Checked: map[string]int64{}, Problems: []finding{}, Warnings: []finding{}}
	err := postgres.ReadTx(ctx, pool, code, func(tx pgx.Tx) error {
		// It reads the whole book, month by month where it can, and blocks no writer.
		if _, err := tx.Exec(ctx, `select set_config(n, v, true) from (values ('statement_timeout', '0'), ('work_mem', '64MB'),
			('enable_partitionwise_join', 'on'), ('enable_partitionwise_aggregate', 'on')) as s (n, v)`); err != nil {
			return err
		}
		bar := p.progress("recomputing the sums of "+code, "rooms", int64(len(roomChecks)))
		for _, r := range roomChecks {
			found, err := r.check(ctx, tx)
			if err != nil {
				return fmt.Errorf("%s: %w", r.room, err)
			}
			for _, detail := range found {
				one.Problems = append(one.Problems, finding{r.room, detail})
			}
			bar.add(1)
		}
		bar.end()
		found, err := checkSeal(ctx, p, tx, code)
		if err != nil {
			return fmt.Errorf("seal: %w", err)
		}
		for _, detail := range found {
			one.Problems = append(one.Problems, finding{"seal", detail})
		}
		for _, r := range roomWarnings {
			found, err := r.stuck(ctx, tx, p.now())
			if err != nil {
				return fmt.Errorf("%s: %w", r.room, err)
			}
			for _, detail := range found {
				one.Warnings = append(one.Warnings, finding{r.room, detail})
			}
		}
		return countChecked(ctx, tx, one.Checked)
	})
	return one, err
}

// checkSeal hashes the whole book. Hashing takes the longest, so a terminal shows the progress.
func checkSeal(ctx context.Context, p *program, tx pgx.Tx, code string) ([]string, error) {
	size, err := seal.Size(ctx, tx)
	if err != nil {
		return nil, err
	}
	if size == 0 {
		return seal.Check(ctx, tx, nil)
	}
	bar := p.progress("hashing the book of "+code, "entries", size)
	defer bar.end()
	return seal.Check(ctx, tx, bar.add)
}

type checkedNoun struct {
	Noun  string
	Count int64
}

// countChecked counts the rows that row-level security showed to the checks, so
// that a clean report over no rows is recognised.
func countChecked(ctx context.Context, tx pgx.Tx, counts map[string]int64) error {
	rows, err := tx.Query(ctx, `
		select 'entries', count(*) from ledger.entry
		union all select 'postings', count(*) from ledger.posting
		union all select 'sealed', count(*) from ledger.sealed_entry
		union all select 'blocks', count(*) from ledger.block
		union all select 'dossiers', count(*) from dossiers.dossier
		union all select 'charges', count(*) from dossiers.charge
		union all select 'assessed', count(*) from dossiers.charge where assessed_ground <> ''
		union all select 'payments', count(*) from payments.payment
		union all select 'captures', count(*) from payments.capture
		union all select 'refunds', count(*) from refunds.refund
		union all select 'lines', count(*) from reconcile.statement_line
		union all select 'matches', count(*) from reconcile.match`)
	if err != nil {
		return err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[checkedNoun])
	for _, c := range list {
		counts[c.Noun] = c.Count
	}
	return err
}

func printCheck(p *program, r checkReport) {
	for _, a := range r.Authorities {
		if a.Checked["entries"] == 0 && len(a.Problems)+len(a.Warnings) == 0 {
			continue
		}
		n := a.Checked
		fmt.Fprintf(p.stdout, "%s: %d entries, %d postings, %d sealed in %d blocks, ", a.Authority,
			n["entries"], n["postings"], n["sealed"], n["blocks"])
		fmt.Fprintf(p.stdout, "%d dossiers, %d charges (%d with an assessed amount), %d payments, %d captures, ",
			n["dossiers"], n["charges"], n["assessed"], n["payments"], n["captures"])
		fmt.Fprintf(p.stdout, "%d refunds, %d lines, %d matches\n", n["refunds"], n["lines"], n["matches"])
		for _, f := range a.Problems {
			fmt.Fprintf(p.stdout, "  WRONG %s: %s\n", f.Room, f.Detail)
		}
		for _, f := range a.Warnings {
			fmt.Fprintf(p.stdout, "  late  %s: %s\n", f.Room, f.Detail)
		}
	}
	for _, table := range r.Stray {
		fmt.Fprintf(p.stdout, "  WRONG postgres: rows of %s lie in its default partition: they belong to no month\n", table)
	}
	fmt.Fprintf(p.stdout, "%d authorities checked: %d problems, %d warnings\n", len(r.Authorities), r.Problems, r.Warnings)
}
