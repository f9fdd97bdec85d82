package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/auth"
)

// listedProcedure stands for the procedures of a list that a file does not spell out.
const listedProcedure = "1.000001"

// Every example that the provinces' policies bring along, asked over HTTP by the province it is about.
func TestPolicyCasesOverHTTP(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	file, err := schedule.ParseFile(schedule.DemoPolicies())
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, p := range file.Policies {
		if p.Scope.Mode == schedule.ProcedureList && len(p.Scope.Procedures) == 0 {
			h.listProcedure(p)
		}
		for i, c := range p.Cases {
			authority := c.Territory
			if authority == "" {
				authority = p.Territory[0]
			}
			if authority == schedule.Everywhere {
				authority = province
			}
			procedure := c.Procedure
			if c.ProcedureListed != nil && *c.ProcedureListed {
				procedure = listedProcedure
			}
			a := h.quoteAs(authority, procedure, c)
			item := "items.0."
			got := []any{a.at(item + "due"), a.at(item+"texts.vi") != "", a.at(item+"texts.en") != ""}
			want := []any{float64(*c.ExpectedDue), true, true}
			if c.ExpectedReason != "" {
				got, want = append(got, a.at(item+"reason")), append(want, string(c.ExpectedReason))
			}
			if c.ExpectedSubsidy != nil {
				got, want = append(got, a.at(item+"subsidy")), append(want, float64(*c.ExpectedSubsidy))
			}
			if c.OtherPolicy != "" {
				got, want = append(got, a.at(item+"applied.0.policy")), append(want, c.OtherPolicy)
			}
			if diff := cmp.Diff(got, want); diff != "" {
				t.Errorf("%s case %d (-got +want):\n%s\n%s", p.ID, i, diff, a.body)
			}
			asked++
		}
	}
	if asked < 40 {
		t.Errorf("%d cases, want all", asked)
	}
}

// listProcedure records the policy's next version, with a procedure in its list, as its authority's admin.
func (h *harness) listProcedure(p schedule.Policy) {
	h.t.Helper()
	var document map[string]any
	if err := json.Unmarshal(p.Document, &document); err != nil {
		h.t.Fatal(err)
	}
	document["scope"].(map[string]any)["procedures"] = []string{listedProcedure}
	text, err := json.Marshal(document)
	if err != nil {
		h.t.Fatal(err)
	}
	h.must(201, h.roleOf(p.Authority.Code, auth.RoleAdmin), http.MethodPost, "/v1/policies", string(text))
}

func (h *harness) quoteAs(authority, procedure string, c schedule.Case) answer {
	h.t.Helper()
	level := c.ServiceLevel
	if level == "" {
		level = schedule.ToanTrinh
	}
	// Each case is asked on its own day, since an authority refuses dates far from the clock.
	submitted := c.SubmittedOn.Start().Add(12 * time.Hour)
	h.fees.DB.Now = func() time.Time { return submitted }
	item := map[string]any{"fee_type": c.FeeType, "base": *c.Base, "assessed": map[string]any{"ground": "an amount of the case"}}
	if c.Quantity != nil {
		item["quantity"] = *c.Quantity
	}
	body := map[string]any{
		"authority":  authority,
		"submission": map[string]any{"channel": c.Channel, "service_level": level, "submitted_at": submitted.Format(time.RFC3339)},
		"applicant":  map[string]any{"groups": append([]string{}, c.Groups...)}, "items": []any{item},
	}
	if procedure != "" {
		body["procedure"] = procedure
	}
	text, err := json.Marshal(body)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.must(200, h.roleOf(authority, auth.RolePortal), http.MethodPost, "/v1/quotes", string(text))
}

