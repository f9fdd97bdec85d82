package api_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/doisoat/doisoat/internal/auth"
)

const (
	vnpaySecret = "TESTONLY" + "VNPAYHASHSECRET000000001"
	sepayKey    = "sepay-test-key-01"
)

// openingCalls set up the province before its database is filled.
var openingCalls = []call{
	{auth.RoleAdmin, "POST /v1/merchant-accounts", `{"authority":"H41","provider":"vnpay",
		"settings":{"tmn_code":"DVCTEST1","pay_url":"https://pay.example.vn/vpcpay.html","api_url":"https://127.0.0.1:1/api"},
		"secrets":{"hash_secret":"` + vnpaySecret + `"}}`, "merchant=id callback=callback_path"},
	{auth.RoleAdmin, "POST /v1/merchant-accounts", `{"authority":"H41","provider":"vietqr",
		"settings":{"bank_bin":"970415","bank_name":"VietinBank","account":"116002680669","account_name":"SO TU PHAP NGHE AN","notifier":"sepay"},
		"secrets":{"api_key":"` + sepayKey + `"}}`, "transfers=id"},
	{auth.RoleAdmin, "POST /v1/sources", `{"code":"vnpay-h41","kind":"settlement","provider":"vnpay","profile":"vnpay-settlement-v1"}`, ""},
	{auth.RoleAdmin, "POST /v1/sources", `{"code":"vcb-h41","kind":"bank","account":"0011000000041"}`, ""},
}

// dayCalls are a day of a province. Lists are asked without a filter, with each
// one, also with one that finds nothing, and for their next page.
var dayCalls = slices.Concat(dossierCalls, paymentCalls, refundCalls, remittanceCalls, feeCalls, reportCalls, reconcileCalls,
	identifyCalls)

// plansDossier registers a dossier of the day.
func plansDossier(serial string) string {
	return `{"authority":"H41","code":"H41.12-240502-` + serial + `","agency":"H41.12","procedure":"1.001612",
	"submission":{"channel":"online","service_level":"toan_trinh","submitted_at":"2024-05-02T09:00:00+07:00"},
	"applicant":{"name":"Nguyễn Văn An","identifier":"040090001234","groups":[]},"items":[{"fee_type":"LP_DKKD","base":100000}]}`
}

var dossierCalls = []call{
	{auth.RolePortal, "POST /v1/quotes", `{"authority":"H41","procedure":"1.001612",
		"submission":{"channel":"online","service_level":"toan_trinh","submitted_at":"2024-05-02T09:00:00+07:00"},
		"applicant":{"groups":[]},"items":[{"fee_type":"LP_DKKD","base":100000}]}`, ""},
	{auth.RolePortal, "POST /v1/dossiers", plansDossier("0001"), ""},
	{auth.RolePortal, "POST /v1/dossiers", plansDossier("0001"), ""}, // again
	{auth.RolePortal, "POST /v1/dossiers", plansDossier("0002"), ""},
	{auth.RolePortal, "POST /v1/dossiers/H41.12-240502-0002/charges", `{"items":[{"fee_type":"LP_DKKD","base":100000}]}`, ""},
	{auth.RolePortal, "POST /v1/dossiers/H41.12-240502-0001/status", `{"status":2,"at":"2024-05-02T09:30:00+07:00"}`, ""},
	{auth.RolePortal, "POST /v1/dossiers/H41.12-240502-0002/status", `{"status":3,"at":"2024-05-02T09:30:00+07:00"}`, ""},
	{auth.RolePortal, "GET /v1/dossiers/H41.12-240502-0001", "", ""},
	{auth.RolePortal, "GET /v1/dossiers/H41.12-240502-0001/ledger", "", ""},
}

const sepayNotice = `{"id":92704,"gateway":"VietinBank","transactionDate":"2024-05-02 10:00:00","accountNumber":"116002680669","code":null,
	"content":"$transfer","transferType":"in","transferAmount":60000,"subAccount":null,"referenceCode":"FT24123000001"}`

