package refunds

import (
	"fmt"
	"slices"
	"time"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/remittance"
)

// approved is the entry of a decision: the money collected for charges is owed
// to the payer, out of the accounts where it is now. Excess is owed since its
// capture and needs no posting; ok is false for a refund of excess alone.
//
//	provisional collection:          Dr L-TAMTHU-kind         Cr L-REFUND
//	divided, not remitted:           Dr L-NSNN + L-RETAIN     Cr L-REFUND
//	divided, the budget has it:      Dr A-KB-HOAN + L-RETAIN  Cr L-REFUND
func approved(r Refund, takings []remittance.Taking, date calendar.Date, now time.Time, actor string) (entry ledger.Entry, ok bool) {
	e := r.entry("approved", date, now, actor)
	for _, t := range takings {
		about := r.about(t.Charge)
		add := func(account string, minor int64) {
			if minor > 0 {
				e.Postings = append(e.Postings, ledger.Dr(account, r.amount(minor), about))
			}
		}
		add(dossiers.TamThu(t.Charge.Kind), t.Held)
		owed := t.Held
		for _, x := range t.Shares {
			if x.Remitted != nil {
				add(ledger.TreasuryRefund, x.Budget)
			} else {
				add(ledger.BudgetPayable, x.Budget)
			}
			add(ledger.Retained, x.Retained)
			owed += x.Budget + x.Retained
		}
		e.Postings = append(e.Postings, ledger.Cr(ledger.RefundPayable, r.amount(owed), about))
	}
	return e, len(e.Postings) > 0
}

// Funding is one account of the book and the part of a refund that it pays.
type Funding struct {
	Account string
	Minor   int64
}

// FundedBy lists the accounts that pay a refund, by where its money was when it
// was decided. By order: the budget gives back its part, the waiting account
// the part that lies there, and the agency's bank account the rest. bank is the
// code of the bank account; empty when it is not known yet.
func (r Refund) FundedBy(taken []remittance.Taken, bank string) []Funding {
	if r.Route == ByProvider {
		return []Funding{{ledger.Clearing(r.Provider), r.Amount.Minor}}
	}
	var budget, waiting int64
	for _, x := range taken {
		rest := x.Retained
		if x.Remitted != nil {
			budget += x.Budget
		} else {
			rest += x.Budget
		}
		if x.Waiting {
			waiting += rest
		}
	}
	list := []Funding{
		{ledger.TreasuryRefund, budget}, {ledger.TreasuryWaiting, waiting}, {ledger.Transit(bank), r.Amount.Minor - budget - waiting},
	}
	return slices.DeleteFunc(list, func(f Funding) bool { return f.Minor == 0 })
}

// done is the entry of a refund that was carried out: the provider took it out
// of its debt to us, or the agency and the treasury paid it by order. The
// refunded part of the obligation ends.
//
//	Dr L-REFUND amount            Cr A-CLR-provider, or A-KB-HOAN + A-KB-PHI + A-TRANSIT-account
//	Dr M-OBLIGATION per charge    Cr M-COLLECTED
func done(r Refund, charges []dossiers.Paid, from []Funding, date calendar.Date, now time.Time, actor string) ledger.Entry {
	e := r.entry("done", date, now, actor)
	e.Postings = append(e.Postings, ledger.Dr(ledger.RefundPayable, r.Amount, r.whole()))
	for _, f := range from {
		e.Postings = append(e.Postings, ledger.Cr(f.Account, r.amount(f.Minor), r.whole()))
	}
	for _, c := range charges {
		e.Postings = append(e.Postings,
			ledger.Dr(ledger.MemoObligation, r.amount(c.Amount), r.about(c.Charge)),
			ledger.Cr(ledger.MemoCollected, r.amount(c.Amount), r.about(c.Charge)))
	}
	return e
}

// returned is the entry of a refund that bounced: the money is back in a bank
// account and owed again. The obligation stays ended.
//
//	Dr A-TRANSIT-account   Cr L-REFUND
func returned(r Refund, doc BankDocument, date calendar.Date, now time.Time, actor string) ledger.Entry {
	e := r.entry(fmt.Sprintf("returned-%d", doc.Seq), date, now, actor)
	e.Postings = []ledger.Posting{
		ledger.Dr(ledger.Transit(doc.Account), r.Amount, r.whole()),
		ledger.Cr(ledger.RefundPayable, r.Amount, r.whole()),
	}
	return e
}

// paidAgain is the entry of a bounced refund that a bank account pays again.
//
//	Dr L-REFUND   Cr A-TRANSIT-account
func paidAgain(r Refund, doc BankDocument, date calendar.Date, now time.Time, actor string) ledger.Entry {
	e := r.entry(fmt.Sprintf("paid-%d", doc.Seq), date, now, actor)
	e.Postings = []ledger.Posting{
		ledger.Dr(ledger.RefundPayable, r.Amount, r.whole()),
		ledger.Cr(ledger.Transit(doc.Account), r.Amount, r.whole()),
	}
	return e
}

// declined is the entry that gives a decided refund back to collection,
// because the provider refused it. Money out of a share is provisional again;
// the next period divides it.
//
//	Dr L-REFUND   Cr L-TAMTHU-kind per charge
func declined(r Refund, charges []dossiers.Paid, date calendar.Date, now time.Time, actor string) (entry ledger.Entry, ok bool) {
	e := r.entry("declined", date, now, actor)
	for _, c := range charges {
		e.Postings = append(e.Postings,
			ledger.Dr(ledger.RefundPayable, r.amount(c.Amount), r.about(c.Charge)),
			ledger.Cr(dossiers.TamThu(c.Charge.Kind), r.amount(c.Amount), r.about(c.Charge)))
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

// about is the dimensions of postings of one charge.
func (r Refund) about(c dossiers.Charge) ledger.Dimensions {
	d := c.Dimensions()
	d.Payment, d.Refund = r.PaymentID.UUID(), r.ID.UUID()
	return d
}

// whole is the dimensions of postings of the refund as a whole.
func (r Refund) whole() ledger.Dimensions {
	return ledger.Dimensions{Dossier: r.DossierID.UUID(), Payment: r.PaymentID.UUID(), Refund: r.ID.UUID()}
}

func (r Refund) amount(minor int64) money.Amount {
	return money.Amount{Currency: r.Amount.Currency, Minor: minor}
}
