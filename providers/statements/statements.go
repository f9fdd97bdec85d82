// Package statements holds the neutral form of a bank's statement and of a
// provider's settlement file: files, statements, lines, problems and amounts.
// Its parsers fill it: camt for ISO 20022, settlement for CSV. Package formats
// is the entry: it recognises a file and calls the parser. The reconcile room
// and the dry run of the import command read the result.
//
// It owns no data and is pure. Invariants of every parser:
//   - a file is imported as a whole or rejected with a reason;
//   - a parser drops no row in silence and invents none;
//   - amounts keep the digits of the file;
//   - the sign of an amount is the account owner's view (credit +, debit -);
//   - no input makes a parser panic, and limits bound its memory.
//
// When a bank's balance does not add up, the parser keeps all rows and reports
// the difference, and the reconcile room decides. When the total row of a
// settlement file contradicts its rows, rows are missing or changed, and the
// parser rejects the file.
package statements

import (
	"time"

	"github.com/shopspring/decimal"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
)

// Limits of one file. A file beyond one of them is rejected.
const (
	MaxBytes    = 64 << 20  // of the file as it arrived
	MaxRows     = 1_000_000 // entries and transaction details together
	MaxText     = 32 << 10  // bytes of one text or cell
	MaxDepth    = 64        // nested XML elements
	MaxColumns  = 256       // cells of one CSV row
	MaxProblems = 1_000     // problems listed; the last one says that there are more
)

// Format is the recognised format of a file.
type Format string

// The formats that have a parser.
const (
	Camt053    Format = "camt.053"            // statement of booked entries
	Camt052    Format = "camt.052"            // interim report
	Camt054    Format = "camt.054"            // debit and credit notification
	Settlement Format = "provider-settlement" // a provider's settlement file
)

// Outcome is the verdict over a file. It decides how much of the file an importer may use.
type Outcome string

// The outcomes. A rejected file has problems and no statements.
const (
	OK      Outcome = "ok"      // import everything; problems are remarks
	Partial Outcome = "partial" // import; at least one problem needs a person
	Reject  Outcome = "reject"  // import nothing
)

// Check is the result of opening + credits - debits = closing.
type Check string

// The results. Missing means that a balance is absent or of another currency.
const (
	CheckOK       Check = "ok"
	CheckMismatch Check = "mismatch"
	CheckMissing  Check = "missing"
)

// Status is the status of an entry in the words of ISO 20022.
type Status string

// The statuses. Only Booked counts in sums.
const (
	Booked      Status = "BOOK"
	Pending     Status = "PDNG"
	Information Status = "INFO"
	Future      Status = "FUTR"
)

// Kind is the kind of a line. A settlement file names the business event, a bank
// statement only the direction. Kind is empty when the file used an unknown word.
type Kind string

// The kinds.
const (
	Payment    Kind = "payment"
	Refund     Kind = "refund"
	Adjustment Kind = "adjustment"
	Chargeback Kind = "chargeback"
	Credit     Kind = "credit"
	Debit      Kind = "debit"
)

// File is the full content of one file.
type File struct {
	Format    Format // empty when it was not recognised
	Message   string // ISO 20022 message with its version, "camt.053.001.08"
	MessageID string // GrpHdr/MsgId
	Profile   string // mapping profile of a settlement file
	// SHA256 and Size are of the bytes as they arrived. Both are zero for a file
	// larger than MaxBytes, because the parser stops before its end.
	SHA256     [32]byte
	Size       int64
	Statements []Statement
	Problems   []Problem
	Outcome    Outcome
}

// Statement is the report of one account. In a settlement file each terminal of
// a merchant is an account. A file without a terminal column has one account
// without a name.
type Statement struct {
	Account  string // IBAN or the bank's own number, as written
	Bank     string // BIC of the account servicer, where given
	Currency money.Currency
	ID       string
	Sequence string
	From, To calendar.Date // period, where given
	Opening  *Balance      // OPBD, or PRCD when there is no OPBD
	Closing  *Balance      // CLBD
	Lines    []Line        // in file order, with the lines that are not booked
	Batches  []Batch       // settlement files: sums per batch, in order of appearance
	// Entries, SumCredit and SumDebit count booked lines in Currency; both
	// sums are positive or zero.
	Entries             int
	SumCredit, SumDebit decimal.Decimal
	BalanceCheck        Check
}

// Balance is a signed balance; a debit balance is negative.
type Balance struct {
	Code     string // "OPBD"
	Amount   decimal.Decimal
	Currency money.Currency
	Date     calendar.Date
}

