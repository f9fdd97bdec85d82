package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/internal/auth"
)

const dossierBody = `{"authority":"H41","code":"H41.12-240502-0001","agency":"H41.12",
	"submission":{"channel":"online","service_level":"toan_trinh","submitted_at":"2024-05-02T09:00:00+07:00"},
	"applicant":{"name":"Nguyễn Văn An","identifier":"040090001234","groups":[]},
	"items":[{"fee_type":"LP_DKKD","base":100000}]}`

func TestQuote(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	a := h.must(200, auth.RolePortal, http.MethodPost, "/v1/quotes", `{"authority":"H41",
		"submission":{"channel":"online","service_level":"toan_trinh","submitted_at":"2024-05-02T09:00:00+07:00"},
		"applicant":{"groups":[]},"items":[{"fee_type":"LP_DKKD","base":100000}]}`)
	got := []any{
		a.at("currency"), a.at("gross"), a.at("discount"), a.at("due"), a.at("items.0.kind"), a.at("items.0.applied.0.policy"),
		a.at("items.0.applied.0.legal_basis"),
	}
	want := []any{"VND", 100000.0, 40000.0, 60000.0, "le_phi", "NA-2023-60", "14/2023/NQ-HĐND"}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("quote (-got +want):\n%s\n%s", diff, a.body)
	}
}

// TestDossierAndPayment plays the main job as a portal and VNPAY see it.
func TestDossierAndPayment(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	merchant := h.must(201, auth.RoleAdmin, http.MethodPost, "/v1/merchant-accounts", `{"authority":"H41","provider":"vnpay",
		"settings":{"tmn_code":"DVCTEST1","pay_url":"https://pay.example.vn/vpcpay.html","api_url":"https://pay.example.vn/api"},
		"secrets":{"hash_secret":"TESTONLYVNPAYHASHSECRET000000001"}}`)
	if strings.Contains(string(merchant.body), "TESTONLY") {
		t.Fatal("a secret came out")
	}

	first := h.must(201, auth.RolePortal, http.MethodPost, "/v1/dossiers", dossierBody)
	if got, want := first.header.Get("Location"), "/v1/dossiers/H41.12-240502-0001"; got != want {
		t.Errorf("Location %q, want %q", got, want)
	}
	again := h.must(200, auth.RolePortal, http.MethodPost, "/v1/dossiers", dossierBody)
	if diff := cmp.Diff(again.json, first.json); diff != "" {
		t.Errorf("registered again (-got +want):\n%s", diff)
	}
	other := h.must(409, auth.RolePortal, http.MethodPost, "/v1/dossiers", strings.Replace(dossierBody, "100000", "200000", 1))
	if got, want := other.text("code"), "dossiers.other_content"; got != want {
		t.Errorf("code %q, want %q", got, want)
	}

	pay := h.must(201, auth.RolePortal, http.MethodPost, "/v1/dossiers/H41.12-240502-0001/payments",
		`{"provider":"vnpay","return_url":"https://dvc.example.gov.vn/kq?ma=1","payer":{"ip":"203.113.152.1"}}`,
		"Idempotency-Key", "key-00000001")
	got := []any{pay.at("amount"), pay.at("status"), pay.at("checkout.kind"), pay.at("dossier"), len(pay.text("reference"))}
	if diff := cmp.Diff(got, []any{60000.0, "pending", "redirect", "H41.12-240502-0001", 12}); diff != "" {
		t.Errorf("payment (-got +want):\n%s\n%s", diff, pay.body)
	}
	live := h.must(200, auth.RolePortal, http.MethodPost, "/v1/dossiers/H41.12-240502-0001/payments", `{"provider":"vnpay"}`)
	if live.text("id") != pay.text("id") {
		t.Errorf("a second payment was made: %s", live.body)
	}

	callback := merchant.text("callback_path")
	page := h.must(200, "", http.MethodGet, callback+"/return?vnp_TxnRef="+pay.text("reference")+"&vnp_ResponseCode=00", "")
	if !strings.Contains(string(page.body), "Đang chờ xác nhận") {
		t.Errorf("before the IPN the page must not believe the browser: %s", page.body)
	}
	query := vnpayQuery("TESTONLYVNPAYHASHSECRET000000001", pay.text("reference"), 60000)
	for range 2 { // VNPAY repeats
		if a := h.must(200, "", http.MethodGet, callback+"?"+query, ""); !strings.Contains(string(a.body), `"RspCode":"0`) {
			t.Fatalf("IPN: %s", a.body)
		}
	}
	page = h.must(200, "", http.MethodGet, callback+"/return?"+query, "")
	for _, want := range []string{"Thanh toán thành công", "60.000 đ", "https://dvc.example.gov.vn/kq?ma=1&amp;payment=" + pay.text("id")} {
		if !strings.Contains(string(page.body), want) {
			t.Errorf("return page lacks %q: %s", want, page.body)
		}
	}

	done := h.must(200, auth.RolePortal, http.MethodGet, "/v1/payments/"+pay.text("id"), "")
	got = []any{
		done.at("status"), done.at("captured"), done.at("captures.0.amount"), done.at("captures.0.evidence"),
		done.at("attempts.0.status"),
	}
	if diff := cmp.Diff(got, []any{"captured", 60000.0, 60000.0, "callback", "captured"}); diff != "" {
		t.Errorf("paid payment (-got +want):\n%s\n%s", diff, done.body)
	}
	dossier := h.must(200, auth.RoleAuditor, http.MethodGet, "/v1/dossiers/H41.12-240502-0001", "")
	got = []any{dossier.at("paid"), dossier.at("outstanding"), dossier.at("payments.0.status"), dossier.at("refunds")}
	if diff := cmp.Diff(got, []any{60000.0, 0.0, "captured", []any{}}); diff != "" {
		t.Errorf("paid dossier (-got +want):\n%s\n%s", diff, dossier.body)
	}
	nothing := h.must(409, auth.RolePortal, http.MethodPost, "/v1/dossiers/H41.12-240502-0001/payments", `{"provider":"vnpay"}`)
	if got, want := nothing.text("code"), "payments.nothing_due"; got != want {
		t.Errorf("code %q, want %q", got, want)
	}
	h.checkBook(t)
	h.reconcile(t, pay.text("reference"))
	h.refund(t)
	if strings.Contains(h.log.String(), "H41.12-240502") || strings.Contains(h.log.String(), "Nguyễn") {
		t.Errorf("the log holds what it must not: %s", h.log)
	}
}

