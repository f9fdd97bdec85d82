package reconcile_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/reconcile"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/remittance"
)

// transferred is a dossier whose transfer came and is matched with the bank's line.
func (w *world) transferred(due int64) string {
	w.t.Helper()
	p := w.payment("vietqr", due)
	w.pay(p, "deliver")
	found, err := w.payments.Find(w.t.Context(), accountant, p.ID)
	w.ok(err)
	w.ingest(bank, camt(account, day, 0, due, entry{found.Captures[0].BankReference, due, p.Reference}))
	w.run(bank, day)
	return found.DossierCode
}

// toRefund is a decided refund of a dossier that goes back by payment order.
func (w *world) toRefund(code string, amount int64) refunds.Refund {
	w.t.Helper()
	d, err := w.dossiers.Find(w.t.Context(), accountant, code)
	w.ok(err)
	r, _, err := w.refunds.Request(w.t.Context(), accountant, code, refunds.Request{
		Reason: "COLLECTED_AGAINST_RULE", Items: []refunds.Item{{Charge: d.Charges[0].ID, Amount: amount}},
	})
	w.ok(err)
	r, err = w.refunds.Approve(w.t.Context(), chief, r.ID, "đúng")
	w.ok(err)
	same(w.t, "route", r.Route, refunds.PaymentOrder)
	return r
}

func (w *world) confirm(r refunds.Refund, number string) {
	w.t.Helper()
	_, err := w.refunds.Confirm(w.t.Context(), accountant, r.ID, refunds.Document{Number: number, Date: calendar.On(w.clock.Now()), Account: bank})
	w.ok(err)
}

// damaged tells Check's faults of the transit account after a damage, which is undone.
func (w *world) damaged(damage string) {
	w.t.Helper()
	tx, err := w.db.Owner.Begin(w.t.Context())
	w.ok(err)
	_, err = tx.Exec(w.t.Context(), `select set_config('app.authority', $1, true)`, province)
	w.ok(err)
	list, err := reconcile.Check(w.t.Context(), tx)
	w.ok(err)
	same(w.t, "faults before "+damage, len(list), 0)
	_, err = tx.Exec(w.t.Context(), damage)
	w.ok(err)
	list, err = reconcile.Check(w.t.Context(), tx)
	w.ok(err)
	if !slices.ContainsFunc(list, func(s string) bool { return strings.Contains(s, "A-TRANSIT-"+bank) }) {
		w.t.Errorf("%s: Check sees %q, want a fault of %s", damage, list, "A-TRANSIT-"+bank)
	}
	w.ok(tx.Rollback(w.t.Context()))
}

// An order that paid a refund, and the bounce that brought it back, are in
// transit until the bank's statement shows them, and not a day longer.
func TestMoneyInTransitEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code := w.transferred(80_000)
	r := w.toRefund(code, 50_000)
	w.clock.advance(24 * time.Hour)
	next := day.AddDays(1)
	w.ingest(bank, camt(account, next, 80_000, 30_000, entry{"D1", -50_000, "TT LENH UNC 0018/2024 HOAN PHI"}))

	// The line is here before the document is recorded: nobody knows what it is.
	w.run(bank, next)
	same(t, "breaks before", w.breaks(bank), []string{"unidentified -50000"})
	same(t, "book before", w.balances(), map[string]int64{
		"A-BANK-" + bank: 30_000, "A-BREAK": 50_000, "L-TAMTHU-PHI": 30_000, "L-REFUND": 50_000,
	})
	w.confirm(r, "UNC-0018/2024")
	same(t, "book in transit", w.balances(), map[string]int64{
		"A-BANK-" + bank: 30_000, "A-BREAK": 50_000, "A-TRANSIT-" + bank: -50_000, "L-TAMTHU-PHI": 30_000,
	})
	w.consistent()
	w.damaged(`alter table refunds.document disable trigger all; delete from refunds.document`)
	arrived := map[string]int64{"A-BANK-" + bank: 30_000, "L-TAMTHU-PHI": 30_000}
	var run reconcile.Run
	for range 2 {
		run = w.run(bank, next)
		same(t, "matches", w.matches(run), []string{"transit document_number -50000"})
		same(t, "breaks", w.breaks(bank), []string{})
		same(t, "book", w.balances(), arrived)
		same(t, "book side", run.BookSide, reconcile.Identity{Total: -50_000, Matched: -50_000})
	}

	w.damaged(`update reconcile.match_item set live = false where transit_id is not null`)

	// Revoked, both sides are breaks again and no rule makes the pair anew.
	list, _, err := w.ListMatches(t.Context(), accountant, reconcile.MatchFilter{Run: run.ID})
	w.ok(err)
	same(t, "in transit", len(list[0].Transits), 1)
	_, err = w.RevokeMatch(t.Context(), accountant, list[0].ID, "nhầm")
	w.ok(err)
	for range 2 {
		same(t, "breaks revoked", w.breaks(bank), []string{"refund_unmatched -50000", "unidentified -50000"})
		same(t, "book revoked", w.balances(), map[string]int64{
			"A-BANK-" + bank: 30_000, "A-BREAK": 50_000, "A-TRANSIT-" + bank: -50_000, "L-TAMTHU-PHI": 30_000,
		})
		w.consistent()
		run = w.run(bank, next)
	}
	w.close(run)
}

