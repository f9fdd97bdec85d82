package vnpay_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/providers/simulator/farsides"
	"github.com/doisoat/doisoat/providers/simulator/simtest"
	"github.com/doisoat/doisoat/providers/simulator/vnpay"
)

func reply(sender, reference, body string, accepted bool) simtest.Object {
	return simtest.Object{"sender": sender, "reference": reference, "status": json.Number("200"), "body": body, "accepted": accepted}
}

func TestPayVNPAY(t *testing.T) {
	t.Parallel()
	f := simtest.Start(t, farsides.Options{})
	stored := `{"RspCode":"00","Message":"-"}`
	got := f.Pay(t, "DS0000000001", 50_000, simtest.Object{"callback": "twice"})
	want := simtest.Object{
		"transaction_no": "14271027", "reference": "DS0000000001", "amount": json.Number("50000"),
		"callback": simtest.Object{"sent": json.Number("2"), "replies": []any{
			reply("vnpay", "DS0000000001", stored, true), reply("vnpay", "DS0000000001", stored, true),
		}},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("answer (-got +want):\n%s", diff)
	}
	f.Pay(t, "DS0000000002", 50_000, simtest.Object{"callback": "lose"})
	f.Pay(t, "DS0000000003", 50_000, simtest.Object{"callback": "late"})
	f.Pay(t, "DS0000000004", 50_000, simtest.Object{"callback": "late", "delay": "10s"})
	f.Pay(t, "DS0000000005", 50_000, simtest.Object{"outcome": "cancelled"})
	f.Pay(t, "DS0000000006", 50_000, simtest.Object{"amount": 40_000})
	if ipns, _ := f.Received(); ipns != 4 {
		t.Errorf("IPNs: got %d, want 4", ipns)
	}
	answer := f.Must(t, "/control/clock", simtest.Object{"advance": "5s"})
	if got := fmt.Sprint(answer["delivered"]); got != "1" {
		t.Errorf("delivered after 5 s: got %s, want 1", got)
	}
	answer = f.Must(t, "/control/clock", simtest.Object{"advance": "5s"})
	if got := fmt.Sprint(answer["delivered"]); got != "1" {
		t.Errorf("delivered after 10 s: got %s, want 1", got)
	}
	f.Pay(t, "DS0000000005", 50_000, simtest.Object{"force": true}) // late truth
	f.Must(t, "/control/clock", simtest.Object{"advance": "1h"})
	f.Pay(t, "DS0000000007", 50_000, simtest.Object{"force": true})

	address := f.PayURL("DS0000000001", 50_000, nil)
	other := f.PayURL("DS0000000002", 60_000, map[string]string{"vnp_OrderInfo": "x"})
	late := f.PayURL("DS0000000008", 50_000, nil)
	for _, test := range []struct {
		name string
		body any
		code int
		word string
	}{
		{"paid", simtest.Object{"url": address, "outcome": "paid", "force": true}, 409, "paid"},
		{"expired", simtest.Object{"url": late, "outcome": "paid"}, 409, "expired"},
		{"other order", simtest.Object{"url": other, "outcome": "paid", "force": true}, 409, "vnpay.01"},
		{"bad signature", simtest.Object{"url": address + "0", "outcome": "paid"}, 422, "vnpay.70"},
		{"unknown field", simtest.Object{"url": address, "outcome": "paid", "ammount": 1}, 400, "json"},
		{"two values", `{}{}`, 400, "json"},
		{"both", simtest.Object{"url": address, "qr": simtest.QR50k, "outcome": "paid"}, 400, "target"},
		{"outcome", simtest.Object{"url": address, "outcome": "won"}, 400, "outcome"},
		{"callback", simtest.Object{"url": address, "outcome": "paid", "callback": "never"}, 400, "callback"},
		{"delay alone", simtest.Object{"url": address, "outcome": "paid", "delay": "1s"}, 400, "delay"},
		{"amount", simtest.Object{"url": address, "outcome": "paid", "amount": 0}, 400, "amount"},
		{"no pay page", simtest.Object{"url": f.Address + "/other", "outcome": "paid"}, 400, "url"},
		{"content", simtest.Object{"url": address, "outcome": "paid", "content": "x"}, 400, "content"},
		{"bad qr", simtest.Object{"qr": simtest.QR50k[:len(simtest.QR50k)-1] + "0", "outcome": "paid"}, 422, "qr"},
	} {
		code, answer := f.Post(t, "/control/pay", test.body)
		if want := "simulator." + test.word; code != test.code || answer["code"] != want {
			t.Errorf("%s: got %d %v, want %d %s", test.name, code, answer, test.code, want)
		}
	}
}

