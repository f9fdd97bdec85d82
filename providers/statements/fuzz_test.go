package statements

import (
	"bytes"
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
)

// FuzzParse checks what holds for any input: no panic, no empty success, sums
// that are the sums of the lines, and a report that can be written.
func FuzzParse(f *testing.F) {
	samples, err := filepath.Glob("testdata/*/*/input.*")
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
		file, err := Parse(bytes.NewReader(raw), Options{})
		if err != nil {
			t.Fatalf("Parse: %v from a sound reader", err)
		}
		check(t, file)
	})
}

// check fails the test when a file contradicts the package's promises.
func check(t *testing.T, f File) {
	t.Helper()
	if f.Outcome == Reject != (len(f.Statements) == 0) || f.Outcome != OK && len(f.Problems) == 0 {
		t.Errorf("%s with %d statements and problems %v", f.Outcome, len(f.Statements), f.Problems)
	}
	for _, s := range f.Statements {
		var credit, debit decimal.Decimal
		booked := 0
		for _, l := range s.Lines {
			if l.Status != Booked {
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
	if _, err := ReportJSON(f); err != nil {
		t.Errorf("ReportJSON: %v", err)
	}
}

// FuzzTable compares our rows with those of encoding/csv, wherever the latter
// accepts a text.
func FuzzTable(f *testing.F) {
	for _, seed := range []string{"a,b\nc,d", "\"a\"\"b\",c\r\n,\n", "a,\"b\nc\"\n", ",", "\"\"", "a,b,\n\nc"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		// encoding/csv also drops a lone CR at the end of the text and rewrites CRLF in quotes.
		if strings.Contains(text, "\r") {
			t.Skip()
		}
		reader := csv.NewReader(strings.NewReader(text))
		reader.FieldsPerRecord = -1
		want, err := reader.ReadAll()
		if err != nil {
			t.Skip()
		}
		var got [][]string
		table := newTable(text, ',')
		for {
			cells, _, done, err := table.next()
			if err != nil && len(text) > MaxColumns {
				t.Skip() // beyond our limits
			}
			if err != nil {
				t.Fatalf("next: %v", err)
			}
			if done {
				break
			}
			// encoding/csv skips empty lines.
			if len(cells) > 1 || cells[0] != "" || len(want) > len(got) && len(want[len(got)]) == 1 && want[len(got)][0] == "" {
				got = append(got, cells)
			}
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("rows of %q (-got +want):\n%s", text, diff)
		}
	})
}

// FuzzColumn checks that a column read in its style gives numbers that are
// written again in that style.
func FuzzColumn(f *testing.F) {
	for _, seed := range [][2]string{{"150.000", "1.500"}, {"150,000", "1.5"}, {"(1.000)", "20"}, {"1 000 đ", "1-"}, {"1,000", "1.000"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		var c column
		if !c.see(a) || !c.see(b) {
			t.Skip()
		}
		s, ok := c.style()
		if !ok {
			t.Skip()
		}
		for _, cell := range []string{a, b} {
			if _, ok := s.signed(cell); !ok {
				t.Errorf("%q was seen but cannot be read in the style %q", cell, s)
			}
		}
	})
}

func TestColumn(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		cells []string
		want  []string // nil: ambiguous
	}{
		"dots are thousands":      {[]string{"150.000", "1.500.000", "20"}, []string{"150000", "1500000", "20"}},
		"commas are thousands":    {[]string{"150,000"}, []string{"150000"}},
		"dots are decimals":       {[]string{"150.000", "150.50"}, []string{"150", "150.5"}},
		"ungrouped is decimals":   {[]string{"1500.000"}, []string{"1500"}},
		"both marks":              {[]string{"1.500,50", "3"}, []string{"1500.5", "3"}},
		"two decimals":            {[]string{"150000.00"}, []string{"150000"}},
		"signs":                   {[]string{"-1", "1-", "(1)", "+1", "\u22121"}, []string{"-1", "-1", "-1", "1", "-1"}},
		"contradiction":           {[]string{"1,000", "1.000"}, nil},
		"contradicting decimals":  {[]string{"1.5", "1,5"}, nil},
		"narrow blanks":           {[]string{"1\u202f000", "2\u00a0000 ₫"}, []string{"1000", "2000"}},
		"no value, no difficulty": {nil, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c column
			for _, cell := range tc.cells {
				if !c.see(cell) {
					t.Fatalf("see %q: no number", cell)
				}
			}
			s, ok := c.style()
			if ok != (tc.want != nil) {
				t.Fatalf("style: %v, want %v", ok, tc.want != nil)
			}
			for i, want := range tc.want {
				if got, _ := s.signed(tc.cells[i]); got.String() != want {
					t.Errorf("%q is %s, want %s", tc.cells[i], got, want)
				}
			}
		})
	}
}

func TestProfilesAreSound(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(Profiles(), []string{"settlement-generic-v1", "vnpay-settlement-v1"}); diff != "" {
		t.Errorf("Profiles (-got +want):\n%s", diff)
	}
	for name, raw := range map[string]string{
		"no json":          `{`,
		"unknown member":   `{"name":"a-v1","version":1,"colour":"red"}`,
		"version in name":  `{"name":"a-v2","version":1,"currency":"VND","times":["x"]}`,
		"unknown field":    `{"name":"a-v1","version":1,"currency":"VND","times":["x"],"columns":{"colour":{"words":["x"]}}}`,
		"one word twice":   `{"name":"a-v1","version":1,"currency":"VND","times":["x"],"columns":{"fee":{"words":["Phí"]},"net":{"words":["PHI"]}}}`,
		"amount not asked": `{"name":"a-v1","version":1,"currency":"VND","times":["x"],"columns":{"transaction_id":{"words":["x"],"required":true}}}`,
	} {
		if _, err := readProfile([]byte(raw)); err == nil {
			t.Errorf("%s: readProfile accepted %s", name, raw)
		}
	}
}
