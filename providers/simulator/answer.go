package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// refusal is the error of a refused control call.
type refusal struct {
	status int
	code   string
	detail string
}

func (r *refusal) Error() string { return r.code + ": " + r.detail }

// Refuse returns the error with which a side refuses a control call.
func Refuse(status int, code, format string, args ...any) error {
	return &refusal{status, code, fmt.Sprintf(format, args...)}
}

// readJSON reads one object. It refuses unknown members, so that a typing
// mistake in a script does not silently select a default.
func readJSON(r *http.Request, into any) error {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return Refuse(http.StatusBadRequest, "json", "%s", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Refuse(http.StatusBadRequest, "json", "more than one JSON value")
	}
	return nil
}

// WriteJSON answers with a JSON body.
func WriteJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) //nolint:errcheck,errchkjson // the reader has gone
}

func writeRefusal(w http.ResponseWriter, err error) {
	var r *refusal
	if !errors.As(err, &r) {
		r = &refusal{http.StatusInternalServerError, "internal", "internal error"}
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(r.status)
	json.NewEncoder(w).Encode(map[string]any{ //nolint:errcheck,errchkjson // the reader has gone
		"status": r.status, "title": http.StatusText(r.status), "code": "simulator." + r.code, "detail": r.detail,
	})
}

// SingleValues decodes a query. It refuses a repeated name, because frameworks
// choose different values of a repeated name.
func SingleValues(rawQuery string) (map[string]string, bool) {
	parsed, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, false
	}
	values := make(map[string]string, len(parsed))
	for name, list := range parsed {
		if len(list) != 1 || !utf8.ValidString(list[0]) {
			return nil, false
		}
		values[name] = list[0]
	}
	return values, true
}

// OnlyDigits tells whether the text is one or more ASCII digits.
func OnlyDigits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// Spoiled returns a wrong hexadecimal hash of the same length.
func Spoiled(hash string) string {
	first := "0"
	if strings.HasPrefix(hash, first) {
		first = "1"
	}
	return first + hash[1:]
}
