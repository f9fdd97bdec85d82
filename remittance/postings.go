package remittance

import (
	"time"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/ledger"
)

// divided is the entry of a split for the charges of one dossier.
//
//	Dr L-TAMTHU-kind per charge   Cr L-NSNN budget's part
//	                              Cr L-RETAIN agency's part (phí only)
func divided(s Split, dossier dossiers.ID, shares []share, date calendar.Date, now time.Time, actor string) ledger.Entry {
	e := ledger.Entry{
		Authority: s.Authority, BusinessDate: date, RecordedAt: now,
		Cause:       ledger.Cause{Kind: splitCause, ID: s.ID.String() + "/" + dossier.String(), Event: "divided"},
		Description: "collection up to " + s.PeriodTo.String() + " divided", Actor: actor,
	}
	for _, x := range shares {
		about := ledger.Dimensions{Dossier: x.Dossier.UUID(), Charge: x.Charge.UUID(), FeeType: x.FeeType}
		e.Postings = append(e.Postings, ledger.Dr(dossiers.TamThu(x.Kind), money.Amount{Currency: s.Currency, Minor: x.Amount}, about))
		if budget := x.Amount - x.Retained; budget > 0 {
			e.Postings = append(e.Postings, ledger.Cr(ledger.BudgetPayable, money.Amount{Currency: s.Currency, Minor: budget}, about))
		}
		if x.Retained > 0 {
			e.Postings = append(e.Postings, ledger.Cr(ledger.Retained, money.Amount{Currency: s.Currency, Minor: x.Retained}, about))
		}
	}
	return e
}

// splitCause is the cause's kind of every entry of a split.
const splitCause = "split"

// moved is the entry of an approved voucher, per fee type.
//
//	waiting:     Dr A-KB-PHI   Cr A-TRANSIT-account
//	budget_*:    Dr L-NSNN     Cr A-TRANSIT-account, or A-KB-PHI for phí that waits there
func moved(v Voucher, currency money.Currency, lines []line, date calendar.Date, now time.Time, actor string) ledger.Entry {
	from, to := ledger.TreasuryWaiting, ledger.BudgetPayable
	if v.Account != "" {
		from = ledger.Transit(v.Account)
	}
	if v.Kind == ToWaiting {
		to = ledger.TreasuryWaiting
	}
	e := ledger.Entry{
		Authority: v.Authority, BusinessDate: date, RecordedAt: now,
		Cause:       ledger.Cause{Kind: "voucher", ID: v.ID.String(), Event: "approved"},
		Description: "voucher " + v.Number + " of " + v.DocumentDate.String() + " (" + string(v.Kind) + ")", Actor: actor,
	}
	for _, x := range lines {
		amount, about := money.Amount{Currency: currency, Minor: x.Amount}, ledger.Dimensions{FeeType: x.FeeType}
		e.Postings = append(e.Postings, ledger.Dr(to, amount, about), ledger.Cr(from, amount, about))
	}
	return e
}
