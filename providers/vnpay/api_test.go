package vnpay_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/providers/vnpay"
)

var day = time.Date(2026, 11, 21, 1, 30, 15, 0, time.UTC)

// answerOrder is the response text of the fact sheet; an inquiry adds the promotion.
var answerOrder = strings.Fields("ResponseId Command ResponseCode Message TmnCode TxnRef Amount BankCode PayDate " +
	"TransactionNo TransactionType TransactionStatus OrderInfo")

// answering plays VNPAY with one answer. It keeps the request and counts the calls.
type answering struct {
	members map[string]string // without the prefix vnp_
	signed  bool
	handler http.HandlerFunc // instead of members
	calls   atomic.Int32
	request map[string]string
}

func (a *answering) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.calls.Add(1)
	body, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(body, &a.request)
	if a.handler != nil {
		a.handler(w, r)
		return
	}
	var parts []string
	answer := map[string]string{}
	for _, name := range answerOrder {
		parts = append(parts, a.members[name])
	}
	if a.members["Command"] == "querydr" {
		parts = append(parts, "", "")
	}
	for name, value := range a.members {
		answer["vnp_"+name] = value
	}
	if a.signed {
		answer["vnp_SecureHash"] = mac(strings.Join(parts, "|"))
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (a *answering) start(t *testing.T) (*vnpay.Provider, providers.Merchant) {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	settings := map[string]string{"tmn_code": terminal, "pay_url": server.URL, "api_url": server.URL}
	return vnpay.New(&http.Client{}), providers.Merchant{Settings: settings, Secrets: merchant.Secrets}
}

// members joins "Name=value" pairs over a complete answer.
func members(command string, changes ...string) map[string]string {
	m := map[string]string{
		"ResponseId": "8ad4e3f0b1c24f6a9c7d", "Command": command, "ResponseCode": "00", "Message": "Success", "TmnCode": terminal,
		"TxnRef": "DVC2611210001", "Amount": "5000000", "BankCode": "NCB", "PayDate": "20261121083512",
		"TransactionNo": "14271027", "TransactionType": "01", "TransactionStatus": "00", "OrderInfo": "Le phi",
	}
	for _, change := range changes {
		name, value, _ := strings.Cut(change, "=")
		m[name] = value
		if value == "" {
			delete(m, name)
		}
	}
	return m
}

func TestInquirePayment(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		changes  []string
		unsigned bool
		want     providers.Outcome
	}{
		"paid":            {nil, false, providers.Succeeded},
		"not finished":    {[]string{"TransactionStatus=01"}, false, providers.Pending},
		"failed":          {[]string{"TransactionStatus=02"}, false, providers.Declined},
		"reversed":        {[]string{"TransactionStatus=04"}, false, providers.Unknown},
		"suspected fraud": {[]string{"TransactionStatus=07"}, false, providers.Unknown},
		"new status":      {[]string{"TransactionStatus=42"}, false, providers.Unknown},
		"payer never came": {
			[]string{"ResponseCode=91", "Amount=", "TransactionNo=", "TransactionType=", "TransactionStatus="}, false, providers.Pending,
		},
		"asked too often":              {[]string{"ResponseCode=94"}, false, providers.Unknown},
		"our signature wrong":          {[]string{"ResponseCode=97"}, false, providers.Unknown},
		"about a refund":               {[]string{"TransactionType=02", "TransactionStatus=06"}, false, providers.Unknown},
		"paid without an amount":       {[]string{"Amount="}, false, providers.Unknown},
		"paid without a number":        {[]string{"TransactionNo=0"}, false, providers.Unknown},
		"unsigned":                     {nil, true, providers.Unknown},
		"of another payment":           {[]string{"TxnRef=DVC2611210002"}, false, providers.Unknown},
		"of another terminal":          {[]string{"TmnCode=DVCTEST2"}, false, providers.Unknown},
		"of another command":           {[]string{"Command=refund"}, false, providers.Unknown},
		"separator inside a value":     {[]string{"Message=a|b"}, false, providers.Unknown},
		"unsigned answer not found 91": {[]string{"ResponseCode=91"}, true, providers.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			far := &answering{members: members("querydr", c.changes...), signed: !c.unsigned}
			p, m := far.start(t)
			got, err := p.Inquire(t.Context(), m, providers.InquiryRequest{
				Reference: "DVC2611210001", CreatedAt: day, RequestID: "0199b5d2-0000-7000-8000-000000000001", Now: day.Add(time.Hour),
			})
			if err != nil || got.Outcome != c.want || got.ID == "" || got.Reference != "DVC2611210001" {
				t.Errorf("got %+v and %v, want %s", got, err, c.want)
			}
			if far.calls.Load() != 1 {
				t.Errorf("got %d calls, want 1", far.calls.Load())
			}
		})
	}
}

