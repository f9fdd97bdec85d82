// Package reconciletest is the common ground of the tests of reconcile and
// cases: a desk of paytest whose provider and bank account are sources, and the
// people who reconcile them. Only tests import it.
package reconciletest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/cases"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/payments/checks"
	"github.com/doisoat/doisoat/payments/paytest"
	"github.com/doisoat/doisoat/reconcile"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/refunds/refundcheck"
	"github.com/doisoat/doisoat/refunds/routes"
	"github.com/doisoat/doisoat/statements"
	"github.com/doisoat/doisoat/statements/statementstest"
)

// The authority and its sources: the settlement of its terminal at VNPAY, and its bank account.
const (
	Authority  = "H41"
	Settlement = "vnpay-h41"
	Bank       = "vcb-h41"
)

// The people who reconcile, and the day on which the clock stands at first.
var (
	Accountant = auth.Actor{Authority: Authority, Role: auth.RoleAccountant, ID: "key_Accountant"}
	Chief      = auth.Actor{Authority: Authority, Role: auth.RoleChiefAccountant, ID: "key_Chief"}
	Day        = calendar.MustParse("2024-05-02")
)

// World is a desk with its sources and the rooms that reconcile them.
type World struct {
	*paytest.Desk
	Reconcile *reconcile.Service
	Cases     *cases.Service
	Files     *statements.Service
	Refunds   *refunds.Service
	Routes    *routes.Service
	serial    int
}

// New makes a world with the sources Settlement and Bank. When the test ends,
// every check of the rooms must find nothing.
func New(t *testing.T) *World {
	t.Helper()
	d := paytest.New(t)
	w := &World{
		Desk: d, Reconcile: d.Rooms.Reconcile, Cases: d.Rooms.Cases, Files: d.Rooms.Statements, Refunds: d.Rooms.Refunds, Routes: d.Rooms.Routes,
	}
	for _, r := range []statements.SourceRequest{
		{Code: Settlement, Kind: statements.SettlementSource, Provider: "vnpay"},
		{Code: Bank, Kind: statements.BankSource, Account: paytest.Account},
	} {
		_, created, err := w.Files.RegisterSource(t.Context(), paytest.Admin, r)
		w.Must(err)
		if !created {
			t.Fatalf("source %s: got an old one", r.Code)
		}
	}
	t.Cleanup(w.Consistent)
	return w
}

// Payment registers a dossier that owes an amount and asks for its payment.
func (w *World) Payment(provider string, due int64) payments.Payment {
	w.T.Helper()
	w.serial++
	return w.Begin(w.Dossier(w.serial, due).Code, provider)
}

// Pay plays the payer. callback is deliver or lose; more overrides members of the command.
func (w *World) Pay(p payments.Payment, callback string, more ...map[string]any) {
	w.T.Helper()
	command := map[string]any{"callback": callback}
	for _, m := range more {
		for name, value := range m {
			command[name] = value
		}
	}
	w.PayAt(p, command)
}

// Consistent fails the test for every fault that a check of a room finds.
func (w *World) Consistent() {
	w.T.Helper()
	if list := w.Faults(); len(list) > 0 {
		w.T.Errorf("Check: got %q, want no fault", list)
	}
}

// Faults returns the faults that the checks of reconcile, payments and refunds find.
func (w *World) Faults() (list []string) {
	w.T.Helper()
	w.Must(postgres.WriteTx(context.Background(), w.App, Authority, func(tx pgx.Tx) error {
		for _, check := range []func(context.Context, pgx.Tx) ([]string, error){reconcile.Check, checks.Check, refundcheck.Check} {
			faults, err := check(context.Background(), tx)
			if err != nil {
				return err
			}
			list = append(list, faults...)
		}
		return nil
	}))
	return list
}

// Transaction returns the transaction of the first capture of a payment.
func (w *World) Transaction(p payments.Payment) string {
	w.T.Helper()
	found, err := w.Find(w.T.Context(), Accountant, p.ID)
	w.Must(err)
	if len(found.Captures) == 0 {
		w.T.Fatalf("payment %s has no capture", p.Reference)
	}
	return found.Captures[0].TransactionID
}

