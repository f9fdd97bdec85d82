package refunds_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
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
	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/postgres/pgtest"
	"github.com/doisoat/doisoat/internal/secret"
	wiring "github.com/doisoat/doisoat/internal/world"
	"github.com/doisoat/doisoat/ledger/balances"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/providers/providertest"
	"github.com/doisoat/doisoat/providers/simulator/farsides"
	"github.com/doisoat/doisoat/providers/vnpay"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/repricing"
)

const (
	province   = "H41"
	terminal   = "DVCTEST1"
	hashSecret = "TESTONLYVNPAYHASHSECRET000000001"
	lePhi      = "LP_DKDN"      // 50 000, never given back when not accepted
	phi        = "P_CONG_BO_DN" // 100 000, given back when not accepted
)

var (
	portal     = auth.Actor{Authority: province, Role: auth.RolePortal, ID: "key_portal"}
	accountant = auth.Actor{Authority: province, Role: auth.RoleAccountant, ID: "key_accountant"}
	chief      = auth.Actor{Authority: province, Role: auth.RoleChiefAccountant, ID: "key_chief"}
	otherChief = auth.Actor{Authority: province, Role: auth.RoleChiefAccountant, ID: "key_other_chief"}
	auditor    = auth.Actor{Authority: province, Role: auth.RoleAuditor, ID: "key_auditor"}
	admin      = auth.Actor{Authority: province, Role: auth.RoleAdmin, ID: "key_admin"}
	begin      = time.Date(2024, 5, 2, 3, 0, 0, 0, time.UTC)
)

// clock is moved by tests only.
type clock struct{ offset atomic.Int64 }

func (c *clock) Now() time.Time          { return begin.Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// rooms are the services as cmd wires them, over one pool.
type rooms struct {
	fees      *fees.Service
	dossiers  *dossiers.Service
	payments  *payments.Service
	refunds   *refunds.Service
	repricing *repricing.Service
}

func wire(pool *pgxpool.Pool, ring *secret.Keyring, client *http.Client, now func() time.Time) (rooms, error) {
	all, err := wiring.New(wiring.Ground{
		Pool: pool, Secret: ring, Providers: providers.NewRegistry(vnpay.New(client)),
		PublicURL: "https://thanhtoan.example.gov.vn", Now: now, Random: rand.Reader,
	})
	return rooms{
		fees: all.Fees, dossiers: all.Dossiers, payments: all.Payments, refunds: all.Refunds, repricing: all.Repricing,
	}, err
}

// farSide is VNPAY behind a handler that counts and, where a test says so, interferes.
type farSide struct {
	sim      *farsides.Simulator
	server   *httptest.Server
	mu       sync.Mutex
	seen     map[string][]map[string]string // requests by command
	arrived  func(command string)           // before VNPAY sees a request
	answered func(command string)           // after VNPAY did its work, before anybody hears of it
	spoil    func(command string, body []byte) []byte
}

func (f *farSide) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
	arrived, answered, spoil := f.arrived, f.answered, f.spoil
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

func (f *farSide) interfere(set func(f *farSide)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	set(f)
}

func (f *farSide) requests(command string) []map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]map[string]string(nil), f.seen[command]...)
}

// world is one authority with a merchant account at VNPAY, over a database of its own.
type world struct {
	rooms
	t      *testing.T
	db     *pgtest.DB
	clock  *clock
	far    *farSide
	script providertest.Script
	keys   string // path of the key file, for child processes
	serial int

	unchecked bool // the test damages the tables on purpose
}

