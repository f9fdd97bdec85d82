package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/web"
)

func TestMain(m *testing.M) {
	// httprate keeps no goroutine; a leak here is the server's.
	goleak.VerifyTestMain(m)
}

// surface is a small router behind the real middleware.
type surface struct {
	handler http.Handler
	log     *bytes.Buffer
	metrics *prometheus.Registry
}

func newSurface(t *testing.T) surface {
	t.Helper()
	s := surface{log: &bytes.Buffer{}, metrics: prometheus.NewRegistry()}
	router := web.NewRouter()
	router.HandleFunc("/things/{id}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }).Methods(http.MethodGet,
		http.MethodPut)
	router.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic("secret 4711") }).Methods(http.MethodGet)
	router.HandleFunc("/late", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "half")
		panic("secret 4711")
	}).Methods(http.MethodGet)
	limited := router.NewRoute().Subrouter()
	limited.Use(web.RateLimit(2))
	limited.HandleFunc("/limited", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	keyed := router.NewRoute().Subrouter()
	keyed.Use(web.Authenticate(func(_ context.Context, bearer string) (auth.Actor, error) {
		if bearer != "good" {
			return auth.Actor{}, auth.ErrUnauthenticated
		}
		return auth.Actor{Authority: "H41", Role: auth.RolePortal, ID: "key_1"}, nil
	}), web.LimitBody(64), web.RequireJSON)
	keyed.HandleFunc("/keyed", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", web.Actor(r.Context()).ID, body)
	}).Methods(http.MethodPost)
	s.handler = web.Wrap(router, slog.New(slog.NewJSONHandler(s.log, nil)), s.metrics)
	return s
}

func (s surface) ask(r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w.Result()
}

func problemOf(t *testing.T, r *http.Response) web.Problem {
	t.Helper()
	if got, want := r.Header.Get("Content-Type"), web.ProblemType; got != want {
		t.Fatalf("content type %q, want %q", got, want)
	}
	var p web.Problem
	if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProblemOf(t *testing.T) {
	t.Parallel()
	sentinel := func(k fault.Kind) error { return fmt.Errorf("room: %w", fault.New(k, "room.code", "safe words")) }
	for _, tt := range []struct {
		name   string
		err    error
		status int
		code   string
		detail string
	}{
		{"invalid", sentinel(fault.Invalid), 422, "room.code", "safe words"},
		{"unauthenticated", sentinel(fault.Unauthenticated), 401, "room.code", "safe words"},
		{"forbidden", sentinel(fault.Forbidden), 403, "room.code", "safe words"},
		{"not found", sentinel(fault.NotFound), 404, "room.code", "safe words"},
		{"conflict", sentinel(fault.Conflict), 409, "room.code", "safe words"},
		{"precondition", sentinel(fault.Precondition), 409, "room.code", "safe words"},
		{"unavailable", sentinel(fault.Unavailable), 503, "room.code", "safe words"},
		{"outcome unknown", sentinel(fault.OutcomeUnknown), 502, "room.code", "safe words"},
		{"internal shows nothing", sentinel(fault.Internal), 500, "room.code", "something went wrong on our side; nothing was stored"},
		{"no fault shows nothing", errors.New("password=1"), 500, "internal", "something went wrong on our side; nothing was stored"},
		{"unknown kind", sentinel("odd"), 500, "room.code", "safe words"},
		{"malformed", web.ErrMalformed, 400, "http.malformed", web.ErrMalformed.Message},
		{"too large", &http.MaxBytesError{Limit: 5}, 413, "http.too_large", "the body is larger than 5 bytes"},
		{"caller gone", context.Canceled, 503, "http.client_gone", web.ErrClientGone.Message},
		{"too long", context.DeadlineExceeded, 503, "http.timeout", web.ErrTimeout.Message},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := web.ProblemOf(tt.err)
			want := web.Problem{Type: "about:blank", Title: http.StatusText(tt.status), Status: tt.status, Code: tt.code, Detail: tt.detail}
			if diff := cmp.Diff(got, want); diff != "" {
				t.Errorf("problem (-got +want):\n%s", diff)
			}
		})
	}
}

