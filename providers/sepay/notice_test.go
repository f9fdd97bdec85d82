package sepay_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/providers/sepay"
)

// body and signature are vector sepay.webhook_hmac.01.
const (
	body = `{"id":92704,"gateway":"Vietcombank","transactionDate":"2026-11-21 15:40:12","accountNumber":"0123499999",` +
		`"code":"DVC2611210001","content":"DVC2611210001 nop le phi","transferType":"in","transferAmount":50000,` +
		`"accumulated":19077000,"subAccount":null,"referenceCode":"MBVCB.3278907687","description":""}`
	timestamp = "1795250412"
	signature = "sha256=8eb8a2de49d61ffae99e1811b1ae70feeee41e87b675e09f91dce6169fa916d0"
)

var (
	signedMerchant = providers.Merchant{Secrets: map[string][]string{"webhook_secret": {"sepay-test-secret-01"}}}
	keyedMerchant  = providers.Merchant{Secrets: map[string][]string{"api_key": {"new-key", "sepay-api-key-01"}}}
)

func notice(text string, headers ...string) providers.RawCallback {
	h := http.Header{}
	for i := 0; i+1 < len(headers); i += 2 {
		h.Add(headers[i], headers[i+1])
	}
	return providers.RawCallback{Method: http.MethodPost, Header: h, Body: []byte(text), ReceivedAt: time.Unix(1795250415, 0)}
}

func signedNotice() providers.RawCallback {
	return notice(body, "X-SePay-Timestamp", timestamp, "X-SePay-Signature", signature)
}

func TestVerify(t *testing.T) {
	t.Parallel()
	at := func(seconds int64) providers.RawCallback {
		c := signedNotice()
		c.ReceivedAt = time.Unix(seconds, 0)
		return c
	}
	for name, c := range map[string]struct {
		merchant providers.Merchant
		message  providers.RawCallback
		ok       bool
	}{
		"signed":             {signedMerchant, signedNotice(), true},
		"300 s late":         {signedMerchant, at(1795250712), true},
		"301 s late":         {signedMerchant, at(1795250713), false},
		"300 s early":        {signedMerchant, at(1795250112), true},
		"301 s early":        {signedMerchant, at(1795250111), false},
		"no time of receipt": {signedMerchant, providers.RawCallback{Header: signedNotice().Header, Body: []byte(body)}, false},
		"body changed": {
			signedMerchant, notice(strings.Replace(body, "50000", "500000", 1), "X-SePay-Timestamp", timestamp, "X-SePay-Signature", signature),
			false,
		},
		"body with a blank more": {
			signedMerchant, notice(body+" ", "X-SePay-Timestamp", timestamp, "X-SePay-Signature", signature), false,
		},
		"timestamp changed": {
			signedMerchant, notice(body, "X-SePay-Timestamp", "1795250413", "X-SePay-Signature", signature), false,
		},
		"no timestamp": {signedMerchant, notice(body, "X-SePay-Signature", signature), false},
		"no signature": {signedMerchant, notice(body, "X-SePay-Timestamp", timestamp), false},
		"signature without its scheme": {
			signedMerchant, notice(body, "X-SePay-Timestamp", timestamp, "X-SePay-Signature", signature[7:]), false,
		},
		"signature twice": {
			signedMerchant, notice(body, "X-SePay-Timestamp", timestamp, "X-SePay-Signature", signature, "X-SePay-Signature", signature), false,
		},
		"key shown to a signing merchant": {signedMerchant, notice(body, "Authorization", "Apikey sepay-test-secret-01"), false},
		"older key of two":                {keyedMerchant, notice(body, "Authorization", "Apikey sepay-api-key-01"), true},
		"newer key of two":                {keyedMerchant, notice(body, "Authorization", "Apikey new-key"), true},
		"wrong scheme":                    {keyedMerchant, notice(body, "Authorization", "Bearer sepay-api-key-01"), false},
		"junk before":                     {keyedMerchant, notice(body, "Authorization", "x Apikey sepay-api-key-01"), false},
		"junk after":                      {keyedMerchant, notice(body, "Authorization", "Apikey sepay-api-key-01 "), false},
		"no key":                          {keyedMerchant, notice(body), false},
		"empty key": {
			providers.Merchant{Secrets: map[string][]string{"api_key": {""}}}, notice(body, "Authorization", "Apikey "), false,
		},
		"merchant without secrets":          {providers.Merchant{}, signedNotice(), false},
		"signature shown to a key merchant": {keyedMerchant, signedNotice(), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := sepay.New().Verify(c.merchant, c.message)
			if c.ok != (err == nil) || err != nil && !errors.Is(err, providers.ErrSignature) {
				t.Errorf("got %v, want accepted %v", err, c.ok)
			}
		})
	}
}

