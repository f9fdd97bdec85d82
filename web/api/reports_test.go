package api_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/repricing"
)

// file registers a dossier of the fee that NA-2023-60 lowers to 60 of 100.
func (h *harness) file(serial int, agency, procedure, channel string) {
	h.t.Helper()
	h.must(201, auth.RolePortal, http.MethodPost, "/v1/dossiers", fmt.Sprintf(`{
		"authority": "H41", "code": "H41.12-240502-%04d", "agency": %q, "procedure": %q,
		"submission": {"channel": %q, "service_level": "toan_trinh", "submitted_at": "2024-05-02T09:00:00+07:00"},
		"applicant": {"name": "Người nộp"}, "items": [{"fee_type": "LP_DKKD", "base": 100000}]}`, serial, agency, procedure, channel))
}

const draftPolicy = `{
	"id": "NA-2027-50", "status": "draft", "authority": {"code": "H41", "name": "HĐND tỉnh Nghệ An", "level": "province"},
	"territory": ["H41"], "legal_basis": {"number": "", "kind": "nghi_quyet_hdnd"},
	"scope": {"mode": "fee_type_list", "fee_types": ["LP_DKKD"], "list_complete": true},
	"condition": {"submission_channel": ["online"]},
	"effect": {"kind": "share_of_base", "numerator": 50, "denominator": 100},
	"valid_from": "2027-01-01", "replaces": ["NA-2023-60"]}`

func TestPreviewOfADraft(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.file(1, "H41.12", "1.001612", "online")
	h.file(2, "H41.12", "1.001612", "direct")
	body := `{"policy": ` + draftPolicy + `, "period": {"from": "2024-05-01", "to": "2024-05-31"}}`
	got := h.must(200, auth.RolePolicyEditor, http.MethodPost, "/v1/policies/NA-2027-50/preview", body)
	want := map[string]any{
		"key": "", "dossiers": 2.0, "changed": 1.0,
		"recorded": map[string]any{"gross": 200_000.0, "discount": 40_000.0, "subsidy": 0.0, "due": 160_000.0},
		"before":   map[string]any{"gross": 200_000.0, "discount": 40_000.0, "subsidy": 0.0, "due": 160_000.0},
		"after":    map[string]any{"gross": 200_000.0, "discount": 50_000.0, "subsidy": 0.0, "due": 150_000.0},
	}
	if diff := cmp.Diff(got.at("total"), any(want)); diff != "" {
		t.Errorf("total (-got +want):\n%s", diff)
	}
	if key := got.text("agencies.0.key"); key != "H41.12" {
		t.Errorf("agency: got %q, want H41.12", key)
	}

	lines := h.must(200, auth.RolePolicyEditor, http.MethodPost, "/v1/policies/NA-2027-50/preview?progress=true", body)
	text := strings.Split(strings.TrimSpace(string(lines.body)), "\n")
	if kind := lines.header.Get("Content-Type"); len(text) != 2 || text[0] != `{"done":2,"total":2}` ||
		!strings.HasPrefix(text[1], `{"result":{`) || kind != "application/x-ndjson" {
		t.Errorf("got %s, %q; want a line of progress and the result", kind, text)
	}

	// A recorded policy previews by its id alone; its own text changes nothing.
	if got := h.must(200, auth.RolePolicyApprover, http.MethodPost, "/v1/policies/NA-2023-60/preview",
		`{"period": {"from": "2024-05-01", "to": "2024-05-31"}, "dates": "as_written"}`); got.at("total.changed") != 0.0 {
		t.Errorf("got %v changed, want 0", got.at("total.changed"))
	}
	h.must(404, auth.RolePolicyEditor, http.MethodPost, "/v1/policies/NA-NONE/preview",
		`{"period": {"from": "2024-05-01", "to": "2024-05-31"}}`)
	h.must(403, auth.RolePortal, http.MethodPost, "/v1/policies/NA-2023-60/preview", `{"period": {"from": "2024-05-01", "to": "2024-05-31"}}`)
	for _, query := range []string{"", "?progress=true"} {
		if got := h.must(422, auth.RolePolicyEditor, http.MethodPost, "/v1/policies/NA-2023-60/preview"+query,
			`{"period": {"from": "2024-05-31", "to": "2024-05-01"}}`); got.text("code") != "repricing.period" {
			t.Errorf("got %s, want repricing.period", got.body)
		}
	}
}

