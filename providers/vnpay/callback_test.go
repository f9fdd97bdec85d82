package vnpay_test

import (
	"crypto/hmac"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/providers/vnpay"
)

var merchant = providers.Merchant{
	Settings: map[string]string{
		"tmn_code": terminal, "pay_url": "https://sandbox.vnpayment.vn/paymentv2/vpcpay.html",
		"api_url": "https://sandbox.vnpayment.vn/merchant_webapi/api/transaction",
	},
	Secrets: map[string][]string{"hash_secret": {secret}},
}

// paidQuery is the signed part of vector vnpay.ipn.01.
const paidQuery = "vnp_Amount=5000000&vnp_BankCode=NCB&vnp_BankTranNo=VNP14271027&vnp_CardType=ATM&vnp_OrderInfo=Le+phi" +
	"&vnp_PayDate=20261121083512&vnp_ResponseCode=00&vnp_TmnCode=DVCTEST1&vnp_TransactionNo=14271027&vnp_" +
	"TransactionStatus=00&vnp_TxnRef=DVC2611210001"

func mac(text string) string {
	h := hmac.New(sha512.New, []byte(secret))
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}

func signed(query string) string { return query + "&vnp_SecureHash=" + mac(query) }

func callback(query string) providers.RawCallback {
	return providers.RawCallback{Method: "GET", RawQuery: query, ReceivedAt: time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		query string
		want  error
	}{
		"signed":                     {signed(paidQuery), nil},
		"upper-case hex":             {paidQuery + "&vnp_SecureHash=" + strings.ToUpper(mac(paidQuery)), nil},
		"hash type is not signed":    {signed(paidQuery) + "&vnp_SecureHashType=HmacSHA512", nil},
		"foreign parameters":         {"lang=vi&" + signed(paidQuery), nil},
		"empty parameters":           {signed(paidQuery) + "&vnp_Extra=", nil},
		"encoded by Java":            {strings.Replace(signed(strings.Replace(paidQuery, "Le+phi", "*phi", 1)), "=*phi", "=%2Aphi", 1), nil},
		"encoded by Go":              {signed(strings.Replace(paidQuery, "Le+phi", "~phi", 1)), nil},
		"encoded by Node":            {signed(strings.Replace(paidQuery, "Le+phi", "!phi'()*~", 1)), nil},
		"encoded by .NET":            {signed(strings.Replace(paidQuery, "Le+phi", "!phi%27()*%7E", 1)), nil},
		"encoded by PHP":             {signed(strings.Replace(paidQuery, "Le+phi", "%21phi%27%28%29%2A%7E", 1)), nil},
		"no signature":               {paidQuery, providers.ErrSignature},
		"empty signature":            {paidQuery + "&vnp_SecureHash=", providers.ErrSignature},
		"short signature":            {paidQuery + "&vnp_SecureHash=" + mac(paidQuery)[:126], providers.ErrSignature},
		"not hex":                    {paidQuery + "&vnp_SecureHash=" + strings.Repeat("z", 128), providers.ErrSignature},
		"amount changed":             {strings.Replace(signed(paidQuery), "5000000", "50000000", 1), providers.ErrSignature},
		"parameter added":            {signed(paidQuery) + "&vnp_Extra=1", providers.ErrSignature},
		"parameter removed":          {strings.Replace(signed(paidQuery), "&vnp_CardType=ATM", "", 1), providers.ErrSignature},
		"amount twice":               {signed(paidQuery) + "&vnp_Amount=5000000", providers.ErrSignature},
		"name twice, once encoded":   {signed(paidQuery) + "&vnp%5FAmount=5000000", providers.ErrSignature},
		"signature twice":            {signed(paidQuery) + "&vnp_SecureHash=" + mac(paidQuery), providers.ErrSignature},
		"bad escape":                 {signed(paidQuery) + "&x=%zz", providers.ErrSignature},
		"values not encoded (2.0.x)": {"vnp_OrderInfo=a%3Ab&vnp_SecureHash=" + mac("vnp_OrderInfo=a:b"), providers.ErrSignature},
		"nothing":                    {"", providers.ErrSignature},
		"too long":                   {signed(paidQuery) + "&x=" + strings.Repeat("a", 9000), providers.ErrSignature},
		"too many":                   {signed(paidQuery) + strings.Repeat("&a", 70), providers.ErrSignature},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := vnpay.New(nopClient).Verify(merchant, callback(c.query)); !errors.Is(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestVerifyEmptySecretFitsNothing(t *testing.T) {
	t.Parallel()
	h := hmac.New(sha512.New, nil)
	h.Write([]byte(paidQuery))
	forged := paidQuery + "&vnp_SecureHash=" + hex.EncodeToString(h.Sum(nil))
	m := providers.Merchant{Settings: merchant.Settings, Secrets: map[string][]string{"hash_secret": {""}}}
	if got := vnpay.New(nopClient).Verify(m, callback(forged)); !errors.Is(got, providers.ErrSignature) {
		t.Errorf("got %v, want ErrSignature", got)
	}
}

func TestTranslate(t *testing.T) {
	t.Parallel()
	got, err := vnpay.New(nopClient).Translate(merchant, callback(paidQuery))
	if err != nil {
		t.Fatal(err)
	}
	got.ID = ""
	want := providers.Event{
		Reference: "DVC2611210001", TransactionID: "14271027", BankReference: "VNP14271027", Outcome: providers.Succeeded,
		Amount: money.Dong(50_000), OccurredAt: time.Date(2026, 11, 21, 1, 35, 12, 0, time.UTC), Reason: "00/00",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("event (-got +want):\n%s", diff)
	}
	for name, c := range map[string]struct {
		old, new string
		want     providers.Outcome // "" wants ErrMessage
	}{
		"cancelled, without a number": {
			"ResponseCode=00&vnp_TmnCode=DVCTEST1&vnp_TransactionNo=14271027&vnp_TransactionStatus=00",
			"ResponseCode=24&vnp_TmnCode=DVCTEST1&vnp_TransactionNo=0&vnp_TransactionStatus=02", providers.Declined,
		},
		"not enough money": {
			"ResponseCode=00&vnp_TmnCode=DVCTEST1&vnp_TransactionNo=14271027&vnp_TransactionStatus=00",
			"ResponseCode=51&vnp_TmnCode=DVCTEST1&vnp_TransactionNo=14271027&vnp_TransactionStatus=02", providers.Declined,
		},
		"suspected fraud":               {"ResponseCode=00", "ResponseCode=07", providers.Unknown},
		"code good, status bad":         {"TransactionStatus=00", "TransactionStatus=02", providers.Unknown},
		"status good, code bad":         {"ResponseCode=00", "ResponseCode=24", providers.Unknown},
		"code good, no status":          {"&vnp_TransactionStatus=00", "", providers.Unknown},
		"not finished":                  {"TransactionStatus=00", "TransactionStatus=01", providers.Pending},
		"reversed":                      {"TransactionStatus=00", "TransactionStatus=04", providers.Unknown},
		"new word":                      {"ResponseCode=00", "ResponseCode=42", providers.Unknown},
		"without a pay date":            {"&vnp_PayDate=20261121083512", "", providers.Succeeded},
		"paid without a number":         {"&vnp_TransactionNo=14271027", "", ""},
		"paid with number 0":            {"TransactionNo=14271027", "TransactionNo=0", ""},
		"another terminal":              {"DVCTEST1", "DVCTEST2", ""},
		"no reference":                  {"&vnp_TxnRef=DVC2611210001", "", ""},
		"no amount":                     {"vnp_Amount=5000000&", "", ""},
		"half a dong":                   {"5000000", "5000050", ""},
		"nothing":                       {"5000000", "000", ""},
		"negative":                      {"5000000", "-5000000", ""},
		"exponent":                      {"5000000", "5e600", ""},
		"amount beyond the field":       {"5000000", "900000000000000000000000", ""},
		"pay date that does not exist":  {"20261121083512", "20261321083512", ""},
		"pay date with another pattern": {"20261121083512", "2026-11-21+083512", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			query := strings.Replace(paidQuery, c.old, c.new, 1)
			if query == paidQuery {
				t.Fatal("the case changes nothing")
			}
			got, err := vnpay.New(nopClient).Translate(merchant, callback(query))
			if got.Outcome != c.want || (c.want == "") != errors.Is(err, providers.ErrMessage) {
				t.Errorf("got %q and %v, want %q", got.Outcome, err, c.want)
			}
		})
	}
}

func TestEventIDFollowsContent(t *testing.T) {
	t.Parallel()
	id := func(query string) string {
		event, err := vnpay.New(nopClient).Translate(merchant, callback(query))
		if err != nil {
			t.Fatal(err)
		}
		return event.ID
	}
	first := id(paidQuery)
	if again := id(strings.Replace(paidQuery, "Le+phi", "Khac", 1)); again != first {
		t.Errorf("another text: got id %s, want %s", again, first)
	}
	for _, change := range []string{
		"5000000=>6000000", "vnp_TransactionStatus=00=>vnp_TransactionStatus=02", "14271027=>14271028", "0001=>0002",
	} {
		before, after, _ := strings.Cut(change, "=>")
		query := paidQuery
		if before == "14271027" {
			query = strings.Replace(query, "No=14271027&vnp_TransactionS", "No=14271028&vnp_TransactionS", 1)
		} else {
			query = strings.Replace(query, before, after, 1)
		}
		if other := id(query); other == first {
			t.Errorf("%s: got the same id, want another", change)
		}
	}
}

// The published vectors name the state of the order and the reply that VNPAY expects.
func TestReplies(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		ID, Operation, Wire string
		Scenario            struct {
			Exists bool   `json:"order_exists"`
			Amount int64  `json:"order_amount_vnd"`
			Status string `json:"order_status"`
		}
		Reply struct {
			Status int `json:"http_status"`
			Body   map[string]string
		}
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	p := vnpay.New(nopClient)
	for _, v := range vectors {
		if v.Operation != "ipn" {
			continue
		}
		kind := providers.ReplyStored
		if p.Verify(merchant, callback(v.Wire)) != nil {
			kind = providers.ReplyBadSignature
		} else if event, err := p.Translate(merchant, callback(v.Wire)); err != nil {
			kind = providers.ReplyBadMessage
		} else if !v.Scenario.Exists {
			kind = providers.ReplyUnknownOrder
		} else if event.Amount != money.Dong(v.Scenario.Amount) {
			kind = providers.ReplyWrongAmount
		} else if v.Scenario.Status != "pending" {
			kind = providers.ReplyAlreadyStored
		}
		reply := p.Reply(kind)
		var body map[string]string
		if err := json.Unmarshal(reply.Body, &body); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(body, v.Reply.Body); diff != "" || reply.Status != v.Reply.Status {
			t.Errorf("%s: got status %d, want %d; body (-got +want):\n%s", v.ID, reply.Status, v.Reply.Status, diff)
		}
	}
	for _, kind := range []providers.ReplyKind{providers.ReplyBadMessage, providers.ReplyOurError, "new kind"} {
		if got := string(p.Reply(kind).Body); got != `{"RspCode":"99","Message":"Unknown error"}` {
			t.Errorf("Reply(%q): got %s, want 99", kind, got)
		}
	}
}

func TestVerifyReturn(t *testing.T) {
	t.Parallel()
	p := vnpay.New(nopClient)
	event, err := p.VerifyReturn(merchant, signed(paidQuery))
	if err != nil || event.Outcome != providers.Succeeded {
		t.Errorf("got %q and %v, want succeeded", event.Outcome, err)
	}
	if _, err := p.VerifyReturn(merchant, paidQuery); !errors.Is(err, providers.ErrSignature) {
		t.Errorf("unsigned: got %v, want ErrSignature", err)
	}
}

func FuzzIPN(f *testing.F) {
	f.Add(signed(paidQuery))
	f.Add("vnp_Amount=%30%30&vnp_amount=1&&=&vnp_SecureHash")
	p := vnpay.New(nopClient)
	f.Fuzz(func(t *testing.T, query string) {
		verified := p.Verify(merchant, callback(query)) == nil
		event, err := p.Translate(merchant, callback(query))
		if err == nil && event.Outcome == providers.Succeeded && (event.TransactionID == "" || !event.Amount.IsPositive()) {
			t.Errorf("got a success without number or amount: %+v", event)
		}
		if !verified {
			return
		}
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatalf("a verified query does not parse: %v", err)
		}
		for name, list := range values {
			if len(list) > 1 && strings.HasPrefix(name, "vnp_") {
				t.Errorf("a verified query repeats %s", name)
			}
		}
	})
}