var paymentCalls = []call{
	{auth.RoleAdmin, "GET /v1/merchant-accounts?limit=1", "", "next=next_cursor"},
	{auth.RoleAdmin, "GET /v1/merchant-accounts?cursor=$next", "", ""},
	{
		auth.RolePortal, "POST /v1/dossiers/H41.12-240502-0001/payments", `{"provider":"vnpay","payer":{"ip":"203.113.152.1"}}`,
		"payment=id reference=reference",
	},
	{auth.RolePortal, "POST /v1/payments/$payment/cancel", "", ""},
	{auth.RolePortal, "POST /v1/dossiers/H41.12-240502-0001/payments", `{"provider":"vnpay"}`, "payment=id reference=reference"},
	{auth.RolePortal, "POST /v1/payments/$payment/inquire", "", ""},
	{"", "GET $callback/return?vnp_TxnRef=$reference&vnp_ResponseCode=00", "", ""},
	{"", "GET $callback?$notice", "", ""},
	{"", "GET $callback?$notice", "", ""}, // providers repeat
	{"", "GET $callback?vnp_TxnRef=$reference&vnp_SecureHash=00", "", ""},
	{auth.RolePortal, "POST /v1/dossiers", plansDossier("0003"), ""},
	{auth.RolePortal, "POST /v1/dossiers/H41.12-240502-0003/payments", `{"provider":"vietqr"}`, "transfer=reference"},
	{"", "POST /callbacks/sepay/$transfers", sepayNotice, ""},
	{"", "POST /callbacks/sepay/$transfers", sepayNotice, ""},
	{auth.RolePortal, "GET /v1/payments/$payment", "", ""},
	{auth.RolePortal, "GET /v1/payments?limit=2", "", "next=next_cursor"},
	{auth.RolePortal, "GET /v1/payments?cursor=$next", "", ""},
	{auth.RolePortal, "GET /v1/payments?dossier=H41.12-240502-0001", "", ""},
	{auth.RolePortal, "GET /v1/payments?status=failed", "", "next=next_cursor"},
	{auth.RolePortal, "GET /v1/payments?status=failed&cursor=$next", "", ""},
	{auth.RolePortal, "GET /v1/payments?status=unknown", "", ""},
	{auth.RolePortal, "GET /v1/payments?reference=$reference", "", ""},
	{auth.RolePortal, "GET /v1/payments?reference=DS0000000000", "", ""},
	{auth.RoleAdmin, "POST /v1/merchant-accounts/$merchant/secrets", `{"name":"hash_secret","value":"TESTONLYVNPAYHASHSECRET000000002"}`, ""},
}

var refundCalls = []call{
	{
		auth.RoleAccountant, "POST /v1/dossiers/H41.12-240502-0001/refunds", `{"reason":"SERVICE_IMPOSSIBLE","expected_refundable":60000}`,
		"refund=id",
	},
	{auth.RoleAccountant, "GET /v1/refunds/$refund", "", ""},
	{auth.RoleChiefAccountant, "POST /v1/refunds/$refund/approve", `{"note":"Đồng ý"}`, ""},
	{auth.RoleAccountant, "GET /v1/refunds?limit=2", "", "next=next_cursor"},
	{auth.RoleAccountant, "GET /v1/refunds?cursor=$next", "", ""},
	{auth.RoleAccountant, "GET /v1/refunds?dossier=H41.12-240502-0001", "", ""},
	{auth.RoleAccountant, "GET /v1/refunds?status=requested&limit=1", "", "refund=items.0.id"},
	{auth.RoleAccountant, "GET /v1/refunds?status=returned", "", ""},
	{auth.RoleChiefAccountant, "POST /v1/refunds/$refund/reject", `{"reason":"Không đủ căn cứ"}`, ""},
	{auth.RoleAccountant, "GET /v1/refunds?status=reserved&limit=2", "", "refund=items.1.id"},
	{auth.RoleAccountant, "POST /v1/refunds/$refund/confirm", `{"number":"UNC-1","date":"2024-05-02","account":"vcb-h41"}`, ""},
	{auth.RoleAccountant, "POST /v1/refunds/$refund/return", `{"number":"UNC-2","date":"2024-05-02","account":"vcb-h41"}`, ""},
}