// TestPublishedRates asks the report for the figures that were published.
func TestPublishedRates(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, test := range []struct{ query, want string }{
		{"dossiers=6335726&paid=2731389", "43,11"},
		{"dossiers=558853&paid=134765", "24,11"},
		{"dossiers=10364973&paid=4954457&decimals=1&rounding=half_up", "47,8"},
		{"dossiers=17388356&paid=8589847&decimals=1&rounding=half_up", "49,4"},
		{"dossiers=198845&paid=67088&decimals=1", "33,7"},
		{"dossiers=100000&paid=25668", "25,66"},
		{"dossiers=100000&paid=25668&rounding=half_up", "25,67"},
		{"dossiers=5&zero=5&paid=0", "–"},
	} {
		got := h.must(200, auth.RoleAuditor, http.MethodGet, "/v1/reports/payment-rate?"+test.query, "")
		if rate := got.text("total.rate"); rate != test.want {
			t.Errorf("%s: got %s, want %s", test.query, rate, test.want)
		}
		if none := test.want == "–"; none != (got.at("total.rate_units") == nil) {
			t.Errorf("%s: got rate_units %v", test.query, got.at("total.rate_units"))
		}
	}
	counts := h.must(422, auth.RoleAuditor, http.MethodGet, "/v1/reports/payment-rate?dossiers=5&zero=3&paid=3", "")
	if counts.text("code") != "reports.counts" {
		t.Errorf("got %s, want reports.counts", counts.body)
	}
	if got := h.must(422, auth.RoleAuditor, http.MethodGet, "/v1/reports/payment-rate", ""); got.text("code") != "reports.period" {
		t.Errorf("got %s, want reports.period", got.body)
	}
	h.must(403, auth.RolePortal, http.MethodGet, "/v1/reports/payment-rate?dossiers=5", "")
}

// An exemption that was given by mistake and then corrected is no exemption. The exempt sum never
// exceeds the discount.
func TestPolicyCostOfACorrectedExemption(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	record := func(effect string) {
		h.must(201, auth.RoleAdmin, http.MethodPost, "/v1/policies", `{
			"id": "NA-EXEMPT", "status": "in_force", "authority": {"code": "H41", "name": "HĐND tỉnh Nghệ An", "level": "province"},
			"territory": ["H41"], "legal_basis": {"number": "1/NQ-HĐND", "kind": "nghi_quyet_hdnd"},
			"scope": {"mode": "fee_type_list", "fee_types": ["LP_DKKD"], "list_complete": true},
			"effect": `+effect+`, "valid_from": "2024-01-01"}`)
	}
	costs := func(want ...float64) {
		t.Helper()
		got := h.must(200, auth.RoleAccountant, http.MethodGet, "/v1/reports/policy-cost?from=2024-05-01&to=2024-05-31", "")
		if diff := cmp.Diff([]float64{got.at("totals.0.discount").(float64), got.at("totals.0.exempt").(float64)}, want); diff != "" {
			t.Errorf("discount and its part that the law exempts (-got +want):\n%s", diff)
		}
	}
	record(`{"kind": "exempt"}`)
	h.file(1, "H41.12", "1.001612", "direct")
	costs(100_000, 100_000)
	for _, step := range []struct {
		percent int
		want    float64
	}{{60, 40_000}, {90, 10_000}} {
		record(fmt.Sprintf(`{"kind": "share_of_base", "numerator": %d, "denominator": 100}`, step.percent))
		r := h.must(201, auth.RoleAccountant, http.MethodPost, "/v1/repricings",
			`{"policy": "NA-EXEMPT", "period": {"from": "2024-05-01", "to": "2024-05-31"}, "reason": "sai"}`)
		h.must(200, auth.RoleChiefAccountant, http.MethodPost, "/v1/repricings/"+r.text("id")+"/approve", "{}")
		var id repricing.ID
		if err := id.UnmarshalText([]byte(r.text("id"))); err != nil {
			t.Fatal(err)
		}
		if err := h.repricing.Reprice(t.Context(), province, id); err != nil {
			t.Fatal(err)
		}
		costs(step.want, 0)
	}
}

