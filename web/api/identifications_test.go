package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/internal/auth"
)

// bankDay is a statement of 2 May 2024: a transfer without a code, a second one, and a charge of the bank.
const bankDay = `<?xml version="1.0"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08">` +
	`<BkToCstmrStmt><GrpHdr><MsgId>M</MsgId></GrpHdr>` +
	`<Stmt><Id>S</Id><Acct><Id><Othr><Id>116002680669</Id></Othr></Id><Ccy>VND</Ccy></Acct>` +
	`<Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="VND">0</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2024-05-02</Dt></Dt></Bal>` +
	`<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="VND">164000</Amt>` +
	`<CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2024-05-02</Dt></Dt></Bal>` +
	`<Ntry><Amt Ccy="VND">75000</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>` +
	`<BookgDt><Dt>2024-05-02</Dt></BookgDt><ValDt><Dt>2024-05-02</Dt></ValDt>` +
	`<AcctSvcrRef>F1</AcctSvcrRef><NtryDtls><TxDtls><RmtInf><Ustrd>NGUYEN VAN A nop le phi</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>` +
	`<Ntry><Amt Ccy="VND">90000</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>` +
	`<BookgDt><Dt>2024-05-02</Dt></BookgDt><ValDt><Dt>2024-05-02</Dt></ValDt>` +
	`<AcctSvcrRef>F2</AcctSvcrRef><NtryDtls><TxDtls><RmtInf><Ustrd>TRAN THI B</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>` +
	`<Ntry><Amt Ccy="VND">1000</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>` +
	`<BookgDt><Dt>2024-05-02</Dt></BookgDt><ValDt><Dt>2024-05-02</Dt></ValDt>` +
	`<AcctSvcrRef>F3</AcctSvcrRef><NtryDtls><TxDtls><RmtInf><Ustrd>PHI TAI KHOAN</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>` +
	`</Stmt></BkToCstmrStmt></Document>`

