package reconcile

import (
	"strconv"
	"time"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/reconcile/matching"
	"github.com/doisoat/doisoat/statements"
)

// stamp is what every entry of a run has.
type stamp struct {
	authority string
	bank      string // account of the bank in the book
	transit   string // account of money on its way out of it, or back
	currency  money.Currency
	now       time.Time
	actor     string
}

func (s stamp) entry(date calendar.Date, cause ledger.Cause, description string) ledger.Entry {
	return ledger.Entry{
		Authority: s.authority, BusinessDate: date, RecordedAt: s.now, Cause: cause, Description: description, Actor: s.actor,
	}
}

// debit posts an amount to the debit side, or to the credit side when it is negative; nothing for 0.
func (s stamp) debit(e *ledger.Entry, account string, minor int64, about ledger.Dimensions) {
	post := ledger.Dr
	if minor < 0 {
		post, minor = ledger.Cr, -minor
	}
	if minor != 0 {
		e.Postings = append(e.Postings, post(account, money.Amount{Currency: s.currency, Minor: minor}, about))
	}
}

// paidOut is the entry of a batch that arrived at the bank net of the
// provider's fee. Gross is payments less refunds. Rows whose own net is wrong
// leave a difference, which waits in A-BREAK for a person.
//
//	Dr A-BANK-source net          Cr A-CLR-provider gross
//	Dr E-FEE fee and its VAT
//	Dr A-BREAK gross - fee - net (Cr when it is negative)
func paidOut(s stamp, match MatchID, b matching.Batch, date calendar.Date) ledger.Entry {
	e := s.entry(date, ledger.Cause{Kind: "match", ID: match.String(), Event: "paid_out"},
		"settlement of "+b.Provider+", "+strconv.Itoa(len(b.Lines))+" rows")
	s.debit(&e, s.bank, b.Net, ledger.Dimensions{})
	s.debit(&e, ledger.ProviderFee, b.Fee, ledger.Dimensions{})
	s.debit(&e, ledger.BreakShort, b.Gross-b.Fee-b.Net, ledger.Dimensions{})
	s.debit(&e, ledger.Clearing(b.Provider), -b.Gross, ledger.Dimensions{})
	return e
}

// transferred is the entry of a transfer that the bank's statement confirms.
//
//	Dr A-BANK-source amount   Cr A-CLR-provider
func transferred(s stamp, match MatchID, item matching.Item, date calendar.Date) ledger.Entry {
	about := ledger.Dimensions{Dossier: item.Dossier, Payment: item.Payment}
	e := s.entry(date, ledger.Cause{Kind: "match", ID: match.String(), Event: "transferred"}, "transfer confirmed by the bank's statement")
	s.debit(&e, s.bank, item.Amount, about)
	s.debit(&e, ledger.Clearing(item.Provider), -item.Amount, about)
	return e
}

// arrived is the entry of money in transit that the bank's statement shows: an
// order was carried out, or what had bounced is back. amount is the line's.
//
//	debit line:  Dr A-TRANSIT-source   Cr A-BANK-source
//	credit line: Dr A-BANK-source      Cr A-TRANSIT-source
func arrived(s stamp, match MatchID, item matching.Item, date calendar.Date) ledger.Entry {
	about := ledger.Dimensions{Dossier: item.Dossier, Payment: item.Payment, Refund: item.Refund}
	e := s.entry(date, ledger.Cause{Kind: "match", ID: match.String(), Event: "arrived"}, "money in transit shown by the bank's statement")
	s.debit(&e, s.bank, item.Amount, about)
	s.debit(&e, s.transit, -item.Amount, about)
	return e
}

// suspended is the entry of a booked bank line that nothing explains: the book
// follows the account, and the money waits for its owner. times tells apart
// what a revoked match puts there again. A later match reverses it.
//
//	credit: Dr A-BANK-source   Cr L-SUSPENSE
//	debit:  Dr A-BREAK         Cr A-BANK-source
func suspended(s stamp, line statements.LineID, amount int64, times int, date calendar.Date) ledger.Entry {
	e := s.entry(date, suspenseCause(line, "suspended", times), "unidentified bank line")
	s.debit(&e, s.bank, amount, ledger.Dimensions{})
	if amount > 0 {
		s.debit(&e, ledger.Suspense, -amount, ledger.Dimensions{})
	} else {
		s.debit(&e, ledger.BreakShort, -amount, ledger.Dimensions{})
	}
	return e
}

func suspenseCause(line statements.LineID, event string, times int) ledger.Cause {
	return ledger.Cause{Kind: "statement_line", ID: line.String(), Event: event + "-" + strconv.Itoa(times)}
}