// A bounce is known by the number of the order that it brings back; a refund
// paid anew by its own code. A document that comes after the run was closed
// makes a supplementary run.
func TestBouncedRefundComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.toRefund(w.transferred(80_000), 80_000)
	w.confirm(r, "UNC-0018/2024")
	w.ingest(bank, camt(account, day, 80_000, 80_000,
		entry{"D1", -80_000, "HOAN PHI " + r.Reference}, entry{"C1", 80_000, "TRA LAI LENH UNC00182024 SAI TEN"}))
	run := w.run(bank, day)
	same(t, "breaks", w.breaks(bank), []string{"unidentified 80000"})
	same(t, "suspended", w.balances(), map[string]int64{"A-BANK-" + bank: 80_000, "L-SUSPENSE": 80_000})
	w.close(run)

	_, err := w.refunds.Return(t.Context(), accountant, r.ID, refunds.Document{Number: "BC-9", Date: day, Account: bank})
	w.ok(err)
	run = w.run(bank, day)
	same(t, "number", run.Number, 2)
	same(t, "matches", w.matches(run), []string{"transit document_number 80000"})
	same(t, "owed again", w.balances(), map[string]int64{"A-BANK-" + bank: 80_000, "L-REFUND": 80_000})

	w.confirm(r, "UNC-0019/2024")
	run = w.run(bank, day)
	same(t, "not there yet", w.breaks(bank), []string{"refund_unmatched -80000"})
	w.ingest(bank, camt(account, day.AddDays(1), 80_000, 0, entry{"D2", -80_000, "HOAN PHI LAN 2 " + r.Reference}))
	w.clock.advance(24 * time.Hour)
	run = w.run(bank, day.AddDays(1))
	same(t, "matches anew", w.matches(run), []string{"transit order_code -80000"})
	same(t, "all gone", w.balances(), map[string]int64{})
	same(t, "breaks at the end", w.breaks(bank), []string{})
}

// A voucher to the treasury ends with its line, too.
func TestVoucherLeavesTheBank(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	schedule := &fees.Service{DB: postgres.DB{Pool: w.db.App, Now: w.clock.Now}}
	types := fees.Catalogue().FeeTypes
	i := slices.IndexFunc(types, func(f fees.FeeType) bool { return f.Code == "P_CONG_BO_DN" })
	types[i].Terms = []fees.Terms{{
		ValidFrom: calendar.MustParse("2020-01-01"), Retained: &fees.Share{Numerator: 7, Denominator: 10}, LegalBasis: "Thông tư thử nghiệm",
	}}
	_, err := schedule.LoadFeeTypes(t.Context(), auth.Operator("BTC"), types[i:i+1])
	w.ok(err)
	w.transferred(80_000)
	w.clock.advance(24 * time.Hour)
	remit := &remittance.Service{DB: postgres.DB{Pool: w.db.App, Now: w.clock.Now}, Fees: schedule}
	split, _, err := remit.Split(t.Context(), accountant, remittance.SplitRequest{PeriodTo: day, Currency: "VND"})
	w.ok(err)
	next := day.AddDays(1)
	v, _, err := remit.Propose(t.Context(), accountant, split.ID, remittance.VoucherRequest{
		Kind: remittance.BudgetPhi, Account: bank, Number: "GNT-2024-07", DocumentDate: next, Treasury: "KBNN Nghệ An",
	})
	w.ok(err)
	w.ingest(bank, camt(account, next, 80_000, 56_000, entry{"D1", -24_000, "NOP NSNN GNT 2024 07"}))
	w.run(bank, next)
	same(t, "proposed only", w.breaks(bank), []string{"unidentified -24000"})
	_, err = remit.Approve(t.Context(), chief, v.ID)
	w.ok(err)
	w.consistent()
	run := w.run(bank, next)
	same(t, "matches", w.matches(run), []string{"transit document_number -24000"})
	same(t, "book", w.balances(), map[string]int64{"A-BANK-" + bank: 56_000, "L-RETAIN": 56_000})
	w.close(run)
}