// TestPolicyCostIsTheBook: the report's sum is the balance of M-DISCOUNT, in every format.
func TestPolicyCostIsTheBook(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.file(1, "H41.12", "1.001612", "online")
	h.file(2, "H41.13", "=1+1", "online")
	h.file(3, "H41.13", "1.001612", "direct")
	const address = "/v1/reports/policy-cost?from=2024-05-01&to=2024-05-31"
	got := h.must(200, auth.RoleAccountant, http.MethodGet, address, "")
	type row struct{ policy, procedure, agency, month string }
	var rows []row
	for i := range got.at("rows").([]any) {
		at := fmt.Sprintf("rows.%d.", i)
		rows = append(rows, row{got.text(at + "policy"), got.text(at + "procedure"), got.text(at + "agency"), got.text(at + "month")})
	}
	if diff := cmp.Diff(rows, []row{{"NA-2023-60", "1.001612", "H41.12", "2024-05"}, {"NA-2023-60", "=1+1", "H41.13", "2024-05"}},
		cmp.AllowUnexported(row{})); diff != "" {
		t.Errorf("rows (-got +want):\n%s", diff)
	}
	balance := -1.0
	accounts := h.must(200, auth.RoleAccountant, http.MethodGet, "/v1/ledger/trial-balance?as_of=2024-05-31", "")
	for i := range accounts.at("accounts").([]any) {
		if at := fmt.Sprintf("accounts.%d.", i); accounts.text(at+"code") == ledger.MemoDiscount {
			balance = accounts.at(at + "balance").(float64)
		}
	}
	if cost := got.at("totals.0.discount"); cost != balance || cost != 80_000.0 {
		t.Errorf("got %v, want the balance of M-DISCOUNT, %v, which is 80000", cost, balance)
	}

	text := h.must(200, auth.RoleAccountant, http.MethodGet, address+"&format=csv", "")
	if !bytes.HasPrefix(text.body, []byte("\xEF\xBB\xBF")) {
		t.Error("the CSV has no byte order mark")
	}
	lines, err := csv.NewReader(bytes.NewReader(text.body[3:])).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		{
			"Chính sách", "Mã thủ tục", "Cơ quan", "Tháng", "Số hồ sơ", "Số tiền giảm trừ", "Trong đó miễn theo luật", "Ngân sách cấp bù",
			"Loại tiền",
		},
		{"NA-2023-60", "1.001612", "H41.12", "2024-05", "1", "40000", "0", "0", "VND"},
		{"NA-2023-60", "'=1+1", "H41.13", "2024-05", "1", "40000", "0", "0", "VND"},
		{"Tổng cộng", "", "", "", "", "80000", "0", "0", "VND"},
	}
	if diff := cmp.Diff(lines, want); diff != "" {
		t.Errorf("CSV (-got +want):\n%s", diff)
	}
	book, err := excelize.OpenReader(bytes.NewReader(h.must(200, auth.RoleAccountant, http.MethodGet, address+"&format=xlsx", "").body))
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	sheet, err := book.GetRows(book.GetSheetName(0))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sheet, append([][]string{{"Số tiền giảm trừ theo chính sách"}}, want...)); diff != "" {
		t.Errorf("XLSX (-got +want):\n%s", diff)
	}
	if formula, err := book.GetCellFormula(book.GetSheetName(0), "B4"); err != nil || formula != "" {
		t.Errorf("B4: got formula %q, %v; want none", formula, err)
	}
}

// TestRepricingOverHTTP: proposed by one, approved by another.
func TestRepricingOverHTTP(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.file(1, "H41.12", "1.001612", "online")
	body := `{"policy": "NA-2023-60", "period": {"from": "2024-05-01", "to": "2024-05-31"}, "reason": "sai"}`
	made := h.must(201, auth.RoleAccountant, http.MethodPost, "/v1/repricings", body, "Idempotency-Key", "repricing-1")
	again := h.must(200, auth.RoleAccountant, http.MethodPost, "/v1/repricings", body, "Idempotency-Key", "repricing-1")
	if made.text("id") == "" || made.text("id") != again.text("id") || made.text("status") != "proposed" {
		t.Errorf("got %s and %s, want one proposal", made.body, again.body)
	}
	address := "/v1/repricings/" + made.text("id")
	h.must(403, auth.RoleAccountant, http.MethodPost, address+"/approve", "")
	if got := h.must(200, auth.RoleChiefAccountant, http.MethodPost, address+"/approve", ""); got.text("status") != "approved" {
		t.Errorf("got %s, want approved", got.body)
	}
	h.must(409, auth.RoleChiefAccountant, http.MethodPost, address+"/reject", `{"reason": "không"}`)
	if got := h.must(200, auth.RoleAuditor, http.MethodGet, address, ""); got.text("decided_by") == "" {
		t.Errorf("got %s, want the checker's name", got.body)
	}
	h.must(404, auth.RoleAuditor, http.MethodGet, "/v1/repricings/rpr_none", "")
	h.must(403, auth.RoleChiefAccountant, http.MethodPost, "/v1/repricings", body)
}

// TestPaymentRateCountsDossiers on which work began in the period, and leaves those of 0 out of the denominator.
func TestPaymentRateCountsDossiers(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.file(1, "H41.12", "1.001612", "online")
	h.file(2, "H41.12", "1.001612", "online")
	for _, code := range []string{"H41.12-240502-0001"} { // nothing began on the other one
		h.must(200, auth.RolePortal, http.MethodPost, "/v1/dossiers/"+code+"/status", `{"status": 2, "at": "2024-05-02T09:30:00+07:00"}`)
	}
	got := h.must(200, auth.RoleAuditor, http.MethodGet, "/v1/reports/payment-rate?from=2024-05-02&to=2024-05-02", "")
	want := map[string]any{"dossiers": 1.0, "zero": 0.0, "paid": 0.0, "denominator": 1.0, "rate": "0,00", "rate_units": 0.0}
	if diff := cmp.Diff(got.at("total"), any(want)); diff != "" {
		t.Errorf("total (-got +want):\n%s", diff)
	}
	empty := h.must(200, auth.RoleAuditor, http.MethodGet, "/v1/reports/payment-rate?from=2024-05-03&to=2024-05-03", "")
	if empty.text("total.rate") != "–" {
		t.Errorf("the day after: got %s, want no rate", empty.body)
	}
}
