package api

import (
	"context"
	"embed"
	"html/template"
	"net/http"
	"strings"
	"sync"

	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/web"
)

//go:embed pages/*.html pages/*.css
var pageFiles embed.FS

var pages = template.Must(template.ParseFS(pageFiles, "pages/*.html"))

// ErrNotReady: the database does not answer, or its schema is not this program's.
var ErrNotReady = fault.New(fault.Unavailable, "http.not_ready", "not ready to serve")

func healthz(w http.ResponseWriter, _ *http.Request) { writeOK(w) }

// readyz asks what the process stands on. Unlike healthz its failure means
// "send nobody here now", not "restart me".
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

// docsPolicy is wider than elsewhere: Swagger UI starts itself with an inline
// script and styles its elements inline. Everything still comes from here only.
const docsPolicy = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func allowDocs(docs http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", docsPolicy)
		docs.ServeHTTP(w, r)
	})
}

func serveStyle(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, pageFiles, "pages/style.css")
}

// amountText writes an amount as Vietnamese readers expect it: 1.234.567 đ.
func amountText(a money.Amount) string {
	unit := string(a.Currency)
	if a.Currency == money.VND {
		unit = "đ"
	}
	whole, fraction, _ := strings.Cut(a.Decimal().StringFixed(a.Currency.Exponent()), ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "." + whole[i:]
	}
	if fraction != "" {
		whole += "," + fraction
	}
	return whole + " " + unit
}

func toConsole(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/console", http.StatusFound)
}

func consolePlaceholder(w http.ResponseWriter, r *http.Request) {
	renderPage(w, r, http.StatusOK, "console.html", nil)
}
