package reconcile_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/postgres/pgtest"
	"github.com/doisoat/doisoat/internal/secret"
	wiring "github.com/doisoat/doisoat/internal/world"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/balances"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/payments/callbacks"
	"github.com/doisoat/doisoat/payments/checks"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/providers/sepay"
	"github.com/doisoat/doisoat/providers/simulator/farsides"
	"github.com/doisoat/doisoat/providers/vietqr"
	"github.com/doisoat/doisoat/providers/vnpay"
	"github.com/doisoat/doisoat/reconcile"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/statements"
)

const (
	province   = "H41"
	terminal   = "DVCTEST1"
	hashSecret = "TESTONLYVNPAYHASHSECRET000000001"
	hookSecret = "sepay-test-secret-01"
	account    = "116002680669"
	settlement = "vnpay-h41"
	bank       = "vcb-h41"
)

var (
	portal     = auth.Actor{Authority: province, Role: auth.RolePortal, ID: "key_portal"}
	accountant = auth.Actor{Authority: province, Role: auth.RoleAccountant, ID: "key_accountant"}
	chief      = auth.Actor{Authority: province, Role: auth.RoleChiefAccountant, ID: "key_chief"}
	admin      = auth.Actor{Authority: province, Role: auth.RoleAdmin, ID: "key_admin"}
	begin      = time.Date(2024, 5, 2, 3, 0, 0, 0, time.UTC)
	day        = calendar.MustParse("2024-05-02")
)

// clock is ours and the far side's; only tests move it.
type clock struct{ offset atomic.Int64 }

func (c *clock) Now() time.Time          { return begin.Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// world is a province with VNPAY, a bank account that takes transfers, and both as sources.
type world struct {
	*reconcile.Service
	files     *statements.Service
	t         *testing.T
	db        *pgtest.DB
	clock     *clock
	sim       *farsides.Simulator
	far       string
	dossiers  *dossiers.Service
	payments  *payments.Service
	callbacks *callbacks.Service
	refunds   *refunds.Service
	serial    int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, db: pgtest.New(t), clock: &clock{}}
	w.sim = farsides.New(farsides.Options{
		Now: w.clock.Now, HangFor: 100 * time.Millisecond, RefundDelay: time.Second,
		RetryDelays: map[string][]time.Duration{farsides.VNPAY: nil, farsides.SePay: nil},
	})
	t.Cleanup(w.sim.Close)
	far := httptest.NewServer(w.sim.Handler())
	t.Cleanup(far.Close)
	w.far = far.URL
	known, err := registry.KnownAuthorities()
	w.ok(err)
	w.ok(registry.EnsureAuthorities(t.Context(), w.db.Owner, registry.ReachingBack(known, 5000)))
	ring, err := secret.Create(filepath.Join(t.TempDir(), "keys.json"))
	w.ok(err)
	ours := httptest.NewServer(http.HandlerFunc(w.serveCallback))
	t.Cleanup(ours.Close)
	all, err := wiring.New(wiring.Ground{
		Pool: w.db.App, Secret: ring,
		Providers: providers.NewRegistry(vnpay.New(&http.Client{Transport: far.Client().Transport}), vietqr.New(), sepay.New()),
		PublicURL: ours.URL, Now: w.clock.Now, Random: rand.Reader,
	})
	w.ok(err)
	_, err = all.Fees.LoadFeeTypes(t.Context(), auth.Operator("BTC"), fees.Catalogue().FeeTypes)
	w.ok(err)
	w.dossiers, w.payments, w.callbacks, w.refunds = all.Dossiers, all.Payments, all.Callbacks, all.Refunds
	w.files, w.Service = all.Statements, all.Reconcile
	w.merchants(ours.URL)
	for _, r := range []statements.SourceRequest{
		{Code: settlement, Kind: statements.SettlementSource, Provider: "vnpay"},
		{Code: bank, Kind: statements.BankSource, Account: account},
	} {
		_, created, err := w.files.RegisterSource(t.Context(), admin, r)
		w.ok(err)
		if !created {
			t.Fatalf("source %s: got an old one", r.Code)
		}
	}
	t.Cleanup(w.consistent)
	return w
}

func (w *world) merchants(ours string) {
	w.t.Helper()
	m, err := w.payments.Merchants.Register(w.t.Context(), admin, "vnpay", map[string]string{
		"tmn_code": terminal, "pay_url": w.far + farsides.PayPath, "api_url": w.far + farsides.APIPath,
	}, map[string]string{"hash_secret": hashSecret})
	w.ok(err)
	w.sim.RegisterVNPAY(terminal, hashSecret, ours+"/callbacks/vnpay/"+m.ID.String())
	m, err = w.payments.Merchants.Register(w.t.Context(), admin, "vietqr", map[string]string{
		"bank_bin": "970415", "bank_name": "VietinBank", "account": account, "account_name": "SO TU PHAP NGHE AN", "notifier": "sepay",
	}, map[string]string{"webhook_secret": hookSecret})
	w.ok(err)
	w.sim.RegisterBank(account, "970415", ours+"/callbacks/sepay/"+m.ID.String(), hookSecret, "")
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) consistent() {
	w.t.Helper()
	if list := w.faults(); len(list) > 0 {
		w.t.Errorf("Check: got %q, want no fault", list)
	}
}

func (w *world) faults() (list []string) {
	w.t.Helper()
	w.ok(postgres.WriteTx(context.Background(), w.db.App, province, func(tx pgx.Tx) error {
		for _, check := range []func(context.Context, pgx.Tx) ([]string, error){reconcile.Check, checks.Check, refunds.Check} {
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

func (w *world) serveCallback(rw http.ResponseWriter, r *http.Request) {
	part := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	body, err := io.ReadAll(r.Body)
	if err != nil || len(part) != 3 {
		http.Error(rw, "bad request", http.StatusBadRequest)
		return
	}
	reply := w.callbacks.Receive(r.Context(), part[1], part[2], providers.RawCallback{
		Method: r.Method, RawQuery: r.URL.RawQuery, Header: r.Header, Body: body, ReceivedAt: w.clock.Now(),
	})
	rw.WriteHeader(reply.Status)
	_, _ = rw.Write(reply.Body)
}

// payment registers a dossier that owes an amount and asks for its payment.
func (w *world) payment(provider string, due int64) payments.Payment {
	w.t.Helper()
	w.serial++
	d, _, err := w.dossiers.Register(w.t.Context(), portal, dossiers.Registration{
		Authority: province, Code: fmt.Sprintf("H41.12-240502-%04d", w.serial), Agency: "H41.12", Channel: "direct",
		SubmittedAt: w.clock.Now().Add(-time.Hour), Applicant: dossiers.Applicant{Name: "Người nộp"},
		Items: []fees.ItemRequest{{FeeType: "P_CONG_BO_DN", Base: &due, Assessed: &fees.Assessed{Ground: "an amount of the test"}}},
	})
	w.ok(err)
	p, _, err := w.payments.Create(w.t.Context(), portal, d.Code, payments.Request{Provider: provider, PayerIP: "203.0.113.7"})
	w.ok(err)
	return p
}

// pay plays the payer; callback is deliver or lose. more overrides members of the command.
func (w *world) pay(p payments.Payment, callback string, more ...map[string]any) {
	w.t.Helper()
	command := map[string]any{"outcome": "paid", "callback": callback}
	if p.Checkout.QR != nil {
		command["qr"] = p.Checkout.QR.Payload
	} else {
		command["url"] = p.Checkout.URL
	}
	for _, m := range more {
		for name, value := range m {
			command[name] = value
		}
	}
	w.control("/control/pay", command)
}

func (w *world) control(path string, command any) {
	w.t.Helper()
	text, err := json.Marshal(command)
	w.ok(err)
	response, err := http.Post(w.far+path, "application/json", bytes.NewReader(text)) //nolint:noctx // the far side answers at once
	w.ok(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	w.ok(err)
	if response.StatusCode != http.StatusOK {
		w.t.Fatalf("%s %s: %s", path, text, body)
	}
}

// file is what the far side issues for a source and a day.
func (w *world) file(source string, date calendar.Date) []byte {
	w.t.Helper()
	query := url.Values{"source": {"vnpay"}, "date": {date.String()}}
	if source == bank {
		query.Set("source", "bank")
	}
	response, err := http.Get(w.far + "/control/statement?" + query.Encode()) //nolint:noctx // the far side answers at once
	w.ok(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	w.ok(err)
	if response.StatusCode != http.StatusOK {
		w.t.Fatalf("statement of %s: %s", source, body)
	}
	return body
}

func (w *world) ingest(source string, content []byte) statements.Statement {
	w.t.Helper()
	st, err := w.files.Ingest(w.t.Context(), accountant, source, source+".txt", content, false, "")
	w.ok(err)
	return st
}

// fetch ingests what the far side issues, which must be accepted.
func (w *world) fetch(source string, date calendar.Date) statements.Statement {
	w.t.Helper()
	st := w.ingest(source, w.file(source, date))
	if st.Status != statements.Accepted {
		w.t.Fatalf("statement of %s: got %s %v, want accepted", source, st.Status, st.Problems)
	}
	return st
}

func (w *world) run(source string, date calendar.Date) reconcile.Run {
	w.t.Helper()
	run, _, err := w.StartRun(w.t.Context(), accountant, source, date)
	w.ok(err)
	if !run.Holds() {
		w.t.Errorf("run of %s: the identity does not hold: %+v", source, run.Report)
	}
	return run
}

func (w *world) close(run reconcile.Run) reconcile.Run {
	w.t.Helper()
	closed, err := w.CloseRun(w.t.Context(), chief, run.ID)
	w.ok(err)
	return closed
}

// breaks lists live breaks of a source as "kind amount".
func (w *world) breaks(source string) []string {
	w.t.Helper()
	list, _, err := w.ListBreaks(w.t.Context(), accountant, reconcile.BreakFilter{Source: source, Open: true})
	w.ok(err)
	got := []string{}
	for _, b := range list {
		got = append(got, fmt.Sprintf("%s %d", b.Kind, b.Amount.Minor))
	}
	slices.Sort(got)
	return got
}

// matches lists live matches of a run as "lane rule amount".
func (w *world) matches(run reconcile.Run) []string {
	w.t.Helper()
	list, _, err := w.ListMatches(w.t.Context(), accountant, reconcile.MatchFilter{Run: run.ID})
	w.ok(err)
	got := []string{}
	for _, m := range list {
		if m.RevokedAt == nil {
			got = append(got, fmt.Sprintf("%s %s %d", m.Lane, m.Rule, m.Amount.Minor))
		}
	}
	slices.Sort(got)
	return got
}

// balances are the real accounts of the province that are not zero.
func (w *world) balances() map[string]int64 {
	w.t.Helper()
	list, err := (&balances.Service{DB: w.db.App}).TrialBalance(w.t.Context(), accountant, calendar.On(w.clock.Now()).AddDays(30))
	w.ok(err)
	sums := map[string]int64{}
	for _, b := range list {
		if b.Balance() != 0 && b.Class != ledger.Memo {
			sums[b.Code] = b.Balance()
		}
	}
	return sums
}

func (w *world) status(p payments.Payment) payments.Status {
	w.t.Helper()
	found, err := w.payments.Find(w.t.Context(), accountant, p.ID)
	w.ok(err)
	return found.Status
}

func (w *world) count(query string, args ...any) (n int) {
	w.t.Helper()
	w.ok(w.db.Owner.QueryRow(w.t.Context(), query, args...).Scan(&n))
	return n
}

func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("%s (-got +want):\n%s", what, diff)
	}
}