func TestCheckMerchant(t *testing.T) {
	t.Parallel()
	both := providers.Merchant{Secrets: map[string][]string{"api_key": {"a"}, "webhook_secret": {"b"}}}
	for name, c := range map[string]struct {
		merchant providers.Merchant
		want     error
	}{
		"hmac":    {signedMerchant, nil},
		"key":     {keyedMerchant, nil},
		"neither": {providers.Merchant{}, providers.ErrSettings},
		"both":    {both, providers.ErrSettings},
	} {
		if got := sepay.New().CheckMerchant(c.merchant); !errors.Is(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func newReference(t *testing.T) string {
	t.Helper()
	reference, err := ident.NewReference(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return reference
}

func TestTranslate(t *testing.T) {
	t.Parallel()
	reference, other := newReference(t), newReference(t)
	base := providers.Event{
		ID: "92704", TransactionID: "92704", BankReference: "MBVCB.3278907687", Outcome: providers.Succeeded, Reason: "in",
		Amount: money.Dong(50_000), OccurredAt: time.Date(2026, 11, 21, 8, 40, 12, 0, time.UTC),
		Content: "DVC2611210001 nop le phi", Account: "0123499999",
	}
	with := func(change func(*providers.Event)) providers.Event {
		e := base
		change(&e)
		return e
	}
	for name, c := range map[string]struct {
		old, new string
		want     providers.Event
	}{
		"a code that is not ours": {"", "", base},
		"our code": {
			`"code":"DVC2611210001"`, `"code":"` + reference + `"`, with(func(e *providers.Event) { e.Reference = reference }),
		},
		"our code in the content": {`"content":"DVC2611210001 nop le phi"`, `"content":"nop ` + reference + `"`, with(func(e *providers.Event) {
			e.Reference, e.Content = reference, "nop "+reference
		})},
		"two codes": {`"content":"DVC2611210001 nop le phi"`, `"content":"` + reference + " " + other + `"`, with(func(e *providers.Event) {
			e.Content = reference + " " + other
		})},
		"code and content differ": {
			`"code":"DVC2611210001","content":"DVC2611210001 nop le phi"`, `"code":"` + reference + `","content":"` + other + `"`,
			with(func(e *providers.Event) { e.Content = other }),
		},
		"money that left": {`"transferType":"in"`, `"transferType":"out"`, with(func(e *providers.Event) {
			e.Outcome, e.Reason = providers.Declined, "out"
		})},
		"virtual account of somebody else": {`"subAccount":null`, `"subAccount":"VA1"`, base},
		"our virtual account":              {`"subAccount":null`, `"subAccount":"VA9"`, with(func(e *providers.Event) { e.Account = "VA9" })},
		"above 2^53": {`"transferAmount":50000`, `"transferAmount":9007199254740993`, with(func(e *providers.Event) {
			e.Amount = money.Dong(9_007_199_254_740_993)
		})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := sepay.New().
				Translate(providers.Merchant{Settings: map[string]string{"account": "VA9"}}, notice(strings.Replace(body, c.old, c.new, 1)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, c.want); diff != "" {
				t.Errorf("event (-got +want):\n%s", diff)
			}
		})
	}
}

func TestTranslateRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ old, new string }{
		"id as text":             {`"id":92704`, `"id":"92704"`},
		"id under another case":  {`"id":92704`, `"ID":92704`},
		"id with a fraction":     {`"id":92704`, `"id":92704.5`},
		"id twice":               {`"id":92704`, `"id":92704,"id":1`},
		"amount with exponent":   {`"transferAmount":50000`, `"transferAmount":5e4`},
		"amount with a fraction": {`"transferAmount":50000`, `"transferAmount":50000.0`},
		"amount zero":            {`"transferAmount":50000`, `"transferAmount":0`},
		"amount negative":        {`"transferAmount":50000`, `"transferAmount":-50000`},
		"amount too large":       {`"transferAmount":50000`, `"transferAmount":9223372036854775808`},
		"no direction":           {`"transferType":"in",`, ``},
		"another direction":      {`"transferType":"in"`, `"transferType":"IN "`},
		"date of another shape":  {"2026-11-21 15:40:12", "21/11/2026 15:40"},
		"no account":             {`"accountNumber":"0123499999"`, `"accountNumber":null`},
		"not closed":             {`"description":""}`, `"description":""`},
		"something behind":       {`"description":""}`, `"description":""}{}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(body, c.old, c.new, 1)
			if text == body {
				t.Fatal("the case changes nothing")
			}
			if got, err := sepay.New().Translate(signedMerchant, notice(text)); !errors.Is(err, providers.ErrMessage) {
				t.Errorf("got %+v and %v, want ErrMessage", got, err)
			}
		})
	}
}

func TestReply(t *testing.T) {
	t.Parallel()
	for kind, want := range map[providers.ReplyKind]int{
		providers.ReplyStored: 200, providers.ReplyAlreadyStored: 200, providers.ReplyUnknownOrder: 200, providers.ReplyWrongAmount: 200,
		providers.ReplyBadSignature: 401, providers.ReplyBadMessage: 400, providers.ReplyOurError: 500, "new kind": 500,
	} {
		got := sepay.New().Reply(kind)
		if got.Status != want || (want == 200) != bytes.Equal(got.Body, []byte(`{"success":true}`)) {
			t.Errorf("Reply(%s): got %d %s, want %d", kind, got.Status, got.Body, want)
		}
	}
}

func FuzzNotice(f *testing.F) {
	f.Add([]byte(body))
	f.Add(
		[]byte(
			`{"id":1,"transferAmount":1,"transferType":"in","accountNumber":"1","transactionDate":"2026-11-21 15:40:12","content":"DS"}`,
		),
	)
	f.Fuzz(func(t *testing.T, data []byte) {
		event, err := sepay.New().Translate(signedMerchant, providers.RawCallback{Body: data})
		if err != nil {
			return
		}
		if event.ID == "" || !event.Amount.IsPositive() || event.Account == "" {
			t.Errorf("got %+v, want an id, an amount and an account", event)
		}
		if event.Reference != "" && (!ident.IsReference(event.Reference) || event.Outcome != providers.Succeeded) {
			t.Errorf("got reference %q with %s", event.Reference, event.Outcome)
		}
	})
}
