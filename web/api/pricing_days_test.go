package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/auth"
)

// priceAgain works the jobs of days that came to be known, and says how many there are.
func (h *harness) priceAgain() int {
	h.t.Helper()
	rows, err := h.db.Owner.Query(h.t.Context(), `select args from river.river_job where kind = $1 order by id`, dossiers.PriceAgain{}.Kind())
	if err != nil {
		h.t.Fatal(err)
	}
	jobs, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		h.t.Fatal(err)
	}
	for _, text := range jobs {
		var a dossiers.PriceAgain
		if err := json.Unmarshal(text, &a); err != nil {
			h.t.Fatal(err)
		}
		if err := h.again(h.t.Context(), a.Authority, a.Dossier, a.Day); err != nil {
			h.t.Fatal(err)
		}
	}
	return len(jobs)
}

// TestPricingDaysOverHTTP: by submission, acceptance and result, to the second,
// with a policy that is repealed before its end.
func TestPricingDaysOverHTTP(t *testing.T) {
	t.Parallel()
	for basis, status := range map[string]int{"submission": 0, "acceptance": 2, "issue": 9} {
		t.Run(basis, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.must(201, auth.RoleAdmin, http.MethodPost, "/v1/policies",
				`{"id":"NA-DAY","status":"approved","authority":{"code":"H41","level":"province"},"territory":["H41"],
				"legal_basis":{"number":"5/NQ-HĐND"},"scope":{"mode":"fee_type_list","fee_types":["P_NUOC_MAT"]},
				"effect":{"kind":"share_of_base","numerator":1,"denominator":2},"pricing_date_basis":"`+basis+`",
				"valid_from":"2024-04-10","valid_to":"2024-04-20"}`)
			serial := 0
			due := func(at string) float64 {
				t.Helper()
				serial++
				code, submitted := fmt.Sprintf("H41.12-240401-%04d", serial), "2024-04-01T00:00:00+07:00"
				if status == 0 {
					submitted = at
				}
				d := h.must(201, auth.RolePortal, http.MethodPost, "/v1/dossiers", `{"authority":"H41","code":"`+code+`","agency":"H41.12",
					"submission":{"channel":"online","submitted_at":"`+submitted+`"},"applicant":{"name":"Nguyễn Văn A"},
					"items":[{"fee_type":"P_NUOC_MAT","base":100}]}`)
				if status != 0 {
					if got := d.at("outstanding"); got != 100.0 {
						t.Errorf("%s, not known yet: got %v, want 100", at, got)
					}
					h.must(200, auth.RolePortal, http.MethodPost, "/v1/dossiers/"+code+"/status", fmt.Sprintf(`{"status":%d,"at":%q}`, status, at))
					h.priceAgain()
				}
				return h.must(200, auth.RolePortal, http.MethodGet, "/v1/dossiers/"+code, "").at("outstanding").(float64)
			}
			dues := func() (list []float64) {
				t.Helper()
				for _, at := range []string{
					"2024-04-09T23:59:59+07:00", "2024-04-10T00:00:00+07:00", "2024-04-10T23:59:59+07:00", "2024-04-15T23:59:59+07:00",
					"2024-04-16T00:00:00+07:00", "2024-04-20T00:00:00+07:00", "2024-04-20T16:59:59Z", "2024-04-21T00:00:00+07:00",
				} {
					list = append(list, due(at))
				}
				return list
			}
			if diff := cmp.Diff(dues(), []float64{100, 50, 50, 50, 50, 50, 50, 100}); diff != "" {
				t.Errorf("whole window (-got +want):\n%s", diff)
			}
			h.must(200, auth.RolePolicyApprover, http.MethodPost, "/v1/policies/NA-DAY/repeal",
				`{"valid_to":"2024-04-15","legal_basis":"6/NQ-HĐND","reason":"Bãi bỏ"}`)
			if diff := cmp.Diff(dues(), []float64{100, 50, 50, 50, 100, 100, 100, 100}); diff != "" {
				t.Errorf("repealed early (-got +want):\n%s", diff)
			}
		})
	}
}

// TestKnownDayOverHTTP: the amount that is too much since the acceptance is waived once. Late and
// repeated reports change nothing.
func TestKnownDayOverHTTP(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.must(201, auth.RoleAdmin, http.MethodPost, "/v1/policies",
		`{"id":"NA-ACC","status":"approved","authority":{"code":"H41","level":"province"},"territory":["H41"],
		"legal_basis":{"number":"5/NQ-HĐND"},"scope":{"mode":"fee_type_list","fee_types":["P_NUOC_MAT"]},
		"effect":{"kind":"share_of_base","numerator":1,"denominator":4},
		"pricing_date_basis":"acceptance","valid_from":"2024-05-01"}`)
	const code = "H41.12-240430-0001"
	h.must(201, auth.RolePortal, http.MethodPost, "/v1/dossiers",
		`{"authority":"H41","code":"`+code+`","agency":"H41.12","submission":{"channel":"online","submitted_at":"2024-04-30T10:00:00+07:00"},
		"applicant":{"name":"Nguyễn Văn A"},"items":[{"fee_type":"P_NUOC_MAT","base":100}]}`)
	for _, report := range []string{
		`{"status":4,"at":"2024-05-01T09:00:00+07:00"}`, `{"status":2,"at":"2024-05-01T08:00:00+07:00"}`,
		`{"status":2,"at":"2024-05-01T08:00:00+07:00"}`,
	} {
		h.must(200, auth.RolePortal, http.MethodPost, "/v1/dossiers/"+code+"/status", report)
	}
	if got := h.priceAgain(); got != 1 {
		t.Errorf("jobs: got %d, want 1", got)
	}
	// Before the policy: too late to say.
	h.must(200, auth.RolePortal, http.MethodPost, "/v1/dossiers/"+code+"/status", `{"status":2,"at":"2024-04-30T11:00:00+07:00"}`)
	if got := h.priceAgain(); got != 1 {
		t.Errorf("jobs after a late report: got %d, want the same 1", got)
	}
	d := h.must(200, auth.RolePortal, http.MethodGet, "/v1/dossiers/"+code, "")
	got := []any{d.at("due"), d.at("outstanding"), d.at("charges.0.due"), d.at("charges.0.waived"), d.at("charges.1")}
	if diff := cmp.Diff(got, []any{100.0, 25.0, 100.0, 75.0, nil}); diff != "" {
		t.Errorf("dossier (-got +want):\n%s\n%s", diff, d.body)
	}
}