// A suspended credit becomes the payment of a dossier by two keys; the dossier, its payment and the line show it.
func TestIdentifyOverHTTP(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const code = "H41.12-240502-0001"
	h.must(201, auth.RolePortal, http.MethodPost, "/v1/dossiers", `{"authority":"H41","code":"`+code+`","agency":"H41.12",
		"submission":{"channel":"direct","service_level":"toan_trinh","submitted_at":"2024-05-02T09:00:00+07:00"},
		"applicant":{"name":"Người nộp mẫu","groups":[]},
		"items":[{"fee_type":"P_CONG_BO_DN","base":60000,"assessed":{"ground":"an amount of the test"}}]}`)
	h.must(201, auth.RoleAdmin, http.MethodPost, "/v1/sources", `{"code":"vcb-h41","kind":"bank","account":"116002680669"}`)
	statement := h.must(201, auth.RoleAccountant, http.MethodPost, "/v1/statements",
		"--x\r\nContent-Disposition: form-data; name=\"source\"\r\n\r\nvcb-h41\r\n"+
			"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.xml\"\r\n\r\n"+bankDay+"\r\n--x--",
		"Content-Type", "multipart/form-data; boundary=x").text("id")
	h.must(201, auth.RoleAccountant, http.MethodPost, "/v1/runs", `{"source":"vcb-h41","business_date":"2024-05-02"}`)
	lines := h.must(200, auth.RoleAccountant, http.MethodGet, "/v1/statements/"+statement+"/lines", "")
	at := func(line string) string { return "/v1/statements/" + statement + "/lines/" + line + "/identify" }
	first, charge := at(lines.text("items.0.id")), at(lines.text("items.2.id"))
	good := `{"dossier":"` + code + `","amount":75000,"currency":"VND","reason":"phiếu chuyển tiền"}`

	stranger := h.roleOf("H56", auth.RoleAccountant)
	for _, x := range []struct {
		role       auth.Role
		path, body string
		status     int
		code       string
	}{
		{auth.RoleAccountant, first, strings.Replace(good, "75000", "75001", 1), 422, "cases.invalid"},
		{auth.RoleAccountant, first, strings.Replace(good, "VND", "USD", 1), 422, "cases.invalid"},
		{auth.RoleAccountant, first, strings.Replace(good, "-0001", "-0002", 1), 404, "dossiers.not_found"},
		{auth.RoleAccountant, first, `{}`, 422, "http.invalid"},
		{auth.RoleAccountant, at("sln_x"), good, 404, "cases.line_not_found"},
		{auth.RoleAccountant, strings.Replace(first, statement, "stm_x", 1), good, 404, "cases.line_not_found"},
		{auth.RoleAccountant, charge, strings.Replace(good, "75000", "1000", 1), 409, "cases.not_suspended"},
		{auth.RolePortal, first, good, 403, "auth.forbidden"},
		{auth.RoleChiefAccountant, first, good, 403, "auth.forbidden"},
		{stranger, first, good, 404, "cases.line_not_found"},
		{auth.RoleChiefAccountant, "/v1/identifications/idn_x/approve", `{}`, 404, "cases.identification_not_found"},
		{auth.RoleChiefAccountant, "/v1/identifications/idn_x/reject", `{"reason":"sai"}`, 404, "cases.identification_not_found"},
	} {
		if got := h.must(x.status, x.role, http.MethodPost, x.path, x.body).text("code"); got != x.code {
			t.Errorf("%s %s by %s: got %s, want %s", x.path, x.body, x.role, got, x.code)
		}
	}

	n := h.must(201, auth.RoleAccountant, http.MethodPost, first, good)
	if again := h.must(200, auth.RoleAccountant, http.MethodPost, first, good); again.text("id") != n.text("id") {
		t.Errorf("proposed again: %s, want %s", again.body, n.text("id"))
	}
	other := h.must(409, auth.RoleAccountant, http.MethodPost, first, strings.Replace(good, "chuyển", "nộp", 1))
	if other.text("code") != "cases.identified" {
		t.Errorf("proposed otherwise: %s", other.body)
	}
	second := h.must(201, auth.RoleAccountant, http.MethodPost, at(lines.text("items.1.id")), strings.Replace(good, "75000", "90000", 1))
	h.must(403, auth.RoleAccountant, http.MethodPost, "/v1/identifications/"+n.text("id")+"/approve", `{}`)
	h.must(404, h.roleOf("H56", auth.RoleChiefAccountant), http.MethodPost, "/v1/identifications/"+n.text("id")+"/approve", `{}`)
	for range 2 {
		h.must(200, auth.RoleChiefAccountant, http.MethodPost, "/v1/identifications/"+n.text("id")+"/approve", `{"note":"đúng"}`)
	}
	h.must(200, auth.RoleChiefAccountant, http.MethodPost, "/v1/identifications/"+second.text("id")+"/reject", `{"reason":"của người khác"}`)
	h.must(409, auth.RoleChiefAccountant, http.MethodPost, "/v1/identifications/"+second.text("id")+"/approve", `{}`)

	list := h.must(200, auth.RoleAuditor, http.MethodGet, "/v1/identifications?status=approved", "")
	d := h.must(200, auth.RolePortal, http.MethodGet, "/v1/dossiers/"+code, "")
	paid := h.must(200, auth.RolePortal, http.MethodGet, "/v1/payments/"+d.text("payments.0.id"), "")
	after := h.must(200, auth.RoleAccountant, http.MethodGet, "/v1/statements/"+statement+"/lines", "")
	matches := h.must(200, auth.RoleAccountant, http.MethodGet, "/v1/matches", "")
	got := []any{
		list.at("items.0.id"), list.at("items.1"), list.at("items.0.capture"), d.at("outstanding"), d.at("payments.0.status"),
		paid.at("provider"), paid.at("captures.0.evidence"), paid.at("captures.0.excess"),
		after.at("items.0.status"), after.at("items.1.status"), matches.at("items.0.lane"),
	}
	want := []any{
		n.at("id"), nil, paid.at("captures.0.id"), 0.0, "settled", "bank", "identified", 15000.0, "matched", "break", "identified",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("after the approval (-got +want):\n%s", diff)
	}
	h.must(409, auth.RoleAccountant, http.MethodPost, "/v1/matches/"+matches.text("items.0.id")+"/revoke", `{"reason":"nhầm"}`)
	h.must(200, auth.RoleAccountant, http.MethodPost, "/v1/payments/"+d.text("payments.0.id")+"/inquire", "")
}
