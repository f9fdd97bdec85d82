package bank_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/doisoat/doisoat/providers/simulator/farsides"
	"github.com/doisoat/doisoat/providers/simulator/simtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func reply(sender, reference, body string, accepted bool) simtest.Object {
	return simtest.Object{"sender": sender, "reference": reference, "status": json.Number("200"), "body": body, "accepted": accepted}
}

func TestTransfer(t *testing.T) {
	t.Parallel()
	f := simtest.Start(t, farsides.Options{})
	got := f.Must(t, "/control/pay", simtest.Object{"qr": simtest.QR50k, "outcome": "paid"})
	want := simtest.Object{
		"transaction_no": "92701", "reference": "FT26325000000001", "amount": json.Number("50000"),
		"content": "CT nhanh 247 den: DVC2611210001 (CT1111)",
		"callback": simtest.Object{"sent": json.Number("1"), "replies": []any{
			reply("sepay", "FT26325000000001", `{"success":true}`, true),
		}},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("answer (-got +want):\n%s", diff)
	}
	again := f.Must(
		t,
		"/control/pay",
		simtest.Object{"qr": simtest.QR50k, "outcome": "paid", "amount": 70_000, "content": "nộp phí ds0123456789"},
	)
	if again["reference"] != "FT26325000000002" {
		t.Errorf("paid twice: got %v, want a second credit", again)
	}
	none := f.Must(t, "/control/pay", simtest.Object{"qr": simtest.QR50k, "outcome": "failed"})
	if none["reference"] != "" {
		t.Errorf("failed transfer: got %v, want no credit", none)
	}
	notices := f.Notices()
	if len(notices) != 2 {
		t.Fatalf("notices: got %d, want 2", len(notices))
	}
	var notice simtest.Object
	if err := json.Unmarshal([]byte(notices[1]), &notice); err != nil {
		t.Fatal(err)
	}
	wantNotice := simtest.Object{
		"id": 92702.0, "gateway": "VietinBank", "transactionDate": "2026-11-21 08:30:00", "accountNumber": simtest.Account,
		"code": "DS0123456789", "content": "Chuyen tien den tu NAPAS Noi dung: nop phi ds0123456789 (CT1111)",
		"transferType": "in", "transferAmount": 70000.0, "accumulated": 120000.0, "subAccount": nil,
		"referenceCode": "FT26325000000002",
		"description":   "BankAPINotify Chuyen tien den tu NAPAS Noi dung: nop phi ds0123456789 (CT1111)",
	}
	if diff := cmp.Diff(notice, wantNotice); diff != "" {
		t.Errorf("notice (-got +want):\n%s", diff)
	}
}
