package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/internal/auth"
)

// kept lists the tables in which garbage leaves a trace, with the reason.
var kept = map[string]string{
	"payments.callback":         "a message that a provider signed is kept",
	"payments.refused_callback": "a day has room for some refused messages",
	"reconcile.statement":       "a refused file stays on record with its problems",
	"audit.event":               "keeping a file is an act",
	"ledger.block":              "a job seals the entries that were there before",
	"ledger.sealed_entry":       "as above",
	"ledger.account_day":        "a job sums up the entries that were there before",
	"ledger.dimension_day":      "as above",
	"ledger.roll_up":            "as above",
}

// TestEndToEndGarbage sends requests that no caller should send. Each answer is a problem document
// with a stable code, or the provider's own words. No answer is an internal error, and nothing is
// stored.
func TestEndToEndGarbage(t *testing.T) {
	t.Parallel()
	d := startDev(t)
	paid, payment := d.pay("H41.12-240502-0001", "vnpay")
	open := d.register("H41.12-240502-0002")
	d.pay("H41.12-240502-0003", "vietqr")
	before := d.rowCounts()
	t.Run("bodies", func(t *testing.T) { d.with(t).garbageBodies(open) })
	t.Run("addresses", func(t *testing.T) { d.with(t).garbageAddresses(paid, payment) })
	t.Run("keys", func(t *testing.T) { d.with(t).garbageKeys() })
	t.Run("methods", func(t *testing.T) { d.with(t).wrongMethods() })
	t.Run("callbacks", func(t *testing.T) { d.with(t).garbageCallbacks() })
	t.Run("uploads", func(t *testing.T) { d.with(t).garbageUploads() })
	if diff := cmp.Diff(d.rowCounts(), before); diff != "" {
		t.Errorf("rows of tables after garbage (-got +want):\n%s", diff)
	}
	t.Run("files", func(t *testing.T) { d.with(t).garbageFiles() })
	d.mustCheck()
}

// rowCounts counts the rows of every table, except tables that keep a trace of refused requests.
func (d *devProgram) rowCounts() map[string]int64 {
	db := d.database()
	counts := map[string]int64{}
	for _, one := range tablesOf(d.t, db) {
		if _, ok := kept[one.Name]; !ok && !one.Part { // a month is counted with its table
			counts[one.Name] = count(d.t, db, `select count(*) from `+one.quoted())
		}
	}
	return counts
}

// wantProblem fails the test unless the answer is a problem document.
func (d *devProgram) wantProblem(name string, a answer, status int, code string) {
	d.t.Helper()
	if a.status != status || a.text("code") != code {
		d.t.Errorf("%s: got %d %.300s, want %d %s", name, a.status, a.body, status, code)
		return
	}
	got := []any{a.header.Get("Content-Type"), a.at("status"), a.text("title") != "", a.text("detail") != "", a.text("type")}
	if diff := cmp.Diff(got, []any{"application/problem+json", float64(status), true, true, "about:blank"}); diff != "" {
		d.t.Errorf("%s: problem (-got +want):\n%s\n%s", name, diff, a.body)
	}
}

