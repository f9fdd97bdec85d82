package sepay

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/providers"
)

// CheckVector judges one message with the code that serves callbacks. It checks
// the time window only when the vector has a time of receipt. In API-key mode
// SePay signs nothing: the canonical text is the expected header with the key.
func CheckVector(v providers.Vector) providers.VectorResult {
	result := providers.VectorResult{ID: v.ID, Signature: v.Signature}
	switch v.Operation {
	case "webhook_hmac":
		checkHMAC(&result, v)
	case "webhook_apikey":
		checkKey(&result, v)
	case "pg_checkout":
		checkForm(&result, v)
	default:
		result.Reason = "unknown operation " + v.Operation
	}
	result.Accepted = result.Reason == ""
	return result
}

func checkHMAC(result *providers.VectorResult, v providers.Vector) {
	merchant := providers.Merchant{Secrets: map[string][]string{secretWebhook: v.Secret(secretWebhook)}}
	secrets := live(merchant, secretWebhook)
	if len(secrets) == 0 {
		result.Reason = "no " + secretWebhook + " is given"
		return
	}
	c := callback(v)
	timestamp := header(c, headerTimestamp)
	result.Canonical = signedText(timestamp, c.Body)
	computed := sign(secrets[0], result.Canonical)
	if result.Signature = signatureOf(v, header(c, headerSignature)); result.Signature == "" && !v.Signed {
		result.Signature, result.Reason = computed, "signature is missing"
		return
	}
	if c.Header.Get(headerSignature) == "" && v.Signed {
		c.Header.Set(headerSignature, v.Signature)
	}
	if err := verifySigned(secrets, c); err != nil || result.Signature != header(c, headerSignature) {
		result.Computed, result.Reason = computed, "signature is wrong"
		return
	}
	if c.ReceivedAt.IsZero() {
		if seconds, err := strconv.ParseInt(timestamp, 10, 64); err == nil {
			c.ReceivedAt = time.Unix(seconds, 0)
		}
	}
	if result.Reason = reasonOf((*Provider)(nil).Verify(merchant, c)); result.Reason == "" {
		_, err := (*Provider)(nil).Translate(merchant, c)
		result.Reason = reasonOf(err)
	}
}

func checkKey(result *providers.VectorResult, v providers.Vector) {
	merchant := providers.Merchant{Secrets: map[string][]string{secretAPIKey: v.Secret(secretAPIKey)}}
	keys := live(merchant, secretAPIKey)
	if len(keys) == 0 {
		result.Reason = "no " + secretAPIKey + " is given"
		return
	}
	c := callback(v)
	if c.Header.Get(headerKey) == "" && v.Signed {
		c.Header.Set(headerKey, v.Signature)
	}
	result.Canonical = keyPrefix + keys[0]
	result.Signature = signatureOf(v, header(c, headerKey))
	if err := (*Provider)(nil).Verify(merchant, c); err != nil || result.Signature != header(c, headerKey) {
		result.Reason = "key is missing or wrong"
		return
	}
	_, err := (*Provider)(nil).Translate(merchant, c)
	result.Reason = reasonOf(err)
}

// signatureOf returns the signature that the vector names, and the one from the header when it names none.
func signatureOf(v providers.Vector, travelled string) string {
	if v.Signed {
		return v.Signature
	}
	return travelled
}

func callback(v providers.Vector) providers.RawCallback {
	c := providers.RawCallback{
		Method: http.MethodPost, Header: http.Header{}, Body: []byte(v.Fields.Text("raw_body")), ReceivedAt: v.ReceiveAt,
	}
	for _, h := range v.Fields.Object("headers") {
		if value, ok := h.Value.(string); ok {
			c.Header.Add(h.Name, value)
		}
	}
	return c
}

// signedMembers are the members of a checkout form that SePay signs.
var signedMembers = []string{
	"merchant", "env", "operation", "payment_method", "order_amount", "currency", "order_invoice_number",
	"order_description", "customer_id", "agreement_id", "agreement_name", "agreement_type",
	"agreement_payment_frequency", "agreement_amount_per_payment", "success_url", "error_url", "cancel_url", "order_id",
}

// formText returns the signed text of a checkout form, with its members in the order of the form.
func formText(form providers.Members) string {
	var parts []string
	for _, member := range form {
		if !slices.Contains(signedMembers, member.Name) {
			continue
		}
		switch value := member.Value.(type) {
		case string:
			parts = append(parts, member.Name+"="+value)
		case json.Number:
			parts = append(parts, member.Name+"="+value.String())
		}
	}
	return strings.Join(parts, ",")
}

// signForm signs a checkout form: base64 of HMAC-SHA256.
func signForm(secret, text string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(text)) // never fails
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func checkForm(result *providers.VectorResult, v providers.Vector) {
	secrets := v.Secret("secret_key")
	if len(secrets) == 0 || secrets[0] == "" {
		result.Reason = "no secret_key is given"
		return
	}
	result.Canonical = formText(v.Fields)
	computed := signForm(secrets[0], result.Canonical)
	given := signatureOf(v, v.Fields.Text("signature"))
	if result.Signature = given; given == "" && !v.Signed {
		result.Signature = computed // a form of this system without a signature: sign it
		return
	}
	for _, secret := range secrets {
		if secret != "" && constantEqual(signForm(secret, result.Canonical), given) {
			return
		}
	}
	result.Computed, result.Reason = computed, "signature is wrong"
}

func reasonOf(err error) string {
	if err == nil {
		return ""
	}
	if f, ok := fault.Of(err); ok {
		return f.Message
	}
	return "message is malformed"
}
