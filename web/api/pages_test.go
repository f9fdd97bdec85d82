package api_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestPages(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, tt := range []struct {
		method, path string
		status       int
		kind         string
		holds        string
	}{
		{"GET", "/healthz", 200, "application/json", `"ok"`},
		{"GET", "/readyz", 200, "application/json", `"ok"`},
		{"GET", "/openapi.json", 200, "application/json", `"/v1/dossiers"`},
		{"GET", "/docs", 200, "text/html", "swagger"},
		{"GET", "/docs/swagger-ui.css", 200, "text/css", ""},
		{"GET", "/console", 200, "text/html; charset=utf-8", "Bàn làm việc"},
		{"GET", "/pages/style.css", 200, "text/css; charset=utf-8", "main"},
		{"GET", "/", 302, "text/html; charset=utf-8", "/console"},
		{"GET", "/metrics", 200, "text/plain", `route="/openapi.json"`},
		{"GET", "/callbacks/vnpay/mer_00000000000000000000000000000000/return?x=1", 404, "text/html; charset=utf-8", "Không tìm thấy"},
		{"GET", "/callbacks/vnpay/mer_00000000000000000000000000000000", 404, "text/plain; charset=utf-8", ""},
		{"POST", "/callbacks/nobody/x", 404, "text/plain; charset=utf-8", ""},
		{"PUT", "/callbacks/vnpay/x", 405, "application/problem+json", "http.method"},
	} {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			a := h.ask("", tt.method, tt.path, "")
			if a.status != tt.status || !strings.HasPrefix(a.header.Get("Content-Type"), tt.kind) || !strings.Contains(string(a.body), tt.holds) {
				t.Errorf("got %d %s, want %d %s holding %q: %.300s", a.status, a.header.Get("Content-Type"), tt.status, tt.kind, tt.holds, a.body)
			}
			if policy := a.header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") {
				t.Errorf("content security policy %q", policy)
			}
			for _, inline := range []string{"<script", "style=", "<style"} {
				if strings.Contains(string(a.body), inline) && !strings.HasPrefix(tt.path, "/docs") && strings.HasPrefix(tt.kind, "text/html") {
					t.Errorf("the page holds %s, which its policy forbids", inline)
				}
			}
		})
	}
	large := h.ask("", http.MethodPost, "/callbacks/sepay/x", strings.Repeat("a", 64<<10+1))
	if large.status != 413 || large.text("code") != "http.too_large" {
		t.Errorf("large callback: got %d %s, want 413 http.too_large", large.status, large.text("code"))
	}
	dossier := h.ask("portal", http.MethodPost, "/v1/dossiers", `"`+strings.Repeat("a", 1<<20)+`"`)
	if dossier.status != 413 {
		t.Errorf("large body: got %d, want 413: %.200s", dossier.status, dossier.body)
	}
}

func TestUploadRefusals(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	part := func(head, text string) string {
		return "--x\r\nContent-Disposition: form-data; " + head + "\r\n\r\n" + text + "\r\n"
	}
	file := part(`name="file"; filename="a.csv"`, "a,b")
	for _, tt := range []struct {
		name, kind, body string
		status           int
		code             string
	}{
		{"not multipart", "application/json", "{}", 415, "http.content_type"},
		{"cut off", "multipart/form-data; boundary=x", file, 400, "http.malformed"},
		{"nothing in it", "multipart/form-data; boundary=x", "--x--", 422, "http.invalid"},
		{"no file", "multipart/form-data; boundary=x", part(`name="source"`, "vcb") + "--x--", 422, "http.invalid"},
		{"part twice", "multipart/form-data; boundary=x", file + file + "--x--", 400, "http.duplicate_member"},
		{"part unknown", "multipart/form-data; boundary=x", file + part(`name="x"`, "") + "--x--", 422, "http.invalid"},
		{"odd dry_run", "multipart/form-data; boundary=x", part(`name="dry_run"`, "yes") + file + "--x--", 422, "http.invalid"},
		{"odd source", "multipart/form-data; boundary=x", part(`name="source"`, "a b") + file + "--x--", 422, "http.invalid"},
		{"too large", "multipart/form-data; boundary=x", part(`name="file"`, strings.Repeat("a", 64<<20+1)) + "--x--", 413, "http.too_large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := h.ask("accountant", http.MethodPost, "/v1/statements", tt.body, "Content-Type", tt.kind)
			if a.status != tt.status || a.text("code") != tt.code {
				t.Errorf("got %d %s, want %d %s: %.300s", a.status, a.text("code"), tt.status, tt.code, a.body)
			}
		})
	}
	if a := h.ask("portal", http.MethodPost, "/v1/statements", file+"--x--",
		"Content-Type", "multipart/form-data; boundary=x"); a.status != 403 {
		t.Errorf("a portal uploads: got %d, want 403: %s", a.status, a.body)
	}
}
