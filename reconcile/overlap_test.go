package reconcile_test

import (
	"fmt"
	"testing"

	"github.com/doisoat/doisoat/cases"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/reconcile/report"
	"github.com/doisoat/doisoat/statements"
)

// A province has several accounts. A batch that none of them shows yet is
// listed once, and whichever account it reaches ends that.
func TestTwoBanksWaitForOneBatch(t *testing.T) {
	t.Parallel()
	const other, otherAccount = "bidv-h41", "31410001112223"
	w := newWorld(t)
	source := statements.SourceRequest{Code: other, Kind: statements.BankSource, Account: otherAccount}
	_, _, err := w.Files.RegisterSource(t.Context(), admin, source)
	w.Must(err)
	a, b := w.Payment("vnpay", 100_000), w.Payment("vnpay", 60_000)
	w.Pay(a, "deliver")
	w.Pay(b, "deliver")
	w.Ingest(settlement, csv(
		row(a.Reference, w.Transaction(a), 100_000, "VNP20240502-01"), row(b.Reference, w.Transaction(b), 60_000, "VNP20240502-02")))
	w.Run(settlement, day)
	w.Run(bank, day)
	w.Run(other, day)
	first, second := w.Run(bank, day), w.Run(other, day)
	same(t, "breaks", append(w.Breaks(bank), w.Breaks(other)...), []string{"missing_at_source 100000", "missing_at_source 60000"})
	same(t, "book sides", []report.Identity{first.BookSide, second.BookSide}, []report.Identity{{Total: 160_000, Breaks: 160_000}, {}})

	w.Ingest(other, camt(otherAccount, day, 0, 159_000,
		entry{"F1", 100_000, "VNPAY THANH TOAN DOT VNP20240502-01"}, entry{"F2", 59_000, "VNPAY THANH TOAN DOT VNP20240502-02"}))
	second = w.Run(other, day)
	same(t, "matches", w.Matches(second), []string{"payout batch_id 100000"})
	same(t, "breaks after", append(w.Breaks(bank), w.Breaks(other)...), []string{"missing_at_source 60000", "amount_mismatch 59000"})
	first, second = w.Run(bank, day), w.Run(other, day)
	same(t, "balances", w.Balances(), map[string]int64{
		"A-BANK-" + other: 159_000, "L-SUSPENSE": 59_000, "A-CLR-vnpay": 60_000, "L-TAMTHU-PHI": 160_000,
	})
	w.Close(first)
	w.Close(second)
}

// A row that names a batch which is paid already is missing at the bank, and
// only that row: the day closes, and the payout can still be revoked.
func TestRowOfABatchThatIsPaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.Payment("vnpay", 100_000), w.Payment("vnpay", 60_000)
	w.Pay(a, "deliver")
	w.Pay(b, "deliver")
	w.Ingest(settlement, csv(row(a.Reference, w.Transaction(a), 100_000, "VNP20240502-01")))
	w.Run(settlement, day)
	w.Ingest(bank, camt(account, day, 0, 100_000, entry{"F1", 100_000, "VNPAY THANH TOAN DOT VNP20240502-01"}))
	w.Run(bank, day)
	w.Ingest(settlement, csv(row(b.Reference, w.Transaction(b), 60_000, "VNP20240502-01")))
	w.Run(settlement, day)
	run := w.Run(bank, day)
	same(t, "breaks", w.Breaks(bank), []string{"missing_at_source 60000"})
	same(t, "book side", run.BookSide, report.Identity{Total: 160_000, Matched: 100_000, Breaks: 60_000})

	list, _, err := w.Cases.ListMatches(t.Context(), accountant, cases.MatchFilter{Run: run.ID})
	w.Must(err)
	if _, err := w.Cases.RevokeMatch(t.Context(), accountant, list[0].ID, "nhầm"); err != nil {
		t.Fatal(err)
	}
	same(t, "breaks after the revocation", w.Breaks(bank), []string{"missing_at_source 160000", "unidentified 100000"})
	run = w.Run(bank, day)
	same(t, "book side after", run.BookSide, report.Identity{Total: 160_000, Breaks: 160_000})
	w.Close(run)
}

// A file with amounts that no province ever sees would make every later sum
// of the authority too large for the database: it is rejected whole.
func TestAmountsBeyondAllSense(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const huge = int64(900_000_000_000_000_000)
	many := make([]string, 9) // the sum of one file fits in 64 bits, that of two does not
	for i := range many {
		many[i] = row("DSAAAAAAAAAA", fmt.Sprint(i), huge, "B-1")
	}
	for _, tt := range []struct {
		name, source string
		file         []byte
	}{
		{"settlement", settlement, csv(many...)},
		{"settlement of one row", settlement, csv(row("DSAAAAAAAAAA", "a", huge, "B-1"))},
		{"debits and credits", settlement, csv(many[0], fmt.Sprintf("X,5,REFUND,4,%d,0,0,-%d,SETTLED,B-1", huge, huge))},
		{"bank", bank, camt(account, day, 0, huge, entry{"F1", huge, "x"})},
	} {
		st := w.Ingest(tt.source, tt.file)
		if n := len(st.Problems); st.Status != statements.Rejected || n == 0 || st.Problems[n-1].Code != statements.ProblemTooMuch {
			t.Errorf("%s: got %s %v, want rejected for %s", tt.name, st.Status, st.Problems, statements.ProblemTooMuch)
		}
	}
	w.Run(settlement, day)
	w.Run(bank, day)
	same(t, "balances", w.Balances(), map[string]int64{})
}

// A bank's statement proves transfers into its account and nothing else: an
// account that happens to be spelled like another setting of a merchant does
// not make card payments collected.
func TestStatementOfAnAccountThatIsNoAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	source := statements.SourceRequest{Code: "odd", Kind: statements.BankSource, Account: terminal}
	_, _, err := w.Files.RegisterSource(t.Context(), admin, source)
	w.Must(err)
	p := w.Payment("vnpay", 100_000)
	w.Ingest("odd", camt(terminal, day, 0, 100_000, entry{"F1", 100_000, "CT DEN " + p.Reference}))
	w.Run("odd", day)
	same(t, "status", w.Status(p), payments.Pending)
}
