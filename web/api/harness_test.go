package api_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/auth/keys"
	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/postgres/pgtest"
	"github.com/doisoat/doisoat/internal/secret"
	"github.com/doisoat/doisoat/internal/world"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/providers/sepay"
	"github.com/doisoat/doisoat/providers/vietqr"
	"github.com/doisoat/doisoat/providers/vnpay"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/repricing"
	"github.com/doisoat/doisoat/web/api"
	"github.com/doisoat/doisoat/web/pay"
)

// province whose keys the tests hold; its discounts are in the demo policies.
const province = "H41"

// harness is the whole surface over a database of its own, asked over HTTP.
type harness struct {
	t      *testing.T
	url    string
	client *http.Client
	keys   map[auth.Role]string
	makers keys.Service // of keys of other provinces
	db     *pgtest.DB
	again  func(ctx context.Context, authority string, id dossiers.ID, day schedule.Basis) error // plays the job of a known day
	log    *lockedBuffer
	routes routers.Router // of the served description, to hold answers against it

	fees      *fees.Service
	refunds   *refunds.Service
	repricing *repricing.Service // plays the worker
}

// readLines lets the description's validator accept bodies that are sent line by line.
var readLines = sync.OnceFunc(func() { openapi3filter.RegisterBodyDecoder("application/x-ndjson", openapi3filter.FileBodyDecoder) })

func newHarness(t *testing.T) *harness {
	t.Helper()
	return newHarnessOn(t, pgtest.New(t))
}

