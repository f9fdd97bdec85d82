// Package sepay reads bank-credit notices of SePay: who paid into a collecting
// account, how much and with which text.
//
// It owns no data and calls nobody. A notice is verified by the mode whose
// secret the merchant account has: webhook_secret (HMAC over the raw body) or
// api_key (shared key in a header); without one everything is refused.
// Invariants: the body is never re-serialised before its signature is checked;
// money that left the account is never a payment; a notice is a hint and the
// bank's statement the truth.
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

// Window is how far the clock of a signed notice may be from ours, either way.
const Window = 300 * time.Second

// Provider implements callbacks only.
type Provider struct{}

// New makes the provider.
func New() *Provider { return &Provider{} }

// Name returns "sepay".
func (*Provider) Name() string { return Name }

// CheckMerchant wants the secret of exactly one mode: with both, whoever knew
// the weaker one could choose it.
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

// Verify checks a notice: the HMAC of timestamp and raw body within Window of
// ReceivedAt, or the whole Authorization header. A header given twice counts
// as missing. With neither secret nothing is accepted.
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

// checkWindow is asked only about a timestamp that is signed rightly.
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

// signedText is what SePay signs: the timestamp as sent, a dot, the body as sent.
func signedText(timestamp string, body []byte) string { return timestamp + "." + string(body) }

// sign returns the value of the signature header.
func sign(secret, text string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(text)) // never fails
	return signaturePrefix + hex.EncodeToString(h.Sum(nil))
}

// constantEqual hides the length too, since it hashes both sides first.
func constantEqual(want, given string) bool {
	w, g := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(w[:], g[:]) == 1
}

// header returns the one value of a header, "" when it is absent or repeated.
// Names are compared in canonical form, however the message was kept.
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

// Reply words our answer. SePay repeats whatever is not 200 with success, up
// to seven times: so everything that is kept, and that a repeat would not
// change, is a success, also a credit that fits no payment. Only a signature
// that may become right (a secret being rotated) and our own errors are worth
// a repeat; a malformed message is refused for its sender to see.
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