var remittanceCalls = []call{
	{auth.RoleAccountant, "POST /v1/splits", `{"period_to":"2024-04-28"}`, "split=id"},
	{auth.RoleAccountant, "GET /v1/splits?limit=2", "", "next=next_cursor"},
	{auth.RoleAccountant, "GET /v1/splits?cursor=$next", "", ""},
	{auth.RoleAccountant, "GET /v1/splits/$split", "", ""},
	{
		auth.RoleAccountant, "POST /v1/splits/$split/vouchers",
		`{"kind":"budget_le_phi","account":"vcb-h41","number":"GNT-1","document_date":"2024-05-02","treasury":"KBNN"}`, "voucher=id",
	},
	{auth.RoleChiefAccountant, "POST /v1/vouchers/$voucher/reject", `{"reason":"Sai số"}`, ""},
	{
		auth.RoleAccountant, "POST /v1/splits/$split/vouchers",
		`{"kind":"budget_le_phi","account":"vcb-h41","number":"GNT-2","document_date":"2024-05-02","treasury":"KBNN"}`, "voucher=id",
	},
	{auth.RoleChiefAccountant, "POST /v1/vouchers/$voucher/approve", "", ""},
}

// plansPolicy lowers a fee in 2026; it replaces the policy before it.
const plansPolicy = `{"id":"NA-2026-50","authority":{"code":"H41","name":"HĐND tỉnh Nghệ An","level":"province"},"territory":["H41"],
	"legal_basis":{"number":"5/NQ-HĐND"},"scope":{"mode":"fee_type_list","fee_types":["LP_GPXD"]},
	"condition":{"submission_channel":["online"]},
	"effect":{"kind":"share_of_base","numerator":1,"denominator":2},"valid_from":"2026-01-01","replaces":["NA-2025-00"],
	"cases":[{"submitted_on":"2026-02-01","channel":"online","fee_type":"LP_GPXD","base":80000,"expected_due":40000}]}`

var feeCalls = []call{
	{
		auth.RoleAdmin, "POST /v1/fee-types",
		`{"code":"LP_GPXD","name":"Lệ phí cấp giấy phép xây dựng","kind":"le_phi","rates":[{"valid_from":"2023-01-01","base":75000}]}`, "",
	},
	{auth.RolePortal, "GET /v1/fee-types?limit=2", "", "next=next_cursor"},
	{auth.RolePortal, "GET /v1/fee-types?cursor=$next", "", ""},
	{auth.RolePolicyEditor, "POST /v1/policies", plansPolicy, ""},
	{auth.RolePolicyEditor, "POST /v1/policies/NA-2026-50/submit", `{"note":"trình duyệt"}`, ""},
	{auth.RolePolicyApprover, "POST /v1/policies/NA-2026-50/reject", `{"reason":"chưa có nghị quyết"}`, ""},
	{auth.RolePolicyEditor, "POST /v1/policies", strings.Replace(plansPolicy, "2026-01-01", "2026-01-02", 1), ""},
	{auth.RolePolicyEditor, "POST /v1/policies/NA-2026-50/submit", "", ""},
	{auth.RolePolicyApprover, "POST /v1/policies/NA-2026-50/approve", "", ""},
	{
		auth.RolePolicyApprover, "POST /v1/policies/NA-2026-50/repeal",
		`{"valid_to":"2026-06-30","legal_basis":"9/NQ-HĐND","reason":"thay đổi"}`, "",
	},
	{auth.RolePortal, "GET /v1/policies?authority=H41&limit=2", "", "next=next_cursor"},
	{auth.RolePortal, "GET /v1/policies?cursor=$next", "", ""},
	{auth.RolePortal, "GET /v1/policies/NA-2023-60", "", ""},
	{auth.RolePolicyEditor, "POST /v1/policies/NA-2023-60/preview", plansPeriod, ""},
	{auth.RolePolicyEditor, "POST /v1/policies/NA-2023-60/preview?progress=true", plansPeriod, ""},
}