// refund lets a maker propose twice and a checker decide.
func (h *harness) refund(t *testing.T) {
	t.Helper()
	const path = "/v1/dossiers/H41.12-240502-0001/refunds"
	changed := h.must(409, auth.RoleAccountant, http.MethodPost, path, `{"reason":"SERVICE_IMPOSSIBLE","expected_refundable":1}`)
	if got, want := changed.text("code"), "refunds.changed"; got != want {
		t.Errorf("code %q, want %q", got, want)
	}
	const body = `{"reason":"SERVICE_IMPOSSIBLE","expected_refundable":60000,"note":"Hệ thống ngừng hoạt động"}`
	first := h.must(201, auth.RoleAccountant, http.MethodPost, path, body, "Idempotency-Key", "refund-0001")
	h.must(409, auth.RoleAccountant, http.MethodPost, path, `{"reason":"SERVICE_IMPOSSIBLE"}`)
	got := []any{first.at("status"), first.at("amount"), first.at("route"), first.at("items.0.amount"), first.at("timeline.0.event")}
	if diff := cmp.Diff(got, []any{"requested", 60000.0, "provider", 60000.0, "requested"}); diff != "" {
		t.Errorf("refund (-got +want):\n%s\n%s", diff, first.body)
	}
	id := first.text("id")
	h.must(403, auth.RoleAccountant, http.MethodPost, "/v1/refunds/"+id+"/approve", "")
	h.must(422, auth.RoleChiefAccountant, http.MethodPost, "/v1/refunds/"+id+"/reject", `{}`)
	approved := h.must(200, auth.RoleChiefAccountant, http.MethodPost, "/v1/refunds/"+id+"/approve", `{"note":"Đồng ý"}`)
	again := h.must(200, auth.RoleChiefAccountant, http.MethodPost, "/v1/refunds/"+id+"/approve", "")
	found := h.must(200, auth.RolePortal, http.MethodGet, "/v1/refunds/"+id, "")
	if diff := cmp.Diff([]any{approved.at("status"), again.json}, []any{"reserved", found.json}); diff != "" {
		t.Errorf("approved (-got +want):\n%s", diff)
	}
	h.must(409, auth.RoleChiefAccountant, http.MethodPost, "/v1/refunds/"+id+"/reject", `{"reason":"Không"}`)
	list := h.must(200, auth.RoleAuditor, http.MethodGet, "/v1/refunds?dossier=H41.12-240502-0001&status=reserved", "")
	if list.at("items.0.id") != id || list.at("next_cursor") != nil {
		t.Errorf("list: %s", list.body)
	}
}

