package reconcile_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"pgregory.net/rapid"

	"github.com/doisoat/doisoat/cases"
	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/postgres/pgtest"
	"github.com/doisoat/doisoat/internal/secret"
	wiring "github.com/doisoat/doisoat/internal/world"
	"github.com/doisoat/doisoat/ledger/balances"
	"github.com/doisoat/doisoat/ledger/days"
	"github.com/doisoat/doisoat/ledger/seal"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/payments/callbacks"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/providers/sepay"
	"github.com/doisoat/doisoat/providers/simulator/farsides"
	"github.com/doisoat/doisoat/providers/vietqr"
	"github.com/doisoat/doisoat/providers/vnpay"
	"github.com/doisoat/doisoat/reconcile"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/refunds/routes"
	"github.com/doisoat/doisoat/remittance"
	"github.com/doisoat/doisoat/repricing"
	"github.com/doisoat/doisoat/statements"
)

// country is the database that all sequences share; each sequence has a
// province of its own in it, so that sequences do not see one another.
type country struct {
	db        *pgtest.DB
	ring      *secret.Keyring
	jobs      *river.Client[pgx.Tx]
	provinces int
}

func newCountry(t *testing.T) *country {
	t.Helper()
	ok := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	c := &country{db: pgtest.New(t)}
	known, err := registry.KnownAuthorities()
	ok(err)
	ok(registry.EnsureAuthorities(t.Context(), c.db.Owner, registry.ReachingBack(known, 5000)))
	types := schedule.Catalogue().FeeTypes
	for i := range types {
		types[i].Terms = []schedule.Terms{{
			ValidFrom: calendar.MustParse("2020-01-01"), Retained: &schedule.Share{Numerator: 7, Denominator: 10}, LegalBasis: "Thông tư thử nghiệm",
		}}
		if types[i].Kind != schedule.Phi {
			types[i].Terms = nil
		}
	}
	_, err = (&fees.Service{DB: postgres.DB{Pool: c.db.App, Now: time.Now}}).LoadFeeTypes(t.Context(), auth.Operator("BTC"), types)
	ok(err)
	c.ring, err = secret.Create(filepath.Join(t.TempDir(), "keys.json"))
	ok(err)
	c.jobs, err = river.NewClient(riverpgxv5.New(c.db.App), &river.Config{Schema: "river", Logger: slog.New(slog.DiscardHandler)})
	ok(err)
	return c
}

// yearEnd is the time at which sequences begin: a budget year ends within them.
var yearEnd = time.Date(2024, 12, 27, 3, 0, 0, 0, time.UTC)

// clock is the clock of our rooms and of the far side. Only the sequence moves it, from yearEnd on.
type clock struct{ offset atomic.Int64 }