const plansPeriod = `{"period":{"from":"2024-04-20","to":"2024-04-21"}}`

var reportCalls = []call{
	{auth.RoleAuditor, "GET /v1/reports/payment-rate?from=2024-04-20&to=2024-04-21&decimals=1&rounding=half_up&format=csv", "", ""},
	{auth.RoleAuditor, "GET /v1/reports/payment-rate?dossiers=6335726&paid=2731389&zero=0", "", ""},
	{auth.RoleAuditor, "GET /v1/reports/policy-cost?from=2024-04-20&to=2024-04-21&format=csv", "", ""},
	{auth.RoleAccountant, "POST /v1/repricings", plansRepricing("sai"), "repricing=id"},
	{auth.RoleChiefAccountant, "POST /v1/repricings/$repricing/approve", "", ""},
	{auth.RoleAccountant, "GET /v1/repricings/$repricing", "", ""},
	{auth.RoleAccountant, "POST /v1/repricings", plansRepricing("sai lần nữa"), "repricing=id"},
	{auth.RoleChiefAccountant, "POST /v1/repricings/$repricing/reject", `{"reason":"không"}`, ""},
}

func plansRepricing(reason string) string {
	return `{"policy":"NA-2023-60","period":{"from":"2024-04-20","to":"2024-04-21"},"reason":"` + reason + `"}`
}

// plansUpload is a settlement file with the payment of the day and with an unknown transaction.
const plansUpload = "--x\r\nContent-Disposition: form-data; name=\"source\"\r\n\r\nvnpay-h41\r\n" +
	"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"02-05.csv\"\r\n\r\n" +
	"Mã website (terminal),Mã tham chiếu,Mã giao dịch VNPAY,Loại,Số tiền,Phí,VAT phí,Thực nhận,Trạng thái,Thời gian,Mã đợt\n" +
	"DVCTEST1,$reference,14271027,PAYMENT,60000,600,60,59340,SETTLED,02/05/2024 10:00:00,B1\n" +
	"DVCTEST1,DSKHONGCO123,99999999,PAYMENT,5000,50,5,4945,SETTLED,02/05/2024 10:05:00,B1\n\r\n--x--"

// plansTransfers is bankDay, to be uploaded as the statement of one account.
const plansTransfers = "--x\r\nContent-Disposition: form-data; name=\"source\"\r\n\r\nvietin-h41\r\n" +
	"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"02-05.xml\"\r\n\r\n" + bankDay + "\r\n--x--"

// identifyCalls take two transfers out of suspense that name no payment: one is approved, one is not.
var identifyCalls = []call{
	{auth.RoleAdmin, "POST /v1/sources", `{"code":"vietin-h41","kind":"bank","account":"116002680669"}`, ""},
	{auth.RoleAccountant, "POST /v1/statements", plansTransfers, "statement=id"},
	{auth.RoleAccountant, "POST /v1/runs", `{"source":"vietin-h41","business_date":"2024-05-02"}`, ""},
	{auth.RoleAuditor, "GET /v1/statements/$statement/lines", "", "line=items.0.id other=items.1.id"},
	{auth.RoleAccountant, "POST /v1/statements/$statement/lines/$line/identify", plansIdentify(75000), "identification=id"},
	{auth.RoleChiefAccountant, "POST /v1/identifications/$identification/approve", `{"note":"đúng"}`, ""},
	{auth.RoleAccountant, "POST /v1/statements/$statement/lines/$other/identify", plansIdentify(90000), "identification=id"},
	{auth.RoleAuditor, "GET /v1/identifications?status=proposed", "", ""},
	{auth.RoleChiefAccountant, "POST /v1/identifications/$identification/reject", `{"reason":"của người khác"}`, ""},
	{auth.RoleAuditor, "GET /v1/identifications?limit=2", "", "next=next_cursor"},
	{auth.RoleAuditor, "GET /v1/identifications?cursor=$next", "", ""},
	{auth.RoleAuditor, "GET /v1/identifications?status=approved&limit=2", "", "next=next_cursor"},
	{auth.RoleAuditor, "GET /v1/identifications?status=approved&cursor=$next", "", ""},
	{auth.RoleAuditor, "GET /v1/identifications?status=rejected", "", ""},
}

