// Package vietqr makes and reads VietQR codes (NAPAS QR specification 1.5.2)
// and offers payment by bank transfer.
//
// The package owns no data and calls no other system: it makes the codes
// locally. Another provider notifies Doisoat of the bank's credit; the setting
// "notifier" of the merchant account names this provider. Payers can change
// amount and text in some banking apps. Therefore Doisoat always compares the
// notice with the payment.
//
// Invariants: Parse reads every code that Payload writes; Parse refuses a code
// with a right checksum and wrong lengths.
package vietqr

import (
	"context"

	"github.com/skip2/go-qrcode"

	"github.com/doisoat/doisoat/providers"
)

// Name is the provider's word in paths, accounts and files.
const Name = "vietqr"

// Settings of a merchant account. The notifier checks the secrets.
const (
	settingBIN         = "bank_bin"
	settingBank        = "bank_name"
	settingAccount     = "account"
	settingAccountName = "account_name"
	settingNotifier    = "notifier"
)

// pictureSize is the edge of the picture in pixels. A picture of this size is sharp on a phone and on A4 paper.
const pictureSize = 512

// Provider implements checkout only.
type Provider struct{}

// New makes the provider.
func New() *Provider { return &Provider{} }

// Name returns "vietqr".
func (*Provider) Name() string { return Name }

// CheckMerchant requires a known bank, an account that fits a code, the names
// shown to payers, and the notifier.
func (*Provider) CheckMerchant(m providers.Merchant) error {
	fault, ok := providers.ErrSettings, true
	if BankName(m.Settings[settingBIN]) == "" {
		fault, ok = fault.At("/settings/"+settingBIN, "must be the BIN of a NAPAS member"), false
	}
	if account := m.Settings[settingAccount]; len(account) > maxAccount || !isCode(account) {
		fault, ok = fault.At("/settings/"+settingAccount, "must be 1 to 19 letters and digits"), false
	}
	for _, name := range []string{settingBank, settingAccountName, settingNotifier} {
		if m.Settings[name] == "" {
			fault, ok = fault.At("/settings/"+name, "is required"), false
		}
	}
	if ok {
		return nil
	}
	return fault
}

// Checkout makes a code for one use, with amount, account and our reference as
// the text of the transfer. It also returns these fields as text, for payers who
// type them into a banking app.
func (p *Provider) Checkout(_ context.Context, m providers.Merchant, r providers.CheckoutRequest) (providers.Checkout, error) {
	if err := p.CheckMerchant(m); err != nil {
		return providers.Checkout{}, err
	}
	if r.Reference == "" || !isCode(r.Reference) {
		return providers.Checkout{}, providers.ErrMessage.With("reference is not letters and digits").
			At("/reference", "must be letters and digits")
	}
	if !r.Amount.IsPositive() {
		return providers.Checkout{}, providers.ErrMessage.With("amount must be positive").At("/amount", "must be positive")
	}
	payload, err := Code{
		BIN: m.Settings[settingBIN], Account: m.Settings[settingAccount], Service: toAccount, Amount: r.Amount, Purpose: r.Reference,
	}.Payload()
	if err != nil {
		return providers.Checkout{}, err
	}
	picture, err := qrcode.Encode(payload, qrcode.Medium, pictureSize)
	if err != nil {
		return providers.Checkout{}, ErrCode.Because(err)
	}
	return providers.Checkout{
		Kind: providers.QR,
		QR:   &providers.QRCode{Payload: payload, PNG: picture},
		Transfer: &providers.TransferDetails{
			Bank: m.Settings[settingBank], Account: m.Settings[settingAccount], Name: m.Settings[settingAccountName], Content: r.Reference,
		},
	}, nil
}
