package reconcile_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/reconcile"
	"github.com/doisoat/doisoat/reconcile/matching"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/statements"
)

// row is a settled payment as VNPAY writes it, without a fee.
func row(reference, transaction string, amount int64, batch string) string {
	return fmt.Sprintf("%s,%s,PAYMENT,,%d,0,0,%d,SETTLED,%s", reference, transaction, amount, amount, batch)
}

func (w *world) transaction(p payments.Payment) string {
	w.t.Helper()
	found, err := w.payments.Find(w.t.Context(), accountant, p.ID)
	w.ok(err)
	if len(found.Captures) == 0 {
		w.t.Fatalf("payment %s has no capture", p.Reference)
	}
	return found.Captures[0].TransactionID
}

// Every kind of difference of a settlement is listed, holds its money, and a
// run repeated changes nothing. The missing capture is found a day later.
func TestBreaksOfASettlement(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good, wrong, absent, late := w.payment("vnpay", 100_000), w.payment("vnpay", 50_000), w.payment("vnpay", 70_000), w.payment("vnpay", 30_000)
	for _, p := range []payments.Payment{good, wrong, absent} {
		w.pay(p, "deliver")
	}
	tx := w.transaction(good)
	w.ingest(settlement, csv(
		row(good.Reference, tx, 100_000, "B-1"),
		row(good.Reference, tx, 100_000, "B-1"),
		row(wrong.Reference, w.transaction(wrong), 49_000, "B-1"),
		row("DSAAAAAAAAAA", "5555", 10_000, "B-1"),
		row(late.Reference, "6666", 30_000, "B-1"), // the provider denies it when asked
		fmt.Sprintf("%s,7777,REFUND,%s,20000,0,0,-20000,SETTLED,B-1", good.Reference, tx),
	))
	first := w.run(settlement, day)
	want := []string{
		"amount_mismatch -1000", "duplicate 100000", "missing_at_source 70000", "missing_in_book 30000", "refund_unmatched -20000", "unidentified 10000",
	}
	same(t, "matches", w.matches(first), []string{"settlement transaction_id 100000"})
	same(t, "breaks", w.breaks(settlement), want)
	same(t, "source side", first.SourceSide, reconcile.Identity{Total: 269_000, Matched: 100_000, Breaks: 169_000})
	same(t, "book side", first.BookSide, reconcile.Identity{Total: 220_000, Matched: 100_000, Breaks: 120_000})
	ids := w.count(`select count(*) from reconcile.break`)
	w.run(settlement, day)
	same(t, "breaks after a second run", w.count(`select count(*) from reconcile.break`), ids)
	same(t, "repairs", w.count(`select count(*) from reconcile.repair where outcome = 'not_confirmed'`), 1)

	closed := w.close(first)
	w.clock.advance(24 * time.Hour)
	w.ingest(settlement, csv(row(absent.Reference, w.transaction(absent), 70_000, "B-2")))
	next := w.run(settlement, day.AddDays(1))
	same(t, "matches a day later", w.matches(next), []string{"settlement transaction_id 70000"})
	same(t, "breaks a day later", w.breaks(settlement), append(want[:2:2], want[3:]...))
	same(t, "carried", w.count(`select count(*) from reconcile.break where state = 'carried'`), 5)
	found, err := w.FindRun(t.Context(), accountant, closed.ID)
	w.ok(err)
	same(t, "the closed report", found.Report, closed.Report)

	list, _, err := w.ListBreaks(t.Context(), accountant, reconcile.BreakFilter{Run: first.ID, Kind: matching.AmountMismatch})
	w.ok(err)
	source, book := int64(49_000), int64(50_000)
	b := list[0]
	same(t, "amounts", []*int64{b.SourceAmount, b.BookAmount}, []*int64{&source, &book})
	same(t, "of", []string{b.Payment.String(), b.DossierCode}, []string{wrong.ID.String(), "H41.12-240502-0002"})
}