func newHarnessOn(t *testing.T, db *pgtest.DB) *harness {
	t.Helper()
	readLines()
	now := func() time.Time { return time.Date(2024, 5, 2, 3, 0, 0, 0, time.UTC) }
	authorities, err := registry.KnownAuthorities()
	if err != nil {
		t.Fatal(err)
	}
	if err := registry.EnsureAuthorities(t.Context(), db.Owner, registry.ReachingBack(authorities, 5000)); err != nil {
		t.Fatal(err)
	}
	keyring, err := secret.Create(filepath.Join(t.TempDir(), "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	all, err := world.New(world.Ground{
		Pool: db.App, Secret: keyring, Providers: providers.NewRegistry(vnpay.New(http.DefaultClient), vietqr.New(), sepay.New()),
		PublicURL: "https://thanhtoan.example.gov.vn", Now: now, Random: rand.Reader,
	})
	if err != nil {
		t.Fatal(err)
	}
	rooms := api.Rooms{
		Auth: all.Auth, Fees: all.Fees, Dossiers: all.Dossiers, Ledger: all.Ledger, Seal: all.Seal, Reports: all.Reports,
		Merchants: all.Merchants, Payments: all.Payments, Callbacks: all.Callbacks, Refunds: all.Refunds, Routes: all.Routes,
		Repricing: all.Repricing, Remittance: all.Remittance, Statements: all.Statements, Reconcile: all.Reconcile, Cases: all.Cases,
	}
	h := &harness{
		t: t, keys: map[auth.Role]string{}, log: &lockedBuffer{}, refunds: all.Refunds, repricing: all.Repricing,
		client: &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	h.db, h.again, h.fees = db, all.Repricing.PriceAgain, all.Fees
	h.loadFees(all.Fees)
	makers := keys.Service{DB: postgres.DB{Pool: db.App, Now: now}, Random: rand.Reader}
	h.makers = makers
	for _, role := range auth.KeyRoles() {
		text, _, err := makers.CreateKey(t.Context(), auth.Operator(province), role, string(role), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		h.keys[role] = text
	}
	log := slog.New(slog.NewJSONHandler(h.log, nil))
	server := httptest.NewServer(api.New(rooms, api.Options{
		Log: log, Metrics: prometheus.NewRegistry(), Now: now, Pay: (&pay.Pages{Payments: all.Payments, Log: log}).Routes,
	}))
	t.Cleanup(server.Close)
	t.Cleanup(h.client.CloseIdleConnections)
	h.url = server.URL
	if h.routes, err = gorillamux.NewRouter(h.description()); err != nil {
		t.Fatal(err)
	}
	return h
}

// description is the OpenAPI document that the surface serves.
func (h *harness) description() *openapi3.T {
	h.t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(h.must(200, "", http.MethodGet, "/openapi.json", "").body)
	if err != nil {
		h.t.Fatal(err)
	}
	return doc
}

func (h *harness) loadFees(s *fees.Service) {
	h.t.Helper()
	file, err := schedule.ParseFile(schedule.DemoPolicies())
	if err != nil {
		h.t.Fatal(err)
	}
	ctx := context.Background()
	if _, err := s.LoadFeeTypes(ctx, auth.Operator("BTC"), file.AllFeeTypes()); err != nil {
		h.t.Fatal(err)
	}
	for _, owner := range file.Owners() {
		if _, err := s.LoadPolicies(ctx, auth.Operator(owner), file.OwnedBy(owner)); err != nil {
			h.t.Fatal(err)
		}
	}
}

// roleOf names a key of any authority; the first call for it makes the key.
func (h *harness) roleOf(authority string, role auth.Role) auth.Role {
	h.t.Helper()
	if authority == province {
		return role
	}
	name := auth.Role(authority + "/" + string(role))
	if h.keys[name] == "" {
		text, _, err := h.makers.CreateKey(h.t.Context(), auth.Operator(authority), role, string(role), time.Time{})
		if err != nil {
			h.t.Fatal(err)
		}
		h.keys[name] = text
	}
	return name
}

// answer is the response to a request, with JSON already read.
type answer struct {
	status int
	header http.Header
	body   []byte
	json   map[string]any
}

// ask sends a request as role; body is JSON text, or empty for none.
func (h *harness) ask(role auth.Role, method, path, body string, header ...string) answer {
	h.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, reader)
	if err != nil {
		h.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if key := h.keys[role]; key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return h.send(r)
}

func (h *harness) send(r *http.Request) answer {
	h.t.Helper()
	response, err := h.client.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	a := answer{status: response.StatusCode, header: response.Header}
	if a.body, err = io.ReadAll(response.Body); err != nil {
		h.t.Fatal(err)
	}
	h.checkDescribed(r, a)
	if kind := response.Header.Get("Content-Type"); strings.Contains(kind, "json") && !strings.Contains(kind, "ndjson") {
		if err := json.Unmarshal(a.body, &a.json); err != nil {
			h.t.Fatalf("%s %s: %v in %s", r.Method, r.URL.Path, err, a.body)
		}
	}
	return a
}

// checkDescribed holds an answer of /v1 against the description: status,
// content type and shape.
func (h *harness) checkDescribed(r *http.Request, a answer) {
	h.t.Helper()
	if h.routes == nil || !strings.HasPrefix(r.URL.Path, "/v1/") {
		return
	}
	route, parameters, err := h.routes.FindRoute(r)
	if err != nil {
		return // an address that tests a refusal
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: parameters, Route: route},
		Status:                 a.status, Header: a.header, Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	if err := openapi3filter.ValidateResponse(r.Context(), input.SetBodyBytes(a.body)); err != nil {
		h.t.Errorf("%s %s: the answer is not as described: %v\n%s", r.Method, r.URL.Path, err, a.body)
	}
}

// must is ask that ends the test unless the status is the wanted one.
func (h *harness) must(status int, role auth.Role, method, path, body string, header ...string) answer {
	h.t.Helper()
	a := h.ask(role, method, path, body, header...)
	if a.status != status {
		h.t.Fatalf("%s %s as %q: got %d, want %d: %s\n%s", method, path, role, a.status, status, a.body, h.log)
	}
	return a
}

// at reads a member by dotted path, for example "charges.0.due".
func (a answer) at(path string) any {
	var v any = a.json
	for step := range strings.SplitSeq(path, ".") {
		switch t := v.(type) {
		case map[string]any:
			v = t[step]
		case []any:
			var i int
			if json.Unmarshal([]byte(step), &i) != nil || i >= len(t) {
				return nil
			}
			v = t[i]
		default:
			return nil
		}
	}
	return v
}

// text is at for a member that must be a string.
func (a answer) text(path string) string {
	s, _ := a.at(path).(string)
	return s
}

// lockedBuffer is a log that handlers and the test may touch at once.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
