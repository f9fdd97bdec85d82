package formats_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/doisoat/doisoat/providers/statements"
	"github.com/doisoat/doisoat/providers/statements/formats"
)

// answer is the part of expected.json that is compared.
type answer struct {
	Format     string            `json:"format"`
	Message    string            `json:"message"`
	Acceptable []string          `json:"acceptable_outcomes"`
	Statements []answerStatement `json:"statements"`
}

type answerStatement struct {
	ID           *string        `json:"statement_id"`
	Sequence     *string        `json:"seq"`
	Account      string         `json:"account"`
	Currency     string         `json:"currency"`
	Opening      *answerBalance `json:"opening"`
	Closing      *answerBalance `json:"closing"`
	Entries      int            `json:"entries"` // of every status
	Booked       int            `json:"booked_entries"`
	SumCredit    string         `json:"sum_credit"`
	SumDebit     string         `json:"sum_debit"`
	BalanceCheck string         `json:"balance_check"`
	Lines        []answerLine   `json:"lines"`
}

type answerBalance struct {
	Code, Amount, Currency, Date string
}

type answerLine struct {
	BookingDate *string        `json:"booking_date"`
	ValueDate   *string        `json:"value_date"`
	Amount      string         `json:"amount"`
	Currency    *string        `json:"currency"`
	Status      *string        `json:"status"` // null when the file has none: booked
	Reversal    bool           `json:"reversal"`
	Ref         *string        `json:"ref"`
	TxDetails   int            `json:"tx_details"`
	BatchCount  *int           `json:"batch_nb_of_txs"`
	Details     []answerDetail `json:"details"`
}

type answerDetail struct {
	EndToEndID *string `json:"end_to_end_id"`
	BankRef    *string `json:"acct_svcr_ref"`
	Amount     *string `json:"amount"`
	Currency   *string `json:"currency"`
	Ustrd      *string `json:"ustrd"`
	Structured *string `json:"strd_ref"`
}

func TestLabelledSamples(t *testing.T) {
	t.Parallel()
	for _, folder := range folders(t, "labelled/camt*", "replicas/camt*") {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Parallel()
			var want answer
			if err := json.Unmarshal(read(t, filepath.Join(folder, "expected.json")), &want); err != nil {
				t.Fatal(err)
			}
			f := parse(t, read(t, filepath.Join(folder, "input.xml")), "")
			if !slices.Contains(want.Acceptable, string(f.Outcome)) {
				t.Fatalf("Parse: outcome %s with %v, want one of %v", f.Outcome, f.Problems, want.Acceptable)
			}
			if want.Message != "" && f.Message != want.Message {
				t.Errorf("Parse: message %q, want %q", f.Message, want.Message)
			}
			if string(f.Format) != want.Format {
				t.Errorf("Parse: format %q, want %q", f.Format, want.Format)
			}
			if diff := cmp.Diff(got(f, want.Statements), normal(want.Statements)); diff != "" {
				t.Errorf("Parse: statements differ from expected.json (-got +want):\n%s", diff)
			}
		})
	}
}

// got converts a file into the form of the answers. It leaves out the members that the answer leaves out.
func got(f statements.File, want []answerStatement) []answerStatement {
	var out []answerStatement
	for i, s := range f.Statements {
		a := answerStatement{
			ID: &s.ID, Sequence: optional(s.Sequence), Account: s.Account, Currency: string(s.Currency),
			Opening: gotBalance(s.Opening), Closing: gotBalance(s.Closing), Entries: len(s.Lines), Booked: s.Entries,
			SumCredit: s.SumCredit.String(), SumDebit: s.SumDebit.String(), BalanceCheck: string(s.BalanceCheck),
		}
		sparse := i < len(want) && want[i].ID == nil // the answers of our replicas have fewer members
		if sparse {
			a.ID, a.Sequence = nil, nil
			a.Opening, a.Closing = &answerBalance{Amount: a.Opening.Amount}, &answerBalance{Amount: a.Closing.Amount}
		}
		for _, l := range s.Lines {
			a.Lines = append(a.Lines, gotLine(l, sparse))
		}
		out = append(out, a)
	}
	return out
}

func gotBalance(b *statements.Balance) *answerBalance {
	if b == nil {
		return nil
	}
	return &answerBalance{b.Code, b.Amount.String(), string(b.Currency), b.Date.String()}
}

