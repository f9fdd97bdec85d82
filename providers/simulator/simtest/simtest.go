// Package simtest runs a simulator with all far sides behind HTTP and plays the
// merchant that the far sides call back. Only tests import it.
package simtest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/doisoat/doisoat/providers/simulator/farsides"
	"github.com/doisoat/doisoat/providers/simulator/vnpay"
)

// The registered terminal and account, and the code of a transfer of 50,000 dong to the account.
const (
	Terminal = "DVCTEST1"
	Secret   = "TESTONLYVNPAYHASHSECRET000000001"
	Account  = "116002680669"
	BIN      = "970415"
	QR50k    = "00020101021238560010A0000007270126000697041501121160026806690208QRIBFTTA53037045405500005802VN62170813DVC26112100016304F0D9"
	Hook     = "sepay-test-secret-01"
)

// Morning is 08:30 on 21 November 2026 in Viet Nam.
var Morning = time.Date(2026, 11, 21, 1, 30, 0, 0, time.UTC)

// Far is a simulator over HTTP and the merchant that it calls back.
type Far struct {
	*farsides.Simulator
	Address string

	mu      sync.Mutex
	ipns    []url.Values
	notices []string
	rspCode string // the merchant's answer to an IPN
	success bool   // the merchant's answer to a notice
}

// Start runs a simulator until the test ends.
func Start(t *testing.T, options farsides.Options) *Far {
	t.Helper()
	f := &Far{rspCode: "00", success: true}
	merchant := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if r.URL.Path == "/ipn" {
			f.ipns = append(f.ipns, r.URL.Query())
			fmt.Fprintf(w, `{"RspCode":%q,"Message":"-"}`, f.rspCode)
			return
		}
		raw, _ := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, []byte(Hook))
		mac.Write([]byte(r.Header.Get("X-SePay-Timestamp") + "." + string(raw)))
		if r.Header.Get("X-SePay-Signature") != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		f.notices = append(f.notices, string(raw))
		fmt.Fprintf(w, `{"success":%t}`, f.success)
	}))
	t.Cleanup(merchant.Close)
	if options.Now == nil {
		options.Now = func() time.Time { return Morning }
	}
	f.Simulator = farsides.New(options)
	t.Cleanup(f.Close)
	if err := f.Err(); err != nil {
		t.Fatal(err)
	}
	f.RegisterVNPAY(Terminal, Secret, merchant.URL+"/ipn")
	f.RegisterBank(Account, BIN, merchant.URL+"/sepay", Hook, "")
	server := httptest.NewServer(f.Handler())
	t.Cleanup(server.Close)
	f.Address = server.URL
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return f
}

// MerchantSays sets the merchant's answers to an IPN and to a notice.
func (f *Far) MerchantSays(rspCode string, success bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rspCode, f.success = rspCode, success
}

// Received counts the callbacks that the merchant has received.
func (f *Far) Received() (ipns, notices int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.ipns), len(f.notices)
}

// IPNs returns the queries of the IPNs that the merchant has received.
func (f *Far) IPNs() []url.Values {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.ipns)
}

// Notices returns the bodies of the notices that the merchant has received.
func (f *Far) Notices() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.notices)
}

// PayURL signs a pay URL. The members of change replace parameters before signing.
func (f *Far) PayURL(reference string, amount int64, change map[string]string) string {
	values := map[string]string{
		"vnp_Version": "2.1.0", "vnp_Command": "pay", "vnp_TmnCode": Terminal, "vnp_Amount": fmt.Sprint(amount * 100),
		"vnp_CreateDate": "20261121083000", "vnp_CurrCode": "VND", "vnp_IpAddr": "203.113.152.1", "vnp_Locale": "vn",
		"vnp_OrderInfo": "Thanh toan le phi " + reference, "vnp_OrderType": "other",
		"vnp_ReturnUrl": "https://dvc.example.gov.vn/ket-qua?x=1", "vnp_ExpireDate": "20261121084500", "vnp_TxnRef": reference,
	}
	for name, v := range change {
		values[name] = v
	}
	return f.Address + vnpay.PayPath + "?" + vnpay.CanonicalQuery(values) +
		"&vnp_SecureHash=" + vnpay.QueryHash(Secret, values)
}

