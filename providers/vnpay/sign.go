package vnpay

import (
	"crypto/hmac"
	"crypto/sha512"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/doisoat/doisoat/providers"
)

const (
	parameterPrefix = "vnp_"
	hashName        = "vnp_SecureHash"
	hashTypeName    = "vnp_SecureHashType"
	maxQuery        = 8 << 10
	maxParameters   = 64
)

// encoders lists, for each form encoder in use, the characters that it does not
// escape besides letters, digits, '-', '_' and '.': PHP (and this package), Java
// and browsers, Go and Python, .NET, the Node demo. Each encoder maps parameters
// one-to-one, so that trying all of them does not weaken the signature.
var encoders = []string{"", "*", "~", "!*()", "!'()*~"}

// message is a set of signed parameters: values decoded, signature apart.
type message struct {
	values map[string]string
	hash   string
}

// parseQuery decodes a raw query. It refuses a repeated name, a bad escape, and
// too many bytes or parameters. Frameworks choose different values of a repeated
// name, so that the signed text would be ambiguous.
func parseQuery(raw string) (message, error) {
	m := message{values: map[string]string{}}
	if len(raw) > maxQuery {
		return message{}, providers.ErrSignature.With("query is longer than %d bytes", maxQuery)
	}
	if !utf8.ValidString(raw) { // a kept message must stay byte for byte, and no client sends such bytes unescaped
		return message{}, providers.ErrSignature.With("query is not UTF-8")
	}
	pairs := strings.Split(raw, "&")
	if len(pairs) > maxParameters {
		return message{}, providers.ErrSignature.With("query has more than %d parameters", maxParameters)
	}
	seen := map[string]bool{}
	for _, pair := range pairs {
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil {
			return message{}, providers.ErrSignature.With("query is not form-encoded")
		}
		value, err := url.QueryUnescape(rawValue)
		if err != nil {
			return message{}, providers.ErrSignature.With("query is not form-encoded")
		}
		if seen[name] {
			return message{}, providers.ErrSignature.With("a parameter is given twice")
		}
		seen[name] = true
		m.set(name, value)
	}
	return m, nil
}

// set stores one parameter. VNPAY does not sign empty parameters and parameters
// without its prefix, so set leaves them out.
func (m *message) set(name, value string) {
	switch {
	case name == hashName:
		m.hash = value
	case name == hashTypeName, !strings.HasPrefix(name, parameterPrefix), value == "":
	default:
		m.values[name] = value
	}
}

// canonical returns the signed text: names in byte order, values form-encoded
// with one of the encoders.
func (m message) canonical(encoder string) string {
	names := make([]string, 0, len(m.values))
	for name := range m.values {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for i, name := range names {
		if i > 0 {
			b.WriteByte('&')
		}
		escape(&b, name, encoder)
		b.WriteByte('=')
		escape(&b, m.values[name], encoder)
	}
	return b.String()
}

func escape(b *strings.Builder, text, plain string) {
	const digits = "0123456789ABCDEF"
	for i := range len(text) {
		switch c := text[i]; {
		case isAlphanumeric(text[i : i+1]), c == '-', c == '_', c == '.', strings.IndexByte(plain, c) >= 0:
			b.WriteByte(c)
		case c == ' ':
			b.WriteByte('+')
		default:
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
}

// verify looks for the encoder and the live secret that make the signature. It
// returns the text that fits the signature, or the text of the first encoder
// when no text fits.
func (m message) verify(secrets []string) (text string, ok bool) {
	text = m.canonical(encoders[0])
	tried := []string{}
	for _, encoder := range encoders {
		variant := m.canonical(encoder)
		if slices.Contains(tried, variant) {
			continue
		}
		tried = append(tried, variant)
		if signedBy(secrets, variant, m.hash) {
			text, ok = variant, true
		}
	}
	return text, ok
}

// sign returns HMAC-SHA512 in lower-case hex.
func sign(secret, text string) string {
	return hex.EncodeToString(mac(secret, text))
}

func mac(secret, text string) []byte {
	h := hmac.New(sha512.New, []byte(secret))
	h.Write([]byte(text)) // never fails
	return h.Sum(nil)
}

// signedBy compares a signature in constant time with every live secret. It
// returns false for a missing or unreadable signature.
func signedBy(secrets []string, text, signature string) bool {
	given, err := hex.DecodeString(signature)
	if err != nil || len(given) != sha512.Size {
		return false
	}
	found := false
	for _, secret := range secrets {
		if hmac.Equal(mac(secret, text), given) {
			found = true
		}
	}
	return found
}

// The members of the API texts, in the order of the signed text. A missing
// member counts as empty, and its separator stays.
var (
	queryRequest = []string{
		"vnp_RequestId", "vnp_Version", "vnp_Command", "vnp_TmnCode", "vnp_TxnRef", "vnp_TransactionDate",
		"vnp_CreateDate", "vnp_IpAddr", "vnp_OrderInfo",
	}
	refundRequest = []string{
		"vnp_RequestId", "vnp_Version", "vnp_Command", "vnp_TmnCode", "vnp_TransactionType", "vnp_TxnRef", "vnp_Amount",
		"vnp_TransactionNo", "vnp_TransactionDate", "vnp_CreateBy", "vnp_CreateDate", "vnp_IpAddr", "vnp_OrderInfo",
	}
	refundResponse = []string{
		"vnp_ResponseId", "vnp_Command", "vnp_ResponseCode", "vnp_Message", "vnp_TmnCode", "vnp_TxnRef", "vnp_Amount",
		"vnp_BankCode", "vnp_PayDate", "vnp_TransactionNo", "vnp_TransactionType", "vnp_TransactionStatus", "vnp_OrderInfo",
	}
	queryResponse = append(slices.Clone(refundResponse), "vnp_PromotionCode", "vnp_PromotionAmount")
)

// joined returns the signed text of an API message: raw values joined with '|'.
// The protocol has no escaping, so a '|' inside a value would give two messages
// one signature. Therefore joined refuses such a value with ErrMessage.
func joined(order []string, value func(name string) string) (string, error) {
	parts := make([]string, len(order))
	var err error
	for i, name := range order {
		parts[i] = value(name)
		if strings.Contains(parts[i], "|") {
			err = providers.ErrMessage.With("%s holds the separator |", name)
		}
	}
	return strings.Join(parts, "|"), err
}
