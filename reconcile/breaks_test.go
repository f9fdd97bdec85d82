package reconcile_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/doisoat/doisoat/cases"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/reconcile"
	"github.com/doisoat/doisoat/reconcile/matching"
	"github.com/doisoat/doisoat/reconcile/report"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/statements"
)

// row is a settled payment as VNPAY writes it, without a fee.
func row(reference, transaction string, amount int64, batch string) string {
	return fmt.Sprintf("%s,%s,PAYMENT,,%d,0,0,%d,SETTLED,%s", reference, transaction, amount, amount, batch)
}

// Every kind of difference of a settlement is listed, holds its money, and a
// run repeated changes nothing. The missing capture is found a day later.
func TestBreaksOfASettlement(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good, wrong := w.Payment("vnpay", 100_000), w.Payment("vnpay", 50_000)
	absent, late := w.Payment("vnpay", 70_000), w.Payment("vnpay", 30_000)
	for _, p := range []payments.Payment{good, wrong, absent} {
		w.Pay(p, "deliver")
	}
	tx := w.Transaction(good)
	w.Ingest(settlement, csv(
		row(good.Reference, tx, 100_000, "B-1"),
		row(good.Reference, tx, 100_000, "B-1"),
		row(wrong.Reference, w.Transaction(wrong), 49_000, "B-1"),
		row("DSAAAAAAAAAA", "5555", 10_000, "B-1"),
		row(late.Reference, "6666", 30_000, "B-1"), // the provider denies it when asked
		fmt.Sprintf("%s,7777,REFUND,%s,20000,0,0,-20000,SETTLED,B-1", good.Reference, tx),
	))
	first := w.Run(settlement, day)
	want := []string{
		"amount_mismatch -1000", "duplicate 100000", "missing_at_source 70000", "missing_in_book 30000", "refund_unmatched -20000",
		"unidentified 10000",
	}
	same(t, "matches", w.Matches(first), []string{"settlement transaction_id 100000"})
	same(t, "breaks", w.Breaks(settlement), want)
	same(t, "source side", first.SourceSide, report.Identity{Total: 269_000, Matched: 100_000, Breaks: 169_000})
	same(t, "book side", first.BookSide, report.Identity{Total: 220_000, Matched: 100_000, Breaks: 120_000})
	ids := w.Count(`select count(*) from reconcile.break`)
	w.Run(settlement, day)
	same(t, "breaks after a second run", w.Count(`select count(*) from reconcile.break`), ids)
	same(t, "repairs", w.Count(`select count(*) from reconcile.repair where outcome = 'not_confirmed'`), 1)

	closed := w.Close(first)
	w.Clock.Advance(24 * time.Hour)
	w.Ingest(settlement, csv(row(absent.Reference, w.Transaction(absent), 70_000, "B-2")))
	next := w.Run(settlement, day.AddDays(1))
	same(t, "matches a day later", w.Matches(next), []string{"settlement transaction_id 70000"})
	same(t, "breaks a day later", w.Breaks(settlement), append(want[:2:2], want[3:]...))
	same(t, "carried", w.Count(`select count(*) from reconcile.break where status = 'carried'`), 5)
	found, err := w.Reconcile.FindRun(t.Context(), accountant, closed.ID)
	w.Must(err)
	same(t, "the closed report", found.Report, closed.Report)

	list, _, err := w.Cases.ListBreaks(t.Context(), accountant, cases.BreakFilter{Run: first.ID, Kind: matching.AmountMismatch})
	w.Must(err)
	source, book := int64(49_000), int64(50_000)
	b := list[0]
	same(t, "amounts", []*int64{b.SourceAmount, b.BookAmount}, []*int64{&source, &book})
	same(t, "of", []string{b.Payment.String(), b.DossierCode}, []string{wrong.ID.String(), "H41.12-240502-0002"})
}

// A file that comes after the run was closed makes a supplementary run.
func TestSupplementaryRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.Payment("vnpay", 100_000), w.Payment("vnpay", 40_000)
	w.Pay(a, "deliver")
	w.Pay(b, "deliver")
	w.Ingest(settlement, csv(row(a.Reference, w.Transaction(a), 100_000, "B-1")))
	first := w.Run(settlement, day)
	w.Ingest(settlement, csv(row(b.Reference, w.Transaction(b), 40_000, "B-1")))
	if _, err := w.Reconcile.CloseRun(t.Context(), chief, first.ID); !reconcile.ErrNotMatched.Is(err) {
		t.Errorf("close with lines not looked at: got %v, want %v", err, reconcile.ErrNotMatched)
	}
	first = w.Run(settlement, day)
	same(t, "both", first.SourceSide, report.Identity{Total: 140_000, Matched: 140_000})
	w.Close(first)
	w.Ingest(settlement, csv(row("DSAAAAAAAAAA", "5555", 10_000, "B-1")))
	second := w.Run(settlement, day)
	same(t, "number", second.Number, 2)
	same(t, "only what is new", second.SourceSide, report.Identity{Total: 10_000, Breaks: 10_000})
	w.Close(second)
	closedAgain, err := w.Reconcile.CloseRun(t.Context(), chief, second.ID)
	w.Must(err)
	same(t, "closed again", closedAgain.ClosedBy, chief.ID)
}

