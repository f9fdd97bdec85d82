package reconcile_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doisoat/doisoat/cases"
	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/reconcile"
	"github.com/doisoat/doisoat/reconcile/report"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/refunds/routes"
	"github.com/doisoat/doisoat/remittance"
)

// toRefund is a decided refund of a dossier that goes back by payment order.
func (w *world) toRefund(code string, amount int64) refunds.Refund {
	w.T.Helper()
	d, err := w.Dossiers.Find(w.T.Context(), accountant, code)
	w.Must(err)
	r, _, err := w.Refunds.Request(w.T.Context(), accountant, code, refunds.Request{
		Reason: "COLLECTED_AGAINST_RULE", Items: []refunds.Item{{Charge: d.Charges[0].ID, Amount: amount}},
	})
	w.Must(err)
	r, err = w.Refunds.Approve(w.T.Context(), chief, r.ID, "đúng")
	w.Must(err)
	same(w.T, "route", r.Route, refunds.PaymentOrder)
	return r
}

func (w *world) confirm(r refunds.Refund, number string) {
	w.T.Helper()
	doc := routes.Document{Number: number, Date: calendar.On(w.Clock.Now()), Account: bank}
	_, err := w.Routes.Confirm(w.T.Context(), accountant, r.ID, doc)
	w.Must(err)
}

// damaged tells Check's faults of the transit account after a damage, which is undone.
func (w *world) damaged(damage string) {
	w.T.Helper()
	tx, err := w.Owner.Begin(w.T.Context())
	w.Must(err)
	_, err = tx.Exec(w.T.Context(), `select set_config('app.authority', $1, true)`, province)
	w.Must(err)
	list, err := reconcile.Check(w.T.Context(), tx)
	w.Must(err)
	same(w.T, "faults before "+damage, len(list), 0)
	_, err = tx.Exec(w.T.Context(), damage)
	w.Must(err)
	list, err = reconcile.Check(w.T.Context(), tx)
	w.Must(err)
	if !slices.ContainsFunc(list, func(s string) bool { return strings.Contains(s, "A-TRANSIT-"+bank) }) {
		w.T.Errorf("%s: Check sees %q, want a fault of %s", damage, list, "A-TRANSIT-"+bank)
	}
	w.Must(tx.Rollback(w.T.Context()))
}

// An order that paid a refund, and the bounce that brought it back, are in
// transit until the bank's statement shows them, and not a day longer.
func TestMoneyInTransitEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code := w.Transferred(80_000)
	r := w.toRefund(code, 50_000)
	w.Clock.Advance(24 * time.Hour)
	next := day.AddDays(1)
	w.Ingest(bank, camt(account, next, 80_000, 30_000, entry{"D1", -50_000, "TT LENH UNC 0018/2024 HOAN PHI"}))

	// The line is here before the document is recorded: nobody knows what it is.
	w.Run(bank, next)
	same(t, "breaks before", w.Breaks(bank), []string{"unidentified -50000"})
	same(t, "book before", w.Balances(), map[string]int64{
		"A-BANK-" + bank: 30_000, "A-BREAK": 50_000, "L-TAMTHU-PHI": 30_000, "L-REFUND": 50_000,
	})
	w.confirm(r, "UNC-0018/2024")
	same(t, "book in transit", w.Balances(), map[string]int64{
		"A-BANK-" + bank: 30_000, "A-BREAK": 50_000, "A-TRANSIT-" + bank: -50_000, "L-TAMTHU-PHI": 30_000,
	})
	w.Consistent()
	w.damaged(`alter table refunds.document disable trigger all; delete from refunds.document`)
	arrived := map[string]int64{"A-BANK-" + bank: 30_000, "L-TAMTHU-PHI": 30_000}
	var run reconcile.Run
	for range 2 {
		run = w.Run(bank, next)
		same(t, "matches", w.Matches(run), []string{"transit document_number -50000"})
		same(t, "breaks", w.Breaks(bank), []string{})
		same(t, "book", w.Balances(), arrived)
		same(t, "book side", run.BookSide, report.Identity{Total: -50_000, Matched: -50_000})
	}

	w.damaged(`update reconcile.match_item set live = false where transit_id is not null`)

	// Revoked, both sides are breaks again and no rule makes the pair anew.
	list, _, err := w.Cases.ListMatches(t.Context(), accountant, cases.MatchFilter{Run: run.ID})
	w.Must(err)
	same(t, "in transit", len(list[0].Transits), 1)
	_, err = w.Cases.RevokeMatch(t.Context(), accountant, list[0].ID, "nhầm")
	w.Must(err)
	for range 2 {
		same(t, "breaks revoked", w.Breaks(bank), []string{"refund_unmatched -50000", "unidentified -50000"})
		same(t, "book revoked", w.Balances(), map[string]int64{
			"A-BANK-" + bank: 30_000, "A-BREAK": 50_000, "A-TRANSIT-" + bank: -50_000, "L-TAMTHU-PHI": 30_000,
		})
		w.Consistent()
		run = w.Run(bank, next)
	}
	w.Close(run)
}