// The request equals vector vnpay.querydr_request.01, except for the ids.
func TestInquireRequest(t *testing.T) {
	t.Parallel()
	far := &answering{members: members("querydr"), signed: true}
	p, m := far.start(t)
	m.Settings["server_ip"] = "10.20.30.40"
	if _, err := p.Inquire(t.Context(), m, providers.InquiryRequest{
		Reference: "DVC2611210001", CreatedAt: day, RequestID: "a1b2c3d4e5f60718", Now: time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC),
	}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"vnp_RequestId":       "a1b2c3d4e5f60718",
		"vnp_Version":         "2.1.0",
		"vnp_Command":         "querydr",
		"vnp_TmnCode":         "DVCTEST1",
		"vnp_TxnRef":          "DVC2611210001",
		"vnp_OrderInfo":       "Truy van GD DVC2611210001",
		"vnp_TransactionDate": "20261121083015",
		"vnp_CreateDate":      "20261121090000",
		"vnp_IpAddr":          "10.20.30.40",
		"vnp_SecureHash": "c2a228faaf0e74196ccb9eabaf98b5e89ffca4b8b10e71d410beede02f0634fe" +
			"7b35421270bd56c5476a1bfc94af0b2d880685853d7ef269a99b7105cdd92502",
	}
	if diff := cmp.Diff(far.request, want); diff != "" {
		t.Errorf("request (-got +want):\n%s", diff)
	}
}

func TestInquireRefund(t *testing.T) {
	t.Parallel()
	base := providers.InquiryRequest{
		Reference:       "DVC2611210001",
		TransactionID:   "14271027",
		CreatedAt:       day,
		RefundReference: "RF1",
		RequestID:       "1",
		Now:             day.Add(time.Hour),
		RefundAmount:    money.Dong(20_000),
	}
	own := []string{"TransactionType=03", "TransactionStatus=06", "TransactionNo=14271999", "Amount=2000000"}
	payments := []string{"TransactionType=03", "TransactionStatus=06"} // number and amount are the payment's
	for name, c := range map[string]struct {
		changes []string
		known   string
		others  []string
		want    providers.Outcome
	}{
		"about the payment":                  {nil, "", nil, providers.Unknown},
		"sent to the bank":                   {own, "", nil, providers.Succeeded},
		"sent to the bank, number known":     {own, "14271999", nil, providers.Succeeded},
		"another number than ours":           {own, "14271998", nil, providers.Unknown},
		"number of another refund":           {own, "", []string{"14271999"}, providers.Unknown},
		"another refund has no number":       {own, "", []string{""}, providers.Unknown},
		"ours beside another without number": {own, "14271999", []string{""}, providers.Succeeded},
		"another amount":                     {append(own, "Amount=3000000"), "", nil, providers.Unknown},
		"payment's number, only refund":      {payments, "14271999", nil, providers.Succeeded},
		"payment's number, others exist":     {payments, "14271999", []string{"14271500"}, providers.Unknown},
		"running":                            {append(own, "TransactionStatus=05"), "", nil, providers.Pending},
		"refused":                            {append(own, "TransactionStatus=09"), "", nil, providers.Declined},
		"status of a payment":                {append(own, "TransactionStatus=00"), "", nil, providers.Unknown},
		"not found":                          {[]string{"ResponseCode=91"}, "", nil, providers.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			far := &answering{members: members("querydr", c.changes...), signed: true}
			p, m := far.start(t)
			r := base
			r.RefundTransactionID, r.OtherRefunds = c.known, c.others
			got, err := p.Inquire(t.Context(), m, r)
			if err != nil || got.Outcome != c.want {
				t.Errorf("got %+v and %v, want %s", got, err, c.want)
			}
			if got.Outcome == providers.Succeeded && got.Amount != base.RefundAmount {
				t.Errorf("got %v, want %v", got.Amount, base.RefundAmount)
			}
			if got.TransactionID == base.TransactionID {
				t.Errorf("got the payment's number %s for a refund", got.TransactionID)
			}
		})
	}
}

