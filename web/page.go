package web

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
)

//go:embed style.css
var styleFile embed.FS

// StylePath is the address of the style sheet of all pages.
const StylePath = "/pages/style.css"

// ServeStyle answers with the style sheet.
func ServeStyle(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, styleFile, "style.css")
}

// pagePolicy lets a page load only the style sheet of this program.
const pagePolicy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// RenderPage answers with a page. It renders to memory first: a template that
// fails becomes a problem document instead of half a page.
func RenderPage(w http.ResponseWriter, r *http.Request, status int, page *template.Template, data any) {
	var text bytes.Buffer
	if err := page.Execute(&text, data); err != nil {
		WriteError(w, r, err)
		return
	}
	w.Header().Set("Content-Security-Policy", pagePolicy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = text.WriteTo(w) // the reader is gone when this fails
}
