package simulator_test

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
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/doisoat/doisoat/providers/simulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	terminal = "DVCTEST1"
	secret   = "TESTONLYVNPAYHASHSECRET000000001"
	account  = "116002680669"
	bin      = "970415"
	hook     = "sepay-test-secret-01"
)

// morning is 08:30 on 21 November 2026 in Viet Nam.
var morning = time.Date(2026, 11, 21, 1, 30, 0, 0, time.UTC)

// far is a simulator over HTTP and the merchant that it calls back.
type far struct {
	*simulator.Simulator
	address string

	mu      sync.Mutex
	ipns    []url.Values
	notices []string
	rspCode string // what the merchant answers to an IPN
	success bool   // what it answers to a notice
}

func start(t *testing.T, options simulator.Options) *far {
	t.Helper()
	f := &far{rspCode: "00", success: true}
	merchant := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if r.URL.Path == "/ipn" {
			f.ipns = append(f.ipns, r.URL.Query())
			fmt.Fprintf(w, `{"RspCode":%q,"Message":"-"}`, f.rspCode)
			return
		}
		raw, _ := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, []byte(hook))
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
		options.Now = func() time.Time { return morning }
	}
	f.Simulator = simulator.New(options)
	t.Cleanup(f.Close)
	if err := f.Err(); err != nil {
		t.Fatal(err)
	}
	f.RegisterVNPAY(terminal, secret, merchant.URL+"/ipn")
	f.RegisterBank(account, bin, merchant.URL+"/sepay", hook, "")
	server := httptest.NewServer(f.Handler())
	t.Cleanup(server.Close)
	f.address = server.URL
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return f
}

func (f *far) merchantSays(rspCode string, success bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rspCode, f.success = rspCode, success
}

func (f *far) received() (ipns, notices int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.ipns), len(f.notices)
}

// payURL signs a pay URL; change alters parameters before signing.
func (f *far) payURL(reference string, amount int64, change map[string]string) string {
	values := map[string]string{
		"vnp_Version": "2.1.0", "vnp_Command": "pay", "vnp_TmnCode": terminal, "vnp_Amount": fmt.Sprint(amount * 100),
		"vnp_CreateDate": "20261121083000", "vnp_CurrCode": "VND", "vnp_IpAddr": "203.113.152.1", "vnp_Locale": "vn",
		"vnp_OrderInfo": "Thanh toan le phi " + reference, "vnp_OrderType": "other",
		"vnp_ReturnUrl": "https://dvc.example.gov.vn/ket-qua?x=1", "vnp_ExpireDate": "20261121084500", "vnp_TxnRef": reference,
	}
	for name, v := range change {
		values[name] = v
	}
	return f.address + simulator.PayPath + "?" + simulator.CanonicalQuery(values) +
		"&vnp_SecureHash=" + simulator.QueryHash(secret, values)
}

func (f *far) get(t *testing.T, path string) (int, string) {
	t.Helper()
	response, err := http.Get(f.address + path)
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

// post sends JSON and decodes the answer into a map.
func (f *far) post(t *testing.T, path string, body any) (int, map[string]any) {
	t.Helper()
	status, answer, err := f.call(path, body)
	if err != nil {
		t.Fatal(err)
	}
	return status, answer
}

func (f *far) call(path string, body any) (int, map[string]any, error) {
	raw, ok := body.(string)
	if !ok {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		raw = string(b)
	}
	response, err := http.Post(f.address+path, "application/json", bytes.NewBufferString(raw))
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

// must posts and insists on 200.
func (f *far) must(t *testing.T, path string, body any) map[string]any {
	t.Helper()
	status, answer := f.post(t, path, body)
	if status != http.StatusOK {
		t.Fatalf("POST %s %v: got %d %v, want 200", path, body, status, answer)
	}
	return answer
}

type object = map[string]any

func (f *far) pay(t *testing.T, reference string, amount int64, more object) object {
	t.Helper()
	command := object{"url": f.payURL(reference, amount, nil), "outcome": "paid"}
	for k, v := range more {
		command[k] = v
	}
	return f.must(t, "/control/pay", command)
}

// api signs and sends a merchant API request.
func (f *far) api(t *testing.T, request map[string]string) map[string]any {
	t.Helper()
	return f.must(t, simulator.APIPath, signRequest(request))
}

func signRequest(request map[string]string) map[string]string {
	signed := map[string]string{
		"vnp_Version": "2.1.0", "vnp_TmnCode": terminal, "vnp_OrderInfo": "Truy van", "vnp_TransactionDate": "20261121083000",
		"vnp_CreateDate": "20261121090000", "vnp_IpAddr": "10.20.30.40",
	}
	if request["vnp_Command"] == "refund" {
		signed["vnp_CreateBy"], signed["vnp_TransactionNo"] = "ketoan01", "0"
	}
	for k, v := range request {
		signed[k] = v
	}
	if _, set := signed["vnp_SecureHash"]; !set {
		signed["vnp_SecureHash"] = simulator.RequestHash(secret, signed)
	}
	return signed
}

func query(id, reference string) map[string]string {
	return map[string]string{"vnp_RequestId": id, "vnp_Command": "querydr", "vnp_TxnRef": reference}
}

func refund(id, reference, kind string, amount int64) map[string]string {
	return map[string]string{
		"vnp_RequestId": id, "vnp_Command": "refund", "vnp_TxnRef": reference, "vnp_TransactionType": kind,
		"vnp_Amount": fmt.Sprint(amount * 100),
	}
}

// status is the pair that tells the state: transaction type and status.
func status(answer map[string]any) string {
	return fmt.Sprint(answer["vnp_ResponseCode"], " ", answer["vnp_TransactionType"], "/", answer["vnp_TransactionStatus"])
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 500 {
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s did not happen in 5 seconds", what)
}

func lines(text string) []string { return strings.Split(strings.TrimSpace(text), "\n") }
