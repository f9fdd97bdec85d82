// Package vnpay speaks the protocol of the VNPAY gateway, version 2.1.0: signed
// pay address, IPN, browser return, inquiry (querydr) and refund.
//
// The package owns no data. VNPAY writes amounts ×100 and times as
// yyyyMMddHHmmss in GMT+7. Every signature is HMAC-SHA512.
//
// Invariants: the package trusts no callback and no answer without a right
// signature; a payment succeeded only when response code and transaction status
// are both 00; every word that the tables in outcome.go do not list is Unknown.
package vnpay

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/providers"
)

// Name is the provider's word in paths, accounts and files.
const Name = "vnpay"

// Settings and secrets of a merchant account.
const (
	settingTerminal  = "tmn_code"
	settingPayURL    = "pay_url"
	settingAPIURL    = "api_url"
	settingServerIP  = "server_ip" // optional: our address as VNPAY shall log it
	secretHash       = "hash_secret"
	protocolVersion  = "2.1.0"
	timeLayout       = "20060102150405"
	terminalLength   = 8
	maxAmountDigits  = 12
	maxOrderInfo     = 255
	maxRequestID     = 32
	maxReference     = 100
	defaultIPAddress = "127.0.0.1"
)

// Provider implements checkout, callbacks, return page, inquiry and refund.
type Provider struct {
	client *http.Client
}

// New makes the provider. The caller's client sets the time limits and the
// trusted certificates. The provider follows no redirect.
func New(client *http.Client) *Provider {
	return &Provider{client: providers.Client(client)}
}

// Name returns "vnpay".
func (*Provider) Name() string { return Name }

// CheckMerchant requires a terminal code of eight letters or digits, both
// addresses and at least one hash secret.
func (*Provider) CheckMerchant(m providers.Merchant) error {
	fault, ok := providers.ErrSettings, true
	if code := m.Settings[settingTerminal]; len(code) != terminalLength || !isAlphanumeric(code) {
		fault, ok = fault.At("/settings/"+settingTerminal, "must be 8 letters or digits"), false
	}
	for _, name := range []string{settingPayURL, settingAPIURL} {
		if !isEndpoint(m.Settings[name]) {
			fault, ok = fault.At("/settings/"+name, "must be an http or https address without query"), false
		}
	}
	if len(liveSecrets(m)) == 0 {
		fault, ok = fault.At("/secrets/"+secretHash, "is required"), false
	}
	if ok {
		return nil
	}
	return fault
}

func isEndpoint(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" &&
		u.RawQuery == "" && u.Fragment == "" && u.User == nil
}

// liveSecrets returns the hash secrets, newest first, without empty ones. Every
// attacker could compute a signature with an empty key.
func liveSecrets(m providers.Merchant) []string {
	var live []string
	for _, s := range m.Secrets[secretHash] {
		if s != "" {
			live = append(live, s)
		}
	}
	return live
}

// wireAmount writes an amount for VNPAY: đồng ×100, digits only.
func wireAmount(a money.Amount) (string, error) {
	if a.Currency != money.VND || !a.IsPositive() {
		return "", providers.ErrMessage.With("amount must be positive and in VND").At("/amount", "must be positive and in VND")
	}
	text := strconv.FormatInt(a.Minor, 10) + "00"
	if len(text) > maxAmountDigits {
		return "", providers.ErrMessage.With("amount is too large for VNPAY").At("/amount", "is too large")
	}
	return text, nil
}

// readAmount reads an amount in đồng ×100. It refuses a fraction of a đồng, zero
// and every character that is not a digit with ErrMessage.
func readAmount(text string) (money.Amount, error) {
	whole, hundred := strings.CutSuffix(text, "00")
	if !hundred || len(text) > maxAmountDigits+2 || !isDigits(whole) {
		return money.Amount{}, providers.ErrMessage.With("vnp_Amount is not a positive whole amount in VND ×100")
	}
	minor, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || minor == 0 {
		return money.Amount{}, providers.ErrMessage.With("vnp_Amount is not a positive whole amount in VND ×100")
	}
	return money.Dong(minor), nil
}

func wireTime(t time.Time) string { return t.In(calendar.HoChiMinh).Format(timeLayout) }

func readTime(text string) (time.Time, error) {
	if len(text) != len(timeLayout) || !isDigits(text) {
		return time.Time{}, providers.ErrMessage.With("time is not yyyyMMddHHmmss")
	}
	t, err := time.ParseInLocation(timeLayout, text, calendar.HoChiMinh)
	if err != nil {
		return time.Time{}, providers.ErrMessage.With("time is not yyyyMMddHHmmss")
	}
	return t, nil
}

func isDigits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return text != ""
}

func isAlphanumeric(text string) bool {
	for i := range len(text) {
		c := text[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return text != ""
}
