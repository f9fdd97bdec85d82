package api_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/internal/auth"
)

// TestBusinessDays closes a date and opens it again: proposed by one, approved by another.
func TestBusinessDays(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const day = "/v1/ledger/days/2024-04-29"
	if open := h.must(200, auth.RoleAuditor, http.MethodGet, day, ""); open.text("status") != "open" {
		t.Errorf("at first: %s", open.body)
	}
	refused := func(status int, code string, role auth.Role, path, body string) {
		t.Helper()
		if a := h.must(status, role, http.MethodPost, path, body); a.text("code") != code {
			t.Errorf("%s %s: got %q, want %q", path, body, a.text("code"), code)
		}
	}
	const reopen, closing = `{"change":"reopen","reason":"Sao kê đến muộn"}`, `{"change":"close","reason":"Đã đối chiếu xong"}`
	refused(409, "ledger.day_state", auth.RoleAccountant, day+"/proposals", reopen)
	refused(409, "reconcile.day_open", auth.RoleAccountant, "/v1/ledger/days/2199-01-01/proposals", closing)
	refused(403, "auth.forbidden", auth.RoleAuditor, day+"/proposals", closing)
	refused(422, "http.invalid", auth.RoleAccountant, day+"/proposals", `{"change":"close","reason":""}`)

	first := h.must(201, auth.RoleAccountant, http.MethodPost, day+"/proposals", closing, "Idempotency-Key", "key-00000001")
	again := h.must(200, auth.RoleAccountant, http.MethodPost, day+"/proposals", closing, "Idempotency-Key", "key-00000001")
	if diff := cmp.Diff(again.json, first.json); diff != "" {
		t.Errorf("proposed again (-got +want):\n%s", diff)
	}
	refused(409, "ledger.day_proposed", auth.RoleChiefAccountant, day+"/proposals", closing)
	at := day + "/proposals/" + first.text("id")
	refused(403, "auth.forbidden", auth.RoleAccountant, at+"/approve", `{}`)
	refused(404, "ledger.day_proposal_not_found", auth.RoleChiefAccountant,
		"/v1/ledger/days/2024-04-28/proposals/"+first.text("id")+"/approve", `{}`)
	refused(404, "ledger.day_proposal_not_found", auth.RoleChiefAccountant, day+"/proposals/pay_1/approve", `{}`)
	for range 2 {
		if a := h.must(200, auth.RoleChiefAccountant, http.MethodPost, at+"/approve", `{"note":"Đồng ý"}`); a.text("status") != "approved" {
			t.Errorf("approved: %s", a.body)
		}
	}
	refused(409, "approval.decided", auth.RoleChiefAccountant, at+"/reject", `{}`)

	// Who approves may propose as well, and then not approve.
	own := h.must(201, auth.RoleChiefAccountant, http.MethodPost, day+"/proposals", reopen)
	refused(403, "approval.same_person", auth.RoleChiefAccountant, day+"/proposals/"+own.text("id")+"/approve", `{}`)
	refused(403, "approval.same_person", auth.RoleChiefAccountant, day+"/proposals/"+own.text("id")+"/reject", `{}`)

	found := h.must(200, auth.RoleAuditor, http.MethodGet, day, "")
	got := []any{
		found.at("status"), found.at("events.0.change"), found.at("events.0.proposal"), found.at("events.1"),
		found.at("proposals.1.status"),
	}
	if diff := cmp.Diff(got, []any{"closed", "close", first.text("id"), nil, "proposed"}); diff != "" {
		t.Errorf("day (-got +want):\n%s\n%s", diff, found.body)
	}
}