func gotLine(l statements.Line, sparse bool) answerLine {
	status, currency := string(l.Status), string(l.Currency)
	a := answerLine{
		BookingDate: optional(l.BookingDate.String()), ValueDate: optional(l.ValueDate.String()), Amount: l.Amount.String(),
		Currency: &currency, Status: &status, Reversal: l.Reversal, Ref: optional(l.Ref), TxDetails: len(l.Details),
	}
	if l.BatchCount > 0 {
		a.BatchCount = &l.BatchCount
	}
	if sparse {
		a.Currency = nil
		return a
	}
	for _, d := range l.Details {
		detail := answerDetail{
			EndToEndID: optional(d.EndToEndID), BankRef: optional(d.BankRef), Currency: optional(string(d.Currency)),
		}
		if len(d.CreditorReferences) > 0 {
			detail.Structured = &d.CreditorReferences[0] // the answers hold only the first
		}
		if d.Amount.Valid {
			amount := d.Amount.Decimal.Abs().String()
			detail.Amount = &amount
		}
		if d.Content != strings.Join(d.CreditorReferences, " ") {
			detail.Ustrd = optional(d.Content)
		}
		a.Details = append(a.Details, detail)
	}
	return a
}

// normal writes decimals and absent values of the answers in one way.
func normal(list []answerStatement) []answerStatement {
	var out []answerStatement
	for _, s := range list {
		s.SumCredit, s.SumDebit = plain(s.SumCredit), plain(s.SumDebit)
		for _, b := range []*answerBalance{s.Opening, s.Closing} {
			if b != nil {
				b.Amount = plain(b.Amount)
			}
		}
		var lines []answerLine
		for _, l := range s.Lines {
			l.Amount = plain(l.Amount)
			if booked := string(statements.Booked); l.Status == nil {
				l.Status = &booked
			}
			var details []answerDetail
			for _, d := range l.Details {
				if d.Amount != nil {
					amount := plain(*d.Amount)
					d.Amount = &amount
				}
				if d.EndToEndID != nil && *d.EndToEndID == "NOTPROVIDED" {
					d.EndToEndID = nil
				}
				details = append(details, d)
			}
			l.Details = details
			lines = append(lines, l)
		}
		s.Lines = lines
		out = append(out, s)
	}
	return out
}

func TestUnlabelledSamplesLoseNoEntry(t *testing.T) {
	t.Parallel()
	for _, folder := range folders(t, "unlabelled/camt*") {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Parallel()
			raw := read(t, filepath.Join(folder, "input.xml"))
			f := parse(t, raw, "")
			if f.Outcome == statements.Reject {
				t.Fatalf("Parse: rejected with %v", f.Problems)
			}
			lines := 0
			for _, s := range f.Statements {
				lines += len(s.Lines)
			}
			if want := bytes.Count(raw, []byte("</Ntry>")); lines != want {
				t.Errorf("Parse: %d lines, want %d", lines, want)
			}
			t.Log(f.Outcome, f.Problems)
		})
	}
}

func TestChainOfDays(t *testing.T) {
	t.Parallel()
	var closing map[string]string
	for _, day := range []string{"1", "2", "3", "4", "5"} {
		f := parse(t, read(t, filepath.Join("../testdata/labelled/camt053-chain-day"+day, "input.xml")), "")
		opening, next := map[string]string{}, map[string]string{}
		for _, s := range f.Statements {
			opening[s.Account], next[s.Account] = s.Opening.Amount.String(), s.Closing.Amount.String()
		}
		if diff := cmp.Diff(opening, closing); closing != nil && diff != "" {
			t.Errorf("day %s: opening differs from the closing before (-got +want):\n%s", day, diff)
		}
		closing = next
	}
}

// folders lists sample folders. It fails the test for a pattern without a folder.
func folders(t *testing.T, patterns ...string) []string {
	t.Helper()
	var all []string
	for _, p := range patterns {
		found, err := filepath.Glob(filepath.Join("..", "testdata", p))
		if err != nil || len(found) == 0 {
			t.Fatalf("no samples at %s: %v", p, err)
		}
		all = append(all, found...)
	}
	return all
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func parse(t *testing.T, raw []byte, profile string) statements.File {
	t.Helper()
	f, err := formats.Parse(bytes.NewReader(raw), formats.Options{Profile: profile})
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return f
}

func plain(s string) string { return decimal.RequireFromString(s).String() }

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