func (d *devProgram) garbageBodies(open string) {
	good := dossierBody(d.t, "H41.12-240502-0009", nil)
	change := func(from, to string) string {
		if !strings.Contains(good, from) {
			d.t.Fatalf("the sample does not hold %s", from)
		}
		return strings.Replace(good, from, to, 1)
	}
	const base = `"base":100000`
	for _, tt := range []struct {
		name, body string
		status     int
		code       string
	}{
		{"empty", "", 422, "http.invalid"},
		{"blank", "   ", 400, "http.malformed"},
		{"no JSON", "{", 400, "http.malformed"},
		{"null", "null", 422, "http.invalid"},
		{"list", "[]", 422, "http.invalid"},
		{"text", `"x"`, 422, "http.invalid"},
		{"a comment", "// x\n" + good, 400, "http.malformed"},
		{"two values", good + good, 400, "http.malformed"},
		{"garbage behind", good + "x", 400, "http.malformed"},
		{"byte order mark", "\ufeff" + good, 400, "http.malformed"},
		{"no UTF-8", change("Nguyễn", "Nguy\xff\xfen"), 400, "http.malformed"},
		{"half a surrogate", change("Nguyễn", `Nguy\ud800n`), 400, "http.malformed"},
		{"NUL", change("Nguyễn", `Nguy\u0000n`), 422, "http.invalid"},
		{"member twice", change(base, `"base":1,"base":100000`), 400, "http.duplicate_member"},
		{"member twice, another case", change(base, `"base":1,"Base":100000`), 422, "http.invalid"},
		{"unknown member", change(`"agency"`, `"discount":100000,"agency"`), 422, "http.invalid"},
		{"unknown member inside", change(base, base+`,"due":0`), 422, "http.invalid"},
		{"negative", change(base, `"base":-1`), 422, "http.invalid"},
		{"fraction", change(base, `"base":0.5`), 422, "http.invalid"},
		{"whole fraction", change(base, `"base":100000.0`), 422, "http.invalid"},
		{"exponent", change(base, `"base":1e5`), 422, "http.invalid"},
		{"text for a number", change(base, `"base":"100000"`), 422, "http.invalid"},
		{"true for a number", change(base, `"base":true`), 422, "http.invalid"},
		{"too much money", change(base, `"base":9223372036854775807`), 422, "http.invalid"},
		{"more than 64 bits", change(base, `"base":99999999999999999999999999`), 422, "http.invalid"},
		{"a number of 5000 digits", change(base, `"base":`+strings.Repeat("9", 5000)), 422, "http.invalid"},
		{"a huge exponent", change(base, `"base":1e999999`), 422, "http.invalid"},
		{"leading zero", change(base, `"base":0100`), 400, "http.malformed"},
		{"not a number", change(base, `"base":NaN`), 400, "http.malformed"},
		{"number for a text", change(`"agency":"H41.12"`, `"agency":41`), 422, "http.invalid"},
		{"list for an object", change(`"applicant":{`, `"applicant":[{`) + "]", 400, "http.malformed"},
		{"no items", change(`"items":[`, `"items":[],"more":[`), 422, "http.invalid"},
		{"quantity zero", change(base, base+`,"quantity":0`), 422, "http.invalid"},
		{"quantity times price overflows", change(base, `"base":1000000000000,"assessed":{"ground":"x"},"quantity":10000`), 422, "fees.request"},
		{"another price than the schedule's", change(base, `"base":1`), 422, "fees.fixed_base"},
		{"an assessed amount without its ground", change(base, `"base":1,"assessed":{"ground":""}`), 422, "http.invalid"},
		{"a year ahead of the clock", change("2024-05-02T", "2099-05-02T"), 422, "auth.submitted_at"},
		{"before the authority's first day", change("2024-05-02T", "1990-05-02T"), 422, "auth.submitted_at"},
		{"unknown province", change(`"authority":"H41"`, `"authority":"H99"`), 403, "auth.forbidden"},
		{"another province", change(`"authority":"H41"`, `"authority":"H29"`), 403, "auth.forbidden"},
		{"unknown fee", change("LP_DKKD", "LP_KHONG_CO"), 422, "fees.unknown_fee_type"},
		{"fee code of another shape", change("LP_DKKD", "lp dkkd"), 422, "http.invalid"},
		{"unknown channel", change(`"online"`, `"phone"`), 422, "http.invalid"},
		{"31 February", change("2024-05-02T", "2024-02-31T"), 422, "http.invalid"},
		{"year 10000", change("2024-05-02T", "10000-05-02T"), 422, "http.invalid"},
		{"deep", `{"items":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`, 400, "http.malformed"},
		{"1000 deep", strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000), 400, "http.malformed"},
		{"5 MB", change("Nguyễn", strings.Repeat("x", 5<<20)), 413, "http.too_large"},
		{"a long name", change("Nguyễn", strings.Repeat("x", 10_000)), 422, "http.invalid"},
		{"1000 items", change(`"items":[`, `"items":[`+strings.Repeat(`{"fee_type":"LP_DKKD","base":1},`, 1000)), 422, "http.invalid"},
	} {
		d.wantProblem(tt.name, d.ask(d.key(firstAuthority, auth.RolePortal), http.MethodPost, "/v1/dossiers", tt.body), tt.status, tt.code)
	}
	portal, accountant := d.key(firstAuthority, auth.RolePortal), d.key(firstAuthority, auth.RoleAccountant)
	for _, kind := range []string{
		"", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16",
		"multipart/form-data", "application/json/x",
	} {
		a := d.ask(portal, http.MethodPost, "/v1/dossiers", good, "Content-Type", kind)
		d.wantProblem(fmt.Sprintf("content type %q", kind), a, 415, "http.content_type")
	}
	for _, tt := range []struct {
		name, key, path, body string
		status                int
		code                  string
	}{
		{"cash", portal, open + "/payments", `{"provider":"cash"}`, 422, "payments.provider"},
		{"return to a script", portal, open + "/payments", `{"provider":"vnpay","return_url":"javascript:alert(1)"}`, 422, "http.invalid"},
		{"address that is none", portal, open + "/payments", `{"provider":"vnpay","payer":{"ip":"not an address"}}`, 422, "http.invalid"},
		{"status 11", portal, open + "/status", `{"status":11,"at":"2024-05-03T10:00:00+07:00"}`, 422, "http.invalid"},
		{"unknown reason", portal, open + "/status", `{"status":4,"at":"2024-05-03T10:00:00+07:00","reason":"MOOD"}`, 422, "http.invalid"},
		{"refund of nothing paid", accountant, open + "/refunds", `{"reason":"SERVICE_IMPOSSIBLE"}`, 409, "refunds.nothing_left"},
		{
			"refund of a charge that is none", accountant, open + "/refunds",
			`{"reason":"SERVICE_IMPOSSIBLE","items":[{"charge":"chg_x","amount":1}]}`, 422, "refunds.invalid",
		},
		{
			"refund of less than nothing", accountant, open + "/refunds", `{"reason":"SERVICE_IMPOSSIBLE","items":[{"charge":"chg_x","amount":-1}]}`,
			422, "http.invalid",
		},
		{"run of a day that is none", accountant, "/v1/runs", `{"source":"bank","business_date":"2024-13-01"}`, 422, "http.invalid"},
		{"run of no source", accountant, "/v1/runs", `{"source":"nowhere","business_date":"2024-05-02"}`, 404, "statements.source_not_found"},
	} {
		d.wantProblem(tt.name, d.ask(tt.key, http.MethodPost, tt.path, tt.body), tt.status, tt.code)
	}
}