// Batch sums the booked lines of one settlement batch. The provider pays Net in
// one transfer.
type Batch struct {
	ID                      string
	Rows                    int
	Gross, Fee, FeeVAT, Net decimal.Decimal
}

// Line is one entry of a bank statement or one row of a settlement file.
type Line struct {
	// Row is the ordinal of the entry in the file (camt, from 1) or the line
	// number of the row in the file (CSV, the header included).
	Row         int
	BookingDate calendar.Date // zero when the file names none
	ValueDate   calendar.Date
	OccurredAt  time.Time // instant, where the file gives a time
	// Amount is signed and keeps the digits of the file. In a settlement row it
	// is the gross amount, negative for money paid back.
	Amount        decimal.Decimal
	Currency      money.Currency
	Status        Status
	Reversal      bool            // reverses an earlier entry; Amount already has its sign
	Ref           string          // bank reference
	Reference     string          // our reference, as the provider repeats it
	TransactionID string          // provider's id
	OriginalID    string          // of a refund: provider's id of the refunded transaction
	Kind          Kind            //
	Fee           decimal.Decimal // provider's or bank's charge; positive when it was kept
	FeeVAT        decimal.Decimal
	Net           decimal.Decimal // signed money that moved: Amount for bank lines
	BatchID       string          // settlement batch, or the bank's id of a batch entry
	BatchCount    int             // transactions of a batch entry, 0 when not said
	Code          string          // bank transaction code, "PMNT/RCDT/DMCT"
	// Content is the transfer text, unchanged. Content joins the parts of one
	// text with a blank, ContentJoined without one, so that a code that was cut
	// at the end of a line is whole in one of them. Each transaction of an entry
	// has its own line in both; Details holds them separately.
	Content       string
	ContentJoined string
	Counterparty  Party
	Details       []Detail // transactions of a camt entry
}

// Party is the other side of a transfer, as written.
type Party struct {
	Name    string
	Account string
	Bank    string
}

// Detail is one transaction of a camt entry (NtryDtls/TxDtls).
type Detail struct {
	// Amount is signed; Valid is false where the file gives none.
	Amount             decimal.NullDecimal
	Currency           money.Currency
	Instructed         decimal.NullDecimal // amount as ordered, perhaps in another currency
	InstructedCurrency money.Currency
	EndToEndID         string // empty when NOTPROVIDED
	TransactionID      string
	InstructionID      string
	UETR               string
	BankRef            string
	CreditorReferences []string // structured references
	ReturnReason       string   // code of a returned payment
	Content            string
	ContentJoined      string
	Counterparty       Party
}

// Money returns Amount in minor units for booking. It fails with
// money.ErrNotWhole or money.ErrOverflow. The parser has noted a problem for
// such a line.
func (l Line) Money() (money.Amount, error) { return money.FromDecimal(l.Currency, l.Amount) }

// Settled is a settlement row in minor units.
type Settled struct{ Gross, Fee, FeeVAT, Net money.Amount }

// Settled returns the four amounts of a settlement row for booking. It fails as Money does.
func (l Line) Settled() (Settled, error) {
	var s Settled
	for _, part := range []struct {
		to   *money.Amount
		from decimal.Decimal
	}{{&s.Gross, l.Amount}, {&s.Fee, l.Fee}, {&s.FeeVAT, l.FeeVAT}, {&s.Net, l.Net}} {
		amount, err := money.FromDecimal(l.Currency, part.from)
		if err != nil {
			return Settled{}, err
		}
		*part.to = amount
	}
	return s, nil
}

// Add appends l and counts it when it is booked.
func (s *Statement) Add(l Line) {
	s.Lines = append(s.Lines, l)
	if l.Status != Booked {
		return
	}
	s.Entries++
	if l.Currency != s.Currency {
		return // never add two currencies
	}
	if l.Amount.IsNegative() {
		s.SumDebit = s.SumDebit.Sub(l.Amount)
	} else {
		s.SumCredit = s.SumCredit.Add(l.Amount)
	}
}

// CheckBalance sets BalanceCheck and returns the computed closing balance.
func (s *Statement) CheckBalance() decimal.Decimal {
	s.BalanceCheck = CheckMissing
	if s.Opening == nil || s.Closing == nil ||
		s.Opening.Currency != s.Currency || s.Closing.Currency != s.Currency {
		return decimal.Zero
	}
	computed := s.Opening.Amount.Add(s.SumCredit).Sub(s.SumDebit)
	s.BalanceCheck = CheckMismatch
	if computed.Equal(s.Closing.Amount) {
		s.BalanceCheck = CheckOK
	}
	return computed
}