// newWorld checks at the end of the test that the book and the tables agree.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, db: pgtest.New(t), clock: &clock{}, keys: filepath.Join(t.TempDir(), "keys.json")}
	known, err := registry.KnownAuthorities()
	w.ok(err)
	w.ok(registry.EnsureAuthorities(t.Context(), w.db.Owner, registry.ReachingBack(known, 5000)))
	ring, err := secret.Create(w.keys)
	w.ok(err)
	w.rooms, err = wire(w.db.App, ring, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, w.clock.Now)
	w.ok(err)
	_, err = w.fees.LoadFeeTypes(t.Context(), auth.Operator("BTC"), schedule.Catalogue().FeeTypes)
	w.ok(err)

	w.far = &farSide{seen: map[string][]map[string]string{}, sim: farsides.New(farsides.Options{Now: w.clock.Now, HangFor: 100 * time.Millisecond})}
	t.Cleanup(w.far.sim.Close)
	w.far.server = httptest.NewServer(w.far)
	t.Cleanup(w.far.server.Close)
	w.script = providertest.Script{Address: w.far.server.URL}
	w.far.sim.RegisterVNPAY(terminal, hashSecret, w.far.server.URL+"/nobody")
	_, err = w.payments.Merchants.Register(t.Context(), admin, "vnpay", map[string]string{
		"tmn_code": terminal, "pay_url": w.far.server.URL + farsides.PayPath, "api_url": w.far.server.URL + farsides.APIPath,
	}, map[string]string{"hash_secret": hashSecret})
	w.ok(err)
	t.Cleanup(func() {
		if !w.unchecked {
			w.consistent()
		}
	})
	return w
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// act is a transaction of actor, by the world's clock.
func (w *world) act(actor auth.Actor, body func(act postgres.Act) error) {
	w.t.Helper()
	w.ok(postgres.InTx(context.Background(), w.refunds.DB, actor, body))
}

func (w *world) in(authority string, body func(tx pgx.Tx) error) {
	w.t.Helper()
	w.ok(postgres.WriteTx(context.Background(), w.db.App, authority, body))
}

func (w *world) breaches() (list []string) {
	w.t.Helper()
	w.in(province, func(tx pgx.Tx) (err error) {
		list, err = refunds.Check(context.Background(), tx)
		return err
	})
	return list
}

func (w *world) consistent() {
	w.t.Helper()
	if got := w.breaches(); len(got) > 0 {
		w.t.Errorf("Check: got %q, want no breach", got)
	}
}

// dossier registers a case with the given fees.
func (w *world) dossier(feeTypes ...string) dossiers.Dossier {
	w.t.Helper()
	w.serial++
	items := make([]quote.ItemRequest, len(feeTypes))
	for i, f := range feeTypes {
		items[i] = quote.ItemRequest{FeeType: f}
	}
	d, _, err := w.dossiers.Register(w.t.Context(), portal, dossiers.Registration{
		Authority: province, Code: "H41.12-240502-" + string(rune('0'+w.serial)) + "001", Agency: "H41.12", Channel: "direct",
		SubmittedAt: w.clock.Now().Add(-time.Hour), Applicant: dossiers.Applicant{Name: "Người nộp"}, Items: items,
	})
	w.ok(err)
	return d
}

// create makes a payment of what is outstanding.
func (w *world) create(d dossiers.Dossier) payments.Payment {
	w.t.Helper()
	p, _, err := w.payments.Create(w.t.Context(), portal, d.Code, payments.Request{Provider: "vnpay", PayerIP: "203.0.113.7"})
	w.ok(err)
	return p
}

// capture plays the payer and finds out by inquiry.
func (w *world) capture(p payments.Payment) payments.Details {
	w.t.Helper()
	w.script.Pay(w.t, *p.Checkout, "paid", "lose")
	_, err := w.payments.Inquire(w.t.Context(), auth.System(province), p.ID)
	w.ok(err)
	return w.payment(p.ID)
}

func (w *world) payment(id payments.ID) payments.Details {
	w.t.Helper()
	found, err := w.payments.Find(w.t.Context(), accountant, id)
	w.ok(err)
	return found
}

// paid registers a dossier and pays it.
func (w *world) paid(feeTypes ...string) (dossiers.Dossier, payments.Details) {
	w.t.Helper()
	d := w.dossier(feeTypes...)
	p := w.capture(w.create(d))
	return w.find(d.Code), p
}

func (w *world) find(code string) dossiers.Dossier {
	w.t.Helper()
	d, err := w.dossiers.Find(w.t.Context(), accountant, code)
	w.ok(err)
	return d
}

