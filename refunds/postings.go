package refunds

import (
	"time"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/ledger"
)

// approved is the entry of a decision before the money is split: what was
// collected for charges is owed back to the payer. Excess is owed since its
// capture and needs no posting; ok is false when there is nothing else.
//
//	Dr L-TAMTHU-kind per charge   Cr L-REFUND
func approved(r Refund, charges []dossiers.Paid, date calendar.Date, now time.Time, actor string) (entry ledger.Entry, ok bool) {
	e := r.entry("approved", date, now, actor)
	for _, c := range charges {
		amount := money.Amount{Currency: r.Amount.Currency, Minor: c.Amount}
		about := r.about(c)
		e.Postings = append(e.Postings,
			ledger.Dr(dossiers.TamThu(c.Charge.Kind), amount, about),
			ledger.Cr(ledger.RefundPayable, amount, about))
	}
	return e, len(e.Postings) > 0
}

// done is the entry of a refund that the provider took back out of what it
// owes us; the part of the obligation that was refunded ends with it.
//
//	Dr L-REFUND amount            Cr A-CLR-provider
//	Dr M-OBLIGATION per charge    Cr M-COLLECTED
func done(r Refund, charges []dossiers.Paid, date calendar.Date, now time.Time, actor string) ledger.Entry {
	e := r.entry("done", date, now, actor)
	about := ledger.Dimensions{Dossier: r.DossierID.UUID(), Payment: r.PaymentID.UUID(), Refund: r.ID.UUID()}
	e.Postings = append(e.Postings,
		ledger.Dr(ledger.RefundPayable, r.Amount, about),
		ledger.Cr(ledger.Clearing(r.Provider), r.Amount, about))
	for _, c := range charges {
		amount := money.Amount{Currency: r.Amount.Currency, Minor: c.Amount}
		e.Postings = append(e.Postings,
			ledger.Dr(ledger.MemoObligation, amount, r.about(c)),
			ledger.Cr(ledger.MemoCollected, amount, r.about(c)))
	}
	return e
}

// declined is the entry that gives a decided refund back to collection,
// because the provider refused it: the mirror of approved.
//
//	Dr L-REFUND   Cr L-TAMTHU-kind per charge
func declined(r Refund, charges []dossiers.Paid, date calendar.Date, now time.Time, actor string) (entry ledger.Entry, ok bool) {
	e := r.entry("declined", date, now, actor)
	for _, c := range charges {
		amount := money.Amount{Currency: r.Amount.Currency, Minor: c.Amount}
		e.Postings = append(e.Postings,
			ledger.Dr(ledger.RefundPayable, amount, r.about(c)),
			ledger.Cr(dossiers.TamThu(c.Charge.Kind), amount, r.about(c)))
	}
	return e, len(e.Postings) > 0
}

func (r Refund) entry(event string, date calendar.Date, now time.Time, actor string) ledger.Entry {
	return ledger.Entry{
		Authority: r.Authority, BusinessDate: date, RecordedAt: now,
		Cause:       ledger.Cause{Kind: "refund", ID: r.ID.String(), Event: event},
		Description: "refund " + event + ", reason " + r.Reason, Actor: actor,
	}
}

func (r Refund) about(c dossiers.Paid) ledger.Dimensions {
	d := c.Charge.Dimensions()
	d.Payment, d.Refund = r.PaymentID.UUID(), r.ID.UUID()
	return d
}
