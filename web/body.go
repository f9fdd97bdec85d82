package web

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/doisoat/doisoat/internal/jsondoc"
)

// RequireJSON reads the body and lets it pass when it has the type
// application/json and jsondoc finds it sound. An empty body passes: the
// description says whether the operation needs one. Document hands the body on.
func RequireJSON(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			var tooLarge *http.MaxBytesError
			if !errors.As(err, &tooLarge) {
				err = ErrMalformed.With("the body could not be read").Because(err)
			}
			WriteError(w, r, err)
			return
		}
		if len(body) > 0 {
			var document jsondoc.Node
			if err = checkContentType(r); err == nil {
				document, err = ReadJSON(r.Context(), body)
			}
			if err != nil {
				WriteError(w, r, err)
				return
			}
			r = r.WithContext(context.WithValue(r.Context(), documentKey{}, document))
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
		return ErrContentType.With("the charset of JSON must be UTF-8")
	}
	return nil
}

// ReadJSON returns ErrMalformed, ErrDuplicate or ErrInvalid (NUL in a text)
// with a pointer, or the document when body is one sound value. It returns the
// context's error when the caller has gone.
func ReadJSON(ctx context.Context, body []byte) (jsondoc.Node, error) {
	node, err := jsondoc.Parse(ctx, body, jsondoc.MessageTokens)
	var f *jsondoc.Fault
	if !errors.As(err, &f) {
		return node, err
	}
	switch f.Kind {
	case jsondoc.Duplicate:
		return node, ErrDuplicate.At(f.Path.String(), "appears twice")
	case jsondoc.NUL:
		return node, ErrInvalid.At(f.Path.String(), f.Reason)
	case jsondoc.Bound:
		return node, ErrMalformed.With("%s", f.Reason)
	case jsondoc.Syntax:
	}
	return node, ErrMalformed.With("the body is not valid JSON: %s", f.Reason)
}

type documentKey struct{}

// Document returns the body that RequireJSON read; ok is false for an empty body.
func Document(ctx context.Context) (node jsondoc.Node, ok bool) {
	node, ok = ctx.Value(documentKey{}).(jsondoc.Node)
	return node, ok
}