func (c *clock) Now() time.Time          { return yearEnd.Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// sequence is one province with all rooms, the far side of its providers, and
// the model of both.
type sequence struct {
	*model
	db         *pgtest.DB
	code       string
	clock      *clock
	far        string
	fees       *fees.Service
	cases      *dossiers.Service
	payments   *payments.Service
	callbacks  *callbacks.Service
	refunds    *refunds.Service
	routes     *routes.Service
	repricing  *repricing.Service
	remittance *remittance.Service
	ingest     *statements.Service
	reconcile  *reconcile.Service
	desk       *cases.Service
	ledger     *balances.Service
	seal       *seal.Service
	policies   int
	serial     int
	handed     map[payments.ID]int64 // what payers gave to the far side
	checkouts  []payments.Payment
	orders     []modelOrder // the bank may carry them out
	bankLines  []bankLine   // of the bank, beside transfers by code
	proposed   []cases.Identification
	undecided  map[calendar.Date]days.Proposal
	refusal    atomic.Value // what we answered to a callback that we did not take
}

func (c *country) province(t *rapid.T) *sequence {
	c.provinces++
	s := &sequence{
		model: newModel(), db: c.db, code: fmt.Sprintf("T%04d", c.provinces), clock: &clock{}, handed: map[payments.ID]int64{},
		undecided: map[calendar.Date]days.Proposal{},
	}
	s.ok(t, registry.EnsureAuthorities(t.Context(), c.db.Owner, []registry.Authority{
		{Code: s.code, Name: "Tỉnh thử nghiệm " + s.code, Level: "province", DaysBack: 5000},
	}))
	sim := farsides.New(farsides.Options{
		Now: s.clock.Now, HangFor: 5 * time.Millisecond, RefundDelay: time.Second,
		RetryDelays: map[string][]time.Duration{farsides.VNPAY: nil, farsides.SePay: nil},
	})
	far, ours := httptest.NewServer(sim.Handler()), httptest.NewServer(http.HandlerFunc(s.serveCallback))
	t.Cleanup(func() {
		far.Close()
		ours.Close()
		sim.Close()
	})
	s.far = far.URL
	all, err := wiring.New(wiring.Ground{
		Pool: c.db.App, Secret: c.ring,
		Providers: providers.NewRegistry(vnpay.New(&http.Client{Transport: far.Client().Transport}), vietqr.New(), sepay.New()),
		PublicURL: ours.URL, Now: s.clock.Now, Random: rand.Reader,
	})
	s.ok(t, err)
	s.fees, s.cases, s.payments, s.repricing = all.Fees, all.Dossiers, all.Payments, all.Repricing
	s.refunds, s.routes = all.Refunds, all.Routes
	s.callbacks = all.Callbacks
	s.remittance, s.ingest, s.reconcile, s.desk = all.Remittance, all.Statements, all.Reconcile, all.Cases
	s.ledger, s.seal = all.Ledger, all.Seal
	s.seal.BlockSize = 7

	m, err := s.payments.Merchants.Register(t.Context(), s.as(auth.RoleAdmin), "vnpay", map[string]string{
		"tmn_code": terminal, "pay_url": s.far + farsides.PayPath, "api_url": s.far + farsides.APIPath,
	}, map[string]string{"hash_secret": hashSecret})
	s.ok(t, err)
	sim.RegisterVNPAY(terminal, hashSecret, ours.URL+"/callbacks/vnpay/"+m.ID.String())
	m, err = s.payments.Merchants.Register(t.Context(), s.as(auth.RoleAdmin), "vietqr", map[string]string{
		"bank_bin": "970415", "bank_name": "VietinBank", "account": account, "account_name": "SO TU PHAP", "notifier": "sepay",
	}, map[string]string{"webhook_secret": hookSecret})
	s.ok(t, err)
	sim.RegisterBank(account, "970415", ours.URL+"/callbacks/sepay/"+m.ID.String(), hookSecret, "")
	for _, r := range []statements.SourceRequest{
		{Code: settlement, Kind: statements.SettlementSource, Provider: "vnpay"},
		{Code: bank, Kind: statements.BankSource, Account: account},
	} {
		_, _, err := s.ingest.RegisterSource(t.Context(), s.as(auth.RoleAdmin), r)
		s.ok(t, err)
	}
	s.policy(t, "REDUCED", "LP_DKKD", `{"kind": "share_of_base", "numerator": 60, "denominator": 100}`, always)
	s.policy(t, "EXEMPT", "LP_HO_TICH", `{"kind": "exempt"}`, always)
	s.policy(t, "SUBSIDY", "P_CONG_BO_DN",
		`{"kind": "subsidy", "payer_share": {"numerator": 1, "denominator": 3}, "funder": "ngân sách tỉnh"}`, always)
	s.policy(t, "ACCEPTED", "LP_GPXD", `{"kind": "share_of_base", "numerator": 50, "denominator": 100}`,
		`"pricing_date_basis": "acceptance", "valid_from": "2024-12-27", "valid_to": "2024-12-31"`)
	s.policy(t, "ISSUED", "P_GDBD", `{"kind": "share_of_base", "numerator": 40, "denominator": 100}`, `"pricing_date_basis": "issue", `+always)
	return s
}

const always = `"valid_from": "2024-01-01"`

// policy puts a policy, or its next version, into force for what is filed online.
func (s *sequence) policy(t *rapid.T, name, fee, effect, window string) {
	s.policies++
	p, err := schedule.ParsePolicy(fmt.Appendf(nil, `{
		"id": "%[1]s-%[2]s", "status": "in_force", "authority": {"code": "%[1]s", "name": "HĐND", "level": "province"}, "territory": ["%[1]s"],
		"legal_basis": {"number": "%[3]d/2024/NQ-HĐND", "kind": "nghi_quyet_hdnd"},
		"scope": {"mode": "fee_type_list", "fee_types": ["%[4]s"], "list_complete": true},
		"condition": {"submission_channel": ["online"], "service_level": ["toan_trinh", "mot_phan"], "payment_channel": "any"},
		"effect": %[5]s, %[6]s}`, s.code, name, s.policies, fee, effect, window))
	s.ok(t, err)
	_, err = s.fees.LoadPolicies(t.Context(), auth.Operator(s.code), []schedule.Policy{p})
	s.ok(t, err)
}

func (s *sequence) as(role auth.Role) auth.Actor {
	return auth.Actor{Authority: s.code, Role: role, ID: "key_" + string(role)}
}

func (s *sequence) today() calendar.Date { return calendar.On(s.clock.Now()) }

func (s *sequence) ok(t *rapid.T, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

// refused tells whether a call was refused for one of the reasons that the
// action allows; any other error fails.
func (s *sequence) refused(t *rapid.T, err error, allowed ...interface{ Is(error) bool }) bool {
	if err == nil {
		return false
	}
	for _, a := range allowed {
		if a.Is(err) {
			return true
		}
	}
	t.Fatal(err)
	return true
}

func (s *sequence) serveCallback(rw http.ResponseWriter, r *http.Request) {
	part := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	body, err := io.ReadAll(r.Body)
	if err != nil || len(part) != 3 {
		http.Error(rw, "bad request", http.StatusBadRequest)
		return
	}
	reply := s.callbacks.Receive(r.Context(), part[1], part[2], providers.RawCallback{
		Method: r.Method, RawQuery: r.URL.RawQuery, Header: r.Header, Body: body, ReceivedAt: s.clock.Now(),
	})
	if reply.Status != http.StatusOK {
		s.refusal.Store(fmt.Sprintf("%d %s", reply.Status, reply.Body))
	}
	rw.WriteHeader(reply.Status)
	_, _ = rw.Write(reply.Body)
}

// control plays the far side; it tells false when that refuses, as for an order that was paid already.
func (s *sequence) control(t *rapid.T, path string, command map[string]any, answer any) bool {
	text, err := json.Marshal(command)
	s.ok(t, err)
	response, err := http.Post(s.far+path, "application/json", bytes.NewReader(text)) //nolint:noctx // the far side answers at once
	s.ok(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	s.ok(t, err)
	switch response.StatusCode {
	case http.StatusOK:
		s.ok(t, json.Unmarshal(body, answer))
		return true
	case http.StatusConflict:
		return false
	}
	t.Fatalf("%s %s: %s", path, text, body)
	return false
}

// file is what the far side issues for a source and a day.
func (s *sequence) file(t *rapid.T, source string, date calendar.Date) []byte {
	query := url.Values{"source": {"vnpay"}, "date": {date.String()}}
	if source == bank {
		query.Set("source", "bank")
	}
	response, err := http.Get(s.far + "/control/statement?" + query.Encode()) //nolint:noctx // the far side answers at once
	s.ok(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	s.ok(t, err)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("statement of %s: %s", source, body)
	}
	if source == bank {
		return s.withLines(t, body, date)
	}
	return body
}

func (s *sequence) read(t *rapid.T, body func(ctx context.Context, tx pgx.Tx) error) {
	s.ok(t, postgres.ReadTx(t.Context(), s.db.App, s.code, func(tx pgx.Tx) error { return body(t.Context(), tx) }))
}

// sync brings the model of a dossier up to what the rooms say happened, and
// fails when that is not what follows from it.
func (s *sequence) sync(t *rapid.T, d *modelDossier) {
	var (
		found    dossiers.Dossier
		captures []payments.Capture
	)
	s.read(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		if found, err = dossiers.Find(ctx, tx, d.code); err != nil {
			return err
		}
		captures, err = payments.CapturesOf(ctx, tx, d.id)
		return err
	})
	list, _, err := s.refunds.List(context.Background(), s.as(auth.RoleAuditor), refunds.Filter{DossierCode: d.code})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(list) // oldest first
	for _, c := range captures[len(d.captures):] {
		s.capture(d, c)
	}
	s.assess(t, d, found.Charges, s.today())
	for _, r := range list {
		s.follow(t, d, r)
	}
	for i, c := range d.charges {
		c.waived = found.Charges[i].Waived - found.Charges[i].Refunded
		if got := found.Charges[i]; got.ID != c.id || got.Paid != c.captured || got.Refunded != c.back ||
			got.Outstanding() != c.outstanding() || c.waived < 0 || c.outstanding() < 0 {
			t.Fatalf("charge %+v, the model has %+v", got, *c)
		}
	}
	for i, c := range captures {
		s.sameCapture(t, d.captures[i], c)
	}
}

func (s *sequence) sameCapture(t *rapid.T, want *modelCapture, got payments.Capture) {
	paid, reserved, total := map[dossiers.ChargeID]int64{}, map[dossiers.ChargeID]int64{}, int64(0)
	for _, a := range got.Allocations {
		paid[a.Charge] = a.Amount
		reserved[a.Charge] = a.Reserved
		total += a.Reserved
	}
	reserved[dossiers.ChargeID{}] = got.ExcessReserved
	for id, amount := range want.paid {
		if paid[id] != amount {
			t.Fatalf("capture %s paid %d of charge %s, not %d", got.ID, paid[id], id, amount)
		}
	}
	for id, amount := range want.reserved {
		if reserved[id] != amount || want.left(id) < 0 {
			t.Fatalf("capture %s promises %d of %s, the model %d", got.ID, reserved[id], id, amount)
		}
	}
	if got.ID != want.id || len(paid) != len(want.paid) || got.Excess != want.excess || got.Reserved != total+got.ExcessReserved {
		t.Fatalf("capture %+v, the model has %+v", got, *want)
	}
}

// follow takes over what became of a refund since it was seen last.
func (s *sequence) follow(t *rapid.T, d *modelDossier, r refunds.Refund) {
	mr := s.model.refunds[r.ID]
	if mr == nil {
		mr = &modelRefund{Refund: r, dossier: d}
		s.model.refunds[r.ID] = mr
		s.reserve(t, mr, 1)
		return
	}
	was := mr.Status
	mr.Refund = r
	if was == r.Status {
		return
	}
	switch {
	case r.Status == refunds.Rejected:
		s.reserve(t, mr, -1)
	case was == refunds.Requested:
		s.approve(t, mr, s.today())
		if want := s.route(mr); r.Route != want {
			t.Fatalf("refund %s goes by %s, not by %s: %+v", r.ID, r.Route, want, mr.taken)
		}
	case r.Status == refunds.Declined:
		s.decline(t, mr, s.today())
	case was == refunds.Returned:
		s.transit -= r.Amount.Minor
	case r.Status == refunds.Returned:
		s.transit += r.Amount.Minor
	case r.Status == refunds.Done:
		s.pay(mr, r.Route)
	}
}