// Transferred returns the code of a dossier whose transfer arrived and is matched with the line of the bank.
func (w *World) Transferred(due int64) string {
	w.T.Helper()
	p := w.Payment("vietqr", due)
	w.Pay(p, "deliver")
	found, err := w.Find(w.T.Context(), Accountant, p.ID)
	w.Must(err)
	line := statementstest.Entry{Ref: found.Captures[0].BankReference, Amount: due, Content: p.Reference}
	w.Ingest(Bank, statementstest.Bank(paytest.Account, Day, 0, due, line))
	w.Run(Bank, Day)
	return found.DossierCode
}

// File returns the file that the far side issues for a source and a day.
func (w *World) File(source string, date calendar.Date) []byte {
	w.T.Helper()
	query := url.Values{"source": {"vnpay"}, "date": {date.String()}}
	if source == Bank {
		query.Set("source", "bank")
	}
	response, err := http.Get(w.Address + "/control/statement?" + query.Encode())
	w.Must(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	w.Must(err)
	if response.StatusCode != http.StatusOK {
		w.T.Fatalf("statement of %s: %s", source, body)
	}
	return body
}

// Ingest brings a file of a source in, as the accountant.
func (w *World) Ingest(source string, content []byte) statements.Statement {
	w.T.Helper()
	st, err := w.Files.Ingest(w.T.Context(), Accountant, source, source+".txt", content, false, "")
	w.Must(err)
	return st
}

// Fetch ingests the file that the far side issues; the file must be accepted.
func (w *World) Fetch(source string, date calendar.Date) statements.Statement {
	w.T.Helper()
	st := w.Ingest(source, w.File(source, date))
	if st.Status != statements.Accepted {
		w.T.Fatalf("statement of %s: got %s %v, want accepted", source, st.Status, st.Problems)
	}
	return st
}

// Run reconciles a source up to a date; the identity of money must hold.
func (w *World) Run(source string, date calendar.Date) reconcile.Run {
	w.T.Helper()
	run, _, err := w.Reconcile.StartRun(w.T.Context(), Accountant, source, date)
	w.Must(err)
	if !run.Holds() {
		w.T.Errorf("run of %s: the identity does not hold: %+v", source, run.Report)
	}
	return run
}

// Close closes a run, as the chief accountant.
func (w *World) Close(run reconcile.Run) reconcile.Run {
	w.T.Helper()
	closed, err := w.Reconcile.CloseRun(w.T.Context(), Chief, run.ID)
	w.Must(err)
	return closed
}

// Breaks lists live breaks of a source as "kind amount".
func (w *World) Breaks(source string) []string {
	w.T.Helper()
	list, _, err := w.Cases.ListBreaks(w.T.Context(), Accountant, cases.BreakFilter{Source: source, Open: true})
	w.Must(err)
	got := []string{}
	for _, b := range list {
		got = append(got, fmt.Sprintf("%s %d", b.Kind, b.Amount.Minor))
	}
	slices.Sort(got)
	return got
}

// Matches lists live matches of a run as "lane rule amount".
func (w *World) Matches(run reconcile.Run) []string {
	w.T.Helper()
	list, _, err := w.Cases.ListMatches(w.T.Context(), Accountant, cases.MatchFilter{Run: run.ID})
	w.Must(err)
	got := []string{}
	for _, m := range list {
		if m.RevokedAt == nil {
			got = append(got, fmt.Sprintf("%s %s %d", m.Lane, m.Rule, m.Amount.Minor))
		}
	}
	slices.Sort(got)
	return got
}

// Balances returns the balances of the real accounts of the authority that are not zero.
func (w *World) Balances() map[string]int64 {
	w.T.Helper()
	list, err := w.Rooms.Ledger.TrialBalance(w.T.Context(), Accountant, calendar.On(w.Clock.Now()).AddDays(30))
	w.Must(err)
	sums := map[string]int64{}
	for _, b := range list {
		if b.Balance() != 0 && b.Class != ledger.Memo {
			sums[b.Code] = b.Balance()
		}
	}
	return sums
}

// Status returns the status of a payment now.
func (w *World) Status(p payments.Payment) payments.Status {
	w.T.Helper()
	found, err := w.Find(w.T.Context(), Accountant, p.ID)
	w.Must(err)
	return found.Status
}

// Count asks the owner of the database for one number.
func (w *World) Count(query string, args ...any) (n int) {
	w.T.Helper()
	w.Must(w.Owner.QueryRow(w.T.Context(), query, args...).Scan(&n))
	return n
}
