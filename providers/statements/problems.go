package statements

import "fmt"

// Problem is one remark on a file. Row is as in Line, 0 for the whole file.
// Detail is for people. It quotes amounts and words of the layout, and never
// names, accounts or transfer texts.
type Problem struct {
	Row    int    `json:"row"`
	Code   Code   `json:"code"`
	Detail string `json:"detail"`
}

// Code names a problem. The list is closed.
type Code string

// Codes that reject a file.
const (
	EmptyFile        Code = "empty_file"
	TooLarge         Code = "too_large"          // more than MaxBytes
	TooManyRows      Code = "too_many_rows"      // more than MaxRows
	TextTooLong      Code = "text_too_long"      // a text beyond MaxText, a row beyond MaxColumns
	TooDeep          Code = "too_deep"           // XML beyond MaxDepth
	UnsupportedType  Code = "unsupported_format" // recognised, but no parser reads it: XLS, PDF, MT940 …
	UnknownLayout    Code = "unknown_layout"     // no profile fits, or XML that is not camt
	UnknownProfile   Code = "unknown_profile"    // the caller named a profile that does not exist
	Encoding         Code = "encoding"           // declared text encoding is not supported
	BrokenXML        Code = "broken_xml"         // not well-formed, or cut off
	Doctype          Code = "doctype"            // a document type declaration
	BrokenCSV        Code = "broken_csv"         // a quoted cell never ends
	NoStatement      Code = "no_statement"       // no statement, entry or balance in it
	AmountNotNumber  Code = "amount_not_number"
	AmountAmbiguous  Code = "amount_ambiguous"  // the column does not tell thousands from decimals
	MissingIndicator Code = "missing_indicator" // an entry names neither credit nor debit
	TotalMismatch    Code = "total_mismatch"    // the total row of a settlement file contradicts the rows
)

// Codes that make a file partial: all rows are imported, and a person must check them.
const (
	BadDate        Code = "bad_date"           // a date or time that cannot be read is left empty
	AmountNotWhole Code = "amount_not_whole"   // finer than the currency, or too large to book
	MissingAccount Code = "missing_account"    // a statement does not name its account
	MissingID      Code = "missing_identifier" // settlement row without any reference
	RowNetMismatch Code = "row_net_mismatch"   // net is not gross - fee - VAT
	SignConflict   Code = "sign_conflict"      // the sign contradicts the kind of row
	UnknownKind    Code = "unknown_kind"
	UnknownStatus  Code = "unknown_status" // the row is kept as INFO and not counted
	UnreadableRow  Code = "unreadable_row" // neither a transaction nor a total; not imported
	MoreProblems   Code = "more_problems"  // the list ends at MaxProblems
)

// Codes that are remarks and change no outcome.
const (
	IndicatorAssumed Code = "indicator_assumed" // balance without CdtDbtInd taken as credit
	StatusAssumed    Code = "status_assumed"    // entry without Sts taken as booked
	ForeignEntry     Code = "foreign_entry"     // entry not in the account's currency: not in the sums
	BalanceMismatch  Code = "balance_mismatch"
	SummaryMismatch  Code = "summary_mismatch" // TxsSummry does not fit the entries
	ChainGap         Code = "chain_gap"        // opening differs from the closing of the account's previous statement
	LooseQuotes      Code = "loose_quotes"     // quotes that break the CSV rules are kept as text
)

var partialCodes = map[Code]bool{
	BadDate: true, AmountNotWhole: true, MissingAccount: true, MissingID: true, RowNetMismatch: true,
	SignConflict: true, UnknownKind: true, UnknownStatus: true, UnreadableRow: true, MoreProblems: true,
}

var remarkCodes = map[Code]bool{
	IndicatorAssumed: true, StatusAssumed: true, ForeignEntry: true, BalanceMismatch: true,
	SummaryMismatch: true, ChainGap: true, LooseQuotes: true,
}

// Outcome returns the outcome of a file with a problem of this code.
func (c Code) Outcome() Outcome {
	switch {
	case remarkCodes[c]:
		return OK
	case partialCodes[c]:
		return Partial
	default:
		return Reject // an unlisted code is a fault of the parser: reject the file
	}
}

// Refusal is the error with which a parser ends early and rejects the file.
type Refusal struct{ Problem Problem }

func (r Refusal) Error() string { return string(r.Problem.Code) + ": " + r.Problem.Detail }

// Refuse returns a [Refusal].
func Refuse(row int, code Code, format string, args ...any) error {
	return Refusal{Problem{row, code, fmt.Sprintf(format, args...)}}
}

// Note records a problem that does not end parsing.
func (f *File) Note(row int, code Code, format string, args ...any) {
	if f.Outcome != Reject && code.Outcome() == Partial {
		f.Outcome = Partial
	}
	switch n := len(f.Problems); {
	case n < MaxProblems-1:
		f.Problems = append(f.Problems, Problem{row, code, fmt.Sprintf(format, args...)})
	case n == MaxProblems-1:
		f.Problems = append(f.Problems, Problem{row, MoreProblems, "more problems follow that are not listed"})
	}
}

// Refuse turns f into a rejected file. It deletes all statements, so that no line can be imported.
func (f *File) Refuse(p Problem) {
	if len(f.Problems) >= MaxProblems {
		f.Problems = f.Problems[:MaxProblems-1]
	}
	f.Problems = append(f.Problems, p)
	f.Statements, f.Outcome = nil, Reject
}

// Quote shortens a cell to quote it in a Detail.
func Quote(s string) string {
	if r := []rune(s); len(r) > 40 {
		s = string(r[:40]) + "…"
	}
	return fmt.Sprintf("%q", s)
}