func TestNotFoundAndMethod(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	got := problemOf(t, s.ask(httptest.NewRequest(http.MethodGet, "/nowhere/SECRET-CODE", nil)))
	if got.Status != 404 || got.Code != "http.no_route" {
		t.Errorf("got %d %s, want 404 http.no_route", got.Status, got.Code)
	}
	answer := s.ask(httptest.NewRequest(http.MethodDelete, "/things/SECRET-CODE", nil))
	got = problemOf(t, answer)
	if got.Status != 405 || answer.Header.Get("Allow") != "GET, PUT" {
		t.Errorf("got %d with Allow %q, want 405 with \"GET, PUT\"", got.Status, answer.Header.Get("Allow"))
	}
	if strings.Contains(s.log.String(), "SECRET-CODE") {
		t.Errorf("the log holds a path: %s", s.log)
	}
}

func TestLogLine(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	r := httptest.NewRequest(http.MethodGet, "/things/SECRET-CODE?token=SECRET", nil)
	r.Header.Set("X-Request-Id", "req-12345678")
	answer := s.ask(r)
	var line map[string]any
	if err := json.Unmarshal(s.log.Bytes(), &line); err != nil {
		t.Fatalf("want one line, got %q: %v", s.log, err)
	}
	for _, volatile := range []string{"time", "duration_us"} {
		delete(line, volatile)
	}
	want := map[string]any{
		"level": "INFO", "msg": "request", "request_id": "req-12345678", "method": "GET", "route": "/things/{id}", "status": 200.0, "bytes": 2.0,
	}
	if diff := cmp.Diff(line, want); diff != "" {
		t.Errorf("log line (-got +want):\n%s", diff)
	}
	for name, want := range map[string]string{
		"X-Request-Id": "req-12345678", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "X-Frame-Options": "DENY",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
	} {
		if got := answer.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	r.Header.Set("X-Request-Id", "bad id\"\n")
	if got := s.ask(r).Header.Get("X-Request-Id"); len(got) != 36 {
		t.Errorf("an odd request id must be replaced, got %q", got)
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	got := problemOf(t, s.ask(httptest.NewRequest(http.MethodGet, "/panic", nil)))
	if got.Status != 500 || got.Code != "internal" || strings.Contains(got.Detail, "4711") {
		t.Errorf("got %+v, want a 500 without the cause", got)
	}
	if !strings.Contains(s.log.String(), "secret 4711") {
		t.Errorf("the log must hold the cause: %s", s.log)
	}
	server := httptest.NewServer(s.handler)
	defer server.Close()
	defer http.DefaultClient.CloseIdleConnections()
	answer, err := http.Get(server.URL + "/late")
	if err == nil {
		_, err = io.ReadAll(answer.Body)
		answer.Body.Close()
	}
	if err == nil {
		t.Error("half an answer must not look whole")
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	var last *http.Response
	for range 30 { // windows end while we ask; 30 in one go pass two limits of 2
		if last = s.ask(httptest.NewRequest(http.MethodGet, "/limited", nil)); last.StatusCode != http.StatusOK {
			break
		}
	}
	if got := problemOf(t, last); got.Status != 429 || got.Code != "http.rate" || last.Header.Get("Retry-After") == "" {
		t.Errorf("got %+v and Retry-After %q, want 429 http.rate", got, last.Header.Get("Retry-After"))
	}
}

func TestAuthenticateAndBody(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	for _, tt := range []struct {
		name, authorization, contentType, body string
		status                                 int
		code                                   string
	}{
		{"good", "Bearer good", "application/json", `{"a":1}`, 200, ""},
		{"scheme in any case, charset", "bearer good", "application/json; charset=UTF-8", `[]`, 200, ""},
		{"empty body is for the description to judge", "Bearer good", "", "", 200, ""},
		{"no key", "", "application/json", `{}`, 401, "auth.unauthenticated"},
		{"wrong key", "Bearer bad", "application/json", `{}`, 401, "auth.unauthenticated"},
		{"basic", "Basic good", "application/json", `{}`, 401, "auth.unauthenticated"},
		{"not JSON by type", "Bearer good", "text/plain", `{}`, 415, "http.content_type"},
		{"other charset", "Bearer good", "application/json; charset=latin1", `{}`, 415, "http.content_type"},
		{"not JSON", "Bearer good", "application/json", `{`, 400, "http.malformed"},
		{"too large", "Bearer good", "application/json", `"` + strings.Repeat("a", 64) + `"`, 413, "http.too_large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodPost, "/keyed", strings.NewReader(tt.body))
			if tt.authorization != "" {
				r.Header.Set("Authorization", tt.authorization)
			}
			r.Header.Set("Content-Type", tt.contentType)
			w := httptest.NewRecorder()
			newSurface(t).handler.ServeHTTP(w, r)
			answer := w.Result()
			if tt.status == http.StatusOK {
				if got, want := w.Body.String(), "key_1 "+tt.body; answer.StatusCode != 200 || got != want {
					t.Errorf("got %d %q, want 200 %q", answer.StatusCode, got, want)
				}
				return
			}
			if got := problemOf(t, answer); got.Status != tt.status || got.Code != tt.code {
				t.Errorf("got %d %s, want %d %s", got.Status, got.Code, tt.status, tt.code)
			}
		})
	}
	r := httptest.NewRequest(http.MethodPost, "/keyed", nil)
	r.Header.Add("Authorization", "Bearer good")
	r.Header.Add("Authorization", "Bearer bad")
	if got := problemOf(t, s.ask(r)); got.Status != 401 {
		t.Errorf("two Authorization headers: got %d, want 401", got.Status)
	}
}

func TestReadJSON(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		body string
		code string
		at   string
	}{
		{`{"a":[1,2,{"b":null}],"c":"x"}`, "", ""},
		{`{"a":1,"b":{"a":2}}`, "", ""},
		{`7`, "", ""},
		{`{"a":1,"a":2}`, "http.duplicate_member", "/a"},
		{`{"a":1,"\u0061":2}`, "http.duplicate_member", "/a"},
		{`{"x":[{"m/n":1,"m/n":1}]}`, "http.duplicate_member", "/x/0/m~1n"},
		{`{"a":1} {"b":2}`, "http.malformed", ""},
		{`{"a":1}x`, "http.malformed", ""},
		{`{"a":1,}`, "http.malformed", ""},
		{`[1,]`, "http.malformed", ""},
		{`{'a':1}`, "http.malformed", ""},
		{`{"a":01}`, "http.malformed", ""},
		{`NaN`, "http.malformed", ""},
		{"\"\xff\"", "http.malformed", ""},
		{`{"a":"x\u0000y"}`, "http.invalid", "/a"},
		{`"\ud800"`, "http.malformed", ""},
		{`"\udc00\ud800"`, "http.malformed", ""},
		{`{"a":"\uD83D\u0041"}`, "http.malformed", ""},
		{`{"` + strings.Repeat("n", 257) + `":1}`, "http.malformed", ""},
		{"[" + strings.Repeat("0,", 49_999) + "0]", "http.malformed", ""},
		{`"\uD83D\uDCA3\\ud800\\\\\uD83D\uDCA3"`, "", ""},
		{strings.Repeat("[", 33) + strings.Repeat("]", 33), "http.malformed", ""},
		{strings.Repeat("[", 32) + strings.Repeat("]", 32), "", ""},
	} {
		t.Run(tt.body, func(t *testing.T) {
			t.Parallel()
			_, err := web.ReadJSON(t.Context(), []byte(tt.body))
			code, at := "", ""
			if e, ok := fault.Of(err); ok {
				code = e.Code
				if len(e.Fields) > 0 {
					at = e.Fields[0].Pointer
				}
			}
			if code != tt.code || at != tt.at {
				t.Errorf("got %q at %q, want %q at %q", code, at, tt.code, tt.at)
			}
		})
	}
}

func FuzzReadJSON(f *testing.F) {
	for _, seed := range []string{`{"a":1}`, `{"a":1,"a":2}`, `[[]]`, `"\u0000"`, ``, `{"a":{"b":[1e9,true]}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := web.ReadJSON(t.Context(), body); err != nil {
			return
		}
		var first, again any
		if err := json.Unmarshal(body, &first); err != nil {
			t.Fatalf("accepted, but encoding/json says %v", err)
		}
		text, err := json.Marshal(first)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(again, first); diff != "" {
			t.Errorf("reads differently the second time (-got +want):\n%s", diff)
		}
	})
}

// TestServe: requests that run when the stop comes are answered, new ones are not taken.
func TestServe(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	begun := make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		time.Sleep(100 * time.Millisecond)
		fmt.Fprint(w, "done")
	})
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- web.Serve(ctx, l, handler, slog.New(slog.DiscardHandler)) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answered := make(chan string, 1)
	go func() {
		answer, err := client.Get("http://" + l.Addr().String())
		if err != nil {
			answered <- err.Error()
			return
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		answered <- string(body)
	}()
	<-begun
	stop()
	if got := <-answered; got != "done" {
		t.Errorf("running request: got %q, want done", got)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := client.Get("http://" + l.Addr().String()); err == nil {
		t.Error("a request after the stop must fail")
	}
}