// reconcile plays the accountant's day: a settlement file with the payment and with an unknown
// transaction.
func (h *harness) reconcile(t *testing.T, reference string) {
	t.Helper()
	const source = `{"code":"vnpay-h41","kind":"settlement","provider":"vnpay","profile":"vnpay-settlement-v1"}`
	h.must(201, auth.RoleAdmin, http.MethodPost, "/v1/sources", source)
	h.must(200, auth.RoleAdmin, http.MethodPost, "/v1/sources", source)
	h.must(409, auth.RoleAdmin, http.MethodPost, "/v1/sources", strings.Replace(source, `"provider":"vnpay"`, `"provider":"momo"`, 1))
	if a := h.must(200, auth.RoleAuditor, http.MethodGet, "/v1/sources", ""); a.at("items.0.code") != "vnpay-h41" {
		t.Errorf("sources: %s", a.body)
	}
	file := "Mã website (terminal),Mã tham chiếu,Mã giao dịch VNPAY,Loại,Số tiền,Phí,VAT phí,Thực nhận,Trạng thái,Thời gian,Mã đợt\n" +
		"DVCTEST1," + reference + ",14271027,PAYMENT,60000,600,60,59340,SETTLED,02/05/2024 10:00:00,B1\n" +
		"DVCTEST1,DSKHONGCO123,99999999,PAYMENT,5000,50,5,4945,SETTLED,02/05/2024 10:05:00,B1\n"
	upload := func(status int, dryRun string) answer {
		t.Helper()
		body := "--x\r\nContent-Disposition: form-data; name=\"source\"\r\n\r\nvnpay-h41\r\n" +
			"--x\r\nContent-Disposition: form-data; name=\"dry_run\"\r\n\r\n" + dryRun + "\r\n" +
			"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"02-05.csv\"\r\n\r\n" + file + "\r\n--x--"
		return h.must(status, auth.RoleAccountant, http.MethodPost, "/v1/statements", body, "Content-Type", "multipart/form-data; boundary=x")
	}
	if dry := upload(200, "true"); dry.at("id") != nil || dry.at("rows_accepted") != 2.0 {
		t.Errorf("dry run: %s", dry.body)
	}
	kept := upload(201, "false")
	if again := upload(200, "false"); again.at("status") != "duplicate" || again.at("duplicate_of") != kept.at("id") {
		t.Errorf("the same file: %s", again.body)
	}
	lines := h.must(200, auth.RoleAccountant, http.MethodGet, "/v1/statements/"+kept.text("id")+"/lines?limit=1", "")
	lines2 := h.must(200, auth.RoleAccountant, http.MethodGet,
		"/v1/statements/"+kept.text("id")+"/lines?cursor="+lines.text("next_cursor"), "")
	got := []any{
		lines.at("items.0.amount"), lines.at("items.0.fee"), lines.at("items.0.net"), lines2.at("items.0.amount"),
		lines2.at("next_cursor"),
	}
	if diff := cmp.Diff(got, []any{60000.0, 660.0, 59340.0, 5000.0, nil}); diff != "" {
		t.Errorf("lines (-got +want):\n%s", diff)
	}
	if a := h.must(200, auth.RoleAccountant, http.MethodGet, "/v1/statements?source=vnpay-h41", ""); a.at("items.0.id") != kept.at("id") {
		t.Errorf("statements: %s", a.body)
	}

	run := h.must(201, auth.RoleAccountant, http.MethodPost, "/v1/runs", `{"source":"vnpay-h41","business_date":"2024-05-02"}`)
	got = []any{
		run.at("status"), run.at("identity.total"), run.at("identity.matched"), run.at("identity.breaks"), run.at("holds"),
		run.at("unexplained"),
	}
	if diff := cmp.Diff(got, []any{"review", 65000.0, 60000.0, 5000.0, true, 0.0}); diff != "" {
		t.Errorf("run (-got +want):\n%s\n%s", diff, run.body)
	}
	again := h.must(200, auth.RoleAccountant, http.MethodPost, "/v1/runs", `{"source":"vnpay-h41","business_date":"2024-05-02"}`)
	for _, member := range []string{"id", "identity", "book_identity", "lanes", "breaks"} {
		if diff := cmp.Diff(again.at(member), run.at(member)); diff != "" {
			t.Errorf("run again, %s (-got +want):\n%s", member, diff)
		}
	}
	breaks := h.must(200, auth.RoleAccountant, http.MethodGet, "/v1/breaks?run="+run.text("id")+"&status=open", "")
	got = []any{breaks.at("items.0.amount"), breaks.at("items.0.holds"), breaks.at("items.1"), breaks.at("next_cursor")}
	if diff := cmp.Diff(got, []any{5000.0, true, nil, nil}); diff != "" {
		t.Errorf("breaks (-got +want):\n%s\n%s", diff, breaks.body)
	}
	matches := h.must(200, auth.RoleAccountant, http.MethodGet, "/v1/matches?run="+run.text("id"), "")
	got = []any{
		matches.at("items.0.amount"), matches.at("items.0.lane"), matches.at("items.0.lines.1"), matches.at("items.1"),
		matches.at("next_cursor"),
	}
	if diff := cmp.Diff(got, []any{60000.0, "settlement", nil, nil, nil}); diff != "" {
		t.Errorf("matches (-got +want):\n%s\n%s", diff, matches.body)
	}
	a := h.must(404, auth.RoleAccountant, http.MethodPost, "/v1/matches/mat_1/revoke", `{"reason":"x"}`)
	if a.text("code") != "cases.match_not_found" {
		t.Errorf("revoke: %s", a.body)
	}
	h.must(403, auth.RoleAccountant, http.MethodPost, "/v1/runs/"+run.text("id")+"/close", "")
	closed := h.must(200, auth.RoleChiefAccountant, http.MethodPost, "/v1/runs/"+run.text("id")+"/close", "")
	if closed.at("status") != "closed" || closed.at("closed_at") == nil {
		t.Errorf("closed: %s", closed.body)
	}
	if list := h.must(200, auth.RoleAuditor, http.MethodGet, "/v1/runs?source=vnpay-h41", ""); list.at("items.0.id") != run.at("id") {
		t.Errorf("runs: %s", list.body)
	}
	if found := h.must(200, auth.RoleAuditor, http.MethodGet, "/v1/runs/"+run.text("id"), ""); found.text("status") != "closed" {
		t.Errorf("found: %s", found.body)
	}
}

