package entries

import (
	"strconv"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/reconcile/matching"
	"github.com/doisoat/doisoat/statements"
)

func (p *Poster) entry(date calendar.Date, cause ledger.Cause, description string) ledger.Entry {
	return ledger.Entry{
		Authority: p.authority, BusinessDate: date, RecordedAt: p.now, Cause: cause, Description: description, Actor: p.actor,
	}
}

// debit posts an amount to the debit side, or to the credit side when the amount is negative; nothing for 0.
func (p *Poster) debit(e *ledger.Entry, account string, minor int64, about ledger.Dimensions) {
	post := ledger.Dr
	if minor < 0 {
		post, minor = ledger.Cr, -minor
	}
	if minor != 0 {
		e.Postings = append(e.Postings, post(account, money.Amount{Currency: p.currency, Minor: minor}, about))
	}
}

// PaidOut returns the entry of a batch that arrived at the bank net of the
// provider's fee. The gross amount is payments less refunds. When the net
// amount of a row is wrong, a difference is left, and the difference waits in
// A-BREAK for a person. match is the shown id of the match.
//
//	Dr A-BANK-source net          Cr A-CLR-provider gross
//	Dr E-FEE fee and its VAT
//	Dr A-BREAK gross - fee - net (Cr when it is negative)
func (p *Poster) PaidOut(match string, b matching.Batch, date calendar.Date) ledger.Entry {
	e := p.entry(date, ledger.Cause{Kind: "match", ID: match, Event: "paid_out"},
		"settlement of "+b.Provider+", "+strconv.Itoa(len(b.Lines))+" rows")
	p.debit(&e, p.bank, b.Net, ledger.Dimensions{})
	p.debit(&e, ledger.ProviderFee, b.Fee, ledger.Dimensions{})
	p.debit(&e, ledger.BreakShort, b.Gross-b.Fee-b.Net, ledger.Dimensions{})
	p.debit(&e, ledger.Clearing(b.Provider), -b.Gross, ledger.Dimensions{})
	return e
}

// Transferred returns the entry of a transfer that the bank's statement
// confirms. match is the shown id of the match.
//
//	Dr A-BANK-source amount   Cr A-CLR-provider
func (p *Poster) Transferred(match string, item matching.Item, date calendar.Date) ledger.Entry {
	about := ledger.Dimensions{Dossier: item.Dossier, Payment: item.Payment}
	e := p.entry(date, ledger.Cause{Kind: "match", ID: match, Event: "transferred"}, "transfer confirmed by the bank's statement")
	p.debit(&e, p.bank, item.Amount, about)
	p.debit(&e, ledger.Clearing(item.Provider), -item.Amount, about)
	return e
}

// Arrived returns the entry of money in transit that the bank's statement
// shows: the bank carried out an order, or a bounced refund is back. match is
// the shown id of the match.
//
//	debit line:  Dr A-TRANSIT-source   Cr A-BANK-source
//	credit line: Dr A-BANK-source      Cr A-TRANSIT-source
func (p *Poster) Arrived(match string, item matching.Item, date calendar.Date) ledger.Entry {
	about := ledger.Dimensions{Dossier: item.Dossier, Payment: item.Payment, Refund: item.Refund}
	e := p.entry(date, ledger.Cause{Kind: "match", ID: match, Event: "arrived"}, "money in transit shown by the bank's statement")
	p.debit(&e, p.bank, item.Amount, about)
	p.debit(&e, p.transit, -item.Amount, about)
	return e
}

// suspended returns the entry of a booked bank line that nothing explains. The
// book follows the bank account, and the money waits for its owner. A later
// match reverses the entry. times counts the suspensions of the line, because a
// revoked match suspends the line again.
//
//	credit: Dr A-BANK-source   Cr L-SUSPENSE
//	debit:  Dr A-BREAK         Cr A-BANK-source
func (p *Poster) suspended(line statements.LineID, amount int64, times int, date calendar.Date) ledger.Entry {
	e := p.entry(date, suspenseCause(line, "suspended", times), "unidentified bank line")
	p.debit(&e, p.bank, amount, ledger.Dimensions{})
	if amount > 0 {
		p.debit(&e, ledger.Suspense, -amount, ledger.Dimensions{})
	} else {
		p.debit(&e, ledger.BreakShort, -amount, ledger.Dimensions{})
	}
	return e
}

func suspenseCause(line statements.LineID, event string, times int) ledger.Cause {
	return ledger.Cause{Kind: "statement_line", ID: line.String(), Event: event + "-" + strconv.Itoa(times)}
}