func plansIdentify(amount int) string {
	return fmt.Sprintf(`{"dossier":"H41.12-240502-0002","amount":%d,"currency":"VND","reason":"phiếu chuyển tiền"}`, amount)
}

var reconcileCalls = []call{
	{auth.RoleAuditor, "GET /v1/sources?limit=1", "", "next=next_cursor"},
	{auth.RoleAuditor, "GET /v1/sources?cursor=$next", "", ""},
	{auth.RoleAccountant, "POST /v1/statements", plansUpload, "statement=id"},
	{auth.RoleAuditor, "GET /v1/statements?limit=2", "", "next=next_cursor"},
	{auth.RoleAuditor, "GET /v1/statements?cursor=$next", "", ""},
	{auth.RoleAuditor, "GET /v1/statements?source=vnpay-h41&limit=2", "", "next=next_cursor statement=items.1.id"},
	{auth.RoleAuditor, "GET /v1/statements?source=vnpay-h41&cursor=$next", "", ""},
	{auth.RoleAuditor, "GET /v1/statements?source=vcb-h41", "", ""},
	{auth.RoleAuditor, "GET /v1/statements/$statement", "", ""},
	{auth.RoleAuditor, "GET /v1/statements/$statement/lines?limit=2", "", "next=next_cursor"},
	{auth.RoleAuditor, "GET /v1/statements/$statement/lines?cursor=$next", "", ""},
	{auth.RoleAccountant, "POST /v1/runs", `{"source":"vnpay-h41","business_date":"2024-04-29"}`, "run=id"},
	{auth.RoleAccountant, "POST /v1/runs", `{"source":"vcb-h41","business_date":"2024-04-29"}`, "bank=id"},
	{auth.RoleAuditor, "GET /v1/runs/$run", "", ""},
	{auth.RoleAuditor, "GET /v1/runs?limit=2", "", "next=next_cursor"},
	{auth.RoleAuditor, "GET /v1/runs?cursor=$next", "", ""},
	{auth.RoleAuditor, "GET /v1/runs?source=vnpay-h41", "", ""},
	{auth.RoleAuditor, "GET /v1/runs?source=vcb-h41", "", ""},
	{auth.RoleAuditor, "GET /v1/breaks?limit=2", "", "next=next_cursor"},
	{auth.RoleAuditor, "GET /v1/breaks?cursor=$next", "", ""},
	{auth.RoleAuditor, "GET /v1/breaks?run=$run", "", ""},
	{auth.RoleAuditor, "GET /v1/breaks?source=vnpay-h41&status=resolved&limit=2", "", "next=next_cursor"},
	{auth.RoleAuditor, "GET /v1/breaks?source=vnpay-h41&status=resolved&cursor=$next", "", ""},
	{auth.RoleAuditor, "GET /v1/breaks?source=vcb-h41", "", ""},
	{auth.RoleAuditor, "GET /v1/breaks?status=open", "", ""},
	{auth.RoleAuditor, "GET /v1/breaks?status=carried", "", ""},
	{auth.RoleAuditor, "GET /v1/breaks?kind=duplicate", "", ""},
	{auth.RoleAuditor, "GET /v1/breaks?kind=missing_in_book&status=open", "", ""},
	{auth.RoleAuditor, "GET /v1/matches?limit=2", "", "next=next_cursor"},
	{auth.RoleAuditor, "GET /v1/matches?cursor=$next", "", ""},
	{auth.RoleAuditor, "GET /v1/matches?payment=$payment", "", ""},
	{auth.RoleAuditor, "GET /v1/matches?run=$run", "", "match=items.0.id"},
	{auth.RoleAccountant, "POST /v1/matches/$match/revoke", `{"reason":"sai"}`, ""},
	{auth.RoleAccountant, "POST /v1/runs", `{"source":"vnpay-h41","business_date":"2024-04-29"}`, "run=id"},
	{auth.RoleChiefAccountant, "POST /v1/runs/$run/close", "", ""},
}

