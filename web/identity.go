package web

import (
	"context"
	"net/http"
	"strings"

	"github.com/gorilla/mux"

	"github.com/doisoat/doisoat/internal/auth"
)

type actorKey struct{}

// Actor returns the actor of a request that passed Authenticate. Without Authenticate it returns an
// empty actor, which every room refuses.
func Actor(ctx context.Context) auth.Actor {
	actor, _ := ctx.Value(actorKey{}).(auth.Actor)
	return actor
}

// Authenticate lets only callers with a valid key pass. check gets only the text after "Bearer "; a
// request without this header is refused before check.
func Authenticate(check func(ctx context.Context, bearer string) (auth.Actor, error)) mux.MiddlewareFunc {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			bearer, ok := bearerOf(r)
			if !ok {
				WriteError(w, r, auth.ErrUnauthenticated)
				return
			}
			actor, err := check(r.Context(), bearer)
			if err != nil {
				WriteError(w, r, err)
				return
			}
			note(r.Context(), func(n *notes) { n.actor = actor })
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), actorKey{}, actor)))
		})
	}
}

// bearerOf reads the only Authorization header. Two headers are refused, since a proxy could
// believe one and this program the other.
func bearerOf(r *http.Request) (string, bool) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, key, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || key == "" {
		return "", false
	}
	return key, true
}