// A lump that is short is listed with its difference; money that nobody knows
// waits in suspense, money that left in A-BREAK; the book follows the account.
func TestBreaksOfABank(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.Payment("vnpay", 100_000), w.Payment("vietqr", 80_000)
	w.Pay(a, "deliver")
	w.Pay(b, "deliver")
	w.Ingest(settlement, csv(row(a.Reference, w.Transaction(a), 100_000, "VNP20240502-01")))
	w.Run(settlement, day)
	w.Ingest(bank, camt(account, day, 0, 189_000,
		entry{"F1", 99_000, "VNPAY THANH TOAN DOT VNP20240502-01"},
		entry{"F2", 75_000, "CT nhanh 247 den: " + b.Reference},
		entry{"F3", 30_000, "NGUYEN VAN A chuyen tien"},
		entry{"F4", -15_000, "phi quan ly tai khoan"}))
	run := w.Run(bank, day)
	same(t, "breaks", w.Breaks(bank), []string{"amount_mismatch -1000", "amount_mismatch -5000", "unidentified -15000", "unidentified 30000"})
	same(t, "source side", run.SourceSide, report.Identity{Total: 189_000, Breaks: 189_000})
	same(t, "book side", run.BookSide, report.Identity{Total: 180_000, Breaks: 180_000})
	held := map[string]int64{
		"A-BANK-" + bank: 189_000, "A-BREAK": 15_000, "L-SUSPENSE": 204_000,
		"A-CLR-vnpay": 100_000, "A-CLR-vietqr": 80_000, "L-TAMTHU-PHI": 180_000,
	}
	same(t, "balances", w.Balances(), held)
	w.Run(bank, day)
	same(t, "balances after a second run", w.Balances(), held)

	// The rest of the batch arrives in a corrected file: a refund of 1 000 that the first one forgot.
	w.Ingest(settlement, csv(fmt.Sprintf("%s,8888,REFUND,1,1000,0,0,-1000,SETTLED,VNP20240502-01", a.Reference)))
	run = w.Run(bank, day)
	same(t, "matches", w.Matches(run), []string{"payout batch_id 99000"})
	same(t, "balances with the lump", w.Balances(), map[string]int64{
		"A-BANK-" + bank: 189_000, "A-BREAK": 15_000, "L-SUSPENSE": 105_000,
		"A-CLR-vnpay": 1_000, "A-CLR-vietqr": 80_000, "L-TAMTHU-PHI": 180_000,
	})
}

// A refund that the provider did not confirm is confirmed by its row.
func TestRefundIsConfirmedBySettlement(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.Payment("vnpay", 100_000)
	w.Pay(p, "deliver")
	d, err := w.Dossiers.Find(t.Context(), accountant, "H41.12-240502-0001")
	w.Must(err)
	r, _, err := w.Refunds.Request(t.Context(), accountant, d.Code, refunds.Request{
		Reason: "COLLECTED_AGAINST_RULE", Items: []refunds.Item{{Charge: d.Charges[0].ID, Amount: 40_000}},
	})
	w.Must(err)
	_, err = w.Refunds.Approve(t.Context(), chief, r.ID, "đúng")
	w.Must(err)
	w.Fault("refund", "timeout_but_done")
	_ = w.Routes.Send(t.Context(), province, r.ID) // it timed out: that is the point
	found, err := w.Refunds.Find(t.Context(), accountant, r.ID)
	w.Must(err)
	same(t, "before", found.Status, refunds.Unknown)
	w.Clock.Advance(time.Minute)
	w.Fetch(settlement, day)
	run := w.Run(settlement, day)
	same(t, "matches", w.Matches(run), []string{"refund original_transaction -40000", "settlement transaction_id 100000"})
	found, err = w.Refunds.Find(t.Context(), accountant, r.ID)
	w.Must(err)
	if found.Status != refunds.Done || found.SettledAt == nil {
		t.Errorf("refund: got %s, settled %v, want done and settled", found.Status, found.SettledAt)
	}
	w.Fetch(bank, day)
	same(t, "matches of the bank", w.Matches(w.Run(bank, day)), []string{"payout batch_id 59450"})
	same(t, "balances", w.Balances(), map[string]int64{"A-BANK-" + bank: 59_450, "E-FEE": 550, "L-TAMTHU-PHI": 60_000})
}