// A file that comes after the run was closed makes a supplementary run.
func TestSupplementaryRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.payment("vnpay", 100_000), w.payment("vnpay", 40_000)
	w.pay(a, "deliver")
	w.pay(b, "deliver")
	w.ingest(settlement, csv(row(a.Reference, w.transaction(a), 100_000, "B-1")))
	first := w.run(settlement, day)
	w.ingest(settlement, csv(row(b.Reference, w.transaction(b), 40_000, "B-1")))
	if _, err := w.CloseRun(t.Context(), chief, first.ID); !reconcile.ErrNotMatched.Is(err) {
		t.Errorf("close with lines not looked at: got %v, want %v", err, reconcile.ErrNotMatched)
	}
	first = w.run(settlement, day)
	same(t, "both", first.SourceSide, reconcile.Identity{Total: 140_000, Matched: 140_000})
	w.close(first)
	w.ingest(settlement, csv(row("DSAAAAAAAAAA", "5555", 10_000, "B-1")))
	second := w.run(settlement, day)
	same(t, "number", second.Number, 2)
	same(t, "only what is new", second.SourceSide, reconcile.Identity{Total: 10_000, Breaks: 10_000})
	w.close(second)
	closedAgain, err := w.CloseRun(t.Context(), chief, second.ID)
	w.ok(err)
	same(t, "closed again", closedAgain.ClosedBy, chief.ID)
}

// A lump that is short is listed with its difference; money that nobody knows
// waits in suspense, money that left in A-BREAK; the book follows the account.
func TestBreaksOfABank(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.payment("vnpay", 100_000), w.payment("vietqr", 80_000)
	w.pay(a, "deliver")
	w.pay(b, "deliver")
	w.ingest(settlement, csv(row(a.Reference, w.transaction(a), 100_000, "VNP20240502-01")))
	w.run(settlement, day)
	w.ingest(bank, camt(account, day, 0, 189_000,
		entry{"F1", 99_000, "VNPAY THANH TOAN DOT VNP20240502-01"},
		entry{"F2", 75_000, "CT nhanh 247 den: " + b.Reference},
		entry{"F3", 30_000, "NGUYEN VAN A chuyen tien"},
		entry{"F4", -15_000, "phi quan ly tai khoan"}))
	run := w.run(bank, day)
	same(t, "breaks", w.breaks(bank), []string{"amount_mismatch -1000", "amount_mismatch -5000", "unidentified -15000", "unidentified 30000"})
	same(t, "source side", run.SourceSide, reconcile.Identity{Total: 189_000, Breaks: 189_000})
	same(t, "book side", run.BookSide, reconcile.Identity{Total: 180_000, Breaks: 180_000})
	held := map[string]int64{
		"A-BANK-" + bank: 189_000, "A-BREAK": 15_000, "L-SUSPENSE": 204_000,
		"A-CLR-vnpay": 100_000, "A-CLR-vietqr": 80_000, "L-TAMTHU-PHI": 180_000,
	}
	same(t, "balances", w.balances(), held)
	w.run(bank, day)
	same(t, "balances after a second run", w.balances(), held)

	// The rest of the batch arrives in a corrected file: a refund of 1 000 that the first one forgot.
	w.ingest(settlement, csv(fmt.Sprintf("%s,8888,REFUND,1,1000,0,0,-1000,SETTLED,VNP20240502-01", a.Reference)))
	run = w.run(bank, day)
	same(t, "matches", w.matches(run), []string{"payout batch_id 99000"})
	same(t, "balances with the lump", w.balances(), map[string]int64{
		"A-BANK-" + bank: 189_000, "A-BREAK": 15_000, "L-SUSPENSE": 105_000,
		"A-CLR-vnpay": 1_000, "A-CLR-vietqr": 80_000, "L-TAMTHU-PHI": 180_000,
	})
}