func (d *devProgram) garbageAddresses(paid, payment string) {
	auditor := d.key(firstAuthority, auth.RoleAuditor)
	for _, tt := range []struct {
		path   string
		status int
		code   string
	}{
		{"/v1", 404, "http.no_route"},
		{"/v1/", 404, "http.no_route"},
		{"//v1/payments", 404, "http.no_route"},
		{"/v1/payments/", 404, "http.no_route"},
		{"/v1/../v1/payments", 404, "http.no_route"},
		{"/v1/payments/..%2f..%2fetc%2fpasswd", 404, "http.no_route"},
		{"/v1/payments/" + payment + "/x", 404, "http.no_route"},
		{"/V1/payments", 404, "http.no_route"},
		{"/v1/payments/" + strings.Repeat("x", 5000), 400, "http.parameter"},
		{"/v1/payments/%00", 400, "http.parameter"},
		{"/v1/payments/%ff%fe", 400, "http.parameter"},
		{"/v1/payments/pay_", 404, "payments.not_found"},
		{"/v1/payments/" + strings.ToUpper(payment), 404, "payments.not_found"},
		{"/v1/payments/" + strings.Replace(payment, "pay_", "ref_", 1), 404, "payments.not_found"},
		{"/v1/payments/' or 1=1 --", 404, "payments.not_found"},
		{strings.ToLower(paid), 404, "dossiers.not_found"},
		{"/v1/dossiers/%F0%9F%92%A3", 404, "dossiers.not_found"},
		{"/v1/refunds/" + payment, 404, "refunds.not_found"},
		{"/v1/ledger/entries/" + payment, 404, "ledger.entry_not_found"},
		{"/v1/statements/stm_x", 404, "statements.not_found"},
		{"/v1/runs/run_x", 404, "reconcile.run_not_found"},
		{"/v1/policies/KHONG-CO", 404, "fees.not_found"},
		{"/v1/payments?cursor=abc", 400, "http.parameter"},
		{"/v1/payments?cursor=" + strings.Repeat("a", 5000), 400, "http.parameter"},
		{"/v1/refunds?cursor=%00", 400, "http.parameter"},
		{"/v1/refunds?cursor=" + payment, 400, "http.parameter"},
		{"/v1/breaks?cursor=abc", 400, "http.parameter"},
		{"/v1/statements?cursor=abc", 400, "http.parameter"},
		{"/v1/ledger/accounts/A-CLR-vnpay/postings?cursor=abc", 400, "http.parameter"},
		{"/v1/payments?limit=0", 400, "http.parameter"},
		{"/v1/payments?limit=-1", 400, "http.parameter"},
		{"/v1/payments?limit=201", 400, "http.parameter"},
		{"/v1/payments?limit=1e2", 400, "http.parameter"},
		{"/v1/payments?limit=99999999999999999999", 400, "http.parameter"},
		{"/v1/payments?limit=1&limit=2", 400, "http.parameter"},
		{"/v1/payments?status=paid", 400, "http.parameter"},
		{"/v1/payments?unknown=1", 400, "http.parameter"},
		{"/v1/payments?dossier=%ff", 400, "http.parameter"},
		{"/v1/ledger/trial-balance?as_of=2024-02-30", 400, "http.parameter"},
		{"/v1/ledger/trial-balance?as_of=today", 400, "http.parameter"},
	} {
		d.wantProblem("GET "+tt.path[:min(len(tt.path), 60)], d.ask(auditor, http.MethodGet, tt.path, ""), tt.status, tt.code)
	}
}

