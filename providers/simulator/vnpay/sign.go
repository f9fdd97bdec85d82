package vnpay

import (
	"crypto/hmac"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"

	"github.com/doisoat/doisoat/providers/simulator"
)

// signedURL appends values and their signature to an address. The address may
// already have a query.
func signedURL(address, secret string, values map[string]string, spoil bool) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	hash := QueryHash(secret, values)
	if spoil {
		hash = simulator.Spoiled(hash)
	}
	query := CanonicalQuery(values) + "&vnp_SecureHash=" + hash
	if u.RawQuery != "" {
		query = u.RawQuery + "&" + query
	}
	u.RawQuery = query
	return u.String(), nil
}

// CanonicalQuery returns the text that VNPAY hashes for URLs (section 2).
func CanonicalQuery(values map[string]string) string {
	var names []string
	for name, value := range values {
		if strings.HasPrefix(name, "vnp_") && value != "" &&
			name != "vnp_SecureHash" && name != "vnp_SecureHashType" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var b strings.Builder
	for i, name := range names {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(name)
		b.WriteByte('=')
		formEncode(&b, values[name])
	}
	return b.String()
}

// formEncode escapes all characters except letters, digits, - _ and . as the
// strictest encoder in the fact sheet does. A merchant that sends ! ' ( ) * or ~
// unescaped then gets a wrong signature.
func formEncode(b *strings.Builder, text string) {
	const hexDigits = "0123456789ABCDEF"
	for i := range len(text) {
		c := text[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
			b.WriteByte(c)
		case c == ' ':
			b.WriteByte('+')
		default:
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
}

// QueryHash signs a query.
func QueryHash(secret string, values map[string]string) string {
	return sha512MAC(secret, CanonicalQuery(values))
}

func sha512MAC(secret, text string) string {
	mac := hmac.New(sha512.New, []byte(secret))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

func sameHash(got, want string) bool {
	return subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 1
}
