package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/swaggest/swgui/v5emb"

	"github.com/doisoat/doisoat/web"
	"github.com/doisoat/doisoat/web/api/openapi"
)

const uploadRoute = "/v1/statements"

// New returns the whole surface with its middleware. It panics when the embedded description is broken or the metrics are registered
// already: both are mistakes of this program, found at start.
func New(rooms Rooms, o Options) http.Handler {
	return web.Wrap(newRouter(rooms, o), o.Log, o.Metrics)
}

func newRouter(rooms Rooms, o Options) *mux.Router {
	s := &server{rooms: rooms, log: o.Log, now: o.Now}
	router := web.NewRouter()

	open := router.NewRoute().Subrouter()
	open.Use(web.RateLimit(o.RequestsPerSecond))
	open.HandleFunc("/callbacks/{provider}/{merchant_account}", s.receiveCallback).Methods(http.MethodGet, http.MethodPost)
	open.HandleFunc("/openapi.json", serveDescription).Methods(http.MethodGet)
	open.HandleFunc(web.StylePath, web.ServeStyle).Methods(http.MethodGet)
	if o.Pay != nil {
		o.Pay(open)
	}
	open.HandleFunc("/", toConsole).Methods(http.MethodGet)
	docs := allowDocs(v5emb.New("Doisoat", "/openapi.json", "/docs"))
	open.Handle("/docs", docs).Methods(http.MethodGet)
	open.PathPrefix("/docs/").Handler(docs).Methods(http.MethodGet)
	console := o.Console
	if console == nil {
		console = http.HandlerFunc(consolePlaceholder)
		open.Handle("/console", console).Methods(http.MethodGet)
	} else {
		open.Handle("/console", console)
		open.PathPrefix("/console/").Handler(console)
	}

	// The operator's machines ask these often: no limit, no key, and no data of any authority in the answer.
	router.HandleFunc("/healthz", healthz).Methods(http.MethodGet)
	router.HandleFunc("/readyz", readyz(o.Ready)).Methods(http.MethodGet)
	router.Handle("/metrics", promhttp.HandlerFor(o.Metrics, promhttp.HandlerOpts{})).Methods(http.MethodGet)

	v1 := router.NewRoute().Subrouter()
	v1.Use(web.Authenticate(rooms.Auth.Authenticate), web.RateLimitByActor(o.RequestsPerSecond), bodies(description()))
	strict := openapi.NewStrictHandlerWithOptions(s, nil, openapi.StrictHTTPServerOptions{
		RequestErrorHandlerFunc:  refuseBody,
		ResponseErrorHandlerFunc: web.WriteError,
	})
	openapi.HandlerWithOptions(strict, openapi.GorillaServerOptions{BaseRouter: v1, ErrorHandlerFunc: refuseParameter})
	return router
}

// bodies bounds the body, and lets JSON pass when it is sound and has the described shape. An upload's address and headers are checked
// here and its body is bounded; the handler reads the body, which is too large to hold twice.
func bodies(doc *openapi3.T) mux.MiddlewareFunc {
	validate, exceptBody := validator(doc), shapeCheck(doc, true)
	return func(next http.Handler) http.Handler {
		asJSON := web.LimitBody(maxJSON)(web.RequireJSON(validate(next)))
		upload := web.LimitBody(maxUpload)(exceptBody(next))
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost || r.URL.Path != uploadRoute {
				asJSON.ServeHTTP(w, r)
				return
			}
			if err := web.ExtendDeadlines(w); err != nil && !errors.Is(err, http.ErrNotSupported) {
				web.WriteError(w, r, err)
				return
			}
			upload.ServeHTTP(w, r)
		})
	}
}

// refuseBody answers for a body that passed validation and still did not fit its Go type, such as 1.5e3 for an integer or a 31 February,
// or an upload that is not multipart.
func refuseBody(w http.ResponseWriter, r *http.Request, err error) {
	var (
		wrong *json.UnmarshalTypeError
		day   *time.ParseError
	)
	switch {
	case errors.As(err, &wrong):
		err = web.ErrInvalid.At(pointerOf(wrong.Field), "must be of type "+wrong.Type.String()).Because(err)
	case errors.As(err, &day):
		err = web.ErrInvalid.With("a date or time of the body does not exist").Because(err)
	case r.URL.Path == uploadRoute:
		err = web.ErrContentType.With("the content type must be multipart/form-data").Because(err)
	default:
		err = web.ErrMalformed.Because(err)
	}
	web.WriteError(w, r, err)
}

func refuseParameter(w http.ResponseWriter, r *http.Request, err error) {
	web.WriteError(w, r, web.ErrParameter.Because(err))
}
