package vnpay_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/doisoat/doisoat/providers/simulator/farsides"
	"github.com/doisoat/doisoat/providers/simulator/simtest"
	"github.com/doisoat/doisoat/providers/simulator/vnpay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPayPageRefuses(t *testing.T) {
	t.Parallel()
	f := simtest.Start(t, farsides.Options{})
	good := f.PayURL("DS0000000001", 50_000, nil)
	for _, test := range []struct {
		name, address, code string
	}{
		{"changed amount", strings.Replace(good, "vnp_Amount=5000000", "vnp_Amount=500000", 1), "70"},
		{"no signature", good[:strings.Index(good, "&vnp_SecureHash")], "70"},
		{"upper-case signature", good[:len(good)-128] + strings.ToUpper(good[len(good)-128:]), "70"},
		{"parameter twice", good + "&vnp_Amount=1", "03"},
		{"unknown terminal", f.PayURL("DS1", 50_000, map[string]string{"vnp_TmnCode": "NOBODY01"}), "72"},
		{"no expiry", f.PayURL("DS1", 50_000, map[string]string{"vnp_ExpireDate": ""}), "03"},
		{"amount with hundredths", f.PayURL("DS1", 50_000, map[string]string{"vnp_Amount": "5000001"}), "03"},
		{"amount zero", f.PayURL("DS1", 0, nil), "03"},
		{"version 2.0", f.PayURL("DS1", 50_000, map[string]string{"vnp_Version": "2.0.0"}), "03"},
		{"return address", f.PayURL("DS1", 50_000, map[string]string{"vnp_ReturnUrl": "javascript:alert(1)"}), "03"},
		{"impossible date", f.PayURL("DS1", 50_000, map[string]string{"vnp_CreateDate": "20261321083000"}), "03"},
		{"expired", f.PayURL("DS1", 50_000, map[string]string{"vnp_ExpireDate": "20261121082959"}), "15"},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, page := f.Get(t, strings.TrimPrefix(test.address, f.Address))
			if want := "Mã lỗi: <strong>" + test.code; code != http.StatusBadRequest || !strings.Contains(page, want) {
				t.Errorf("got %d %s, want 400 with %q", code, page, want)
			}
		})
	}
}

// TestPayPage clicks through the page as a browser does.
func TestPayPage(t *testing.T) {
	t.Parallel()
	f := simtest.Start(t, farsides.Options{})
	browser := &http.Client{
		Transport:     http.DefaultTransport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for i, test := range []struct{ button, response, status, number string }{
		{"paid", "00", "00", "14271027"}, {"cancelled", "24", "02", "0"}, {"failed", "51", "02", "14271029"},
	} {
		reference := fmt.Sprintf("DS000000000%d", i)
		address := f.PayURL(reference, 1_250_000, nil)
		if code, page := f.Get(t, strings.TrimPrefix(address, f.Address)); code != 200 || !strings.Contains(page, "1.250.000 VND") {
			t.Fatalf("page: got %d %s", code, page)
		}
		if got := simtest.Status(f.API(t, simtest.Query(fmt.Sprint("open", i), reference))); got != "00 01/01" {
			t.Errorf("before: got %q, want 00 01/01", got)
		}
		response, err := browser.PostForm(address, url.Values{"outcome": {test.button}})
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		back, err := url.Parse(response.Header.Get("Location"))
		if err != nil || response.StatusCode != http.StatusSeeOther {
			t.Fatalf("got %d %v, want 303", response.StatusCode, err)
		}
		got := map[string]string{}
		for name := range back.Query() {
			got[name] = back.Query().Get(name)
		}
		want := map[string]string{
			"x": "1", "vnp_TmnCode": simtest.Terminal, "vnp_Amount": "125000000", "vnp_BankCode": "NCB", "vnp_CardType": "ATM",
			"vnp_PayDate": "20261121083000", "vnp_OrderInfo": "Thanh toan le phi " + reference, "vnp_TransactionNo": test.number,
			"vnp_ResponseCode": test.response, "vnp_TransactionStatus": test.status, "vnp_TxnRef": reference,
		}
		if test.button == "paid" {
			want["vnp_BankTranNo"] = "VNP14271027"
		}
		want["vnp_SecureHash"] = vnpay.QueryHash(simtest.Secret, want)
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("return (-got +want):\n%s", diff)
		}
		simtest.Eventually(t, "IPN", func() bool { n, _ := f.Received(); return n == i+1 })
		delete(want, "x")
		if got := f.IPNs()[i].Get("vnp_SecureHash"); got != want["vnp_SecureHash"] {
			t.Errorf("IPN signature: got %s, want that of the return address", got)
		}
		if code, page := f.Get(t, strings.TrimPrefix(address, f.Address)); code != 400 || !strings.Contains(page, "<strong>01") {
			t.Errorf("finished page: got %d %s, want error 01", code, page)
		}
	}
}

