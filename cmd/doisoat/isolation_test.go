package main

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
)

// Two provinces of the demo. The stranger must learn nothing of firstAuthority.
const stranger = "H29"

// Personal data and secrets that the province's work holds; see secrets_test.go.
const (
	applicantName  = "Đặng Thị Bí Mật"
	applicantID    = "040199887766"
	transferName   = "HOANG VAN KIN DAO"
	refundNote     = "Người dân đề nghị hoàn lại"
	vnpaySecret    = "TESTONLYVNPAYHASHSECRETOFPROVINCE41"
	transferSecret = "TESTONLYWEBHOOKSECRETOFPROVINCE41"
)

// province is work of firstAuthority of every kind there is.
type province struct {
	paid, transferred, open    string // paths of dossiers
	payment, pending, transfer string // ids of payments
	requested, done            string // ids of refunds
	entry                      string
	vnpay                      string // id of the merchant account
	source                     string // a code that only this province has
	statement, run             string
	statementFile              []byte
}

// TestEndToEndIsolation fills one province and then tries to read it: with another province's keys,
// with roles that may not, in the database without or with another authority, and in every clear
// text that is kept.
func TestEndToEndIsolation(t *testing.T) {
	t.Parallel()
	d := startDev(t)
	p := d.fillProvince()
	t.Run("another province", func(t *testing.T) { d.with(t).strangerSeesNothing(p) })
	t.Run("roles", func(t *testing.T) { d.with(t).rolesAreRefused(p) })
	t.Run("database", func(t *testing.T) { d.with(t).databaseIsDivided() })
	t.Run("clear text", func(t *testing.T) { d.with(t).nothingInClear() })
	d.mustCheck()
}

// with reports to a subtest.
func (d *devProgram) with(t *testing.T) *devProgram {
	return &devProgram{t: t, dir: d.dir, env: d.env, client: d.client, manifest: d.place(), cmd: d.cmd, exited: d.exited}
}

// fillProvince makes dossiers, payments, refunds, a statement and a run, with
// secrets and names that a search can find.
func (d *devProgram) fillProvince() province {
	d.t.Helper()
	admin := d.key(firstAuthority, auth.RoleAdmin)
	merchants := d.place().Authorities[firstAuthority].Merchants
	for provider, s := range map[string][2]string{"vnpay": {"hash_secret", vnpaySecret}, "vietqr": {"webhook_secret", transferSecret}} {
		d.must(http.StatusNoContent, admin, http.MethodPost, "/v1/merchant-accounts/"+merchants[provider].ID+"/secrets",
			fmt.Sprintf(`{"name":%q,"value":%q}`, s[0], s[1]))
	}
	d.stop() // the far side learns the new secrets at the start
	d.start()

	p := province{vnpay: merchants["vnpay"].ID, source: "rieng-cua-h41"}
	p.paid, p.payment = d.payAs("H41.12-240502-0001", "vnpay", "")
	p.transferred, p.transfer = d.payAs("H41.12-240502-0002", "vietqr", transferName)
	refunded, _ := d.payAs("H41.12-240502-0003", "vnpay", "")
	p.open = d.registerAs("H41.12-240502-0004")
	// A message without a signature leaves a row of H41 in the ring of refused callbacks.
	if a := d.ask("", http.MethodGet, "/callbacks/vnpay/"+p.vnpay+"?vnp_TxnRef=X", ""); a.text("RspCode") != "97" {
		d.t.Fatalf("unsigned IPN: got %d %s, want RspCode 97", a.status, a.body)
	}
	portal, accountant := d.key(firstAuthority, auth.RolePortal), d.key(firstAuthority, auth.RoleAccountant)
	p.pending = d.must(http.StatusCreated, portal, http.MethodPost, p.open+"/payments", `{"provider":"vnpay"}`).text("id")
	p.requested = d.must(http.StatusCreated, accountant, http.MethodPost, p.paid+"/refunds",
		`{"reason":"SERVICE_IMPOSSIBLE","note":"`+refundNote+`"}`, "Idempotency-Key", "key-of-h41-0001").text("id")
	p.done = d.must(http.StatusCreated, accountant, http.MethodPost, refunded+"/refunds", `{"reason":"SERVICE_IMPOSSIBLE"}`).text("id")
	d.must(http.StatusOK, d.key(firstAuthority, auth.RoleChiefAccountant), http.MethodPost, "/v1/refunds/"+p.done+"/approve", "")
	p.entry = d.must(http.StatusOK, portal, http.MethodGet, p.paid+"/ledger", "").text("entries.0.id")
	d.awaitRefunds(1)
	d.reconcile(&p)
	return p
}

