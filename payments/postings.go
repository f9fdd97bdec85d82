package payments

import (
	"time"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/ledger"
)

// captured is the entry of a capture. The part that paid charges is provisional collection, per
// charge. The excess is owed back at once and never becomes collection (domain: duplicate capture
// goes to L-REFUND).
//
//	Dr A-CLR-provider amount   Cr L-TAMTHU-kind per charge
//	(L-SUSPENSE: identified)   Cr L-REFUND excess
//	Dr M-COLLECTED             Cr M-RECEIVABLE, per charge
func captured(authority string, c Capture, paid []dossiers.Paid, date calendar.Date, now time.Time, actor string) ledger.Entry {
	about := ledger.Dimensions{Dossier: c.DossierID.UUID(), Payment: c.PaymentID.UUID()}
	from := ledger.Clearing(c.Provider)
	if c.Evidence == ByPersons { // the money is in the bank account already, booked on suspense
		from = ledger.Suspense
	}
	e := ledger.Entry{
		Authority: authority, BusinessDate: date, RecordedAt: now,
		Cause:       ledger.Cause{Kind: "capture", ID: c.ID.String(), Event: "captured"},
		Description: "capture by " + c.Provider + ", evidence: " + string(c.Evidence), Actor: actor,
		Postings: []ledger.Posting{ledger.Dr(from, c.Amount, about)},
	}
	amount := func(minor int64) money.Amount { return money.Amount{Currency: c.Amount.Currency, Minor: minor} }
	for _, p := range paid {
		d := p.Charge.Dimensions()
		d.Payment = c.PaymentID.UUID()
		e.Postings = append(e.Postings,
			ledger.Cr(dossiers.TamThu(p.Charge.Kind), amount(p.Amount), d),
			ledger.Dr(ledger.MemoCollected, amount(p.Amount), d),
			ledger.Cr(ledger.MemoReceivable, amount(p.Amount), d))
	}
	if c.Excess > 0 {
		e.Postings = append(e.Postings, ledger.Cr(ledger.RefundPayable, amount(c.Excess), about))
	}
	return e
}
