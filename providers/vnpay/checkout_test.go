package vnpay_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/providers/vnpay"
)

// nopClient is for tests without a call.
var nopClient = &http.Client{}

func checkoutRequest() providers.CheckoutRequest {
	at := time.Date(2026, 11, 21, 1, 30, 15, 0, time.UTC)
	return providers.CheckoutRequest{
		Reference: "DVC2611210001", Amount: money.Dong(50_000), Description: "Thanh toán lệ phí hồ sơ 000.00.12.H26-261121-0001",
		ReturnURL: "https://dvc.example.gov.vn/thanh-toan/vnpay/ket-qua", Locale: "vi", PayerIP: "203.113.152.1",
		CreatedAt: at, ExpiresAt: at.Add(15 * time.Minute),
	}
}

// The address equals the address of vector vnpay.pay.01: accents dropped, GMT+7, ×100.
func TestCheckout(t *testing.T) {
	t.Parallel()
	got, err := vnpay.New(nopClient).Checkout(t.Context(), merchant, checkoutRequest())
	if err != nil {
		t.Fatal(err)
	}
	const want = "https://sandbox.vnpayment.vn/paymentv2/vpcpay.html?vnp_Amount=5000000&vnp_Command=pay&vnp_CreateDate" +
		"=20261121083015&vnp_CurrCode=VND&vnp_ExpireDate=20261121084515&vnp_IpAddr=203.113.152.1&vnp_Locale=v" +
		"n&vnp_OrderInfo=Thanh+toan+le+phi+ho+so+000.00.12.H26-261121-0001&vnp_OrderType=other&vnp_ReturnUrl=" +
		"https%3A%2F%2Fdvc.example.gov.vn%2Fthanh-toan%2Fvnpay%2Fket-qua&vnp_TmnCode=DVCTEST1&vnp_TxnRef=DVC2" +
		"611210001&vnp_Version=2.1.0&vnp_SecureHash=b4c4bcbf75743002d81f04ae37b3587eadda4d4e29ec277269a3313a3" +
		"1c523e0aa817f2676f5c31a7232753891a3f5375a5d47f12132c0847041941e19a3cbbc"
	if got.URL != want || got.Kind != providers.Redirect {
		t.Errorf("got %s %s\nwant redirect %s", got.Kind, got.URL, want)
	}
}

func TestCheckoutRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*providers.CheckoutRequest){
		"no amount":              func(r *providers.CheckoutRequest) { r.Amount = money.Dong(0) },
		"negative amount":        func(r *providers.CheckoutRequest) { r.Amount = money.Dong(-1) },
		"another currency":       func(r *providers.CheckoutRequest) { r.Amount = money.Amount{Currency: "USD", Minor: 5} },
		"amount of 13 digits":    func(r *providers.CheckoutRequest) { r.Amount = money.Dong(10_000_000_000) },
		"reference with a dash":  func(r *providers.CheckoutRequest) { r.Reference = "DVC-1" },
		"no reference":           func(r *providers.CheckoutRequest) { r.Reference = "" },
		"return address with *":  func(r *providers.CheckoutRequest) { r.ReturnURL += "?a=*" },
		"return address too big": func(r *providers.CheckoutRequest) { r.ReturnURL += strings.Repeat("a", 255) },
		"no return address":      func(r *providers.CheckoutRequest) { r.ReturnURL = "" },
		"already over":           func(r *providers.CheckoutRequest) { r.ExpiresAt = r.CreatedAt },
		"payer address of words": func(r *providers.CheckoutRequest) { r.PayerIP = "localhost" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := checkoutRequest()
			change(&r)
			if _, err := vnpay.New(nopClient).Checkout(t.Context(), merchant, r); !errors.Is(err, providers.ErrMessage) {
				t.Errorf("got %v, want ErrMessage", err)
			}
		})
	}
}

func TestCheckMerchant(t *testing.T) {
	t.Parallel()
	if err := vnpay.New(nopClient).CheckMerchant(merchant); err != nil {
		t.Errorf("got %v, want none", err)
	}
	err := vnpay.New(nopClient).CheckMerchant(providers.Merchant{
		Settings: map[string]string{"tmn_code": "SHORT", "pay_url": "ftp://x", "api_url": "https://x/?a=1"},
		Secrets:  map[string][]string{"hash_secret": {""}},
	})
	f, ok := fault.Of(err)
	if !ok || !errors.Is(err, providers.ErrSettings) || len(f.Fields) != 4 {
		t.Errorf("got %v, want ErrSettings with 4 fields", err)
	}
}