func TestInquiry(t *testing.T) {
	t.Parallel()
	f := simtest.Start(t, farsides.Options{})
	f.Pay(t, "DS0000000001", 50_000, nil)
	got := f.API(t, simtest.Query("q1", "DS0000000001"))
	want := map[string]any{
		"vnp_ResponseId": got["vnp_ResponseId"], "vnp_Command": "querydr", "vnp_ResponseCode": "00",
		"vnp_Message": "QueryDR Success", "vnp_TmnCode": simtest.Terminal, "vnp_TxnRef": "DS0000000001", "vnp_Amount": "5000000",
		"vnp_BankCode": "NCB", "vnp_PayDate": "20261121083000", "vnp_OrderInfo": "Thanh toan le phi DS0000000001",
		"vnp_TransactionNo": "14271027", "vnp_TransactionType": "01", "vnp_TransactionStatus": "00",
		"vnp_SecureHash": got["vnp_SecureHash"],
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("answer (-got +want):\n%s", diff)
	}
	if hash := vnpay.ResponseHash(simtest.Secret, got); hash != got["vnp_SecureHash"] {
		t.Errorf("signature: got %v, want %s", got["vnp_SecureHash"], hash)
	}
	change := func(id string, members ...string) map[string]string {
		m := simtest.Query(id, "DS0000000001")
		for i := 0; i < len(members); i += 2 {
			m[members[i]] = members[i+1]
		}
		return m
	}
	for _, test := range []struct {
		name    string
		request map[string]string
		code    string
		signed  bool
	}{
		{"same request id", simtest.Query("q1", "DS0000000001"), "94", true},
		{"unknown terminal", change("q2", "vnp_TmnCode", "NOBODY01"), "02", false},
		{"bad signature", change("q3", "vnp_SecureHash", "00"), "97", true},
		{"no signature", change("q4", "vnp_SecureHash", ""), "97", true},
		{"bad date", change("q5", "vnp_CreateDate", "now"), "03", true},
		{"separator in text", change("q6", "vnp_OrderInfo", "a|b"), "03", true},
		{"unknown command", change("q7", "vnp_Command", "void"), "03", true},
		{"unknown reference", change("q8", "vnp_TxnRef", "DS0000000009"), "91", true},
		{"other create date", change("q9", "vnp_TransactionDate", "20261120083000"), "91", true},
		{"other number", change("q10", "vnp_TransactionNo", "1"), "91", true},
		{"right number", change("q11", "vnp_TransactionNo", "14271027"), "00", true},
	} {
		answer := f.API(t, test.request)
		hash := vnpay.ResponseHash(simtest.Secret, answer)
		if got := answer["vnp_ResponseCode"]; got != test.code || (answer["vnp_SecureHash"] == hash) != test.signed {
			t.Errorf("%s: got %v, want %s signed %t", test.name, answer, test.code, test.signed)
		}
	}
	if answer := f.Must(t, vnpay.APIPath, `[]`); answer["vnp_ResponseCode"] != "03" {
		t.Errorf("no simtest.Object: got %v, want 03", answer)
	}
}

func TestRefunds(t *testing.T) {
	t.Parallel()
	f := simtest.Start(t, farsides.Options{})
	f.Pay(t, "DS0000000001", 50_000, nil)
	f.Pay(t, "DS0000000002", 50_000, nil)
	f.Pay(t, "DS0000000003", 50_000, simtest.Object{"outcome": "failed"})
	ask := func(id, reference, kind string, amount int64) string {
		return simtest.Status(f.API(t, simtest.Refund(id, reference, kind, amount)))
	}
	none := " <nil>/<nil>"
	for _, test := range []struct{ name, got, want string }{
		{"unpaid", ask("r1", "DS0000000003", "02", 50_000), "95" + none},
		{"unknown", ask("r2", "DS0000000009", "02", 50_000), "91" + none},
		{"payment type", ask("r3", "DS0000000001", "01", 50_000), "03" + none},
		{"full of another amount", ask("r4", "DS0000000001", "02", 40_000), "95" + none},
		{"more than paid", ask("r5", "DS0000000001", "03", 50_001), "95" + none},
		{"partial", ask("r6", "DS0000000001", "03", 20_000), "00 03/05"},
		{"same request id", ask("r6", "DS0000000001", "03", 20_000), "94" + none},
		{"more than left", ask("r7", "DS0000000001", "03", 30_001), "95" + none},
		{"under way", simtest.Status(f.API(t, simtest.Query("i1", "DS0000000001"))), "00 03/05"},
		{"the rest", ask("r8", "DS0000000001", "03", 30_000), "00 03/05"},
		{"nothing left", ask("r9", "DS0000000001", "03", 1), "94" + none},
		{"full", ask("r10", "DS0000000002", "02", 50_000), "00 02/05"},
	} {
		if test.got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, test.got, test.want)
		}
	}
	f.Must(t, "/control/clock", simtest.Object{"advance": "1m"})
	for i, reference := range []string{"DS0000000001", "DS0000000002"} {
		if got, want := simtest.Status(f.API(t, simtest.Query(fmt.Sprint("d", i), reference))), []string{"00 03/06", "00 02/06"}[i]; got != want {
			t.Errorf("done %s: got %q, want %q", reference, got, want)
		}
	}
}

