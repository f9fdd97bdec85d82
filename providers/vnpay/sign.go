package vnpay

import (
	"crypto/hmac"
	"crypto/sha512"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"

	"github.com/doisoat/doisoat/providers"
)

const (
	parameterPrefix = "vnp_"
	hashName        = "vnp_SecureHash"
	hashTypeName    = "vnp_SecureHashType"
	maxQuery        = 8 << 10
	maxParameters   = 64
)

// encoders lists the characters that the form encoders in use leave alone
// besides letters, digits, '-', '_' and '.': PHP (and we), Java and browsers,
// Go and Python, .NET, the Node demo. All are one-to-one images of the same
// parameters, so that trying each weakens nothing.
var encoders = []string{"", "*", "~", "!*()", "!'()*~"}

// message is a set of signed parameters: values decoded, signature apart.
type message struct {
	values map[string]string
	hash   string
}

// parseQuery decodes a raw query. A repeated name, a bad escape or too much of
// anything is refused: frameworks differ in which value of a repeated name
// they choose, so that nobody can say what was signed.
func parseQuery(raw string) (message, error) {
	m := message{values: map[string]string{}}
	if len(raw) > maxQuery {
		return message{}, providers.ErrSignature.With("query is longer than %d bytes", maxQuery)
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

// set files one parameter where it belongs; foreign and empty ones are not signed.
func (m *message) set(name, value string) {
	switch {
	case name == hashName:
		m.hash = value
	case name == hashTypeName, !strings.HasPrefix(name, parameterPrefix), value == "":
	default:
		m.values[name] = value
	}
}

// canonical is the text that is signed: names in byte order, values
// form-encoded with one of the encoders.
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

// verify looks for the encoder and the live secret that make the signature.
// The text returned is the one that fits, or the plainest when none does.
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

// signedBy compares in constant time with every live secret. A missing or
// unreadable signature fits none.
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

// The members of the API texts, in the order in which they are signed. A
// missing member counts as empty; its separator stays.
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

// joined is the text of an API message: raw values joined with '|'. There is
// no escaping, so a '|' inside a value would let two messages share one
// signature: it is ErrMessage.
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
