package auth

import (
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// The text of a key is ds_<id>_<secret>. The prefix lets secret scanners find
// leaked keys; letters and digits alone let a double click select the secret.
const (
	keyPrefix    = "ds_"
	keyIDLength  = 12
	secretLength = 43 // 43 characters of 62 carry 256 bits
	keyLength    = len(keyPrefix) + keyIDLength + 1 + secretLength

	keyIDAlphabet  = "0123456789abcdefghijklmnopqrstuvwxyz"
	secretAlphabet = keyIDAlphabet + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// Credential is an API key as its holder has it. It never shows its secret
// when printed or logged; only Text does, once, when the key is made.
type Credential struct {
	id     string
	secret string
}

// DrawCredential makes a new credential; random must be cryptographically secure.
func DrawCredential(random io.Reader) (Credential, error) {
	id, err := draw(random, keyIDAlphabet, keyIDLength)
	if err != nil {
		return Credential{}, fmt.Errorf("draw key id: %w", err)
	}
	secret, err := draw(random, secretAlphabet, secretLength)
	if err != nil {
		return Credential{}, fmt.Errorf("draw key secret: %w", err)
	}
	return Credential{id, secret}, nil
}

// draw returns n characters of alphabet, each equally likely.
func draw(random io.Reader, alphabet string, n int) (string, error) {
	text := make([]byte, 0, n)
	fair := 256 - 256%len(alphabet) // bytes from here on would favour the first characters
	for len(text) < n {
		var b [1]byte
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return "", err
		}
		if int(b[0]) < fair {
			text = append(text, alphabet[int(b[0])%len(alphabet)])
		}
	}
	return string(text), nil
}

// ParseCredential reads the text of a key; every other text is ErrUnauthenticated.
func ParseCredential(text string) (Credential, error) {
	const separator = len(keyPrefix) + keyIDLength
	if len(text) != keyLength || text[:len(keyPrefix)] != keyPrefix || text[separator] != '_' {
		return Credential{}, ErrUnauthenticated
	}
	c := Credential{id: text[len(keyPrefix):separator], secret: text[separator+1:]}
	if !only(keyIDAlphabet, c.id) || !only(secretAlphabet, c.secret) {
		return Credential{}, ErrUnauthenticated
	}
	return c, nil
}

func only(alphabet, s string) bool { return strings.Trim(s, alphabet) == "" }

// KeyID is the public part, under which the key is stored and audited.
func (c Credential) KeyID() string { return c.id }

// Hash is the stored form of the secret. A plain SHA-256 is enough for 256 random bits.
func (c Credential) Hash() [sha256.Size]byte { return sha256.Sum256([]byte(c.secret)) }

// Text is the whole key, secret included: for its holder only.
func (c Credential) Text() string { return keyPrefix + c.id + "_" + c.secret }

// String shows the public part.
func (c Credential) String() string { return keyPrefix + c.id + "_[secret]" }

// GoString shows the public part, for %#v.
func (c Credential) GoString() string { return c.String() }

// LogValue shows the public part.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }
