// Package refundstest is the common ground of the tests of refunds, routes,
// repricing and remittance: all rooms on a fresh database, one authority with a
// merchant account at VNPAY, and VNPAY's far side. Only tests import it.
package refundstest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/postgres/pgtest"
	"github.com/doisoat/doisoat/internal/secret"
	"github.com/doisoat/doisoat/internal/world"
	"github.com/doisoat/doisoat/ledger/balances"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/providers/providertest"
	"github.com/doisoat/doisoat/providers/simulator/farsides"
	"github.com/doisoat/doisoat/providers/vnpay"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/refunds/refundcheck"
)

// The authority, its account at VNPAY and two fees.
const (
	Province   = "H41"
	Terminal   = "DVCTEST1"
	HashSecret = "TESTONLYVNPAYHASHSECRET000000001"
	LePhi      = "LP_DKDN"      // 50 000, never given back when not accepted
	Phi        = "P_CONG_BO_DN" // 100 000, given back when not accepted
)

// The actors of the tests, and the time at which each world begins.
var (
	Portal     = auth.Actor{Authority: Province, Role: auth.RolePortal, ID: "key_portal"}
	Accountant = auth.Actor{Authority: Province, Role: auth.RoleAccountant, ID: "key_accountant"}
	Chief      = auth.Actor{Authority: Province, Role: auth.RoleChiefAccountant, ID: "key_chief"}
	OtherChief = auth.Actor{Authority: Province, Role: auth.RoleChiefAccountant, ID: "key_other_chief"}
	Auditor    = auth.Actor{Authority: Province, Role: auth.RoleAuditor, ID: "key_auditor"}
	Admin      = auth.Actor{Authority: Province, Role: auth.RoleAdmin, ID: "key_admin"}
	Begin      = time.Date(2024, 5, 2, 3, 0, 0, 0, time.UTC)
)

// Clock is the clock of the rooms and of the far side. It stands still until a test moves it.
type Clock struct{ offset atomic.Int64 }

// Now returns the time of the clock.
func (c *Clock) Now() time.Time { return Begin.Add(time.Duration(c.offset.Load())) }

// Advance moves the clock forward.
func (c *Clock) Advance(d time.Duration) { c.offset.Add(int64(d)) }

// Wire makes all rooms over one pool, as cmd wires them.
func Wire(pool *pgxpool.Pool, ring *secret.Keyring, client *http.Client, now func() time.Time) (world.World, error) {
	return world.New(world.Ground{
		Pool: pool, Secret: ring, Providers: providers.NewRegistry(vnpay.New(client)),
		PublicURL: "https://thanhtoan.example.gov.vn", Now: now, Random: rand.Reader,
	})
}

// FarSide is VNPAY behind a handler that counts requests and interferes where a test asks for it.
type FarSide struct {
	sim      *farsides.Simulator
	server   *httptest.Server
	mu       sync.Mutex
	seen     map[string][]map[string]string           // requests by command
	Arrived  func(command string)                     // called before VNPAY sees a request
	Answered func(command string)                     // called after VNPAY did its work, before it answers
	Spoil    func(command string, body []byte) []byte // changes VNPAY's answer
}

// ServeHTTP implements http.Handler.
func (f *FarSide) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != farsides.APIPath {
		f.sim.Handler().ServeHTTP(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	message := map[string]string{}
	_ = json.Unmarshal(body, &message)
	command := message["vnp_Command"]
	f.mu.Lock()
	f.seen[command] = append(f.seen[command], message)
	arrived, answered, spoil := f.Arrived, f.Answered, f.Spoil
	f.mu.Unlock()
	if arrived != nil {
		arrived(command)
	}
	recorder := httptest.NewRecorder()
	f.sim.Handler().ServeHTTP(recorder, r)
	if answered != nil {
		answered(command)
	}
	answer := recorder.Body.Bytes()
	if spoil != nil {
		answer = spoil(command, answer)
	}
	w.WriteHeader(recorder.Code)
	_, _ = w.Write(answer)
}

// Interfere changes the hooks of the far side.
func (f *FarSide) Interfere(set func(f *FarSide)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	set(f)
}

// Requests are the messages of one command that arrived, oldest first.
func (f *FarSide) Requests(command string) []map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]map[string]string(nil), f.seen[command]...)
}

// World is one authority with a merchant account at VNPAY, over a database of its own.
type World struct {
	world.World
	T       *testing.T
	DB      *pgtest.DB
	Clock   *Clock
	Far     *FarSide
	Script  providertest.Script
	KeyFile string // path of the key file, for child processes
	serial  int

	Unchecked bool // the test damages the tables on purpose
}

// New makes a world. At the end of the test it checks that the book and the tables agree.
func New(t *testing.T) *World {
	t.Helper()
	w := &World{T: t, DB: pgtest.New(t), Clock: &Clock{}, KeyFile: filepath.Join(t.TempDir(), "keys.json")}
	known, err := registry.KnownAuthorities()
	w.Must(err)
	w.Must(registry.EnsureAuthorities(t.Context(), w.DB.Owner, registry.ReachingBack(known, 5000)))
	ring, err := secret.Create(w.KeyFile)
	w.Must(err)
	w.World, err = Wire(w.DB.App, ring, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, w.Clock.Now)
	w.Must(err)
	_, err = w.Fees.LoadFeeTypes(t.Context(), auth.Operator("BTC"), schedule.Catalogue().FeeTypes)
	w.Must(err)

	far := farsides.New(farsides.Options{Now: w.Clock.Now, HangFor: 100 * time.Millisecond})
	w.Far = &FarSide{seen: map[string][]map[string]string{}, sim: far}
	t.Cleanup(w.Far.sim.Close)
	w.Far.server = httptest.NewServer(w.Far)
	t.Cleanup(w.Far.server.Close)
	w.Script = providertest.Script{Address: w.Far.server.URL}
	w.Far.sim.RegisterVNPAY(Terminal, HashSecret, w.Far.server.URL+"/nobody")
	_, err = w.Payments.Merchants.Register(t.Context(), Admin, "vnpay", map[string]string{
		"tmn_code": Terminal, "pay_url": w.Far.server.URL + farsides.PayPath, "api_url": w.Far.server.URL + farsides.APIPath,
	}, map[string]string{"hash_secret": HashSecret})
	w.Must(err)
	t.Cleanup(func() {
		if !w.Unchecked {
			w.Consistent()
		}
	})
	return w
}

// Must ends the test at an error.
func (w *World) Must(err error) {
	w.T.Helper()
	if err != nil {
		w.T.Fatal(err)
	}
}

// Act is a transaction of actor, by the world's clock.
func (w *World) Act(actor auth.Actor, body func(act postgres.Act) error) {
	w.T.Helper()
	w.Must(postgres.InTx(context.Background(), w.Refunds.DB, actor, body))
}

// In runs body in a transaction of an authority.
func (w *World) In(authority string, body func(tx pgx.Tx) error) {
	w.T.Helper()
	w.Must(postgres.WriteTx(context.Background(), w.DB.App, authority, body))
}

// Breaches are the findings of refundcheck.Check.
func (w *World) Breaches() (list []string) {
	w.T.Helper()
	w.In(Province, func(tx pgx.Tx) (err error) {
		list, err = refundcheck.Check(context.Background(), tx)
		return err
	})
	return list
}

// Consistent fails when refundcheck.Check finds a breach.
func (w *World) Consistent() {
	w.T.Helper()
	if got := w.Breaches(); len(got) > 0 {
		w.T.Errorf("Check: got %q, want no breach", got)
	}
}

// Dossier registers a case with the given fees.
func (w *World) Dossier(feeTypes ...string) dossiers.Dossier {
	w.T.Helper()
	w.serial++
	items := make([]quote.ItemRequest, len(feeTypes))
	for i, f := range feeTypes {
		items[i] = quote.ItemRequest{FeeType: f}
	}
	d, _, err := w.Dossiers.Register(w.T.Context(), Portal, dossiers.Registration{
		Authority: Province, Code: "H41.12-240502-" + string(rune('0'+w.serial)) + "001", Agency: "H41.12", Channel: "direct",
		SubmittedAt: w.Clock.Now().Add(-time.Hour), Applicant: dossiers.Applicant{Name: "Người nộp"}, Items: items,
	})
	w.Must(err)
	return d
}

// Create makes a payment of the outstanding charges.
func (w *World) Create(d dossiers.Dossier) payments.Payment {
	w.T.Helper()
	p, _, err := w.Payments.Create(w.T.Context(), Portal, d.Code, payments.Request{Provider: "vnpay", PayerIP: "203.0.113.7"})
	w.Must(err)
	return p
}

// Capture pays as the payer and captures by inquiry.
func (w *World) Capture(p payments.Payment) payments.Details {
	w.T.Helper()
	w.Script.Pay(w.T, *p.Checkout, "paid", "lose")
	_, err := w.Payments.Inquire(w.T.Context(), auth.System(Province), p.ID)
	w.Must(err)
	return w.Payment(p.ID)
}

// Payment reads a payment.
func (w *World) Payment(id payments.ID) payments.Details {
	w.T.Helper()
	found, err := w.Payments.Find(w.T.Context(), Accountant, id)
	w.Must(err)
	return found
}

// Paid registers a dossier and pays it.
func (w *World) Paid(feeTypes ...string) (dossiers.Dossier, payments.Details) {
	w.T.Helper()
	d := w.Dossier(feeTypes...)
	p := w.Capture(w.Create(d))
	return w.Find(d.Code), p
}

// Find reads a dossier.
func (w *World) Find(code string) dossiers.Dossier {
	w.T.Helper()
	d, err := w.Dossiers.Find(w.T.Context(), Accountant, code)
	w.Must(err)
	return d
}

// Request opens a refund by the accountant.
func (w *World) Request(d dossiers.Dossier, items ...refunds.Item) refunds.Refund {
	w.T.Helper()
	r, created, err := w.Refunds.Request(w.T.Context(), Accountant, d.Code, refunds.Request{Reason: "COLLECTED_AGAINST_RULE", Items: items})
	w.Must(err)
	if !created {
		w.T.Fatal("Request: got an earlier refund, want a new one")
	}
	return r
}

// Approve decides for a refund by the chief accountant.
func (w *World) Approve(id refunds.ID) refunds.Refund {
	w.T.Helper()
	r, err := w.Refunds.Approve(w.T.Context(), Chief, id, "đúng hồ sơ")
	w.Must(err)
	return r
}

// Approved opens a refund and decides for it.
func (w *World) Approved(d dossiers.Dossier, items ...refunds.Item) refunds.Refund {
	w.T.Helper()
	return w.Approve(w.Request(d, items...).ID)
}

// Refund reads a refund.
func (w *World) Refund(id refunds.ID) refunds.Refund {
	w.T.Helper()
	r, err := w.Refunds.Find(w.T.Context(), Accountant, id)
	w.Must(err)
	return r
}

// RefundsOf lists the refunds of a dossier, oldest first.
func (w *World) RefundsOf(d dossiers.Dossier) []refunds.Refund {
	w.T.Helper()
	list, _, err := w.Refunds.List(w.T.Context(), Auditor, refunds.Filter{DossierCode: d.Code})
	w.Must(err)
	slices.Reverse(list)
	return list
}

// Send sends a refund as its job does.
func (w *World) Send(id refunds.ID) {
	w.T.Helper()
	w.Must(w.Routes.Send(w.T.Context(), Province, id))
}

// Inquire asks about a refund as its job does.
func (w *World) Inquire(id refunds.ID) {
	w.T.Helper()
	w.Must(w.Routes.Inquire(w.T.Context(), Province, id))
}

// Status fails unless the refund has the status wanted.
func (w *World) Status(id refunds.ID, want refunds.Status) {
	w.T.Helper()
	if got := w.Refund(id).Status; got != want {
		w.T.Errorf("status of the refund: got %s, want %s", got, want)
	}
}

// RequestsSeen fails unless VNPAY saw this many refund requests, each reference once.
func (w *World) RequestsSeen(want int) {
	w.T.Helper()
	list := w.Far.Requests("refund")
	references := map[string]bool{}
	for _, m := range list {
		references[m["vnp_RequestId"]] = true
	}
	if len(list) != want || len(references) != want {
		w.T.Errorf("refund requests at the provider: got %d with %d references, want %d", len(list), len(references), want)
	}
}

// Balances are the accounts of the authority that are not zero.
func (w *World) Balances() map[string]int64 {
	w.T.Helper()
	list, err := (&balances.Service{DB: w.DB.App}).TrialBalance(w.T.Context(), Accountant, calendar.On(w.Clock.Now().Add(48*time.Hour)))
	w.Must(err)
	sums := map[string]int64{}
	for _, b := range list {
		if b.Balance() != 0 {
			sums[b.Code] = b.Balance()
		}
	}
	return sums
}

// Book fails unless the balances are these.
func (w *World) Book(want map[string]int64) {
	w.T.Helper()
	if diff := cmp.Diff(w.Balances(), want); diff != "" {
		w.T.Errorf("balances (-got +want):\n%s", diff)
	}
}

// Queued are the waiting jobs of a kind, as their arguments.
func (w *World) Queued(kind string) []string {
	w.T.Helper()
	return w.Texts(`select args::text from river.river_job where kind = $1 and state = 'available' order by id`, kind)
}

// Texts are the rows of a query of one column, read as the owner.
func (w *World) Texts(query string, args ...any) []string {
	w.T.Helper()
	rows, err := w.DB.Owner.Query(w.T.Context(), query, args...)
	w.Must(err)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	w.Must(err)
	return list
}

// Charge finds the charge of a dossier by its fee.
func Charge(t *testing.T, d dossiers.Dossier, feeType string) dossiers.Charge {
	t.Helper()
	for _, c := range d.Charges {
		if c.FeeType == feeType {
			return c
		}
	}
	t.Fatalf("the dossier has no charge for %s", feeType)
	return dossiers.Charge{}
}

// AtOnce runs body n times at the same time and returns how many succeeded; others must fail with one of refused.
func AtOnce(t *testing.T, n int, body func(i int) error, refused ...*fault.Error) int {
	t.Helper()
	errs := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { errs[i] = body(i) })
	}
	group.Wait()
	done := 0
	for _, err := range errs {
		switch {
		case err == nil:
			done++
		case !slices.ContainsFunc(refused, func(f *fault.Error) bool { return errors.Is(err, f) || f.Is(err) }):
			t.Errorf("got %v, want success or one of %v", err, refused)
		}
	}
	return done
}

// BookAfter is the book after a payment of 150 000 for one phí and one lệ phí, and after these changes.
func BookAfter(changes map[string]int64) map[string]int64 {
	book := map[string]int64{
		"A-CLR-vnpay": 150_000, "L-TAMTHU-PHI": 100_000, "L-TAMTHU-LEPHI": 50_000, "M-OBLIGATION": 150_000, "M-COLLECTED": 150_000,
	}
	for code, change := range changes {
		if book[code] += change; book[code] == 0 {
			delete(book, code)
		}
	}
	return book
}

// The book after such a payment, after a refund of all of it was approved, and after the refund was done.
var (
	Untouched = BookAfter(nil)
	Promised  = BookAfter(map[string]int64{"L-TAMTHU-PHI": -100_000, "L-TAMTHU-LEPHI": -50_000, "L-REFUND": 150_000})
	GivenBack = map[string]int64{}
)