// Runs that start at once give one result.
func TestConcurrentRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 5 {
		w.Pay(w.Payment("vnpay", 100_000), "lose")
	}
	w.Fetch(settlement, day)
	var group sync.WaitGroup
	ids := make([]reconcile.RunID, 6)
	for i := range ids {
		group.Go(func() {
			run, _, err := w.Reconcile.StartRun(t.Context(), accountant, settlement, day)
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
	same(t, "matches", w.Count(`select count(*) from reconcile.match where rule = 'repaired'`), 5)
	same(t, "captures", w.Count(`select count(*) from payments.capture`), 5)
	same(t, "live breaks", w.Breaks(settlement), []string{})
}

// The caps of a day bound what is repaired without a person.
func TestRepairCaps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, amount := range []int64{100_000, 60_000, 50_000} {
		w.Pay(w.Payment("vnpay", amount), "lose")
	}
	w.Fetch(settlement, day)
	w.Reconcile.RepairSumPerDay = 155_000
	run := w.Run(settlement, day)
	same(t, "matches", w.Matches(run), []string{"settlement repaired 100000", "settlement repaired 50000"})
	same(t, "breaks", w.Breaks(settlement), []string{"missing_in_book 60000"})
	w.Reconcile.RepairSumPerDay, w.Reconcile.RepairsPerDay = 0, 2
	same(t, "matches with the number used up", w.Matches(w.Run(settlement, day)), w.Matches(run))
	w.Clock.Advance(24 * time.Hour)
	w.Run(settlement, day)
	same(t, "breaks a day later", w.Breaks(settlement), []string{})
}

// A provider that does not answer leaves a break, and the next run asks again.
func TestRepairWithoutAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.Payment("vnpay", 100_000)
	w.Pay(p, "lose")
	w.Fetch(settlement, day)
	w.Fault("inquiry", "timeout")
	w.Run(settlement, day)
	same(t, "breaks", w.Breaks(settlement), []string{"missing_in_book 100000"})
	w.Fault("inquiry", "")
	run := w.Run(settlement, day)
	same(t, "matches", w.Matches(run), []string{"settlement repaired 100000"})
	same(t, "breaks after", w.Breaks(settlement), []string{})
	list, _, err := w.Cases.ListMatches(t.Context(), accountant, cases.MatchFilter{Payment: p.ID})
	w.Must(err)
	same(t, "inputs", list[0].Inputs["evidence"], "settlement row and the provider's answer to an inquiry")
}

// Opening balances chain; a late file fills the gap.
func TestBalanceBreak(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Clock.Advance(48 * time.Hour)
	w.Ingest(bank, camt(account, day, 0, 100, entry{"F1", 100, "a"}))
	st := w.Ingest(bank, camt(account, day.AddDays(2), 150, 160, entry{"F3", 10, "c"}))
	same(t, "statement", short(st), seen{Status: statements.Accepted, Accepted: 1, Problems: []string{"0 chain_gap"}})
	w.Run(bank, day.AddDays(2))
	same(t, "breaks", w.Breaks(bank), []string{"balance_break 50", "unidentified 10", "unidentified 100"})
	w.Ingest(bank, camt(account, day.AddDays(1), 100, 150, entry{"F2", 50, "b"}))
	w.Run(bank, day.AddDays(2))
	same(t, "breaks after", w.Breaks(bank), []string{"unidentified 10", "unidentified 100", "unidentified 50"})
}

// A closed run is closed for everybody.
func TestClosedRunIsNotChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Close(w.Run(settlement, day))
	for _, change := range []string{
		`update reconcile.run set matched_at = now()`,
		`update reconcile.run set status = 'review', closed_at = null, closed_by = null, report = null`,
	} {
		if _, err := w.Owner.Exec(t.Context(), change); postgres.Constraint(err) != "run_closed_for_good" {
			t.Errorf("%s: got %v, want run_closed_for_good", change, err)
		}
	}
}

// Check sees what nobody should have done.
func TestCheckSeesDamage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.Payment("vnpay", 100_000)
	w.Pay(p, "deliver")
	w.Fetch(settlement, day)
	w.Close(w.Run(settlement, day))
	for _, damage := range []string{
		`update reconcile.statement_line set amount = amount + 1`,
		`update reconcile.statement_line set matched = false`,
		`update reconcile.match_item set amount = amount + 1 where side = 'line'`,
		`update reconcile.match_item set live = false`,
		`delete from reconcile.match_item`,
		`update reconcile.run set report = jsonb_set(report, '{source_side,total}', '1')`,
	} {
		tx, err := w.Owner.Begin(t.Context())
		w.Must(err)
		_, err = tx.Exec(t.Context(), `alter table reconcile.run disable trigger refuse_reopening; `+damage)
		w.Must(err)
		if list, err := reconcile.Check(t.Context(), tx); err != nil || len(list) == 0 {
			t.Errorf("%s: Check sees %q, %v, want a fault", damage, list, err)
		}
		w.Must(tx.Rollback(t.Context()))
	}
}
