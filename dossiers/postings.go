package dossiers

import (
	"time"

	"github.com/google/uuid"

	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/ledger"
)

// TamThu is the provisional collection account of a kind of fee.
func TamThu(kind schedule.Kind) string {
	if kind == schedule.LePhi {
		return ledger.ProvisionalLePhi
	}
	return ledger.ProvisionalPhi
}

// Dimensions of every posting about a charge.
func (c Charge) Dimensions() ledger.Dimensions {
	return ledger.Dimensions{Dossier: c.DossierID.UUID(), Charge: c.ID.UUID(), FeeType: c.FeeType}
}

// assessed is the entry of an assessment, off balance: obligation, receivable and discounts. A subsidy is real money:
// the budget owes the subsidy in the payer's place.
//
//	Dr M-RECEIVABLE due     Cr M-OBLIGATION gross
//	Dr M-DISCOUNT discount (per policy)
//	Dr M-COLLECTED subsidy
//	Dr A-SUBSIDY subsidy    Cr L-TAMTHU subsidy
//
// ok is false when every amount is 0: there is nothing to post.
func assessed(d Dossier, charges []Charge, date calendar.Date, now time.Time, actor string) (entry ledger.Entry, ok bool) {
	var list []ledger.Posting
	add := func(post func(string, money.Amount, ledger.Dimensions) ledger.Posting, account string, minor int64, about ledger.Dimensions) {
		if minor > 0 {
			list = append(list, post(account, money.Amount{Currency: d.Currency, Minor: minor}, about))
		}
	}
	for _, c := range charges {
		about, subsidised := c.Dimensions(), c.Dimensions()
		subsidised.Policy = c.SubsidyPolicy()
		add(ledger.Dr, ledger.MemoReceivable, c.Due, about)
		for _, g := range c.granted() {
			granted := c.Dimensions()
			granted.Policy = g.Policy
			add(ledger.Dr, ledger.MemoDiscount, g.Amount, granted)
		}
		add(ledger.Dr, ledger.MemoCollected, c.Subsidy, subsidised)
		add(ledger.Cr, ledger.MemoObligation, c.Base, about)
		add(ledger.Dr, ledger.Subsidy, c.Subsidy, subsidised)
		add(ledger.Cr, TamThu(c.Kind), c.Subsidy, subsidised)
	}
	return ledger.Entry{
		Authority: d.Authority, BusinessDate: date, RecordedAt: now,
		Cause:       ledger.Cause{Kind: "assessment", ID: charges[0].ID.String(), Event: "assessed"},
		Description: "assessment of dossier " + d.Code, Actor: actor, Postings: list,
	}, len(list) > 0
}

// waived is the entry that ends an unpaid obligation.
//
//	Dr M-OBLIGATION   Cr M-RECEIVABLE
func waived(d Dossier, waivers []Waiver, cause uuid.UUID, date calendar.Date, now time.Time, actor string) ledger.Entry {
	e := ledger.Entry{
		Authority: d.Authority, BusinessDate: date, RecordedAt: now,
		Cause:       ledger.Cause{Kind: "waiver", ID: cause.String(), Event: "waived"},
		Description: "unpaid charges of dossier " + d.Code + " ended", Actor: actor,
	}
	for _, w := range waivers {
		amount := money.Amount{Currency: d.Currency, Minor: w.Amount}
		e.Postings = append(e.Postings,
			ledger.Dr(ledger.MemoObligation, amount, w.Charge.Dimensions()),
			ledger.Cr(ledger.MemoReceivable, amount, w.Charge.Dimensions()))
	}
	return e
}
