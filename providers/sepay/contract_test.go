package sepay_test

import (
	"bytes"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/providers/providertest"
	"github.com/doisoat/doisoat/providers/sepay"
	"github.com/doisoat/doisoat/providers/simulator/farsides"
	"github.com/doisoat/doisoat/providers/vietqr"
)

// TestContract plays VietQR and SePay together: VietQR makes the code, and SePay
// notifies the credit of its transfer.
func TestContract(t *testing.T) {
	t.Parallel()
	t.Run("hmac", func(t *testing.T) {
		t.Parallel()
		providertest.Run(t, func(t *testing.T) providertest.Harness { return farSide(t, "sepay-test-secret-01", "") })
	})
	t.Run("api key", func(t *testing.T) {
		t.Parallel()
		providertest.Run(t, func(t *testing.T) providertest.Harness {
			h := farSide(t, "", "sepay-api-key-01")
			h.Tamper = func(c providers.RawCallback) providers.RawCallback {
				c.Header = c.Header.Clone()
				c.Header.Set("Authorization", "Bearer sepay-api-key-01") // the body is not signed in this mode
				return c
			}
			return h
		})
	})
}

func farSide(t *testing.T, webhookSecret, apiKey string) providertest.Harness {
	t.Helper()
	sim := farsides.New(farsides.Options{Now: time.Now})
	t.Cleanup(sim.Close)
	far := httptest.NewServer(sim.Handler())
	t.Cleanup(far.Close)
	merchant := providers.Merchant{
		Settings: map[string]string{
			"bank_bin": "970415", "bank_name": "VietinBank", "account": "116002680669", "account_name": "SO TU PHAP NGHE AN",
			"notifier": "sepay",
		},
		Secrets: map[string][]string{},
	}
	if webhookSecret != "" {
		merchant.Secrets["webhook_secret"] = []string{webhookSecret}
	} else {
		merchant.Secrets["api_key"] = []string{apiKey}
	}
	receiver := sepay.New()
	inbox := &providertest.Inbox{Receiver: receiver, Merchant: merchant, Now: time.Now}
	ours := httptest.NewServer(inbox)
	t.Cleanup(ours.Close)
	sim.RegisterBank("116002680669", "970415", ours.URL+"/callbacks/sepay/1", webhookSecret, apiKey)
	return providertest.Harness{
		Checkout: vietqr.New(), Receiver: receiver,
		Merchant: merchant, Inbox: inbox, Script: providertest.Script{Address: far.URL}, Fault: "sepay",
		Tamper: func(c providers.RawCallback) providers.RawCallback {
			c.Body = bytes.Replace(c.Body, []byte(`"transferAmount":60000`), []byte(`"transferAmount":600000`), 1)
			return c
		},
		Patience: time.Second,
	}
}
