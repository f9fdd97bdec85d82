package vnpay_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/providers/providertest"
	"github.com/doisoat/doisoat/providers/simulator/farsides"
	"github.com/doisoat/doisoat/providers/vnpay"
)

const (
	terminal = "DVCTEST1"
	secret   = "TESTONLYVNPAYHASHSECRET000000001"
)

func TestContract(t *testing.T) {
	t.Parallel()
	providertest.Run(t, farSide)
}

func farSide(t *testing.T) providertest.Harness {
	t.Helper()
	sim := farsides.New(farsides.Options{Now: time.Now, HangFor: 2 * time.Second})
	t.Cleanup(sim.Close)
	far := httptest.NewServer(sim.Handler())
	t.Cleanup(far.Close)
	provider := vnpay.New(&http.Client{Transport: far.Client().Transport})
	merchant := providers.Merchant{
		Settings: map[string]string{
			"tmn_code": terminal, "pay_url": far.URL + farsides.PayPath, "api_url": far.URL + farsides.APIPath,
		},
		Secrets: map[string][]string{"hash_secret": {secret}},
	}
	inbox := &providertest.Inbox{Receiver: provider, Merchant: merchant, Now: time.Now}
	ours := httptest.NewServer(inbox)
	t.Cleanup(ours.Close)
	sim.RegisterVNPAY(terminal, secret, ours.URL+"/callbacks/vnpay/1")
	return providertest.Harness{
		Checkout: provider, Receiver: provider, Inquirer: provider, Refunder: provider,
		Merchant: merchant, Inbox: inbox, Script: providertest.Script{Address: far.URL}, Fault: "vnpay",
		Tamper: func(c providers.RawCallback) providers.RawCallback {
			c.RawQuery = strings.Replace(c.RawQuery, "vnp_Amount=6000000", "vnp_Amount=60000000", 1)
			return c
		},
		NotifiesFailure: true, Patience: time.Second,
	}
}