// A refund that the provider did not confirm is confirmed by its row.
func TestRefundIsConfirmedBySettlement(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.payment("vnpay", 100_000)
	w.pay(p, "deliver")
	d, err := w.dossiers.Find(t.Context(), accountant, "H41.12-240502-0001")
	w.ok(err)
	r, _, err := w.refunds.Request(t.Context(), accountant, d.Code, refunds.Request{
		Reason: "COLLECTED_AGAINST_RULE", Items: []refunds.Item{{Charge: d.Charges[0].ID, Amount: 40_000}},
	})
	w.ok(err)
	_, err = w.refunds.Approve(t.Context(), chief, r.ID, "đúng")
	w.ok(err)
	w.control("/control/faults", map[string]any{"provider": "vnpay", "refund": "timeout_but_done"})
	_ = w.refunds.Send(t.Context(), province, r.ID) // it timed out: that is the point
	found, err := w.refunds.Find(t.Context(), accountant, r.ID)
	w.ok(err)
	same(t, "before", found.Status, refunds.Unknown)
	w.clock.advance(time.Minute)
	w.fetch(settlement, day)
	run := w.run(settlement, day)
	same(t, "matches", w.matches(run), []string{"refund original_transaction -40000", "settlement transaction_id 100000"})
	found, err = w.refunds.Find(t.Context(), accountant, r.ID)
	w.ok(err)
	if found.Status != refunds.Done || found.SettledAt == nil {
		t.Errorf("refund: got %s, settled %v, want done and settled", found.Status, found.SettledAt)
	}
	w.fetch(bank, day)
	same(t, "matches of the bank", w.matches(w.run(bank, day)), []string{"payout batch_id 59450"})
	same(t, "balances", w.balances(), map[string]int64{"A-BANK-" + bank: 59_450, "E-FEE": 550, "L-TAMTHU-PHI": 60_000})
}

// Runs that start at once give one result.
func TestConcurrentRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 5 {
		w.pay(w.payment("vnpay", 100_000), "lose")
	}
	w.fetch(settlement, day)
	var group sync.WaitGroup
	ids := make([]reconcile.RunID, 6)
	for i := range ids {
		group.Go(func() {
			run, _, err := w.StartRun(t.Context(), accountant, settlement, day)
			if err != nil {
				t.Errorf("run %d: %v", i, err)
			}
			ids[i] = run.ID
		})
	}
	group.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("runs: got %v, want one", ids)
		}
	}
	same(t, "matches", w.count(`select count(*) from reconcile.match where rule = 'repaired'`), 5)
	same(t, "captures", w.count(`select count(*) from payments.capture`), 5)
	same(t, "live breaks", w.breaks(settlement), []string{})
}

// The caps of a day bound what is repaired without a person.
func TestRepairCaps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, amount := range []int64{100_000, 60_000, 50_000} {
		w.pay(w.payment("vnpay", amount), "lose")
	}
	w.fetch(settlement, day)
	w.RepairSumPerDay = 155_000
	run := w.run(settlement, day)
	same(t, "matches", w.matches(run), []string{"settlement repaired 100000", "settlement repaired 50000"})
	same(t, "breaks", w.breaks(settlement), []string{"missing_in_book 60000"})
	w.RepairSumPerDay, w.RepairsPerDay = 0, 2
	same(t, "matches with the number used up", w.matches(w.run(settlement, day)), w.matches(run))
	w.clock.advance(24 * time.Hour)
	w.run(settlement, day)
	same(t, "breaks a day later", w.breaks(settlement), []string{})
}

// A provider that does not answer leaves a break, and the next run asks again.
func TestRepairWithoutAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.payment("vnpay", 100_000)
	w.pay(p, "lose")
	w.fetch(settlement, day)
	w.control("/control/faults", map[string]any{"provider": "vnpay", "inquiry": "timeout"})
	w.run(settlement, day)
	same(t, "breaks", w.breaks(settlement), []string{"missing_in_book 100000"})
	w.control("/control/faults", map[string]any{"provider": "vnpay", "inquiry": ""})
	run := w.run(settlement, day)
	same(t, "matches", w.matches(run), []string{"settlement repaired 100000"})
	same(t, "breaks after", w.breaks(settlement), []string{})
	list, _, err := w.ListMatches(t.Context(), accountant, reconcile.MatchFilter{Payment: p.ID})
	w.ok(err)
	same(t, "inputs", list[0].Inputs["evidence"], "settlement row and the provider's answer to an inquiry")
}