// Get reads a path as text.
func (f *Far) Get(t *testing.T, path string) (int, string) {
	t.Helper()
	response, err := http.Get(f.Address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(raw)
}

// Post sends JSON and decodes the answer into a map.
func (f *Far) Post(t *testing.T, path string, body any) (int, map[string]any) {
	t.Helper()
	status, answer, err := f.Call(path, body)
	if err != nil {
		t.Fatal(err)
	}
	return status, answer
}

// Call posts JSON, or a text as it is, and decodes the answer.
func (f *Far) Call(path string, body any) (int, map[string]any, error) {
	raw, ok := body.(string)
	if !ok {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		raw = string(b)
	}
	response, err := http.Post(f.Address+path, "application/json", bytes.NewBufferString(raw))
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	var answer map[string]any
	decoder := json.NewDecoder(response.Body)
	decoder.UseNumber()
	if err := decoder.Decode(&answer); err != nil {
		return response.StatusCode, nil, err
	}
	return response.StatusCode, answer, nil
}

// Must posts and fails the test unless the answer is 200.
func (f *Far) Must(t *testing.T, path string, body any) map[string]any {
	t.Helper()
	status, answer := f.Post(t, path, body)
	if status != http.StatusOK {
		t.Fatalf("POST %s %v: got %d %v, want 200", path, body, status, answer)
	}
	return answer
}

// Object is a JSON object.
type Object = map[string]any

// Pay pays an order at VNPAY; more adds members to the command.
func (f *Far) Pay(t *testing.T, reference string, amount int64, more Object) Object {
	t.Helper()
	command := Object{"url": f.PayURL(reference, amount, nil), "outcome": "paid"}
	for k, v := range more {
		command[k] = v
	}
	return f.Must(t, "/control/pay", command)
}

// API signs and sends a merchant API request.
func (f *Far) API(t *testing.T, request map[string]string) map[string]any {
	t.Helper()
	return f.Must(t, vnpay.APIPath, SignRequest(request))
}

// SignRequest adds the missing members of a merchant API request and signs it.
func SignRequest(request map[string]string) map[string]string {
	signed := map[string]string{
		"vnp_Version": "2.1.0", "vnp_TmnCode": Terminal, "vnp_OrderInfo": "Truy van", "vnp_TransactionDate": "20261121083000",
		"vnp_CreateDate": "20261121090000", "vnp_IpAddr": "10.20.30.40",
	}
	if request["vnp_Command"] == "refund" {
		signed["vnp_CreateBy"], signed["vnp_TransactionNo"] = "ketoan01", "0"
	}
	for k, v := range request {
		signed[k] = v
	}
	if _, set := signed["vnp_SecureHash"]; !set {
		signed["vnp_SecureHash"] = vnpay.RequestHash(Secret, signed)
	}
	return signed
}

// Query returns the request of an inquiry about a payment.
func Query(id, reference string) map[string]string {
	return map[string]string{"vnp_RequestId": id, "vnp_Command": "querydr", "vnp_TxnRef": reference}
}

// Refund returns the request of a refund.
func Refund(id, reference, kind string, amount int64) map[string]string {
	return map[string]string{
		"vnp_RequestId": id, "vnp_Command": "refund", "vnp_TxnRef": reference, "vnp_TransactionType": kind,
		"vnp_Amount": fmt.Sprint(amount * 100),
	}
}

// Status returns the answer's code, transaction type and transaction status.
func Status(answer map[string]any) string {
	return fmt.Sprint(answer["vnp_ResponseCode"], " ", answer["vnp_TransactionType"], "/", answer["vnp_TransactionStatus"])
}

// Eventually waits for an event of the delivery worker.
func Eventually(t *testing.T, event string, done func() bool) {
	t.Helper()
	for range 500 {
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s did not happen in 5 seconds", event)
}