// reconcile brings the bank's statement of today in and runs it.
func (d *devProgram) reconcile(p *province) {
	d.t.Helper()
	accountant := d.key(firstAuthority, auth.RoleAccountant)
	account := d.place().Authorities[firstAuthority].Merchants["vietqr"].Account
	today := calendar.On(time.Now()).String()
	d.must(http.StatusCreated, d.key(firstAuthority, auth.RoleAdmin), http.MethodPost, "/v1/sources",
		fmt.Sprintf(`{"code":%q,"kind":"bank","account":%q}`, p.source, "99"+account))
	p.statementFile = d.control(http.MethodGet, "statement?source=bank&account="+account+"&date="+today, "").body
	kept := d.upload(accountant, "bank", "sao-ke.xml", p.statementFile)
	if kept.status != http.StatusCreated || kept.text("status") != "accepted" {
		d.t.Fatalf("statement: got %d %s", kept.status, kept.body)
	}
	p.statement = kept.text("id")
	p.run = d.must(http.StatusCreated, accountant, http.MethodPost, "/v1/runs", `{"source":"bank","business_date":"`+today+`"}`).text("id")
}

func (d *devProgram) registerAs(code string) string {
	d.t.Helper()
	body := dossierBody(d.t, code, map[string]any{
		"applicant": map[string]any{"name": applicantName, "identifier": applicantID, "groups": []string{}},
	})
	return d.must(http.StatusCreated, d.key(firstAuthority, auth.RolePortal), http.MethodPost, "/v1/dossiers", body).header.Get("Location")
}

// payAs is pay for the searched applicant; content adds to the text of a transfer.
func (d *devProgram) payAs(code, provider, content string) (dossier, payment string) {
	d.t.Helper()
	dossier = d.registerAs(code)
	p := d.must(http.StatusCreated, d.key(firstAuthority, auth.RolePortal), http.MethodPost, dossier+"/payments",
		`{"provider":"`+provider+`","payer":{"name":"`+applicantName+`"}}`)
	script := payScript(p, "deliver")
	if content != "" {
		script = strings.TrimSuffix(script, "}") + `,"content":"` + p.text("checkout.transfer.content") + " " + content + `"}`
	}
	if done := d.control(http.MethodPost, "pay", script); done.at("callback.replies.0.accepted") != true {
		d.t.Fatalf("pay %s: the callback was not accepted: %s", code, done.body)
	}
	return dossier, p.text("id")
}