func TestSettlement(t *testing.T) {
	t.Parallel()
	f := simtest.Start(t, farsides.Options{})
	f.Pay(t, "DS0000000001", 50_000, nil)
	f.Pay(t, "DS0000000002", 15_100, nil) // fee 75.5 rounds up to 76, VAT 7.6 to 8
	f.Pay(t, "DS0000000003", 99_000, simtest.Object{"outcome": "failed"})
	f.API(t, simtest.Refund("r1", "DS0000000001", "03", 20_000))
	f.Must(t, "/control/clock", simtest.Object{"advance": "1m"})
	read := func(day string) string {
		code, text := f.Get(t, "/control/statement?source=vnpay&format=csv&merchant="+simtest.Terminal+"&date="+day)
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

	// The bank's statement closes the batch. The next row opens a new batch.
	f.Must(t, "/control/pay", simtest.Object{"qr": simtest.QR50k, "outcome": "paid"})
	first := bankStatement(t, f, "2026-11-21")
	wantBank := camt{
		Account: simtest.Account, Balances: []string{"OPBD 0", "CLBD 94741"}, Entries: []camtEntry{
			{"50000", "CRDT", "BOOK", "FT26325000000001", []string{"CT nhanh 247 den: DVC2611210001 (CT1111)"}},
			{"44741", "CRDT", "BOOK", "FT26325000000002", []string{"VNPAY THANH TOAN DOT VNP20261121-01 TMN DVCTEST1"}},
		},
	}
	if diff := cmp.Diff(first, wantBank); diff != "" {
		t.Errorf("bank (-got +want):\n%s", diff)
	}
	_, once := f.Get(t, "/control/statement?source=bank&format=camt053&date=2026-11-21")
	_, twice := f.Get(t, "/control/statement?source=bank&format=camt053&account="+simtest.Account+"&date=2026-11-21")
	if once != twice {
		t.Error("the same statement asked twice differs")
	}

	f.API(t, simtest.Refund("r2", "DS0000000002", "02", 15_100))
	f.Must(t, "/control/clock", simtest.Object{"advance": "1m"})
	want += "DVCTEST1,DS0000000002,14271031,VNP14271031,REFUND,14271028,15100,0,0,-15100,SETTLED,21/11/2026 08:31:02,VNP20261121-02\n"
	if diff := cmp.Diff(read("2026-11-21"), want); diff != "" {
		t.Errorf("file after payout (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(bankStatement(t, f, "2026-11-21"), wantBank); diff != "" {
		t.Errorf("a batch below zero was paid out (-got +want):\n%s", diff)
	}
	f.Pay(t, "DS0000000004", 100_000, simtest.Object{"force": true}) // into the same batch
	f.Must(t, "/control/clock", simtest.Object{"advance": "24h"})

	// The next day: the bank books the batch on its own day, and the opening balance is the last closing balance.
	f.Must(t, "/control/pay", simtest.Object{"qr": simtest.QR50k, "outcome": "paid", "callback": "lose"})
	next := bankStatement(t, f, "2026-11-22")
	if diff := cmp.Diff(next.Balances, []string{"OPBD 179091", "CLBD 229091"}); diff != "" {
		t.Errorf("next day (-got +want):\n%s", diff)
	}
	wantBank.Balances[1] = "CLBD 179091"
	wantBank.Entries = append(wantBank.Entries,
		camtEntry{"84350", "CRDT", "BOOK", "FT26325000000004", []string{"VNPAY THANH TOAN DOT VNP20261121-02 TMN DVCTEST1"}})
	if diff := cmp.Diff(bankStatement(t, f, "2026-11-21"), wantBank); diff != "" {
		t.Errorf("day before (-got +want):\n%s", diff)
	}
	for _, bad := range []string{
		"source=vnpay&date=2026-11-23", "source=vnpay&date=21/11/2026", "source=cash&date=2026-11-21",
		"source=bank&format=mt940&date=2026-11-21", "source=bank&account=1&date=2026-11-21",
		"source=vnpay&terminal=x&date=2026-11-21", "source=vnpay&date=2026-11-21&date=2026-11-21",
	} {
		if code, text := f.Get(t, "/control/statement?"+bad); code < 400 || !strings.Contains(text, `"code":"simulator.`) {
			t.Errorf("%s: got %d %s, want a refusal", bad, code, text)
		}
	}
}

func TestPayoutAccount(t *testing.T) {
	t.Parallel()
	f := simtest.Start(t, farsides.Options{Fee: &vnpay.Fee{}})
	f.RegisterBank("0123499999", "970436", "", "", "")
	f.SetPayoutAccount(simtest.Terminal, "0123499999")
	f.Pay(t, "DS0000000001", 50_000, nil)
	code, first := f.Get(t, "/control/statement?source=bank&account="+simtest.Account+"&date=2026-11-21")
	if code != 200 || strings.Contains(first, "VNPAY") {
		t.Errorf("first account: got %d %s, want no payout", code, first)
	}
	code, second := f.Get(t, "/control/statement?source=bank&account=0123499999&date=2026-11-21")
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

// bankStatement reads a bank statement with a reader of this test.
func bankStatement(t *testing.T, f *simtest.Far, day string) camt {
	t.Helper()
	code, text := f.Get(t, "/control/statement?source=bank&account="+simtest.Account+"&date="+day)
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