// balanceCalls read balances and pages of accounts, before and after the entries of the day are rolled up.
var balanceCalls = []call{
	{auth.RoleAuditor, "GET /v1/ledger/accounts?limit=2", "", "next=next_cursor"},
	{auth.RoleAuditor, "GET /v1/ledger/accounts?cursor=$next", "", ""},
	{auth.RoleAuditor, "GET /v1/ledger/accounts?as_of=2024-03-31", "", ""},
	{auth.RoleAuditor, "GET /v1/ledger/accounts?code=A-CLR-vnpay", "", ""},
	{auth.RoleAuditor, "GET /v1/ledger/accounts?dossier=H41.12-240502-0001", "", ""},
	{auth.RoleAuditor, "GET /v1/ledger/accounts?fee_type=LP_DKKD", "", ""},
	{auth.RoleAuditor, "GET /v1/ledger/accounts?policy=NA-2023-60&as_of=2024-03-31", "", ""},
	{auth.RoleAuditor, "GET /v1/ledger/accounts?policy=NA-2023-60&fee_type=LP_DKKD&code=L-TAMTHU-LEPHI", "", ""},
	{auth.RoleAuditor, "GET /v1/ledger/accounts/A-CLR-vnpay/postings?limit=2", "", "next=next_cursor entry=items.0.entry"},
	{auth.RoleAuditor, "GET /v1/ledger/accounts/A-CLR-vnpay/postings?cursor=$next", "", ""},
	{auth.RoleAuditor, "GET /v1/ledger/accounts/A-CLR-vnpay/postings?from=2024-04-01&to=2024-04-03", "", "next=next_cursor"},
	{auth.RoleAuditor, "GET /v1/ledger/accounts/A-CLR-vnpay/postings?from=2024-04-01&to=2024-04-03&cursor=$next", "", ""},
	{auth.RoleAuditor, "GET /v1/ledger/accounts/A-CLR-vnpay/postings?from=2024-05-02", "", "own=items.0.entry"},
	{auth.RoleAuditor, "GET /v1/ledger/trial-balance", "", ""},
	{auth.RoleAuditor, "GET /v1/ledger/trial-balance?authority=H41&as_of=2024-03-31", "", ""},
}

// bookCalls read single entries and change days.
var bookCalls = []call{
	{auth.RoleAuditor, "GET /v1/ledger/entries/$entry", "", ""},
	{auth.RoleAccountant, "POST /v1/ledger/days/2024-04-20/proposals", `{"change":"close","reason":"Đã đối chiếu xong"}`, "proposal=id"},
	{auth.RoleChiefAccountant, "POST /v1/ledger/days/2024-04-20/proposals/$proposal/approve", `{"note":"Đồng ý"}`, ""},
	{auth.RoleAccountant, "POST /v1/ledger/days/2024-04-20/proposals", `{"change":"reopen","reason":"Sao kê đến muộn"}`, "proposal=id"},
	{auth.RoleChiefAccountant, "POST /v1/ledger/days/2024-04-20/proposals/$proposal/reject", `{"note":"Không"}`, ""},
	{auth.RoleAuditor, "GET /v1/ledger/days/2024-04-20", "", ""},
}

// lastCalls ask for proofs of the entries that the last step seals.
var lastCalls = []call{
	{auth.RoleAuditor, "GET /v1/ledger/entries/$own/proof", "", ""},
	{auth.RoleAuditor, "GET /v1/proofs/2024-05-02", "", ""},
}
