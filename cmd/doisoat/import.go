package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/world"
	parsed "github.com/doisoat/doisoat/providers/statements"
	"github.com/doisoat/doisoat/providers/statements/formats"
	"github.com/doisoat/doisoat/statements"
)

type importCommand struct {
	place
	File      string `arg:"" help:"Statement or settlement file; - reads the standard input."`
	DryRun    bool   `help:"Parse and report only; needs no database."`
	JSON      bool   `help:"As JSON."`
	Profile   string `help:"Mapping profile of a CSV file, for a dry run; detected without the flag."`
	Authority string `help:"Code of the authority that owns the source, for example H41."`
	Source    string `help:"Code of the source that the file comes from."`
}

// Run reports the content of a file and, without --dry-run, brings it in. It fails
// unless everything in the file can be imported, or was imported before.
func (c *importCommand) Run(ctx context.Context, p *program) error {
	f, err := openFile(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	if c.DryRun {
		return c.dryRun(p, f)
	}
	if c.Authority == "" || c.Source == "" {
		return errors.New("import needs --authority and --source, or --dry-run")
	}
	// One byte more than the limit, so that the room notices a file that is too large.
	content, err := io.ReadAll(io.LimitReader(f, parsed.MaxBytes+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", c.File, err)
	}
	return withRoomsOf(ctx, p, c.place, func(all world.World) error {
		st, err := all.Statements.Ingest(ctx, auth.Operator(c.Authority), c.Source, filepath.Base(c.File), content, false, "")
		if err != nil {
			return err
		}
		return c.report(p, st)
	})
}

func (c *importCommand) dryRun(p *program, f io.Reader) error {
	file, err := formats.Parse(f, formats.Options{Profile: c.Profile})
	if err != nil {
		return fmt.Errorf("read %s: %w", c.File, err)
	}
	if c.JSON {
		text, err := parsed.ReportJSON(file)
		if err != nil {
			return fmt.Errorf("write report: %w", err)
		}
		if _, err := p.stdout.Write(append(bytes.TrimRight(text, "\n"), '\n')); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	} else {
		printStatements(p, parsed.NewReport(file))
	}
	if file.Outcome != parsed.OK {
		return errNotWell
	}
	return nil
}

func printStatements(p *program, r parsed.Report) {
	fmt.Fprintf(p.stdout, "%s %s\n", r.Outcome, r.Format)
	for _, s := range r.Statements {
		fmt.Fprintf(p.stdout, "account %s %s: %d booked, credit %s, debit %s, balance %s\n",
			s.Account, s.Currency, s.Entries, s.SumCredit, s.SumDebit, s.BalanceCheck)
		for _, b := range s.Batches {
			fmt.Fprintf(p.stdout, "batch %s: %d rows, gross %s, fee %s, vat %s, net %s\n", b.ID, b.Rows, b.Gross, b.Fee, b.FeeVAT, b.Net)
		}
	}
	printProblems(p, r.Problems)
}

func printProblems(p *program, list []parsed.Problem) {
	for _, problem := range list {
		fmt.Fprintf(p.stdout, "row %d: %s: %s\n", problem.Row, problem.Code, problem.Detail)
	}
}

// importReport is the outcome of bringing a file in.
type importReport struct {
	ID           statements.ID     `json:"id"`
	Source       string            `json:"source"`
	Status       statements.Status `json:"status"`
	DuplicateOf  string            `json:"duplicate_of,omitempty"`
	RowsAccepted int               `json:"rows_accepted"`
	RowsKnown    int               `json:"rows_known"`
	RowsRefused  int               `json:"rows_refused"`
	Problems     []parsed.Problem  `json:"problems"`
}

func (c *importCommand) report(p *program, st statements.Statement) error {
	r := importReport{
		ID: st.ID, Source: st.Source, Status: st.Status, RowsAccepted: st.RowsAccepted, RowsKnown: st.RowsKnown,
		RowsRefused: st.RowsRefused, Problems: append([]parsed.Problem{}, st.Problems...),
	}
	if !st.DuplicateOf.IsZero() {
		r.DuplicateOf = st.DuplicateOf.String()
	}
	if c.JSON {
		if err := p.writeJSON(r); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(p.stdout, "%s: %s, %d rows (%d known before), %d refused\n", r.ID, r.Status, r.RowsAccepted, r.RowsKnown, r.RowsRefused)
		printProblems(p, r.Problems)
	}
	if st.Status == statements.Partial || st.Status == statements.Rejected {
		return errNotWell
	}
	return nil
}
