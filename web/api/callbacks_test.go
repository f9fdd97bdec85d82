package api_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doisoat/doisoat/internal/auth"
)

// A stranger who sends thousands of large unsigned messages and hangs up leaves
// no lasting row and no job. A genuine message whose sender hangs up is applied once.
func TestStrangersWhoHangUp(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const key = "TESTONLYVNPAYHASHSECRET000000001"
	vnpay := h.must(201, auth.RoleAdmin, http.MethodPost, "/v1/merchant-accounts", `{"authority":"H41","provider":"vnpay",
		"settings":{"tmn_code":"DVCTEST1","pay_url":"https://pay.example.vn/vpcpay.html","api_url":"https://pay.example.vn/api"},
		"secrets":{"hash_secret":"`+key+`"}}`).text("callback_path")
	bank := h.must(201, auth.RoleAdmin, http.MethodPost, "/v1/merchant-accounts", `{"authority":"H41","provider":"vietqr",
		"settings":{"bank_bin":"970415","bank_name":"VietinBank","account":"116002680669","account_name":"SO TU PHAP NGHE AN","notifier":"sepay"},
		"secrets":{"webhook_secret":"sepay-test-secret-01"}}`)
	sepay := "/callbacks/sepay/" + bank.text("id")
	h.must(201, auth.RolePortal, http.MethodPost, "/v1/dossiers", dossierBody)
	pay := h.must(201, auth.RolePortal, http.MethodPost, "/v1/dossiers/H41.12-240502-0001/payments", `{"provider":"vnpay"}`, "Idempotency-Key",
		"key-00000001")
	large, small := strings.Repeat("a", 60<<10), strings.Repeat("b", 7<<10)
	const each = 500
	for _, message := range []string{
		post(vnpay, large), post(sepay, large), post(sepay, small), get(vnpay + "?vnp_SecureHash=00&x=" + small),
	} {
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				for range each / 10 {
					h.sendAndHangUp(message)
				}
			})
		}
		group.Wait()
	}
	// A quick machine sends the flood within one second, and the limit of requests
	// per address then refuses the next ones, too: the genuine message comes after it.
	time.Sleep(2200 * time.Millisecond) // two windows of the limit
	genuine := get(vnpay + "?" + vnpayQuery(key, pay.text("reference"), 60_000))
	for range 20 {
		h.sendAndHangUp(genuine)
	}
	status := ""
	for range 200 {
		if status = h.must(200, auth.RolePortal, http.MethodGet, "/v1/payments/"+pay.text("id"), "").text("status"); status == "captured" {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	time.Sleep(time.Second) // for work on messages whose senders are gone
	if status != "captured" {
		t.Errorf("the genuine payment is %s, want captured", status)
	}
	for query, most := range map[string]int{
		`select count(*) from payments.callback where payment_id is null`: 0,
		`select count(*) from payments.callback`:                          20, // of the genuine message
		`select count(*) from river.river_job`:                            0,
		`select count(*) from payments.refused_callback`:                  2 * 50, // of two accounts
	} {
		if got := h.count(query); got > most {
			t.Errorf("%s: got %d, want at most %d", query, got, most)
		}
	}
	if got := h.count(`select count(*) from payments.capture`); got != 1 {
		t.Errorf("captures: got %d, want 1", got)
	}
	// Nothing of the flood is in the way of the next message.
	if a := h.must(200, "", http.MethodGet, vnpay+"?"+vnpayQuery(key, pay.text("reference"), 60_000), ""); !strings.Contains(string(a.body),
		`"02"`) {
		t.Errorf("repeated: %s", a.body)
	}
}

// A message larger than its provider sends is refused unread.
func TestCallbackBounds(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const nobodys = "mer_00000000000000000000000000000000"
	for _, tt := range []struct {
		name, path, body string
		status           int
	}{
		{"VNPAY with a body", "/callbacks/vnpay/" + nobodys, "a", 413},
		{"VNPAY, long query", "/callbacks/vnpay/" + nobodys + "?a=" + strings.Repeat("a", 8<<10), "", 413},
		{"SePay, just right", "/callbacks/sepay/" + nobodys, strings.Repeat("a", 8<<10), 404},
		{"SePay, too long", "/callbacks/sepay/" + nobodys, strings.Repeat("a", 8<<10+1), 413},
	} {
		if a := h.ask("", http.MethodPost, tt.path, tt.body); a.status != tt.status {
			t.Errorf("%s: got %d %.200s, want %d", tt.name, a.status, a.body, tt.status)
		}
	}
}

func get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n" }

func post(path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

// sendAndHangUp writes a request and closes the connection without reading.
func (h *harness) sendAndHangUp(request string) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		h.t.Error(err)
		return
	}
	_, _ = conn.Write([]byte(request)) // a server that refuses early closes first
	_ = conn.Close()
}

func (h *harness) count(query string) (n int) {
	h.t.Helper()
	if err := h.db.Owner.QueryRow(h.t.Context(), query).Scan(&n); err != nil {
		h.t.Fatal(err)
	}
	return n
}
