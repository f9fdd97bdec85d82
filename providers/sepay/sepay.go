// Package sepay reads the bank-credit notices of SePay: who paid into a
// collecting account, how much and with which text.
//
// The package owns no data and calls no other system. A merchant account has
// the secret of one of two modes: webhook_secret (HMAC over the raw body) or
// api_key (shared key in a header). Verify uses this mode, and refuses every
// notice when the account has no secret.
//
// Invariants: no code re-serialises the body before the signature is checked;
// money that left the account is never a payment; when notice and bank statement
// differ, the statement is right.
package sepay

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/textproto"
	"strconv"
	"time"

	"github.com/doisoat/doisoat/providers"
)

// Name is the provider's word in paths, accounts and files.
const Name = "sepay"

const (
	secretWebhook = "webhook_secret"
	secretAPIKey  = "api_key"

	headerTimestamp = "X-Sepay-Timestamp" // X-SePay-Timestamp in canonical form
	headerSignature = "X-Sepay-Signature"
	headerKey       = "Authorization"

	signaturePrefix = "sha256="
	keyPrefix       = "Apikey "
)

// Window is the largest allowed difference between the timestamp of a signed
// notice and its time of receipt, in both directions.
const Window = 300 * time.Second

// Provider implements callbacks only.
type Provider struct{}

// New makes the provider.
func New() *Provider { return &Provider{} }

// Name returns "sepay".
func (*Provider) Name() string { return Name }

// CheckMerchant requires the secret of exactly one mode. With both secrets an
// attacker who knows the weaker one could choose its mode.
func (*Provider) CheckMerchant(m providers.Merchant) error {
	signed, keyed := len(live(m, secretWebhook)) > 0, len(live(m, secretAPIKey)) > 0
	if signed == keyed {
		return providers.ErrSettings.At("/secrets/"+secretWebhook, "either webhook_secret or api_key is required, not both")
	}
	return nil
}

// live returns the secrets called name, newest first, without empty ones.
func live(m providers.Merchant, name string) []string {
	var secrets []string
	for _, s := range m.Secrets[name] {
		if s != "" {
			secrets = append(secrets, s)
		}
	}
	return secrets
}

// Verify checks a notice: either the HMAC of timestamp and raw body within
// Window of ReceivedAt, or the whole Authorization header. A header that comes
// twice counts as missing. Without a secret Verify accepts no notice.
func (*Provider) Verify(m providers.Merchant, c providers.RawCallback) error {
	if secrets := live(m, secretWebhook); len(secrets) > 0 {
		if err := verifySigned(secrets, c); err != nil {
			return err
		}
		return checkWindow(header(c, headerTimestamp), c.ReceivedAt)
	}
	return verifyKeyed(live(m, secretAPIKey), c)
}

func verifySigned(secrets []string, c providers.RawCallback) error {
	given := header(c, headerSignature)
	text := signedText(header(c, headerTimestamp), c.Body)
	found := false
	for _, secret := range secrets {
		if constantEqual(sign(secret, text), given) {
			found = true
		}
	}
	if !found {
		return providers.ErrSignature
	}
	return nil
}

// checkWindow compares a timestamp with the time of receipt. Callers verify the
// signature of the timestamp first.
func checkWindow(timestamp string, receivedAt time.Time) error {
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return providers.ErrSignature.With("timestamp is not a number of seconds")
	}
	if apart := receivedAt.Sub(time.Unix(seconds, 0)); apart > Window || apart < -Window {
		return providers.ErrSignature.With("timestamp is more than %d seconds from the time of receipt", int(Window.Seconds()))
	}
	return nil
}

func verifyKeyed(keys []string, c providers.RawCallback) error {
	given := header(c, headerKey)
	found := false
	for _, key := range keys {
		if constantEqual(keyPrefix+key, given) {
			found = true
		}
	}
	if !found {
		return providers.ErrSignature
	}
	return nil
}

// signedText returns the text that SePay signs: the timestamp as sent, a dot, the body as sent.
func signedText(timestamp string, body []byte) string { return timestamp + "." + string(body) }

// sign returns the value of the signature header.
func sign(secret, text string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(text)) // never fails
	return signaturePrefix + hex.EncodeToString(h.Sum(nil))
}

// constantEqual compares in constant time. It hashes both texts first, so that the time hides their lengths too.
func constantEqual(want, given string) bool {
	w, g := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(w[:], g[:]) == 1
}

// header returns the only value of a header, "" when the header is absent or
// repeated. It compares names in canonical form, because a stored message may
// hold them in another form.
func header(c providers.RawCallback, name string) string {
	var values []string
	for key, list := range c.Header {
		if textproto.CanonicalMIMEHeaderKey(key) == name {
			values = append(values, list...)
		}
	}
	if len(values) != 1 {
		return ""
	}
	return values[0]
}

// CallbackBounds: a notice is a body of about 500 bytes.
func (*Provider) CallbackBounds() providers.CallbackBounds {
	return providers.CallbackBounds{Query: 1 << 10, Body: maxBody}
}

// CallbackHeaders names the headers of both modes.
func (*Provider) CallbackHeaders() []string {
	return []string{headerTimestamp, headerSignature, headerKey}
}

// Reply returns our answer. SePay repeats a notice up to seven times until the
// answer is 200 with success. Therefore a kept notice is a success when a repeat
// would change nothing, also a credit that fits no payment. A repeat helps only
// after our own error or after a wrong signature, which may become right when
// the agency rotates a secret. Reply refuses a malformed message, so that the
// sender sees the fault.
func (*Provider) Reply(kind providers.ReplyKind) providers.Reply {
	reply := providers.Reply{Status: http.StatusInternalServerError, ContentType: "application/json", Body: []byte(`{"success":false}`)}
	switch kind {
	case providers.ReplyStored, providers.ReplyAlreadyStored, providers.ReplyUnknownOrder, providers.ReplyWrongAmount:
		reply.Status, reply.Body = http.StatusOK, []byte(`{"success":true}`)
	case providers.ReplyBadSignature:
		reply.Status = http.StatusUnauthorized
	case providers.ReplyBadMessage:
		reply.Status = http.StatusBadRequest
	case providers.ReplyOurError:
	}
	return reply
}
