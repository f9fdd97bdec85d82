package api

import (
	"errors"
	"io"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/web"
)

// receiveCallback hands a provider's message over as it arrived and answers in the provider's words after the commit. A message larger
// than its provider sends is refused before anything reads it.
func (s *server) receiveCallback(w http.ResponseWriter, r *http.Request) {
	bounds, _ := s.rooms.Callbacks.Bounds(mux.Vars(r)["provider"]) // zero for an unknown provider: Receive answers
	if bounds.Query > 0 && len(r.URL.RawQuery) > bounds.Query {
		web.WriteError(w, r, web.ErrTooLarge.With("the query is longer than %d bytes", bounds.Query))
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bounds.Body))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if !errors.As(err, &tooLarge) {
			err = web.ErrMalformed.With("the body could not be read").Because(err)
		}
		web.WriteError(w, r, err)
		return
	}
	reply := s.rooms.Callbacks.Receive(r.Context(), mux.Vars(r)["provider"], mux.Vars(r)["merchant_account"], providers.RawCallback{
		Method: r.Method, RawQuery: r.URL.RawQuery, Header: r.Header, Body: body, ReceivedAt: s.now(),
	})
	w.Header().Set("Content-Type", reply.ContentType)
	w.WriteHeader(reply.Status)
	_, _ = w.Write(reply.Body) // a provider that is gone calls again
}