func (d *devProgram) garbageKeys() {
	good := d.key(firstAuthority, auth.RoleAuditor)
	for _, header := range []string{
		"", "Bearer", "Bearer ", "Basic " + good, good, "Bearer  " + good, "Bearer " + good + " x", "Bearer " + good + good,
		"Bearer " + good[:len(good)-1],
		"Bearer " + good[:len(good)-1] + "!", "Bearer " + strings.ToUpper(good), "Bearer ds_000000000000_" + strings.Repeat("a", 43),
		"Bearer " + strings.Repeat("x", 20_000), "Bearer \xff\xfe", "Bearer ' or 1=1 --",
	} {
		a := d.ask("", http.MethodGet, "/v1/payments", "", "Authorization", header)
		d.wantProblem(fmt.Sprintf("Authorization: %.30q", header), a, 401, "auth.unauthenticated")
		if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer") {
			d.t.Errorf("Authorization: %.30q: got WWW-Authenticate %q, want Bearer", header, got)
		}
	}
	r, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, d.place().API+"/v1/payments", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header["Authorization"] = []string{"Bearer " + good, "Bearer " + good}
	twice, err := d.send(r)
	if err != nil {
		d.t.Fatal(err)
	}
	d.wantProblem("two keys", twice, 401, "auth.unauthenticated")
}

// wrongMethods tries every method on every described address.
func (d *devProgram) wrongMethods() {
	doc := d.must(http.StatusOK, "", http.MethodGet, "/openapi.json", "")
	paths, _ := doc.json["paths"].(map[string]any)
	if len(paths) < 30 {
		d.t.Fatalf("got %d described addresses, want more", len(paths))
	}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if !strings.HasPrefix(path, "/v1/") && !strings.HasPrefix(path, "/callbacks/") {
			continue // pages
		}
		operations, _ := paths[path].(map[string]any)
		var allowed []string
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			if operations[strings.ToLower(method)] != nil {
				allowed = append(allowed, method)
			}
		}
		for _, method := range []string{
			http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
			"TRACE", "BREW",
		} {
			if slices.Contains(allowed, method) {
				continue
			}
			address := strings.NewReplacer("{provider}", "vnpay", "{", "", "}", "").Replace(path)
			a := d.ask(d.key(firstAuthority, auth.RoleAdmin), method, address, "")
			d.wantProblem(method+" "+path, a, 405, "http.method")
			if got, want := a.header.Get("Allow"), strings.Join(allowed, ", "); got != want {
				d.t.Errorf("%s %s: got Allow %q, want %q", method, path, got, want)
			}
		}
	}
}

