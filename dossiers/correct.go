package dossiers

import (
	"context"
	"slices"
	"time"

	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
)

// Sums are amounts in minor units: Gross = Due + Discount + Subsidy.
type Sums struct {
	Gross    int64 `json:"gross"`
	Discount int64 `json:"discount"`
	Subsidy  int64 `json:"subsidy"`
	Due      int64 `json:"due"`
}

// Add adds other sums.
func (s *Sums) Add(o Sums) {
	s.Gross += o.Gross
	s.Discount += o.Discount
	s.Subsidy += o.Subsidy
	s.Due += o.Due
}

// Difference is the difference between a charge, with all its corrections, and its price under the policies
// that are recorded now.
type Difference struct {
	Dossier  ID
	Charge   ChargeID
	Assessed Sums
	Lawful   quote.Item
}

// Change is the amount that the payer owes more; below 0 the payer owes less.
func (d Difference) Change() int64 { return d.Lawful.Due.Minor - d.Assessed.Due }

// Correct charges the payer the amount by which a charge of a locked dossier was assessed too low. A further charge
// carries the difference; the first charge stays unchanged. The entry takes back discount or subsidy that was granted
// too high. The difference must be above 0. The caller ensures that each difference is corrected once.
func Correct(ctx context.Context, act postgres.Act, d Dossier, diff Difference) (Charge, error) {
	at := slices.IndexFunc(d.Charges, func(c Charge) bool { return c.ID == diff.Charge })
	if at < 0 || diff.Change() <= 0 {
		return Charge{}, ErrInvalid.With("nothing is to be added to this charge")
	}
	wrong := d.Charges[at]
	c := chargeOf(d, diff.Lawful, d.Charges[len(d.Charges)-1].Line+1, act.Now)
	c.ID, c.Corrects, c.Quantity, c.Base, c.Due = ident.New[chargeKind](), wrong.ID, 1, 0, diff.Change()
	c.Discount, c.Subsidy = diff.Lawful.Discount.Minor-diff.Assessed.Discount, diff.Lawful.Subsidy.Minor-diff.Assessed.Subsidy
	if err := insertCharges(ctx, act, d.Authority, []Charge{c}, request{}); err != nil {
		return Charge{}, err
	}
	date, err := ledger.OpenDate(ctx, act, d.Authority, calendar.On(act.Now))
	if err != nil {
		return Charge{}, err
	}
	_, err = ledger.Post(ctx, act, corrected(d, latest(d, wrong), c, diff.Assessed, date, act.Now, act.Actor.ID))
	return c, err
}

// latest returns the newest correction of c, which carries the discount and subsidy now granted; c itself
// when there is no correction.
func latest(d Dossier, wrong Charge) Charge {
	for _, c := range slices.Backward(d.Charges) {
		if c.Corrects == wrong.ID {
			return c
		}
	}
	return wrong
}

// corrected is the entry of a correction, off balance. The payer owes more, because the charge was granted too much
// discount or subsidy. A subsidy is real money, and so is the difference of subsidies. The entry takes back the amounts
// granted before, each under its policy, and grants the lawful amounts, each under its policy.
//
//	Dr M-RECEIVABLE due, M-DISCOUNT granted now, M-COLLECTED subsidy now
//	Cr M-DISCOUNT granted then, M-COLLECTED subsidy then
//	Dr A-SUBSIDY subsidy now, L-TAMTHU subsidy then
//	Cr L-TAMTHU subsidy now, A-SUBSIDY subsidy then
func corrected(d Dossier, wrong, c Charge, then Sums, date calendar.Date, now time.Time, actor string) ledger.Entry {
	e := ledger.Entry{
		Authority: d.Authority, BusinessDate: date, RecordedAt: now,
		Cause:       ledger.Cause{Kind: "assessment", ID: c.ID.String(), Event: "corrected"},
		Description: "correction of an assessment of dossier " + d.Code, Actor: actor,
	}
	add := func(post func(string, money.Amount, ledger.Dimensions) ledger.Posting, account string, minor int64, policy string) {
		about := c.Dimensions()
		if about.Policy = policy; minor > 0 {
			e.Postings = append(e.Postings, post(account, money.Amount{Currency: d.Currency, Minor: minor}, about))
		}
	}
	for _, g := range c.granted() { // the lawful discounts
		add(ledger.Dr, ledger.MemoDiscount, g.Amount, g.Policy)
	}
	for _, g := range wrong.granted() { // the discounts that the charge was granted
		add(ledger.Cr, ledger.MemoDiscount, g.Amount, g.Policy)
	}
	paid, paidNow := wrong.SubsidyPolicy(), then.Subsidy+c.Subsidy
	add(ledger.Dr, ledger.MemoReceivable, c.Due, "")
	if c.Subsidy == 0 {
		return e
	}
	for _, account := range []string{ledger.MemoCollected, ledger.Subsidy} {
		add(ledger.Dr, account, paidNow, c.SubsidyPolicy())
		add(ledger.Cr, account, then.Subsidy, paid)
	}
	add(ledger.Cr, TamThu(c.Kind), paidNow, c.SubsidyPolicy())
	add(ledger.Dr, TamThu(c.Kind), then.Subsidy, paid)
	return e
}