// A policy's whole life over HTTP, each step by the role that may.
func TestPolicyLifeOverHTTP(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	draft := func(id, from, extra string) string {
		return fmt.Sprintf(`{"id":"%s","authority":{"code":"H41","name":"HĐND tỉnh Nghệ An","level":"province"},"territory":["H41"],
			"legal_basis":{"number":"5/NQ-HĐND"},"scope":{"mode":"fee_type_list","fee_types":["LP_GPXD"]},
			"condition":{"submission_channel":["online"]},
			"effect":{"kind":"share_of_base","numerator":1,"denominator":2},"valid_from":"%s"%s,
			"cases":[{"submitted_on":"2026-02-01","channel":"online","fee_type":"LP_GPXD","base":80000,"expected_due":40000}]}`, id, from, extra)
	}
	post := func(status int, role auth.Role, path, body string) answer {
		t.Helper()
		return h.must(status, role, http.MethodPost, "/v1/policies"+path, body)
	}
	post(201, auth.RolePolicyEditor, "", draft("NA-2026-50", "2026-01-01", ""))
	post(200, auth.RolePolicyEditor, "", draft("NA-2026-50", "2026-01-01", ""))
	clash := post(409, auth.RolePolicyEditor, "/NA-2026-50/submit", "")
	text := clash.text("code") + " " + clash.text("errors.0.detail")
	if !strings.Contains(text, "fees.overlap") || !strings.Contains(text, "NA-2025-00") || !strings.Contains(text, "thay thế") {
		t.Errorf("the refusal says %s", clash.body)
	}
	second := post(201, auth.RolePolicyEditor, "", draft("NA-2026-50", "2026-01-01", `,"replaces":["NA-2025-00"]`))
	submitted := post(200, auth.RolePolicyEditor, "/NA-2026-50/submit", `{"note":"trình duyệt"}`)
	post(403, auth.RolePolicyEditor, "/NA-2026-50/approve", "")
	rejected := post(200, auth.RolePolicyApprover, "/NA-2026-50/reject", `{"reason":"chưa có nghị quyết"}`)
	third := post(201, auth.RolePolicyEditor, "", draft("NA-2026-50", "2026-01-02", `,"replaces":["NA-2025-00"]`))
	post(200, auth.RolePolicyEditor, "/NA-2026-50/submit", "")
	approved := post(200, auth.RolePolicyApprover, "/NA-2026-50/approve", "")
	replaced := h.must(200, auth.RolePortal, http.MethodGet, "/v1/policies/NA-2025-00", "")
	post(422, auth.RolePolicyApprover, "/NA-2026-50/repeal", `{"valid_to":"2025-06-30","legal_basis":"9/NQ-HĐND"}`)
	repealed := post(200, auth.RolePolicyApprover, "/NA-2026-50/repeal",
		`{"valid_to":"2026-06-30","legal_basis":"9/NQ-HĐND","reason":"thay đổi"}`)
	post(409, auth.RolePolicyApprover, "/NA-2026-50/approve", "")
	post(404, auth.RolePolicyApprover, "/NONE/approve", "")
	got := []any{
		second.at("version"), submitted.at("status"), rejected.at("status"), third.at("version"), approved.at("status"),
		approved.at("status_today"),
		replaced.at("status"), replaced.at("replaced_by"), replaced.at("valid_to"), replaced.at("status_today"),
		repealed.at("status"), repealed.at("valid_to"), repealed.at("history.4.act"), repealed.at("policy.valid_from"),
	}
	if diff := cmp.Diff(got, []any{
		2.0, "submitted", "rejected", 3.0, "approved", "approved",
		"superseded", "NA-2026-50", "2026-01-01", "approved",
		"repealed", "2026-06-30", "repeal", "2026-01-02",
	}); diff != "" {
		t.Errorf("answers (-got +want):\n%s", diff)
	}
}

// A policy that counts the day of acceptance waits for it, in quotes and in dossiers.
func TestPricingByAcceptanceOverHTTP(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.must(201, auth.RoleAdmin, http.MethodPost, "/v1/policies",
		`{"id":"NA-ACC","status":"approved","authority":{"code":"H41","level":"province"},"territory":["H41"],
		"legal_basis":{"number":"5/NQ-HĐND"},"scope":{"mode":"fee_type_list","fee_types":["P_NUOC_MAT"]},"effect":{"kind":"exempt"},
		"pricing_date_basis":"acceptance",
		"valid_from":"2024-05-01"}`)
	quote := func(accepted string) answer {
		return h.must(200, auth.RolePortal, http.MethodPost, "/v1/quotes",
			`{"authority":"H41","submission":{"channel":"online","submitted_at":"2024-04-30T10:00:00+07:00"`+accepted+`},
			"items":[{"fee_type":"P_NUOC_MAT","base":100}]}`)
	}
	before, early, onTime := quote(""), quote(`,"accepted_at":"2024-04-30T23:59:59+07:00"`),
		quote(`,"accepted_at":"2024-05-01T00:00:00+07:00"`)
	got := []any{
		before.at("due"), before.at("items.0.not_applied.1.why"), early.at("due"), early.at("items.0.not_applied.1.why"),
		onTime.at("due"),
	}
	if diff := cmp.Diff(got, []any{100.0, "pricing_day_unknown", 100.0, "not_yet_in_force", 0.0}); diff != "" {
		t.Errorf("quotes (-got +want):\n%s\n%s", diff, before.body)
	}
	const code = "H41.12-240430-0001"
	h.must(201, auth.RolePortal, http.MethodPost, "/v1/dossiers",
		`{"authority":"H41","code":"`+code+`","agency":"H41.12","submission":{"channel":"online","submitted_at":"2024-04-30T10:00:00+07:00"},
		"applicant":{"name":"Nguyễn Văn A"},"items":[{"fee_type":"P_NUOC_MAT","base":100}]}`)
	h.must(200, auth.RolePortal, http.MethodPost, "/v1/dossiers/"+code+"/status", `{"status":2,"at":"2024-05-01T08:00:00+07:00"}`)
	d := h.must(201, auth.RolePortal, http.MethodPost, "/v1/dossiers/"+code+"/charges", `{"items":[{"fee_type":"P_NUOC_MAT","base":70}]}`)
	got = []any{d.at("charges.0.due"), d.at("charges.0.not_applied.1.why"), d.at("charges.1.due"), d.at("charges.1.applied.0.policy")}
	if diff := cmp.Diff(got, []any{100.0, "pricing_day_unknown", 0.0, "NA-ACC"}); diff != "" {
		t.Errorf("charges (-got +want):\n%s\n%s", diff, d.body)
	}
}