// garbageCallbacks are answered in the provider's words; without a known account the answer is 404.
func (d *devProgram) garbageCallbacks() {
	merchants := d.place().Authorities[firstAuthority].Merchants
	ipn, notice := "/callbacks/vnpay/"+merchants["vnpay"].ID, "/callbacks/sepay/"+merchants["vietqr"].ID
	const values = "vnp_TmnCode=DOISOH41&vnp_Amount=6000000&vnp_TxnRef=DSGFDRXNQM6W" +
		"&vnp_ResponseCode=00&vnp_TransactionStatus=00&vnp_TransactionNo=1"
	hash := "&vnp_SecureHash=" + strings.Repeat("0", 128)
	for _, query := range []string{
		"", "?", "?" + values, "?" + values + hash, "?" + values + "&vnp_Amount=1" + hash, "?" + values + hash + hash,
		"?" + values + "&vnp_SecureHash=",
		"?" + values + "&vnp_SecureHash=zz", "?%zz=1" + hash, "?vnp_TxnRef=%ff%fe" + hash, "?vnp_TxnRef=%00" + hash, "?;" + hash,
		"?" + strings.Repeat("a=1&", 1500) + hash,
	} {
		a := d.ask("", http.MethodGet, ipn+query, "")
		if a.status != http.StatusOK || a.text("RspCode") != "97" {
			d.t.Errorf("IPN %.60q: got %d %s, want RspCode 97", query, a.status, a.body)
		}
	}
	// Longer than any header may be: HTTP itself refuses it.
	if a := d.ask("", http.MethodGet, ipn+"?a="+strings.Repeat("x", 70<<10), ""); a.status != http.StatusRequestHeaderFieldsTooLarge {
		d.t.Errorf("IPN of 70 KiB: got %d %.200s, want 431", a.status, a.body)
	}
	d.wantProblem("IPN of 20 kB", d.ask("", http.MethodGet, ipn+"?"+strings.Repeat("a=1&", 5000)+hash, ""), 413, "http.too_large")
	d.wantProblem("notice of 9 kB", d.ask("", http.MethodPost, notice, strings.Repeat("[", 9_000)), 413, "http.too_large")
	d.wantProblem("notice of 65 KiB", d.ask("", http.MethodPost, notice, `{"x":"`+strings.Repeat("x", 65<<10)+`"}`), 413, "http.too_large")
	for _, body := range []string{"", "x", "{}", "[]", "null", `{"id":1,"transferAmount":-1}`, strings.Repeat("[", 8_000), "\xff\xfe"} {
		if a := d.ask("", http.MethodPost, notice, body); a.status != http.StatusUnauthorized && a.status != http.StatusBadRequest &&
			a.at("success") != false {
			d.t.Errorf("notice %.30q: got %d %s, want a refusal", body, a.status, a.body)
		}
	}
	for _, path := range []string{
		"/callbacks/vnpay/mer_x", "/callbacks/cash/" + merchants["vnpay"].ID, "/callbacks/vnpay/" + merchants["vietqr"].ID,
		"/callbacks/sepay/" + merchants["vnpay"].ID, "/callbacks/vnpay/%00", "/callbacks/vnpay/" + strings.Repeat("x", 5000),
	} {
		if a := d.ask("", http.MethodGet, path+"?"+values+hash, ""); a.status != http.StatusNotFound {
			d.t.Errorf("GET %.60s: got %d %s, want 404", path, a.status, a.body)
		}
	}
	for _, query := range []string{"", "?vnp_TxnRef=x", "?vnp_TxnRef=%ff", "?vnp_TxnRef=%00", "?" + values + hash, "?%zz"} {
		if a := d.ask("", http.MethodGet, ipn+"/return"+query, ""); a.status != http.StatusNotFound {
			d.t.Errorf("return page %q: got %d, want 404", query, a.status)
		}
	}
}
