package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/doisoat/doisoat/internal/auth"
)

// Proofs that are not there yet, and who may ask; the sealed ones are proved by
// the end-to-end test of the commands.
func TestProofRefusals(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, c := range []struct {
		name   string
		role   auth.Role
		path   string
		status int
		code   string
	}{
		{"nothing sealed", auth.RoleAuditor, "/v1/proofs/2024-05-02", http.StatusNotFound, "ledger.no_proof"},
		{"no date", auth.RoleAuditor, "/v1/proofs/2024-13-02", http.StatusBadRequest, "http.parameter"},
		{"a portal", auth.RolePortal, "/v1/proofs/2024-05-02", http.StatusForbidden, "auth.forbidden"},
		{
			"no such entry", auth.RoleAuditor, "/v1/ledger/entries/ent_" + strings.Repeat("0", 31) + "1/proof",
			http.StatusNotFound, "ledger.entry_not_found",
		},
		{
			"no such capture", auth.RoleAuditor, "/v1/ledger/entries/cap_" + strings.Repeat("0", 31) + "1/proof",
			http.StatusNotFound, "ledger.entry_not_found",
		},
		{
			"another noun", auth.RoleAuditor, "/v1/ledger/entries/pay_" + strings.Repeat("0", 31) + "1/proof",
			http.StatusNotFound, "ledger.entry_not_found",
		},
		{
			"a portal asks for an entry", auth.RolePortal, "/v1/ledger/entries/ent_" + strings.Repeat("0", 31) + "1/proof",
			http.StatusForbidden, "auth.forbidden",
		},
	} {
		got := h.ask(c.role, http.MethodGet, c.path, "")
		if got.status != c.status || (c.code != "" && got.text("code") != c.code) {
			t.Errorf("%s: got %d %s, want %d %s", c.name, got.status, got.body, c.status, c.code)
		}
	}
}
