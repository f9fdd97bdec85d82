package api_test

import (
	"net/http"
	"testing"

	"github.com/doisoat/doisoat/internal/auth"
)

func TestRemittanceRoutes(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	document := `{"number":"UNC-18","date":"2024-05-02","account":"vcb-h41"}`
	voucher := `{"kind":"budget_phi","account":"vcb-h41","number":"GNT-7","document_date":"2024-05-02","treasury":"KBNN"}`
	for _, x := range []struct {
		role         auth.Role
		method, path string
		body         string
		status       int
		code         string
	}{
		{auth.RoleAccountant, http.MethodPost, "/v1/splits", `{"period_to":"2024-05-01"}`, http.StatusConflict, "remittance.nothing"},
		{auth.RoleAccountant, http.MethodPost, "/v1/splits", `{"period_to":"2024-05-02"}`, http.StatusUnprocessableEntity, "remittance.invalid"},
		{auth.RolePortal, http.MethodPost, "/v1/splits", `{"period_to":"2024-05-01"}`, http.StatusForbidden, "auth.forbidden"},
		{auth.RoleAccountant, http.MethodGet, "/v1/splits/spl_none", "", http.StatusNotFound, "remittance.not_found"},
		{auth.RoleAccountant, http.MethodPost, "/v1/splits/spl_none/vouchers", voucher, http.StatusNotFound, "remittance.not_found"},
		{auth.RoleChiefAccountant, http.MethodPost, "/v1/vouchers/vch_none/approve", "", http.StatusNotFound, "remittance.not_found"},
		{
			auth.RoleChiefAccountant, http.MethodPost, "/v1/vouchers/vch_none/reject", `{"reason":"sai"}`,
			http.StatusNotFound, "remittance.not_found",
		},
		{auth.RoleAccountant, http.MethodPost, "/v1/refunds/ref_none/confirm", document, http.StatusNotFound, "refunds.not_found"},
		{auth.RoleAccountant, http.MethodPost, "/v1/refunds/ref_none/return", document, http.StatusNotFound, "refunds.not_found"},
		{auth.RoleAccountant, http.MethodPost, "/v1/refunds/ref_none/confirm", `{"number":""}`, http.StatusUnprocessableEntity, "http.invalid"},
	} {
		a := h.must(x.status, x.role, x.method, x.path, x.body)
		if got := a.text("code"); got != x.code {
			t.Errorf("%s %s by %s: got %s, want %s", x.method, x.path, x.role, got, x.code)
		}
	}
	h.must(http.StatusOK, auth.RoleAuditor, http.MethodGet, "/v1/splits", "")
}
