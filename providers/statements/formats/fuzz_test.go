package formats_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/doisoat/doisoat/providers/statements"
	"github.com/doisoat/doisoat/providers/statements/formats"
)

// FuzzParse checks the promises of Parse for every input: no panic, no success
// without a statement, sums that equal the sums of the lines, and a report that
// can be written.
func FuzzParse(f *testing.F) {
	samples, err := filepath.Glob("../testdata/*/*/input.*")
	if err != nil || len(samples) == 0 {
		f.Fatalf("no samples: %v", err)
	}
	for _, path := range samples {
		raw, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		if len(raw) < 10_000 {
			f.Add(raw)
		}
	}
	f.Add([]byte(`<!DOCTYPE a><a/>`))
	f.Add([]byte("\xff\xfe<\x00a\x00"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		file, err := formats.Parse(bytes.NewReader(raw), formats.Options{})
		if err != nil {
			t.Fatalf("Parse: %v from a sound reader", err)
		}
		check(t, file)
	})
}

// check fails the test when a file breaks a promise of the package.
func check(t *testing.T, f statements.File) {
	t.Helper()
	if f.Outcome == statements.Reject != (len(f.Statements) == 0) || f.Outcome != statements.OK && len(f.Problems) == 0 {
		t.Errorf("%s with %d statements and problems %v", f.Outcome, len(f.Statements), f.Problems)
	}
	for _, s := range f.Statements {
		var credit, debit decimal.Decimal
		booked := 0
		for _, l := range s.Lines {
			if l.Status != statements.Booked {
				continue
			}
			booked++
			switch {
			case l.Currency != s.Currency:
			case l.Amount.IsNegative():
				debit = debit.Sub(l.Amount)
			default:
				credit = credit.Add(l.Amount)
			}
		}
		if booked != s.Entries || !credit.Equal(s.SumCredit) || !debit.Equal(s.SumDebit) {
			t.Errorf("statement says %d, %s, %s, its lines %d, %s, %s", s.Entries, s.SumCredit, s.SumDebit, booked, credit, debit)
		}
	}
	if _, err := statements.ReportJSON(f); err != nil {
		t.Errorf("ReportJSON: %v", err)
	}
}
