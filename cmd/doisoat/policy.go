package main

import (
	"fmt"

	"github.com/doisoat/doisoat/fees/quote"
)

type policyCommand struct {
	Check policyCheckCommand `cmd:"" help:"Evaluate the cases that a policies file carries."`
}

type policyCheckCommand struct {
	File string `arg:"" help:"Policies file; - reads the standard input."`
	JSON bool   `help:"As JSON. JSON is the default when the output is no terminal."`
	Text bool   `help:"As lines for people. Lines are the default on a terminal."`
}

// Run evaluates every case. It fails when the file cannot be read and when a
// case does not come out as the policy expects.
func (c *policyCheckCommand) Run(p *program) error {
	f, err := openFile(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	report, err := quote.CheckFile(f)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if c.JSON || !c.Text && !p.onTerminal() {
		if err := p.writeJSON(report); err != nil {
			return err
		}
	} else {
		c.print(p, report)
	}
	if report.Failed > 0 {
		return errNotWell
	}
	return nil
}

func (c *policyCheckCommand) print(p *program, report quote.CheckReport) {
	for _, one := range report.Cases {
		mark := "ok  "
		if !one.OK {
			mark = "FAIL"
		}
		due := "no price"
		if one.Due != nil {
			due = fmt.Sprint(*one.Due)
		}
		fmt.Fprintf(p.stdout, "%s %s case %d: due %s, expected %d: %s\n", mark, one.Policy, one.Case, due, one.ExpectedDue, one.Why)
	}
	fmt.Fprintf(p.stdout, "%d passed, %d failed\n", report.Passed, report.Failed)
}
