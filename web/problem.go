package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/doisoat/doisoat/internal/fault"
)

// Faults of HTTP itself. statusByCode gives their status, not their kind.
var (
	ErrMalformed   = fault.New(fault.Invalid, "http.malformed", "the body is not valid JSON")
	ErrDuplicate   = fault.New(fault.Invalid, "http.duplicate_member", "a JSON member of the body appears twice")
	ErrParameter   = fault.New(fault.Invalid, "http.parameter", "a parameter is wrong")
	ErrInvalid     = fault.New(fault.Invalid, "http.invalid", "the request does not have the described shape")
	ErrTooLarge    = fault.New(fault.Invalid, "http.too_large", "the body is too large")
	ErrContentType = fault.New(fault.Invalid, "http.content_type", "this address does not accept the content type")
	ErrNoRoute     = fault.New(fault.NotFound, "http.no_route", "no resource has this address")
	ErrMethod      = fault.New(fault.Invalid, "http.method", "this address does not take this method")
	ErrRate        = fault.New(fault.Unavailable, "http.rate", "too many requests: wait as long as Retry-After says")
	ErrClientGone  = fault.New(fault.Unavailable, "http.client_gone", "the caller closed the connection before the answer")
	ErrTimeout     = fault.New(fault.Unavailable, "http.timeout", "the request took too long, nothing was stored")
)

// internalDetail is the only text that a caller sees of an internal fault.
const internalDetail = "something went wrong on our side; nothing was stored"

// retryAfterSeconds is the time after which callers may try again while the service is unavailable.
const retryAfterSeconds = 2

// ProblemType is the media type of every error.
const ProblemType = "application/problem+json"

// Problem is an RFC 9457 problem document.
type Problem struct {
	Type   string        `json:"type"`
	Title  string        `json:"title"`
	Status int           `json:"status"`
	Code   string        `json:"code"`
	Detail string        `json:"detail"`
	Errors []fault.Field `json:"errors,omitempty"`
}

// statusByCode holds the faults whose status says more than their kind.
var statusByCode = map[string]int{
	ErrMalformed.Code:   http.StatusBadRequest,
	ErrDuplicate.Code:   http.StatusBadRequest,
	ErrParameter.Code:   http.StatusBadRequest,
	ErrTooLarge.Code:    http.StatusRequestEntityTooLarge,
	ErrContentType.Code: http.StatusUnsupportedMediaType,
	ErrMethod.Code:      http.StatusMethodNotAllowed,
	ErrRate.Code:        http.StatusTooManyRequests,
}

// statusByKind is the one table from kinds to HTTP statuses. A precondition is 409 like a conflict:
// both mean "not with things as they are now". An unknown outcome is 502, never a success and never
// "try again".
var statusByKind = map[fault.Kind]int{
	fault.Invalid:         http.StatusUnprocessableEntity,
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.Forbidden:       http.StatusForbidden,
	fault.NotFound:        http.StatusNotFound,
	fault.Conflict:        http.StatusConflict,
	fault.Precondition:    http.StatusConflict,
	fault.Unavailable:     http.StatusServiceUnavailable,
	fault.OutcomeUnknown:  http.StatusBadGateway,
	fault.Internal:        http.StatusInternalServerError,
}

// ProblemOf describes err for the caller. The text of an error that is no fault, and of an internal
// fault, is not shown.
func ProblemOf(err error) Problem {
	var tooLarge *http.MaxBytesError
	switch e, ok := fault.Of(err); {
	case ok && e.Kind != fault.Internal:
		return describe(e)
	case errors.As(err, &tooLarge):
		return describe(ErrTooLarge.With("the body is larger than %d bytes", tooLarge.Limit))
	case errors.Is(err, context.Canceled):
		return describe(ErrClientGone)
	case errors.Is(err, context.DeadlineExceeded):
		return describe(ErrTimeout)
	case ok:
		return describe(fault.New(fault.Internal, e.Code, internalDetail))
	default:
		return describe(fault.New(fault.Internal, "internal", internalDetail))
	}
}

func describe(e *fault.Error) Problem {
	status, ok := statusByCode[e.Code]
	if !ok {
		status = statusByKind[e.Kind]
	}
	if status == 0 {
		status = http.StatusInternalServerError
	}
	return Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: e.Code, Detail: e.Message, Errors: e.Fields}
}

// WriteError answers with the problem document of err and leaves err itself to
// the request's log line.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	p := ProblemOf(err)
	note(r.Context(), func(n *notes) { n.code, n.err = p.Code, err })
	h := w.Header()
	h.Set("Content-Type", ProblemType)
	h.Set("Cache-Control", "no-store")
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="doisoat"`)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		if h.Get("Retry-After") == "" {
			h.Set("Retry-After", strconv.Itoa(retryAfterSeconds))
		}
	}
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_ = json.NewEncoder(w).Encode(p) // the caller is gone when this fails
	}
}