func TestVNPAYFaults(t *testing.T) {
	t.Parallel()
	f := simtest.Start(t, farsides.Options{HangFor: 20 * time.Millisecond})
	f.Pay(t, "DS0000000001", 50_000, nil)
	set := func(kind, word string) { f.Must(t, "/control/faults", simtest.Object{"provider": "vnpay", kind: word}) }

	set("inquiry", "timeout")
	if _, answer, err := f.Call(vnpay.APIPath, simtest.SignRequest(simtest.Query("q1", "DS0000000001"))); err == nil {
		t.Errorf("timeout: got %v, want no answer", answer)
	}
	set("inquiry", "garbage")
	if _, answer, err := f.Call(vnpay.APIPath, simtest.SignRequest(simtest.Query("q2", "DS0000000001"))); err == nil {
		t.Errorf("garbage: got %v, want no JSON", answer)
	}
	set("inquiry", "bad_signature")
	if answer := f.API(t, simtest.Query("q3", "DS0000000001")); answer["vnp_SecureHash"] == vnpay.ResponseHash(simtest.Secret, answer) {
		t.Error("bad_signature: the signature is right")
	}
	set("inquiry", "")

	set("refund", "refused")
	if got := f.API(t, simtest.Refund("r1", "DS0000000001", "02", 50_000))["vnp_ResponseCode"]; got != "95" {
		t.Errorf("refused: got %v, want 95", got)
	}
	set("refund", "timeout_not_done")
	if _, answer, err := f.Call(vnpay.APIPath, simtest.SignRequest(simtest.Refund("r2", "DS0000000001", "03", 10_000))); err == nil {
		t.Errorf("timeout_not_done: got %v, want no answer", answer)
	}
	if got, want := simtest.Status(f.API(t, simtest.Query("q4", "DS0000000001"))), "00 01/00"; got != want {
		t.Errorf("timeout_not_done: got %q, want %q", got, want)
	}
	set("refund", "timeout_but_done")
	if _, answer, err := f.Call(vnpay.APIPath, simtest.SignRequest(simtest.Refund("r2", "DS0000000001", "03", 10_000))); err == nil {
		t.Errorf("timeout_but_done: got %v, want no answer", answer)
	}
	set("refund", "refused_later")
	f.Must(t, "/control/clock", simtest.Object{"advance": "1m"})
	if got, want := simtest.Status(f.API(t, simtest.Query("q5", "DS0000000001"))), "00 03/06"; got != want {
		t.Errorf("timeout_but_done: got %q, want %q", got, want)
	}
	f.API(t, simtest.Refund("r3", "DS0000000001", "03", 40_000))
	f.Must(t, "/control/clock", simtest.Object{"advance": "1m"})
	if got, want := simtest.Status(f.API(t, simtest.Query("q6", "DS0000000001"))), "00 03/09"; got != want {
		t.Errorf("refused_later: got %q, want %q", got, want)
	}
	set("refund", "processing")
	f.API(t, simtest.Refund("r4", "DS0000000001", "03", 40_000)) // the refused refund does not count
	f.Must(t, "/control/clock", simtest.Object{"advance": "1h"})
	if got, want := simtest.Status(f.API(t, simtest.Query("q7", "DS0000000001"))), "00 03/05"; got != want {
		t.Errorf("processing: got %q, want %q", got, want)
	}
	f.Must(t, "/control/clock", simtest.Object{"advance": "24h"})
	if got, want := simtest.Status(f.API(t, simtest.Query("q8", "DS0000000001"))), "00 03/06"; got != want {
		t.Errorf("processing, a day later: got %q, want %q", got, want)
	}
}
