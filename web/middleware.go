package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/httprate"
	"github.com/google/uuid"
	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/doisoat/doisoat/internal/auth"
)

// DefaultRequestsPerSecond lets a whole province burst and stops a runaway loop.
const DefaultRequestsPerSecond = 1000

// noRoute is the route template of requests that no route takes.
const noRoute = "none"

// notes collect the facts of a request for its log line and its metrics.
type notes struct {
	id    string
	ip    string // of the caller; never written to the log
	route string
	actor auth.Actor
	code  string
	err   error
}

type notesKey struct{}

// note changes the notes of a request; without Wrap around it there are none.
func note(ctx context.Context, change func(*notes)) {
	if n, ok := ctx.Value(notesKey{}).(*notes); ok {
		change(n)
	}
}

// NewRouter returns a router whose 404 and 405 are problem documents. It does
// not redirect unclean paths: a redirected POST would lose its body.
func NewRouter() *mux.Router {
	router := mux.NewRouter().SkipClean(true)
	router.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { WriteError(w, r, ErrNoRoute) })
	router.MethodNotAllowedHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", strings.Join(allowedMethods(router, r), ", "))
		WriteError(w, r, ErrMethod)
	})
	router.Use(recordRoute)
	return router
}

var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

func allowedMethods(router *mux.Router, r *http.Request) []string {
	var list []string
	for _, m := range methods {
		var match mux.RouteMatch
		try := *r
		try.Method = m
		if router.Match(&try, &match) && match.MatchErr == nil && match.Route != nil {
			list = append(list, m)
		}
	}
	return list
}

// recordRoute notes the template of the matched route; mux knows it only inside the router.
func recordRoute(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if route := mux.CurrentRoute(r); route != nil {
			if template, err := route.GetPathTemplate(); err == nil {
				note(r.Context(), func(n *notes) { n.route = template })
			}
		}
		next.ServeHTTP(w, r)
	})
}

// Wrap adds to a router the parts that also apply to 404 and 405: request id, log line, metrics,
// panic recovery and security headers.
func Wrap(router http.Handler, log *slog.Logger, metrics prometheus.Registerer) http.Handler {
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "doisoat_http_request_seconds",
		Help:    "Time to answer, by route template.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}, []string{"method", "route", "status"})
	running := prometheus.NewGauge(prometheus.GaugeOpts{Name: "doisoat_http_requests_running", Help: "Requests being answered."})
	metrics.MustRegister(seconds, running)
	inner := recoverPanics(securityHeaders(router))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now() //nolint:forbidigo // how long the answer took; no clock of a test may change this
		n := &notes{id: requestID(r), ip: ipOf(r), route: noRoute}
		w.Header().Set("X-Request-Id", n.id)
		answer := &recorder{ResponseWriter: w}
		running.Inc()
		defer func() {
			running.Dec()
			took := time.Since(begin) //nolint:forbidigo // as above
			seconds.WithLabelValues(methodLabel(r.Method), n.route, strconv.Itoa(answer.status())).Observe(took.Seconds())
			logRequest(r.Context(), log, r.Method, n, answer, took)
		}()
		inner.ServeHTTP(answer, r.WithContext(context.WithValue(r.Context(), notesKey{}, n)))
	})
}

// logRequest writes the one line of a request. The method label and the route template are fixed
// words of this program. Path, query, headers and bodies may hold codes and secrets, so the line
// never holds them.
func logRequest(ctx context.Context, log *slog.Logger, method string, n *notes, answer *recorder, took time.Duration) {
	level := slog.LevelInfo
	list := []slog.Attr{
		slog.String("request_id", n.id),
		slog.String("method", methodLabel(method)),
		slog.String("route", n.route),
		slog.Int("status", answer.status()),
		slog.Int64("bytes", answer.bytes),
		slog.Int64("duration_us", took.Microseconds()),
	}
	if n.actor.ID != "" {
		list = append(list, slog.Any("actor", n.actor))
	}
	if n.code != "" {
		list = append(list, slog.String("code", n.code))
	}
	if answer.status() >= http.StatusInternalServerError && n.err != nil {
		list = append(list, slog.String("error", n.err.Error()))
		if !errors.Is(n.err, context.Canceled) {
			level = slog.LevelError
		}
	}
	log.LogAttrs(context.WithoutCancel(ctx), level, "request", list...)
}

func methodLabel(method string) string {
	if slices.Contains(methods, method) {
		return method
	}
	return "other"
}

var acceptedRequestID = regexp.MustCompile(`^[A-Za-z0-9._-]{8,64}$`)

// requestID keeps the caller's id when it is harmless, so that both logs can be joined.
func requestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); acceptedRequestID.MatchString(id) {
		return id
	}
	return uuid.NewString()
}

// recorder remembers status and size of an answer.
type recorder struct {
	http.ResponseWriter
	code  int
	bytes int64
}

func (a *recorder) WriteHeader(code int) {
	if a.code == 0 {
		a.code = code
	}
	a.ResponseWriter.WriteHeader(code)
}

func (a *recorder) Write(b []byte) (int, error) {
	if a.code == 0 {
		a.code = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(b)
	a.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (a *recorder) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *recorder) status() int {
	if a.code == 0 {
		return http.StatusOK
	}
	return a.code
}

// recoverPanics turns a panic into a 500. The transaction of the panicking use case is rolled back
// already.
func recoverPanics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if cause == http.ErrAbortHandler { //nolint:errorlint // net/http panics with this very value
				panic(cause)
			}
			err := fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
			if answer, ok := w.(*recorder); ok && answer.code != 0 {
				// Too late for another status: cut the connection, so that the caller does not take
				// half an answer for a whole one.
				note(r.Context(), func(n *notes) { n.code, n.err = "internal", err })
				answer.code = http.StatusInternalServerError
				panic(http.ErrAbortHandler)
			}
			WriteError(w, r, err)
		}()
		next.ServeHTTP(w, r)
	})
}

// apiPolicy forbids everything: JSON loads nothing. Pages set their own.
const apiPolicy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

func securityHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", apiPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// RateLimit bounds the requests per second of each address. Behind a proxy all
// callers share one address, so it is meant for surfaces without keys.
func RateLimit(perSecond int) mux.MiddlewareFunc {
	return rateLimit(perSecond, func(r *http.Request) (string, error) { return httprate.CanonicalizeIP(ipOf(r)), nil })
}

// ipOf is the address at the other end of the connection, which may be a proxy.
func ipOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// ClientIP returns the caller's address for providers that want one; empty outside Wrap.
func ClientIP(ctx context.Context) string {
	n, ok := ctx.Value(notesKey{}).(*notes)
	if !ok {
		return ""
	}
	return n.ip
}

// RateLimitByActor bounds the requests per second of each key; it stands inside Authenticate.
func RateLimitByActor(perSecond int) mux.MiddlewareFunc {
	return rateLimit(perSecond, func(r *http.Request) (string, error) { return Actor(r.Context()).ID, nil })
}

func rateLimit(perSecond int, key httprate.KeyFunc) mux.MiddlewareFunc {
	if perSecond == 0 {
		perSecond = DefaultRequestsPerSecond
	}
	return httprate.LimitBy(perSecond, time.Second, key,
		httprate.WithLimitHandler(func(w http.ResponseWriter, r *http.Request) { WriteError(w, r, ErrRate) }),
		httprate.WithErrorHandler(WriteError))
}

// LimitBody makes reading more than n bytes of a body fail with http.too_large.
func LimitBody(n int64) mux.MiddlewareFunc {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, n)
			next.ServeHTTP(w, r)
		})
	}
}