// upload sends a file as a browser does.
func (d *devProgram) upload(key, source, name string, file []byte, fields ...string) answer {
	d.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", name)
	if err == nil {
		_, err = part.Write(file)
	}
	if err == nil {
		err = form.WriteField("source", source)
	}
	for i := 0; i+1 < len(fields) && err == nil; i += 2 {
		err = form.WriteField(fields[i], fields[i+1])
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return d.ask(key, http.MethodPost, "/v1/statements", body.String(), "Content-Type", form.FormDataContentType())
}

// strangerSeesNothing asks with the keys of another province for everything
// that firstAuthority has, by its names and in lists.
func (d *devProgram) strangerSeesNothing(p province) {
	for _, tt := range []struct {
		role         auth.Role
		method, path string
		body         string
		status       int
		code         string
	}{
		{auth.RolePortal, "GET", p.paid, "", 404, "dossiers.not_found"},
		{auth.RoleAuditor, "GET", p.paid + "/ledger", "", 404, "dossiers.not_found"},
		{auth.RolePortal, "POST", p.paid + "/charges", `{"items":[{"fee_type":"LP_DKKD","base":1}]}`, 404, "dossiers.not_found"},
		{auth.RolePortal, "POST", p.open + "/status", `{"status":7,"at":"2024-05-03T10:00:00+07:00"}`, 404, "dossiers.not_found"},
		{auth.RolePortal, "POST", p.open + "/payments", `{"provider":"vnpay"}`, 404, "dossiers.not_found"},
		{auth.RoleAccountant, "POST", p.paid + "/refunds", `{"reason":"SERVICE_IMPOSSIBLE"}`, 404, "dossiers.not_found"},
		{auth.RoleAuditor, "GET", "/v1/payments/" + p.payment, "", 404, "payments.not_found"},
		{auth.RolePortal, "POST", "/v1/payments/" + p.pending + "/cancel", "", 404, "payments.not_found"},
		{auth.RoleAccountant, "POST", "/v1/payments/" + p.pending + "/inquire", "", 404, "payments.not_found"},
		{auth.RoleAuditor, "GET", "/v1/refunds/" + p.requested, "", 404, "refunds.not_found"},
		{auth.RoleChiefAccountant, "POST", "/v1/refunds/" + p.requested + "/approve", "", 404, "refunds.not_found"},
		{auth.RoleChiefAccountant, "POST", "/v1/refunds/" + p.requested + "/reject", `{"reason":"x"}`, 404, "refunds.not_found"},
		{auth.RoleAuditor, "GET", "/v1/ledger/entries/" + p.entry, "", 404, "ledger.entry_not_found"},
		{
			auth.RoleAdmin, "POST", "/v1/merchant-accounts/" + p.vnpay + "/secrets",
			`{"name":"hash_secret","value":"TESTONLYFOREIGNSECRET0000000001"}`, 404, "payments.merchant_not_found",
		},
		{auth.RoleAuditor, "GET", "/v1/statements/" + p.statement, "", 404, "statements.not_found"},
		{auth.RoleAuditor, "GET", "/v1/statements/" + p.statement + "/lines", "", 404, "statements.not_found"},
		{
			auth.RoleAccountant, "POST", "/v1/runs",
			`{"source":"` + p.source + `","business_date":"2024-05-02"}`, 404, "statements.source_not_found",
		},
		{auth.RoleAuditor, "GET", "/v1/runs/" + p.run, "", 404, "reconcile.run_not_found"},
		{auth.RoleChiefAccountant, "POST", "/v1/runs/" + p.run + "/close", "", 404, "reconcile.run_not_found"},
		{auth.RolePortal, "POST", "/v1/dossiers", dossierBody(d.t, "H41.12-240502-7777", nil), 403, "auth.forbidden"},
		{auth.RoleAuditor, "GET", "/v1/ledger/trial-balance?authority=" + firstAuthority, "", 403, "auth.forbidden"},
	} {
		a := d.ask(d.key(stranger, tt.role), tt.method, tt.path, tt.body)
		if a.status != tt.status || a.text("code") != tt.code {
			d.t.Errorf("%s %s as %s of %s: got %d %s, want %d %s", tt.method, tt.path, tt.role, stranger, a.status, a.body, tt.status,
				tt.code)
		}
	}
	d.strangerListsNothing(p)
	// A unique value is unique within a province: the rows of one province never conflict with the
	// rows of another.
	body := dossierBody(d.t, strings.TrimPrefix(p.paid, "/v1/dossiers/"), map[string]any{"authority": stranger, "agency": stranger})
	a := d.must(http.StatusCreated, d.key(stranger, auth.RolePortal), http.MethodPost, "/v1/dossiers", body, "Idempotency-Key",
		"key-of-h41-0001")
	if paid := a.at("paid"); paid != 0.0 {
		d.t.Errorf("the stranger's own dossier: got paid %v, want 0", paid)
	}
	if a := d.upload(d.key(stranger, auth.RoleAccountant), "bank", "sao-ke.xml", p.statementFile); a.text("status") == "duplicate" ||
		a.text("duplicate_of") != "" {
		d.t.Errorf("the stranger learns that somebody has the file: %s", a.body)
	}
	// And nothing was moved.
	for path, want := range map[string]string{"/v1/payments/" + p.pending: "pending", "/v1/refunds/" + p.requested: "requested"} {
		if got := d.must(http.StatusOK, d.key(firstAuthority, auth.RoleAuditor), http.MethodGet, path, "").text("status"); got != want {
			d.t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

// strangerListsNothing reads every list, with and without the province's names.
func (d *devProgram) strangerListsNothing(p province) {
	code := strings.TrimPrefix(p.paid, "/v1/dossiers/")
	for _, path := range []string{
		"/v1/payments", "/v1/payments?dossier=" + code, "/v1/refunds", "/v1/refunds?dossier=" + code, "/v1/statements", "/v1/breaks",
		"/v1/breaks?run=" + p.run, "/v1/matches", "/v1/matches?payment=" + p.transfer, "/v1/ledger/accounts",
	} {
		a := d.must(http.StatusOK, d.key(stranger, auth.RoleAuditor), http.MethodGet, path, "")
		if items, ok := a.at("items").([]any); !ok || len(items) != 0 {
			d.t.Errorf("%s as %s: got %s, want no items", path, stranger, a.body)
		}
	}
	for _, path := range []string{"/v1/merchant-accounts", "/v1/sources"} {
		a := d.must(http.StatusOK, d.key(stranger, auth.RoleAuditor), http.MethodGet, path, "")
		for _, foreign := range []string{p.vnpay, p.source, "DOISOH41", vnpaySecret, transferSecret} {
			if bytes.Contains(a.body, []byte(foreign)) {
				d.t.Errorf("%s as %s holds %q: %s", path, stranger, foreign, a.body)
			}
		}
	}
	own := d.must(http.StatusOK, d.key(firstAuthority, auth.RoleAuditor), http.MethodGet, "/v1/merchant-accounts", "")
	for _, hidden := range []string{vnpaySecret, transferSecret} {
		if bytes.Contains(own.body, []byte(hidden)) {
			d.t.Errorf("merchant accounts show a secret: %s", own.body)
		}
	}
}

// rolesAreRefused samples the table of rights over HTTP: a good key of the
// right province, and a role that may not.
func (d *devProgram) rolesAreRefused(p province) {
	dossier := dossierBody(d.t, "H41.12-240502-8888", nil)
	for _, tt := range []struct {
		role               auth.Role
		method, path, body string
	}{
		{auth.RoleAuditor, "POST", "/v1/dossiers", dossier},
		{auth.RoleAdmin, "POST", "/v1/dossiers", dossier},
		{auth.RoleAdmin, "GET", p.paid, ""},
		{auth.RoleAccountant, "POST", p.open + "/payments", `{"provider":"vnpay"}`},
		{auth.RolePolicyEditor, "GET", "/v1/payments", ""},
		{auth.RoleAuditor, "POST", "/v1/payments/" + p.pending + "/cancel", ""},
		{auth.RoleAuditor, "POST", "/v1/payments/" + p.pending + "/inquire", ""},
		{auth.RoleChiefAccountant, "POST", p.transferred + "/refunds", `{"reason":"SERVICE_IMPOSSIBLE"}`},
		{auth.RoleAccountant, "POST", "/v1/refunds/" + p.requested + "/approve", ""},
		{auth.RolePortal, "POST", "/v1/refunds/" + p.requested + "/approve", ""},
		{auth.RoleAuditor, "POST", "/v1/refunds/" + p.requested + "/reject", `{"reason":"x"}`},
		{auth.RolePolicyApprover, "GET", "/v1/refunds", ""},
		{auth.RolePortal, "GET", "/v1/ledger/accounts", ""},
		{auth.RolePortal, "GET", "/v1/ledger/entries/" + p.entry, ""},
		{auth.RoleAccountant, "POST", "/v1/merchant-accounts", `{"authority":"H41","provider":"vnpay","settings":{},"secrets":{}}`},
		{auth.RolePortal, "GET", "/v1/merchant-accounts", ""},
		{
			auth.RoleChiefAccountant, "POST", "/v1/merchant-accounts/" + p.vnpay + "/secrets",
			`{"name":"hash_secret","value":"TESTONLYFOREIGNSECRET0000000001"}`,
		},
		{auth.RoleAccountant, "POST", "/v1/sources", `{"code":"x","kind":"bank","account":"1"}`},
		{auth.RolePortal, "GET", "/v1/statements", ""},
		{auth.RolePortal, "GET", "/v1/breaks", ""},
		{auth.RoleChiefAccountant, "POST", "/v1/runs", `{"source":"bank","business_date":"2024-05-02"}`},
		{auth.RoleAccountant, "POST", "/v1/runs/" + p.run + "/close", ""},
		{
			auth.RolePolicyEditor, "POST", "/v1/fee-types",
			`{"code":"LP_X","name":"x","kind":"le_phi","rates":[{"valid_from":"2023-01-01","base":1}]}`,
		},
	} {
		a := d.ask(d.key(firstAuthority, tt.role), tt.method, tt.path, tt.body)
		if a.status != http.StatusForbidden || a.text("code") != "auth.forbidden" {
			d.t.Errorf("%s %s as %s: got %d %s, want 403 auth.forbidden", tt.method, tt.path, tt.role, a.status, a.body)
		}
	}
	if a := d.upload(d.key(firstAuthority, auth.RoleChiefAccountant), "bank", "x.xml", p.statementFile); a.status != http.StatusForbidden {
		d.t.Errorf("upload as chief accountant: got %d %s, want 403", a.status, a.body)
	}
}