// checkBook reads the ledger through every call that shows it.
func (h *harness) checkBook(t *testing.T) {
	t.Helper()
	trial := h.must(200, auth.RoleAccountant, http.MethodGet, "/v1/ledger/trial-balance?authority=H41&as_of=2024-05-31", "")
	totals, _ := trial.at("totals").([]any)
	if len(totals) != 2 {
		t.Fatalf("want real and memo totals: %s", trial.body)
	}
	for _, one := range totals {
		if m, _ := one.(map[string]any); m["debit"] != m["credit"] || m["debit"] == 0.0 {
			t.Errorf("the book is off: %v", one)
		}
	}
	page := h.must(200, auth.RoleAccountant, http.MethodGet, "/v1/ledger/accounts/A-CLR-vnpay/postings?limit=1", "")
	if page.at("items.0.amount") != 60000.0 || page.at("items.0.side") != "debit" || page.at("next_cursor") != nil {
		t.Errorf("clearing account: %s", page.body)
	}
	if page.at("items.0.balance") != 60000.0 {
		t.Errorf("running balance: %s", page.body)
	}
	for query, want := range map[string][]any{
		"code=M-OBLIGATION&as_of=2024-05-31":                              {"M-OBLIGATION", 100000.0, nil},
		"policy=NA-2023-60":                                               {"M-DISCOUNT", 40000.0, nil},
		"fee_type=LP_DKKD&code=M-RECEIVABLE":                              {"M-RECEIVABLE", 0.0, nil},
		"dossier=H41.12-240502-0001&code=A-CLR-vnpay&fee_type=LP_DKKD":    {nil, nil, nil}, // clearing is of the whole capture
		"dossier=H41.12-240502-0001&code=L-TAMTHU-LEPHI&fee_type=LP_DKKD": {"L-TAMTHU-LEPHI", 60000.0, nil},
		"dossier=H41.12-240502-0001&as_of=2024-04-30":                     {nil, nil, nil},
	} {
		a := h.must(200, auth.RoleAuditor, http.MethodGet, "/v1/ledger/accounts?"+query, "")
		if diff := cmp.Diff([]any{a.at("items.0.code"), a.at("items.0.balance"), a.at("items.1.code")}, want); diff != "" {
			t.Errorf("%s (-got +want):\n%s\n%s", query, diff, a.body)
		}
	}
	if none := h.ask(auth.RoleAuditor, http.MethodGet, "/v1/ledger/accounts?dossier=H41.12-240502-9999", ""); none.status != 404 {
		t.Errorf("balances of no dossier: got %d, want 404", none.status)
	}
	later := h.must(200, auth.RoleAccountant, http.MethodGet, "/v1/ledger/accounts/A-CLR-vnpay/postings?from=2024-06-01&to=2024-06-30", "")
	if items, _ := later.at("items").([]any); len(items) != 0 {
		t.Errorf("postings of June: %s", later.body)
	}
	entry := h.must(200, auth.RoleAccountant, http.MethodGet, "/v1/ledger/entries/"+page.text("items.0.entry"), "")
	if postings, _ := entry.at("postings").([]any); len(postings) < 2 {
		t.Errorf("entry: %s", entry.body)
	}
	own := h.must(200, auth.RolePortal, http.MethodGet, "/v1/dossiers/H41.12-240502-0001/ledger", "")
	if entries, _ := own.at("entries").([]any); len(entries) != 2 || own.at("entries.0.postings.0.balance") == nil {
		t.Errorf("dossier ledger: %s", own.body)
	}
	seen := []string{}
	for next := "/v1/ledger/accounts?limit=2"; next != ""; {
		accounts := h.must(200, auth.RoleAuditor, http.MethodGet, next, "")
		items, _ := accounts.at("items").([]any)
		for _, item := range items {
			m, _ := item.(map[string]any)
			code, _ := m["code"].(string)
			seen = append(seen, code)
		}
		if next = accounts.text("next_cursor"); next != "" {
			next = "/v1/ledger/accounts?limit=2&cursor=" + next
		}
	}
	want := []string{"A-CLR-vnpay", "L-TAMTHU-LEPHI", "M-COLLECTED", "M-DISCOUNT", "M-OBLIGATION", "M-RECEIVABLE"}
	if diff := cmp.Diff(seen, want); diff != "" {
		t.Errorf("accounts (-got +want):\n%s", diff)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	change := func(from, to string) string { return strings.Replace(dossierBody, from, to, 1) }
	const dossiers = "/v1/dossiers"
	for _, tt := range []struct {
		name         string
		role         auth.Role
		method, path string
		body         string
		status       int
		code         string
		pointers     []string
	}{
		{"no key", "", "POST", dossiers, dossierBody, 401, "auth.unauthenticated", nil},
		{"wrong role", auth.RoleAuditor, "POST", dossiers, dossierBody, 403, "auth.forbidden", nil},
		{"no body", auth.RolePortal, "POST", dossiers, "", 422, "http.invalid", []string{""}},
		{"not JSON", auth.RolePortal, "POST", dossiers, "{", 400, "http.malformed", nil},
		{
			"member twice", auth.RolePortal, "POST", dossiers, change(`"base":100000`, `"base":100000,"base":1`),
			400, "http.duplicate_member",
			[]string{"/items/0/base"},
		},
		{"text after the value", auth.RolePortal, "POST", dossiers, dossierBody + "{}", 400, "http.malformed", nil},
		{"unknown member", auth.RolePortal, "POST", dossiers, change(`"agency"`, `"x":1,"agency"`), 422, "http.invalid", []string{"/x"}},
		{
			"unknown member deep down", auth.RolePortal, "POST", dossiers, change(`"fee_type"`, `"price":1,"fee_type"`),
			422, "http.invalid",
			[]string{"/items/0/price"},
		},
		{"negative amount", auth.RolePortal, "POST", dossiers, change("100000", "-1"), 422, "http.invalid", []string{"/items/0/base"}},
		{"amount as text", auth.RolePortal, "POST", dossiers, change("100000", `"100000"`), 422, "http.invalid", []string{"/items/0/base"}},
		{"amount with a fraction", auth.RolePortal, "POST", dossiers, change("100000", "0.5"), 422, "http.invalid", []string{"/items/0/base"}},
		{"amount with an exponent", auth.RolePortal, "POST", dossiers, change("100000", "1e5"), 422, "http.invalid", nil},
		{
			"amount too large", auth.RolePortal, "POST", dossiers, change("100000", "1000000000001"),
			422, "http.invalid",
			[]string{"/items/0/base"},
		},
		{"missing member", auth.RolePortal, "POST", dossiers, change(`"agency":"H41.12",`, ""), 422, "http.invalid", []string{"/agency"}},
		{
			"several at once", auth.RolePortal, "POST", dossiers, strings.Replace(change("online", "phone"), "LP_DKKD", "lp", 1),
			422, "http.invalid",
			[]string{"/items/0/fee_type", "/submission/channel"},
		},
		{"code of another shape", auth.RolePortal, "POST", dossiers, change("H41.12-240502-0001", "X-1"), 422, "http.invalid", []string{"/code"}},
		{
			"no date", auth.RolePortal, "POST", dossiers, change("2024-05-02T09:00:00+07:00", "yesterday"),
			422, "http.invalid",
			[]string{"/submission/submitted_at"},
		},
		{"NUL", auth.RolePortal, "POST", dossiers, change("Nguyễn", `\u0000`), 422, "http.invalid", []string{"/applicant/name"}},
		{
			"no items", auth.RolePortal, "POST", dossiers, change(`[{"fee_type":"LP_DKKD","base":100000}]`, "[]"),
			422, "http.invalid",
			[]string{"/items"},
		},
		{
			"unknown fee", auth.RolePortal, "POST", dossiers, change("LP_DKKD", "LP_KHONG_CO"),
			422, "fees.unknown_fee_type",
			[]string{"/items/0/fee_type"},
		},
		{"unknown dossier", auth.RolePortal, "GET", dossiers + "/H41-240502-9999", "", 404, "dossiers.not_found", nil},
		{"limit too large", auth.RolePortal, "GET", "/v1/payments?limit=201", "", 400, "http.parameter", []string{"?limit"}},
		{"limit no number", auth.RolePortal, "GET", "/v1/payments?limit=x", "", 400, "http.parameter", []string{"?limit"}},
		{"status not listed", auth.RolePortal, "GET", "/v1/payments?status=paid", "", 400, "http.parameter", []string{"?status"}},
		{"unknown filter", auth.RolePortal, "GET", "/v1/payments?stauts=failed", "", 400, "http.parameter", []string{"?stauts"}},
		{"filter twice", auth.RolePortal, "GET", "/v1/payments?limit=1&limit=2", "", 400, "http.parameter", []string{"?limit"}},
		{"NUL in a filter", auth.RolePortal, "GET", "/v1/payments?dossier=%00", "", 400, "http.parameter", []string{"?dossier"}},
		{"made-up cursor", auth.RolePortal, "GET", "/v1/payments?cursor=abc", "", 400, "http.parameter", []string{"?cursor"}},
		{"made-up id", auth.RolePortal, "GET", "/v1/payments/abc", "", 404, "payments.not_found", nil},
		{
			"id of another noun", auth.RoleAuditor, "GET", "/v1/ledger/entries/pay_00000000000000000000000000000000", "",
			404, "ledger.entry_not_found", nil,
		},
		{
			"other authority", auth.RolePortal, "POST", "/v1/quotes",
			`{"authority":"H26","submission":{"channel":"online","submitted_at":"2024-05-02T09:00:00+07:00"},
				"items":[{"fee_type":"LP_DKKD","base":1}]}`,
			403, "auth.forbidden",
			[]string{"/authority"},
		},
		{
			"other authority's book", auth.RoleAuditor, "GET", "/v1/ledger/trial-balance?authority=H26", "",
			403, "auth.forbidden",
			[]string{"?authority"},
		},
		{"no route", auth.RolePortal, "GET", "/v1/nothing", "", 404, "http.no_route", nil},
		{"wrong method", auth.RolePortal, "DELETE", dossiers, "", 405, "http.method", nil},
		{
			"merchant without settings", auth.RoleAdmin, "POST", "/v1/merchant-accounts",
			`{"authority":"H41","provider":"vnpay","settings":{},"secrets":{}}`,
			422, "providers.settings", nil,
		},
		{
			"provider that is none", auth.RolePortal, "POST", dossiers + "/H41-240502-9999/payments", `{"provider":"cash"}`,
			422, "payments.provider",
			[]string{"/provider"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := h.ask(tt.role, tt.method, tt.path, tt.body)
			if a.status != tt.status || a.text("code") != tt.code {
				t.Fatalf("got %d %s, want %d %s: %s", a.status, a.text("code"), tt.status, tt.code, a.body)
			}
			if tt.pointers == nil {
				return
			}
			var got []string
			faults, _ := a.at("errors").([]any)
			for _, f := range faults {
				m, _ := f.(map[string]any)
				p, _ := m["pointer"].(string)
				got = append(got, p)
			}
			if diff := cmp.Diff(got, tt.pointers); diff != "" {
				t.Errorf("pointers (-got +want):\n%s\n%s", diff, a.body)
			}
		})
	}
}

func TestPolicyAndFeeType(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const policy = `{"id":"NA-TEST-1","status":"draft","authority":{"code":"H41","name":"HĐND tỉnh Nghệ An","level":"province"},
		"territory":["H41"],"legal_basis":{"number":"1/2024/NQ-HĐND","issued":"2024-01-01","kind":"nghi_quyet_hdnd"},
		"scope":{"mode":"fee_type_list","fee_types":["LP_GPXD"],"list_complete":true},
		"condition":{"submission_channel":["online"],"service_level":null},"effect":{"kind":"share_of_base","numerator":1,"denominator":2},
		"valid_from":"2024-01-01","valid_to":null}`
	first := h.must(201, auth.RoleAdmin, http.MethodPost, "/v1/policies", policy)
	h.must(200, auth.RoleAdmin, http.MethodPost, "/v1/policies", policy)
	next := h.must(201, auth.RoleAdmin, http.MethodPost, "/v1/policies", strings.Replace(policy, `"denominator":2`, `"denominator":4`, 1))
	found := h.must(200, auth.RolePortal, http.MethodGet, "/v1/policies/NA-TEST-1", "")
	got := []any{first.at("version"), next.at("version"), found.at("version"), found.at("policy.effect.denominator")}
	if diff := cmp.Diff(got, []any{1.0, 2.0, 2.0, 4.0}); diff != "" {
		t.Errorf("versions (-got +want):\n%s", diff)
	}
	list := h.must(200, auth.RolePortal, http.MethodGet, "/v1/policies?authority=H41&limit=2", "")
	rest := h.must(200, auth.RolePortal, http.MethodGet, "/v1/policies?authority=H41&limit=2&cursor="+list.text("next_cursor"), "")
	got = []any{list.at("items.0.id"), list.at("items.1.id"), rest.at("items.0.id"), rest.at("next_cursor")}
	if diff := cmp.Diff(got, []any{"NA-2023-60", "NA-2025-00", "NA-TEST-1", nil}); diff != "" {
		t.Errorf("pages (-got +want):\n%s", diff)
	}

	const fee = `{"code":"LP_GPXD","name":"Lệ phí cấp giấy phép xây dựng","kind":"le_phi","rates":[{"valid_from":"2023-01-01","base":75000}]}`
	h.must(201, auth.RoleAdmin, http.MethodPost, "/v1/fee-types", fee)
	a := h.must(200, auth.RoleAdmin, http.MethodPost, "/v1/fee-types", fee)
	got = []any{a.at("territory"), a.at("version"), a.at("set_by"), a.at("rates.0.base")}
	if diff := cmp.Diff(got, []any{"H41", 1.0, "council", 75000.0}); diff != "" {
		t.Errorf("fee type (-got +want):\n%s", diff)
	}
	types := h.must(200, auth.RolePortal, http.MethodGet, "/v1/fee-types?limit=200", "")
	if items, _ := types.at("items").([]any); len(items) < 10 || types.at("next_cursor") != nil {
		t.Errorf("fee types: %s", types.body)
	}
}