// Opening balances chain; a late file fills the gap.
func TestBalanceBreak(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.clock.advance(48 * time.Hour)
	w.ingest(bank, camt(account, day, 0, 100, entry{"F1", 100, "a"}))
	st := w.ingest(bank, camt(account, day.AddDays(2), 150, 160, entry{"F3", 10, "c"}))
	same(t, "statement", short(st), seen{State: statements.Accepted, Accepted: 1, Problems: []string{"0 chain_gap"}})
	w.run(bank, day.AddDays(2))
	same(t, "breaks", w.breaks(bank), []string{"balance_break 50", "unidentified 10", "unidentified 100"})
	w.ingest(bank, camt(account, day.AddDays(1), 100, 150, entry{"F2", 50, "b"}))
	w.run(bank, day.AddDays(2))
	same(t, "breaks after", w.breaks(bank), []string{"unidentified 10", "unidentified 100", "unidentified 50"})
}

// Revoking a match reverses what it posted, and no rule makes the pair again.
func TestRevokeMatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.payment("vnpay", 100_000), w.payment("vietqr", 80_000)
	w.pay(a, "deliver")
	w.pay(b, "deliver")
	w.fetch(settlement, day)
	w.fetch(bank, day)
	rows := w.run(settlement, day)
	run := w.run(bank, day)
	list, _, err := w.ListMatches(t.Context(), accountant, reconcile.MatchFilter{})
	w.ok(err)
	for _, m := range list {
		if _, err := w.RevokeMatch(t.Context(), accountant, m.ID, "nhầm"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.RevokeMatch(t.Context(), accountant, m.ID, "nhầm"); !reconcile.ErrRevoked.Is(err) {
			t.Errorf("revoke twice: got %v, want %v", err, reconcile.ErrRevoked)
		}
	}
	want := map[string]int64{
		"A-BANK-" + bank: 179_450, "L-SUSPENSE": 179_450, "A-CLR-vnpay": 100_000, "A-CLR-vietqr": 80_000, "L-TAMTHU-PHI": 180_000,
	}
	same(t, "balances", w.balances(), want)
	same(t, "status", []payments.Status{w.status(a), w.status(b)}, []payments.Status{payments.Captured, payments.Captured})
	for range 2 {
		rows, run = w.run(settlement, day), w.run(bank, day)
		same(t, "matches", append(w.matches(rows), w.matches(run)...), []string{})
		same(t, "balances after a run", w.balances(), want)
	}
	same(t, "breaks", append(w.breaks(settlement), w.breaks(bank)...), []string{
		"missing_at_source 100000", "missing_in_book 100000", "missing_at_source 80000", "missing_at_source 99450", "missing_in_book 80000", "unidentified 99450",
	})
	w.close(rows)
	w.close(run)
}

// A closed run is closed for everybody.
func TestClosedRunIsNotChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.close(w.run(settlement, day))
	for _, change := range []string{`update reconcile.run set matched_at = now()`, `update reconcile.run set state = 'review', closed_at = null, closed_by = null, report = null`} {
		if _, err := w.db.Owner.Exec(t.Context(), change); postgres.Constraint(err) != "run_closed_for_good" {
			t.Errorf("%s: got %v, want run_closed_for_good", change, err)
		}
	}
}

// Check sees what nobody should have done.
func TestCheckSeesDamage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.payment("vnpay", 100_000)
	w.pay(p, "deliver")
	w.fetch(settlement, day)
	w.close(w.run(settlement, day))
	for _, damage := range []string{
		`update reconcile.statement_line set amount = amount + 1`,
		`update reconcile.statement_line set matched = false`,
		`update reconcile.match_item set amount = amount + 1 where side = 'line'`,
		`update reconcile.match_item set live = false`,
		`delete from reconcile.match_item`,
		`update reconcile.run set report = jsonb_set(report, '{source_side,total}', '1')`,
	} {
		tx, err := w.db.Owner.Begin(t.Context())
		w.ok(err)
		_, err = tx.Exec(t.Context(), `alter table reconcile.run disable trigger refuse_reopening; `+damage)
		w.ok(err)
		if list, err := reconcile.Check(t.Context(), tx); err != nil || len(list) == 0 {
			t.Errorf("%s: Check sees %q, %v, want a fault", damage, list, err)
		}
		w.ok(tx.Rollback(t.Context()))
	}
}
