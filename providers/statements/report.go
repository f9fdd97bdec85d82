package statements

import (
	"encoding/json"

	"github.com/shopspring/decimal"

	"github.com/doisoat/doisoat/internal/money"
)

// Report is a parsed file as the dry run of an import shows it. Amounts are
// signed decimal text, and sums are positive. Dates are YYYY-MM-DD or null. The
// member entries counts booked lines; lines holds all lines in file order.
type Report struct {
	Outcome    Outcome           `json:"outcome"`
	Format     Format            `json:"format,omitempty"`
	Profile    string            `json:"profile,omitempty"`
	Problems   []Problem         `json:"problems"`
	Statements []StatementReport `json:"statements"`
}

// StatementReport is one statement of a Report. Opening and Closing are null
// when the file gives no such balance.
type StatementReport struct {
	Account      string         `json:"account"`
	Currency     money.Currency `json:"currency"`
	ID           string         `json:"id,omitempty"`
	Opening      *string        `json:"opening"`
	Closing      *string        `json:"closing"`
	Entries      int            `json:"entries"`
	SumCredit    string         `json:"sum_credit"`
	SumDebit     string         `json:"sum_debit"`
	BalanceCheck Check          `json:"balance_check"`
	Batches      []BatchReport  `json:"batches,omitempty"`
	Lines        []LineReport   `json:"lines"`
}

// BatchReport sums the rows that a provider pays in one transfer.
type BatchReport struct {
	ID     string `json:"id"`
	Rows   int    `json:"rows"`
	Gross  string `json:"gross"`
	Fee    string `json:"fee"`
	FeeVAT string `json:"fee_vat"`
	Net    string `json:"net"`
}

// LineReport is one line. Status appears only when the line is not booked. Only
// settlement rows have the members after Content.
type LineReport struct {
	Row         int     `json:"row"`
	BookingDate *string `json:"booking_date"`
	ValueDate   *string `json:"value_date"`
	Amount      string  `json:"amount"`
	Ref         *string `json:"ref"`
	Content     *string `json:"content"`
	Status      Status  `json:"status,omitempty"`
	Reversal    bool    `json:"reversal,omitempty"`

	Kind          Kind   `json:"kind,omitempty"`
	Reference     string `json:"reference,omitempty"`
	TransactionID string `json:"transaction_id,omitempty"`
	OriginalID    string `json:"original_id,omitempty"`
	Fee           string `json:"fee,omitempty"`
	FeeVAT        string `json:"fee_vat,omitempty"`
	Net           string `json:"net,omitempty"`
	BatchID       string `json:"batch_id,omitempty"`
}

// NewReport makes the report of f.
func NewReport(f File) Report {
	r := Report{
		Outcome: f.Outcome, Format: f.Format, Profile: f.Profile,
		Problems: append([]Problem{}, f.Problems...), Statements: []StatementReport{},
	}
	for _, st := range f.Statements {
		r.Statements = append(r.Statements, st.report(f.Format))
	}
	return r
}

// ReportJSON is NewReport as indented JSON.
func ReportJSON(f File) ([]byte, error) { return json.MarshalIndent(NewReport(f), "", "  ") }

func (s Statement) report(format Format) StatementReport {
	out := StatementReport{
		Account: s.Account, Currency: s.Currency, ID: s.ID, Entries: s.Entries,
		SumCredit: s.SumCredit.String(), SumDebit: s.SumDebit.String(), BalanceCheck: s.BalanceCheck,
		Opening: s.Opening.text(), Closing: s.Closing.text(), Lines: []LineReport{},
	}
	for _, b := range s.Batches {
		out.Batches = append(out.Batches, BatchReport{
			ID: b.ID, Rows: b.Rows, Gross: b.Gross.String(), Fee: b.Fee.String(), FeeVAT: b.FeeVAT.String(), Net: b.Net.String(),
		})
	}
	for _, l := range s.Lines {
		out.Lines = append(out.Lines, l.report(format))
	}
	return out
}

func (l Line) report(format Format) LineReport {
	out := LineReport{
		Row: l.Row, BookingDate: optional(l.BookingDate.String()), ValueDate: optional(l.ValueDate.String()),
		Amount: l.Amount.String(), Ref: optional(l.Ref), Content: optional(l.Content), Reversal: l.Reversal,
	}
	if l.Status != Booked {
		out.Status = l.Status
	}
	if format == Settlement {
		out.Kind, out.Reference, out.TransactionID, out.OriginalID = l.Kind, l.Reference, l.TransactionID, l.OriginalID
		out.Fee, out.FeeVAT, out.Net, out.BatchID = l.Fee.String(), l.FeeVAT.String(), l.Net.String(), l.BatchID
	}
	return out
}

// text returns the amount of a balance, nil for none.
func (b *Balance) text() *string {
	if b == nil {
		return nil
	}
	return number(b.Amount)
}

func number(d decimal.Decimal) *string {
	s := d.String()
	return &s
}

// optional turns an absent text into null.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
