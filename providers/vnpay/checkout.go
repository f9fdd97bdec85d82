package vnpay

import (
	"context"
	"net/netip"
	"strings"

	"github.com/doisoat/doisoat/internal/text"
	"github.com/doisoat/doisoat/providers"
)

// Checkout builds the signed pay address, without a call. It reduces Description
// to plain ASCII. It fails with ErrSettings, or with ErrMessage for a request
// that VNPAY would refuse or that encoders would sign differently.
func (p *Provider) Checkout(_ context.Context, m providers.Merchant, r providers.CheckoutRequest) (providers.Checkout, error) {
	if err := p.CheckMerchant(m); err != nil {
		return providers.Checkout{}, err
	}
	amount, err := wireAmount(r.Amount)
	if err != nil {
		return providers.Checkout{}, err
	}
	if err := checkRequest(r); err != nil {
		return providers.Checkout{}, err
	}
	address := r.PayerIP
	if address == "" {
		address = defaultIPAddress
	}
	pay := message{values: map[string]string{}}
	for name, value := range map[string]string{
		"vnp_Version":    protocolVersion,
		"vnp_Command":    "pay",
		"vnp_TmnCode":    m.Settings[settingTerminal],
		"vnp_Amount":     amount,
		"vnp_CreateDate": wireTime(r.CreatedAt),
		"vnp_CurrCode":   "VND",
		"vnp_IpAddr":     address,
		"vnp_Locale":     locale(r.Locale),
		"vnp_OrderInfo":  orderInfo(r.Description, "Thanh toan "+r.Reference),
		"vnp_OrderType":  "other",
		"vnp_ReturnUrl":  r.ReturnURL,
		"vnp_ExpireDate": wireTime(r.ExpiresAt),
		"vnp_TxnRef":     r.Reference,
	} {
		pay.set(name, value)
	}
	canonical := pay.canonical(encoders[0])
	signature := sign(liveSecrets(m)[0], canonical)
	return providers.Checkout{
		Kind: providers.Redirect,
		URL:  m.Settings[settingPayURL] + "?" + canonical + "&" + hashName + "=" + signature,
	}, nil
}

func checkRequest(r providers.CheckoutRequest) error {
	if len(r.Reference) > maxReference || !isAlphanumeric(r.Reference) {
		return providers.ErrMessage.With("reference is not letters and digits").At("/reference", "must be letters and digits")
	}
	// Encoders treat these five characters differently, so their signatures would differ.
	if n := len(r.ReturnURL); n < 10 || n > 255 || strings.ContainsAny(r.ReturnURL, "!'()*~") {
		return providers.ErrMessage.With("return address is not valid for VNPAY").
			At("/return_url", "must have 10 to 255 characters and none of ! ' ( ) * ~")
	}
	if r.CreatedAt.IsZero() || !r.ExpiresAt.After(r.CreatedAt) {
		return providers.ErrMessage.With("payment ends before its creation").At("/expires_at", "must come after the creation")
	}
	if _, err := netip.ParseAddr(r.PayerIP); r.PayerIP != "" && err != nil {
		return providers.ErrMessage.With("payer address is no IP address").At("/payer/ip", "must be an IP address")
	}
	return nil
}

func locale(word string) string {
	if word == "en" {
		return "en"
	}
	return "vn"
}

// orderInfo returns the text shown to the payer. VNPAY requires a text without accents and special characters.
func orderInfo(wanted, otherwise string) string {
	if plain := text.Plain(wanted, maxOrderInfo); plain != "" {
		return plain
	}
	return otherwise
}
