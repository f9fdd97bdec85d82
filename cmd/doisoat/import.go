package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/doisoat/doisoat/providers/statements"
)

type importCommand struct {
	File    string `arg:"" help:"Statement or settlement file; - reads the standard input."`
	DryRun  bool   `help:"Parse and report only; needs no database."`
	JSON    bool   `help:"As JSON."`
	Profile string `help:"Mapping profile of a CSV file; found out when absent."`
}

// Run reports what is in a file. It fails unless everything in it can be imported.
func (c *importCommand) Run(_ context.Context, p *program) error {
	if !c.DryRun {
		return errors.New("only --dry-run is known here")
	}
	f, err := openFile(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	parsed, err := statements.Parse(f, statements.Options{Profile: c.Profile})
	if err != nil {
		return fmt.Errorf("read %s: %w", c.File, err)
	}
	if c.JSON {
		text, err := statements.ReportJSON(parsed)
		if err != nil {
			return fmt.Errorf("write report: %w", err)
		}
		if _, err := p.stdout.Write(append(bytes.TrimRight(text, "\n"), '\n')); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	} else {
		printStatements(p, statements.NewReport(parsed))
	}
	if parsed.Outcome != statements.OK {
		return errNotWell
	}
	return nil
}

func printStatements(p *program, r statements.Report) {
	fmt.Fprintf(p.stdout, "%s %s\n", r.Outcome, r.Format)
	for _, s := range r.Statements {
		fmt.Fprintf(p.stdout, "account %s %s: %d booked, credit %s, debit %s, balance %s\n",
			s.Account, s.Currency, s.Entries, s.SumCredit, s.SumDebit, s.BalanceCheck)
		for _, b := range s.Batches {
			fmt.Fprintf(p.stdout, "batch %s: %d rows, gross %s, fee %s, vat %s, net %s\n", b.ID, b.Rows, b.Gross, b.Fee, b.FeeVAT, b.Net)
		}
	}
	for _, problem := range r.Problems {
		fmt.Fprintf(p.stdout, "row %d: %s: %s\n", problem.Row, problem.Code, problem.Detail)
	}
}
