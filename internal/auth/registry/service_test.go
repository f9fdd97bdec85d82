package registry

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/doisoat/doisoat/internal/auth"
)

func drawn(t *testing.T) auth.Credential {
	t.Helper()
	c, err := auth.DrawCredential(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestStoredKeyAccepts(t *testing.T) {
	t.Parallel()
	now := time.Date(2025, 11, 7, 1, 0, 0, 0, time.UTC)
	before, after := now.Add(-time.Second), now.Add(time.Second)
	good := drawn(t)
	hash := good.Hash()
	changed := hash
	changed[31] ^= 1
	for name, c := range map[string]struct {
		key  storedKey
		want bool
	}{
		"live":              {storedKey{SecretHash: hash[:]}, true},
		"not yet expired":   {storedKey{SecretHash: hash[:], ExpiresAt: &after}, true},
		"expired":           {storedKey{SecretHash: hash[:], ExpiresAt: &before}, false},
		"expires now":       {storedKey{SecretHash: hash[:], ExpiresAt: &now}, false},
		"revoked":           {storedKey{SecretHash: hash[:], RevokedAt: &before}, false},
		"revoked and dated": {storedKey{SecretHash: hash[:], ExpiresAt: &after, RevokedAt: &before}, false},
		"one bit off":       {storedKey{SecretHash: changed[:]}, false},
		"half a hash":       {storedKey{SecretHash: hash[:16]}, false},
		"no hash":           {storedKey{}, false},
	} {
		if got := c.key.accepts(good, now); got != c.want {
			t.Errorf("%s: got %t, want %t", name, got, c.want)
		}
	}
}

// Time itself is too noisy to test; that nothing but crypto/subtle compares the
// secret is not.
func TestSecretsAreComparedInConstantTime(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("service.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(source), "subtle.ConstantTimeCompare(hash[:], k.SecretHash)") {
		t.Error("service.go does not compare hashes with crypto/subtle")
	}
	for _, variable := range []string{"bytes.Equal", "bytes.Compare", "hash =="} {
		if strings.Contains(string(source), variable) {
			t.Errorf("service.go compares with %s, whose time tells", variable)
		}
	}
}