func refundRequest() providers.RefundRequest {
	return providers.RefundRequest{
		Reference: "rf20261121000001", Payment: "DVC2611210001", TransactionID: "14271027", PaidCreatedAt: day,
		Amount: money.Dong(50_000), Captured: money.Dong(50_000), Description: "Hoàn trả lệ phí nộp thừa DVC2611210001",
		RequestedBy: "ketoan01", Now: time.Date(2026, 11, 21, 7, 0, 0, 0, time.UTC),
	}
}

// The request equals vector vnpay.refund_request.01.
func TestRefundRequest(t *testing.T) {
	t.Parallel()
	far := &answering{members: members("refund", "TransactionType=02", "TransactionStatus=05", "TransactionNo=14271999"), signed: true}
	p, m := far.start(t)
	m.Settings["server_ip"] = "10.20.30.40"
	got, err := p.Refund(t.Context(), m, refundRequest())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, providers.RefundResult{Outcome: providers.Pending, TransactionID: "14271999", Reason: "00/05"}); diff != "" {
		t.Errorf("result (-got +want):\n%s", diff)
	}
	want := map[string]string{
		"vnp_RequestId":       "rf20261121000001",
		"vnp_Version":         "2.1.0",
		"vnp_Command":         "refund",
		"vnp_TmnCode":         "DVCTEST1",
		"vnp_TransactionType": "02",
		"vnp_TxnRef":          "DVC2611210001",
		"vnp_Amount":          "5000000",
		"vnp_OrderInfo":       "Hoan tra le phi nop thua DVC2611210001",
		"vnp_TransactionNo":   "14271027",
		"vnp_TransactionDate": "20261121083015",
		"vnp_CreateBy":        "ketoan01",
		"vnp_CreateDate":      "20261121140000",
		"vnp_IpAddr":          "10.20.30.40",
		"vnp_SecureHash": "26cd1ccb1f4ef44044da7dadaa009804f239d247f945f7ee17d621699b204740" +
			"891446dee07455d9e928ee11556e72f7cbe84055147022aa6f4f5d11f3b46611",
	}
	if diff := cmp.Diff(far.request, want); diff != "" {
		t.Errorf("request (-got +want):\n%s", diff)
	}
}

