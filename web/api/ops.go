package api

import (
	"context"
	_ "embed" // the placeholder of the console
	"html/template"
	"net/http"
	"sync"

	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/web"
)

//go:embed console.html
var consoleText string

var consolePage = template.Must(template.New("console").Parse(consoleText))

// ErrNotReady: the database does not answer, or its schema is not this program's.
var ErrNotReady = fault.New(fault.Unavailable, "http.not_ready", "the service is not ready")

func healthz(w http.ResponseWriter, _ *http.Request) { writeOK(w) }

// readyz checks the dependencies of the process. When readyz fails, send no requests to the process; restart it only when healthz fails.
func readyz(ready func(ctx context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if ready != nil {
			if err := ready(r.Context()); err != nil {
				web.WriteError(w, r, ErrNotReady.Because(err))
				return
			}
		}
		writeOK(w)
	}
}

func writeOK(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"status":"ok"}` + "\n")) // the caller is gone when this fails
}

// describedOnce: the description never changes while the program runs.
var describedOnce = sync.OnceValue(descriptionJSON)

func serveDescription(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(describedOnce()) // the caller is gone when this fails
}

// docsPolicy is wider than elsewhere: Swagger UI starts itself with an inline script and styles its elements inline. Everything still
// comes from here only.
const docsPolicy = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func allowDocs(docs http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", docsPolicy)
		docs.ServeHTTP(w, r)
	})
}

func toConsole(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/console", http.StatusFound)
}

func consolePlaceholder(w http.ResponseWriter, r *http.Request) {
	web.RenderPage(w, r, http.StatusOK, consolePage, nil)
}