// A bounce is known by the number of the order that it brings back; a refund
// paid anew by its own code. A document that comes after the run was closed
// makes a supplementary run.
func TestBouncedRefundComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.toRefund(w.Transferred(80_000), 80_000)
	w.confirm(r, "UNC-0018/2024")
	w.Ingest(bank, camt(account, day, 80_000, 80_000,
		entry{"D1", -80_000, "HOAN PHI " + r.Reference}, entry{"C1", 80_000, "TRA LAI LENH UNC00182024 SAI TEN"}))
	run := w.Run(bank, day)
	same(t, "breaks", w.Breaks(bank), []string{"unidentified 80000"})
	same(t, "suspended", w.Balances(), map[string]int64{"A-BANK-" + bank: 80_000, "L-SUSPENSE": 80_000})
	w.Close(run)

	_, err := w.Routes.Return(t.Context(), accountant, r.ID, routes.Document{Number: "BC-9", Date: day, Account: bank})
	w.Must(err)
	run = w.Run(bank, day)
	same(t, "number", run.Number, 2)
	same(t, "matches", w.Matches(run), []string{"transit document_number 80000"})
	same(t, "owed again", w.Balances(), map[string]int64{"A-BANK-" + bank: 80_000, "L-REFUND": 80_000})

	w.confirm(r, "UNC-0019/2024")
	run = w.Run(bank, day)
	same(t, "not there yet", w.Breaks(bank), []string{"refund_unmatched -80000"})
	w.Ingest(bank, camt(account, day.AddDays(1), 80_000, 0, entry{"D2", -80_000, "HOAN PHI LAN 2 " + r.Reference}))
	w.Clock.Advance(24 * time.Hour)
	run = w.Run(bank, day.AddDays(1))
	same(t, "matches anew", w.Matches(run), []string{"transit order_code -80000"})
	same(t, "all gone", w.Balances(), map[string]int64{})
	same(t, "breaks at the end", w.Breaks(bank), []string{})
}

// A voucher to the treasury ends with its line, too.
func TestVoucherLeavesTheBank(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	recorder := &fees.Service{DB: postgres.DB{Pool: w.App, Now: w.Clock.Now}}
	types := schedule.Catalogue().FeeTypes
	i := slices.IndexFunc(types, func(f schedule.FeeType) bool { return f.Code == "P_CONG_BO_DN" })
	types[i].Terms = []schedule.Terms{{
		ValidFrom: calendar.MustParse("2020-01-01"), Retained: &schedule.Share{Numerator: 7, Denominator: 10}, LegalBasis: "Thông tư thử nghiệm",
	}}
	_, err := recorder.LoadFeeTypes(t.Context(), auth.Operator("BTC"), types[i:i+1])
	w.Must(err)
	w.Transferred(80_000)
	w.Clock.Advance(24 * time.Hour)
	remit := &remittance.Service{DB: postgres.DB{Pool: w.App, Now: w.Clock.Now}, Fees: recorder}
	split, _, err := remit.Split(t.Context(), accountant, remittance.SplitRequest{PeriodTo: day, Currency: "VND"})
	w.Must(err)
	next := day.AddDays(1)
	v, _, err := remit.Propose(t.Context(), accountant, split.ID, remittance.VoucherRequest{
		Kind: remittance.BudgetPhi, Account: bank, Number: "GNT-2024-07", DocumentDate: next, Treasury: "KBNN Nghệ An",
	})
	w.Must(err)
	w.Ingest(bank, camt(account, next, 80_000, 56_000, entry{"D1", -24_000, "NOP NSNN GNT 2024 07"}))
	w.Run(bank, next)
	same(t, "proposed only", w.Breaks(bank), []string{"unidentified -24000"})
	_, err = remit.Approve(t.Context(), chief, v.ID)
	w.Must(err)
	w.Consistent()
	run := w.Run(bank, next)
	same(t, "matches", w.Matches(run), []string{"transit document_number -24000"})
	same(t, "book", w.Balances(), map[string]int64{"A-BANK-" + bank: 56_000, "L-RETAIN": 56_000})
	w.Close(run)
}