func TestRefundAnswers(t *testing.T) {
	t.Parallel()
	accepted := []string{"TransactionType=02", "TransactionStatus=05", "TransactionNo=14271999"}
	for name, c := range map[string]struct {
		changes  []string
		unsigned bool
		want     providers.Outcome
	}{
		"accepted":                {accepted, false, providers.Pending},
		"accepted, status 00":     {append(accepted, "TransactionStatus=00"), false, providers.Pending},
		"done at once":            {append(accepted, "TransactionStatus=06"), false, providers.Succeeded},
		"refused at once":         {append(accepted, "TransactionStatus=09"), false, providers.Declined},
		"new status":              {append(accepted, "TransactionStatus=42"), false, providers.Unknown},
		"another amount":          {append(accepted, "Amount=4000000"), false, providers.Unknown},
		"another type":            {append(accepted, "TransactionType=03"), false, providers.Unknown},
		"refused":                 {[]string{"ResponseCode=95"}, false, providers.Declined},
		"bad terminal":            {[]string{"ResponseCode=02"}, false, providers.Declined},
		"bad format":              {[]string{"ResponseCode=03"}, false, providers.Declined},
		"payment not found":       {[]string{"ResponseCode=91"}, false, providers.Declined},
		"bad signature":           {[]string{"ResponseCode=97"}, false, providers.Declined},
		"repeat or running":       {[]string{"ResponseCode=94"}, false, providers.Unknown},
		"other":                   {[]string{"ResponseCode=99"}, false, providers.Unknown},
		"new code":                {[]string{"ResponseCode=42"}, false, providers.Unknown},
		"accepted, unsigned":      {accepted, true, providers.Unknown},
		"refused, unsigned":       {[]string{"ResponseCode=95"}, true, providers.Unknown},
		"refused another payment": {[]string{"ResponseCode=95", "TxnRef=DVC2611210002"}, false, providers.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			far := &answering{members: members("refund", c.changes...), signed: !c.unsigned}
			p, m := far.start(t)
			got, err := p.Refund(t.Context(), m, refundRequest())
			if err != nil || got.Outcome != c.want {
				t.Errorf("got %+v and %v, want %s", got, err, c.want)
			}
		})
	}
}

// After the request was sent, Refund trusts only a signed answer.
func TestRefundWithoutClearAnswer(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"server error": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"bad request":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		},
		"not JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"endless":  func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat(" ", 1<<20)) },
		"empty":    func(http.ResponseWriter, *http.Request) {},
		"cut":      func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"member twice": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"vnp_TxnRef":"a","vnp_TxnRef":"b"}`)
		},
		"not an object": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `[]`) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			far := &answering{handler: handler}
			p, m := far.start(t)
			got, err := p.Refund(t.Context(), m, refundRequest())
			if err != nil || got.Outcome != providers.Unknown {
				t.Errorf("got %+v and %v, want unknown", got, err)
			}
			if far.calls.Load() != 1 {
				t.Errorf("got %d calls, want 1", far.calls.Load())
			}
		})
	}
}

func TestRefundThatCannotBeBuilt(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*providers.RefundRequest){
		"reference of 33":         func(r *providers.RefundRequest) { r.Reference = strings.Repeat("a", 33) },
		"reference with |":        func(r *providers.RefundRequest) { r.Reference = "a|b" },
		"payment with |":          func(r *providers.RefundRequest) { r.Payment = "a|b" },
		"transaction with |":      func(r *providers.RefundRequest) { r.TransactionID = "1|2" },
		"more than captured":      func(r *providers.RefundRequest) { r.Amount = money.Dong(50_001) },
		"nothing":                 func(r *providers.RefundRequest) { r.Amount = money.Dong(0) },
		"nobody asks":             func(r *providers.RefundRequest) { r.RequestedBy = "" },
		"no time of the payment":  func(r *providers.RefundRequest) { r.PaidCreatedAt = time.Time{} },
		"no time of the request":  func(r *providers.RefundRequest) { r.Now = time.Time{} },
		"capture without a value": func(r *providers.RefundRequest) { r.Captured = money.Amount{} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			far := &answering{members: members("refund"), signed: true}
			p, m := far.start(t)
			r := refundRequest()
			change(&r)
			got, err := p.Refund(t.Context(), m, r)
			if !errors.Is(err, providers.ErrMessage) || got.Outcome != providers.NotSent || far.calls.Load() != 0 {
				t.Errorf("got %+v, %v and %d calls, want not_sent, ErrMessage and none", got, err, far.calls.Load())
			}
		})
	}
}
