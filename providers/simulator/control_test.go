package simulator_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/providers/simulator"
)

// Codes of the account under test: 50,000 dong, and none for the payer to type.
const qr50k = "00020101021238560010A0000007270126000697041501121160026806690208QRIBFTTA53037045405500005802VN62170813DVC26112100016304F0D9"

func reply(sender, reference, body string, accepted bool) object {
	return object{"sender": sender, "reference": reference, "status": json.Number("200"), "body": body, "accepted": accepted}
}

func TestPayVNPAY(t *testing.T) {
	t.Parallel()
	f := start(t, simulator.Options{})
	stored := `{"RspCode":"00","Message":"-"}`
	got := f.pay(t, "DS0000000001", 50_000, object{"callback": "twice"})
	want := object{
		"transaction_no": "14271027", "reference": "DS0000000001", "amount": json.Number("50000"),
		"callback": object{"sent": json.Number("2"), "replies": []any{
			reply("vnpay", "DS0000000001", stored, true), reply("vnpay", "DS0000000001", stored, true),
		}},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("answer (-got +want):\n%s", diff)
	}
	f.pay(t, "DS0000000002", 50_000, object{"callback": "lose"})
	f.pay(t, "DS0000000003", 50_000, object{"callback": "late"})
	f.pay(t, "DS0000000004", 50_000, object{"callback": "late", "delay": "10s"})
	f.pay(t, "DS0000000005", 50_000, object{"outcome": "cancelled"})
	f.pay(t, "DS0000000006", 50_000, object{"amount": 40_000})
	if ipns, _ := f.received(); ipns != 4 {
		t.Errorf("IPNs: got %d, want 4", ipns)
	}
	answer := f.must(t, "/control/clock", object{"advance": "5s"})
	if got := fmt.Sprint(answer["delivered"]); got != "1" {
		t.Errorf("delivered after 5 s: got %s, want 1", got)
	}
	answer = f.must(t, "/control/clock", object{"advance": "5s"})
	if got := fmt.Sprint(answer["delivered"]); got != "1" {
		t.Errorf("delivered after 10 s: got %s, want 1", got)
	}
	f.pay(t, "DS0000000005", 50_000, object{"force": true}) // late truth
	f.must(t, "/control/clock", object{"advance": "1h"})
	f.pay(t, "DS0000000007", 50_000, object{"force": true})

	address := f.payURL("DS0000000001", 50_000, nil)
	late := f.payURL("DS0000000008", 50_000, nil)
	for _, test := range []struct {
		name string
		body any
		code int
		word string
	}{
		{"paid", object{"url": address, "outcome": "paid", "force": true}, 409, "paid"},
		{"expired", object{"url": late, "outcome": "paid"}, 409, "expired"},
		{"other order", object{"url": f.payURL("DS0000000002", 60_000, map[string]string{"vnp_OrderInfo": "x"}), "outcome": "paid", "force": true}, 409, "vnpay.01"},
		{"bad signature", object{"url": address + "0", "outcome": "paid"}, 422, "vnpay.70"},
		{"unknown field", object{"url": address, "outcome": "paid", "ammount": 1}, 400, "json"},
		{"two values", `{}{}`, 400, "json"},
		{"both", object{"url": address, "qr": qr50k, "outcome": "paid"}, 400, "target"},
		{"outcome", object{"url": address, "outcome": "won"}, 400, "outcome"},
		{"callback", object{"url": address, "outcome": "paid", "callback": "never"}, 400, "callback"},
		{"delay alone", object{"url": address, "outcome": "paid", "delay": "1s"}, 400, "delay"},
		{"amount", object{"url": address, "outcome": "paid", "amount": 0}, 400, "amount"},
		{"no pay page", object{"url": f.address + "/other", "outcome": "paid"}, 400, "url"},
		{"content", object{"url": address, "outcome": "paid", "content": "x"}, 400, "content"},
		{"bad qr", object{"qr": qr50k[:len(qr50k)-1] + "0", "outcome": "paid"}, 422, "qr"},
	} {
		code, answer := f.post(t, "/control/pay", test.body)
		if want := "simulator." + test.word; code != test.code || answer["code"] != want {
			t.Errorf("%s: got %d %v, want %d %s", test.name, code, answer, test.code, want)
		}
	}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	f := start(t, simulator.Options{})
	f.merchantSays("99", false)
	f.pay(t, "DS0000000001", 50_000, nil)
	f.must(t, "/control/pay", object{"qr": qr50k, "outcome": "paid"})
	answer := f.must(t, "/control/clock", object{"advance": "33m"})
	if ipns, notices := f.received(); ipns != 1+6 || notices != 1+7 {
		t.Errorf("after 33 minutes: got %d and %d (%v), want 7 and 8", ipns, notices, answer["delivered"])
	}
	f.must(t, "/control/clock", object{"advance": "24h"})
	if ipns, notices := f.received(); ipns != 1+10 || notices != 1+7 {
		t.Errorf("after a day: got %d and %d, want 11 and 8", ipns, notices)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, body := range f.notices[1:] {
		if body != f.notices[0] {
			t.Errorf("repeat: got %s, want the same bytes as %s", body, f.notices[0])
		}
	}
}

// TestBackgroundRetry: the worker repeats by itself, without the clock's help.
func TestBackgroundRetry(t *testing.T) {
	t.Parallel()
	f := start(t, simulator.Options{
		Now:         func() time.Time { return morning.Add(time.Since(begun)) },
		RetryDelays: map[string][]time.Duration{simulator.VNPAY: {time.Millisecond, time.Millisecond, time.Hour}},
	})
	f.merchantSays("97", true)
	f.pay(t, "DS0000000001", 50_000, nil)
	eventually(t, "third IPN", func() bool { n, _ := f.received(); return n == 3 })
}

var begun = time.Now()

func TestCallbackFaults(t *testing.T) {
	t.Parallel()
	f := start(t, simulator.Options{})
	set := func(provider, word string) {
		f.must(t, "/control/faults", object{"provider": provider, "callback": word})
	}
	set("vnpay", "bad_signature")
	set("vietqr", "bad_signature")
	f.pay(t, "DS0000000001", 50_000, nil)
	answer := f.must(t, "/control/pay", object{"qr": qr50k, "outcome": "paid"})
	f.mu.Lock()
	values := map[string]string{}
	for name := range f.ipns[0] {
		values[name] = f.ipns[0].Get(name)
	}
	f.mu.Unlock()
	if values["vnp_SecureHash"] == simulator.QueryHash(secret, values) {
		t.Error("IPN: the signature is right")
	}
	if _, notices := f.received(); notices != 0 {
		t.Errorf("notice was believed: %v", answer)
	}
	set("vietqr", "lose")
	if sent := f.must(t, "/control/pay", object{"qr": qr50k, "outcome": "paid"})["callback"].(object)["sent"]; sent != json.Number("0") {
		t.Errorf("lose: got %v sent, want 0", sent)
	}
	if sent := f.must(t, "/control/pay", object{"qr": qr50k, "outcome": "paid", "callback": "deliver"})["callback"].(object)["sent"]; sent != json.Number("1") {
		t.Errorf("a script overrides a fault: got %v sent, want 1", sent)
	}
	for _, body := range []any{
		object{"provider": "momo"},
		object{"provider": "sepay", "refund": "refused"},
		object{"provider": "vnpay", "refund": "x"},
		object{"provider": "vnpay", "inquiry": "x"},
		object{"provider": "vnpay", "callback": "x"},
		object{"provider": "vnpay", "x": "x"},
	} {
		if code, answer := f.post(t, "/control/faults", body); code != 400 {
			t.Errorf("%v: got %d %v, want 400", body, code, answer)
		}
	}
	for _, advance := range []string{"", "-1h", "9000h", "a day"} {
		if code, answer := f.post(t, "/control/clock", object{"advance": advance}); code != 400 {
			t.Errorf("advance %q: got %d %v, want 400", advance, code, answer)
		}
	}
}

func TestTransfer(t *testing.T) {
	t.Parallel()
	f := start(t, simulator.Options{})
	got := f.must(t, "/control/pay", object{"qr": qr50k, "outcome": "paid"})
	want := object{
		"transaction_no": "92701", "reference": "FT26325000000001", "amount": json.Number("50000"),
		"content": "CT nhanh 247 den: DVC2611210001 (CT1111)",
		"callback": object{"sent": json.Number("1"), "replies": []any{
			reply("sepay", "FT26325000000001", `{"success":true}`, true),
		}},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("answer (-got +want):\n%s", diff)
	}
	again := f.must(t, "/control/pay", object{"qr": qr50k, "outcome": "paid", "amount": 70_000, "content": "nộp phí ds0123456789"})
	if again["reference"] != "FT26325000000002" {
		t.Errorf("paid twice: got %v, want a second credit", again)
	}
	none := f.must(t, "/control/pay", object{"qr": qr50k, "outcome": "failed"})
	if none["reference"] != "" {
		t.Errorf("failed transfer: got %v, want no credit", none)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.notices) != 2 {
		t.Fatalf("notices: got %d, want 2", len(f.notices))
	}
	var notice object
	if err := json.Unmarshal([]byte(f.notices[1]), &notice); err != nil {
		t.Fatal(err)
	}
	wantNotice := object{
		"id": 92702.0, "gateway": "VietinBank", "transactionDate": "2026-11-21 08:30:00", "accountNumber": account,
		"code": "DS0123456789", "content": "Chuyen tien den tu NAPAS Noi dung: nop phi ds0123456789 (CT1111)",
		"transferType": "in", "transferAmount": 70000.0, "accumulated": 120000.0, "subAccount": nil,
		"referenceCode": "FT26325000000002",
		"description":   "BankAPINotify Chuyen tien den tu NAPAS Noi dung: nop phi ds0123456789 (CT1111)",
	}
	if diff := cmp.Diff(notice, wantNotice); diff != "" {
		t.Errorf("notice (-got +want):\n%s", diff)
	}
}

func TestSettlement(t *testing.T) {
	t.Parallel()
	f := start(t, simulator.Options{})
	f.pay(t, "DS0000000001", 50_000, nil)
	f.pay(t, "DS0000000002", 15_100, nil) // fee 75.5 rounds up to 76, VAT 7.6 to 8
	f.pay(t, "DS0000000003", 99_000, object{"outcome": "failed"})
	f.api(t, refund("r1", "DS0000000001", "03", 20_000))
	f.must(t, "/control/clock", object{"advance": "1m"})
	read := func(day string) string {
		code, text := f.get(t, "/control/statement?source=vnpay&format=csv&merchant="+terminal+"&date="+day)
		if code != 200 {
			t.Fatalf("statement: got %d %s", code, text)
		}
		return text
	}
	want := "\uFEFFMã website (terminal),Mã tham chiếu,Mã giao dịch VNPAY,Mã giao dịch ngân hàng,Loại,Mã giao dịch gốc," +
		"Số tiền,Phí,VAT phí,Thực nhận,Trạng thái,Thời gian,Mã đợt\n" +
		"DVCTEST1,DS0000000001,14271027,VNP14271027,PAYMENT,,50000,250,25,49725,SETTLED,21/11/2026 08:30:00,VNP20261121-01\n" +
		"DVCTEST1,DS0000000002,14271028,VNP14271028,PAYMENT,,15100,76,8,15016,SETTLED,21/11/2026 08:30:00,VNP20261121-01\n" +
		"DVCTEST1,DS0000000001,14271030,VNP14271030,REFUND,14271027,20000,0,0,-20000,SETTLED,21/11/2026 08:30:02,VNP20261121-01\n"
	if diff := cmp.Diff(read("2026-11-21"), want); diff != "" {
		t.Errorf("file (-got +want):\n%s", diff)
	}

	// The bank's statement closes the batch; the next row opens another.
	f.must(t, "/control/pay", object{"qr": qr50k, "outcome": "paid"})
	first := f.bank(t, "2026-11-21")
	wantBank := camt{
		Account: account, Balances: []string{"OPBD 0", "CLBD 94741"}, Entries: []camtEntry{
			{"50000", "CRDT", "BOOK", "FT26325000000001", []string{"CT nhanh 247 den: DVC2611210001 (CT1111)"}},
			{"44741", "CRDT", "BOOK", "FT26325000000002", []string{"VNPAY THANH TOAN DOT VNP20261121-01 TMN DVCTEST1"}},
		},
	}
	if diff := cmp.Diff(first, wantBank); diff != "" {
		t.Errorf("bank (-got +want):\n%s", diff)
	}
	_, once := f.get(t, "/control/statement?source=bank&format=camt053&date=2026-11-21")
	_, twice := f.get(t, "/control/statement?source=bank&format=camt053&account="+account+"&date=2026-11-21")
	if once != twice {
		t.Error("the same statement asked twice differs")
	}

	f.api(t, refund("r2", "DS0000000002", "02", 15_100))
	f.must(t, "/control/clock", object{"advance": "1m"})
	want += "DVCTEST1,DS0000000002,14271031,VNP14271031,REFUND,14271028,15100,0,0,-15100,SETTLED,21/11/2026 08:31:02,VNP20261121-02\n"
	if diff := cmp.Diff(read("2026-11-21"), want); diff != "" {
		t.Errorf("file after payout (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(f.bank(t, "2026-11-21"), wantBank); diff != "" {
		t.Errorf("a batch below zero was paid out (-got +want):\n%s", diff)
	}
	f.pay(t, "DS0000000004", 100_000, object{"force": true}) // into the same batch
	f.must(t, "/control/clock", object{"advance": "24h"})

	// The next day: the batch is booked on its own day, the balance chains.
	f.must(t, "/control/pay", object{"qr": qr50k, "outcome": "paid", "callback": "lose"})
	next := f.bank(t, "2026-11-22")
	if diff := cmp.Diff(next.Balances, []string{"OPBD 179091", "CLBD 229091"}); diff != "" {
		t.Errorf("next day (-got +want):\n%s", diff)
	}
	wantBank.Balances[1] = "CLBD 179091"
	wantBank.Entries = append(wantBank.Entries,
		camtEntry{"84350", "CRDT", "BOOK", "FT26325000000004", []string{"VNPAY THANH TOAN DOT VNP20261121-02 TMN DVCTEST1"}})
	if diff := cmp.Diff(f.bank(t, "2026-11-21"), wantBank); diff != "" {
		t.Errorf("day before (-got +want):\n%s", diff)
	}
	for _, bad := range []string{
		"source=vnpay&date=2026-11-23", "source=vnpay&date=21/11/2026", "source=cash&date=2026-11-21",
		"source=bank&format=mt940&date=2026-11-21", "source=bank&account=1&date=2026-11-21",
		"source=vnpay&terminal=x&date=2026-11-21", "source=vnpay&date=2026-11-21&date=2026-11-21",
	} {
		if code, text := f.get(t, "/control/statement?"+bad); code < 400 || !strings.Contains(text, `"code":"simulator.`) {
			t.Errorf("%s: got %d %s, want a refusal", bad, code, text)
		}
	}
}

func TestPayoutAccount(t *testing.T) {
	t.Parallel()
	f := start(t, simulator.Options{Fee: &simulator.Fee{}})
	f.RegisterBank("0123499999", "970436", "", "", "")
	f.SetPayoutAccount(terminal, "0123499999")
	f.pay(t, "DS0000000001", 50_000, nil)
	code, first := f.get(t, "/control/statement?source=bank&account="+account+"&date=2026-11-21")
	if code != 200 || strings.Contains(first, "VNPAY") {
		t.Errorf("first account: got %d %s, want no payout", code, first)
	}
	code, second := f.get(t, "/control/statement?source=bank&account=0123499999&date=2026-11-21")
	if code != 200 || !strings.Contains(second, "<Amt Ccy=\"VND\">50000</Amt>") {
		t.Errorf("payout account: got %d %s, want 50000 without a fee", code, second)
	}
}

type camtEntry struct {
	Amount    string   `xml:"Amt"`
	Sign      string   `xml:"CdtDbtInd"`
	Status    string   `xml:"Sts>Cd"`
	Reference string   `xml:"AcctSvcrRef"`
	Content   []string `xml:"NtryDtls>TxDtls>RmtInf>Ustrd"`
}

type camt struct {
	Account  string
	Balances []string
	Entries  []camtEntry
}

// bank reads a bank statement with a reader of the test's own.
func (f *far) bank(t *testing.T, day string) camt {
	t.Helper()
	code, text := f.get(t, "/control/statement?source=bank&account="+account+"&date="+day)
	if code != http.StatusOK {
		t.Fatalf("bank statement: got %d %s", code, text)
	}
	var document struct {
		XMLName  xml.Name    `xml:"urn:iso:std:iso:20022:tech:xsd:camt.053.001.08 Document"`
		Account  string      `xml:"BkToCstmrStmt>Stmt>Acct>Id>Othr>Id"`
		Entries  []camtEntry `xml:"BkToCstmrStmt>Stmt>Ntry"`
		Balances []struct {
			Code   string `xml:"Tp>CdOrPrtry>Cd"`
			Amount string `xml:"Amt"`
		} `xml:"BkToCstmrStmt>Stmt>Bal"`
	}
	if err := xml.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	got := camt{Account: document.Account, Entries: document.Entries}
	for _, b := range document.Balances {
		got.Balances = append(got.Balances, b.Code+" "+b.Amount)
	}
	return got
}
