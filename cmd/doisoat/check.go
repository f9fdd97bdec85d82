package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/world"
)

type checkCommand struct {
	place
	Authority string `help:"Check one authority only."`
	JSON      bool   `help:"As JSON."`
}

// checkReport is the answer of the command.
type checkReport struct {
	OK          bool            `json:"ok"`
	Problems    int             `json:"problems"`
	Warnings    int             `json:"warnings"`
	Stray       []string        `json:"stray"` // tables with rows in their default partition
	Authorities []world.Checked `json:"authorities"`
}

// Run recomputes everything as the application's role, authority by authority, each in one
// read-only snapshot. It fails when a check finds a problem; overdue work is a warning.
func (c *checkCommand) Run(ctx context.Context, p *program) error {
	report := checkReport{Authorities: []world.Checked{}, Stray: []string{}}
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
			one, err := world.Check(ctx, pool, code, p.now(), p.progress)
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

// authorityCodes returns the named authority, or all.
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