func (w *world) request(d dossiers.Dossier, items ...refunds.Item) refunds.Refund {
	w.t.Helper()
	r, created, err := w.refunds.Request(w.t.Context(), accountant, d.Code, refunds.Request{Reason: "COLLECTED_AGAINST_RULE", Items: items})
	w.ok(err)
	if !created {
		w.t.Fatal("Request: got an earlier refund, want a new one")
	}
	return r
}

func (w *world) approve(id refunds.ID) refunds.Refund {
	w.t.Helper()
	r, err := w.refunds.Approve(w.t.Context(), chief, id, "đúng hồ sơ")
	w.ok(err)
	return r
}

func (w *world) approved(d dossiers.Dossier, items ...refunds.Item) refunds.Refund {
	w.t.Helper()
	return w.approve(w.request(d, items...).ID)
}

func (w *world) refund(id refunds.ID) refunds.Refund {
	w.t.Helper()
	r, err := w.refunds.Find(w.t.Context(), accountant, id)
	w.ok(err)
	return r
}

func (w *world) refundsOf(d dossiers.Dossier) []refunds.Refund {
	w.t.Helper()
	list, _, err := w.refunds.List(w.t.Context(), auditor, refunds.Filter{DossierCode: d.Code})
	w.ok(err)
	slices.Reverse(list) // oldest first
	return list
}

func (w *world) send(id refunds.ID) {
	w.t.Helper()
	w.ok(w.refunds.Send(w.t.Context(), province, id))
}

func (w *world) inquire(id refunds.ID) {
	w.t.Helper()
	w.ok(w.refunds.Inquire(w.t.Context(), province, id))
}

// status fails unless the refund is in the state wanted.
func (w *world) status(id refunds.ID, want refunds.Status) {
	w.t.Helper()
	if got := w.refund(id).Status; got != want {
		w.t.Errorf("status of the refund: got %s, want %s", got, want)
	}
}

// requestsSeen fails unless VNPAY saw this many refund requests, each reference once.
func (w *world) requestsSeen(want int) {
	w.t.Helper()
	list := w.far.requests("refund")
	references := map[string]bool{}
	for _, m := range list {
		references[m["vnp_RequestId"]] = true
	}
	if len(list) != want || len(references) != want {
		w.t.Errorf("refund requests at the provider: got %d with %d references, want %d", len(list), len(references), want)
	}
}

// balances are the accounts of the authority that are not zero.
func (w *world) balances() map[string]int64 {
	w.t.Helper()
	list, err := (&balances.Service{DB: w.db.App}).TrialBalance(w.t.Context(), accountant, dayOf(w.clock.Now().Add(48*time.Hour)))
	w.ok(err)
	sums := map[string]int64{}
	for _, b := range list {
		if b.Balance() != 0 {
			sums[b.Code] = b.Balance()
		}
	}
	return sums
}

func (w *world) book(want map[string]int64) {
	w.t.Helper()
	if diff := cmp.Diff(w.balances(), want); diff != "" {
		w.t.Errorf("balances (-got +want):\n%s", diff)
	}
}

// acts are the audited acts on an object, oldest first.
func (w *world) acts(kind, id string) []string {
	w.t.Helper()
	return w.texts(`select act from audit.event where object_kind = $1 and object_id = $2 order by at, id`, kind, id)
}

// jobs are the waiting jobs of a kind, as their arguments.
func (w *world) jobs(kind string) []string {
	w.t.Helper()
	return w.texts(`select args::text from river.river_job where kind = $1 and state = 'available' order by id`, kind)
}

func (w *world) texts(query string, args ...any) []string {
	w.t.Helper()
	rows, err := w.db.Owner.Query(w.t.Context(), query, args...)
	w.ok(err)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	w.ok(err)
	return list
}

// charge of a dossier by its fee.
func charge(t *testing.T, d dossiers.Dossier, feeType string) dossiers.Charge {
	t.Helper()
	for _, c := range d.Charges {
		if c.FeeType == feeType {
			return c
		}
	}
	t.Fatalf("the dossier has no charge for %s", feeType)
	return dossiers.Charge{}
}

func dayOf(t time.Time) calendar.Date { return calendar.On(t) }
