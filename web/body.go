package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/doisoat/doisoat/internal/fault"
)

// maxDepth is how deep JSON may nest.
const maxDepth = 32

// RequireJSON reads the body and lets it pass only when it is one JSON value
// of type application/json, in UTF-8, without a member twice in an object,
// without NUL and nested no deeper than 32. encoding/json would take the last
// of two equal members, another program the first: where money moves, both
// must read the same. An empty body passes: the description says whether one
// is needed.
func RequireJSON(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && len(body) > 0 {
			if err = checkContentType(r); err == nil {
				err = CheckJSON(body)
			}
		}
		if err != nil {
			var tooLarge *http.MaxBytesError
			if _, ok := fault.Of(err); !ok && !errors.As(err, &tooLarge) {
				err = ErrMalformed.With("the body could not be read").Because(err)
			}
			WriteError(w, r, err)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.ContentLength = int64(len(body))
		next.ServeHTTP(w, r)
	})
}

func checkContentType(r *http.Request) error {
	kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return ErrContentType.With("the content type must be application/json")
	}
	if charset := parameters["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return ErrContentType.With("JSON is UTF-8")
	}
	return nil
}

// CheckJSON returns ErrMalformed, ErrDuplicate or ErrInvalid (NUL in a text)
// with a pointer, or nil when body is one well-formed value.
func CheckJSON(body []byte) error {
	if !utf8.Valid(body) {
		return ErrMalformed.With("the body is not UTF-8")
	}
	if !json.Valid(body) {
		return ErrMalformed
	}
	if halfSurrogate(body) {
		return ErrMalformed.With("the body holds half a surrogate pair, which is no character")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := checkValue(d, "", 0); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return ErrMalformed.With("there is text after the JSON value")
	}
	return nil
}

// halfSurrogate looks for an escape such as \ud800 without its other half in
// valid JSON. encoding/json would put U+FFFD in its place, and a name would be
// stored that nobody sent.
func halfSurrogate(body []byte) bool {
	escape := func(at int) rune { // the code unit escaped there, or none
		if at+6 > len(body) || body[at] != '\\' || body[at+1] != 'u' {
			return -1
		}
		n, err := strconv.ParseUint(string(body[at+2:at+6]), 16, 16)
		if err != nil {
			return -1
		}
		return rune(n)
	}
	for i := 0; i < len(body); i++ {
		if body[i] != '\\' {
			continue
		}
		if first := escape(i); utf16.IsSurrogate(first) {
			if utf16.DecodeRune(first, escape(i+6)) == utf8.RuneError {
				return true
			}
			i += 6
		}
		i++ // what a backslash escapes is no backslash of its own
	}
	return false
}

func checkValue(d *json.Decoder, at string, depth int) error {
	token, err := d.Token()
	if err != nil {
		return ErrMalformed.Because(err)
	}
	switch t := token.(type) {
	case string:
		return checkText(t, at)
	case json.Delim:
		if depth == maxDepth {
			return ErrMalformed.With("the body nests deeper than %d", maxDepth)
		}
		if t == '{' {
			err = checkObject(d, at, depth+1)
		} else {
			for i := 0; d.More() && err == nil; i++ {
				err = checkValue(d, at+"/"+strconv.Itoa(i), depth+1)
			}
		}
		if err != nil {
			return err
		}
		if _, err = d.Token(); err != nil { // the closing delimiter
			return ErrMalformed.Because(err)
		}
	}
	return nil
}

func checkObject(d *json.Decoder, at string, depth int) error {
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return ErrMalformed.Because(err)
		}
		name, ok := token.(string)
		if !ok {
			return ErrMalformed
		}
		here := at + "/" + EscapePointer(name)
		if err := checkText(name, here); err != nil {
			return err
		}
		if seen[name] {
			return ErrDuplicate.At(here, "stands there twice")
		}
		seen[name] = true
		if err := checkValue(d, here, depth); err != nil {
			return err
		}
	}
	return nil
}

// checkText refuses NUL, which PostgreSQL cannot store.
func checkText(s, at string) error {
	if strings.ContainsRune(s, 0) {
		return ErrInvalid.At(at, "must not contain the character U+0000")
	}
	return nil
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// EscapePointer writes one step of an RFC 6901 pointer.
func EscapePointer(step string) string { return pointerEscapes.Replace(step) }
