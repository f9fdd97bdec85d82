// Package secret encrypts values that the database must not show: provider
// secrets and personal identifiers.
//
// A Keyring comes from one file outside the database that only the program's
// user can read. Each ciphertext is bound to its place, so that a ciphertext
// moved to another row or column does not decrypt. It owns no schema; rooms that
// store secrets or identifiers call it.
//
// Invariants: no plaintext and no key in an error, a log line or a printed
// value; keys are added, never removed, while a ciphertext made with them is kept.
package secret

import (
	"encoding/binary"
	"fmt"
	"log/slog"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/doisoat/doisoat/internal/fault"
)

// ErrUnreadable says that a ciphertext does not decrypt: another key, another
// place, or changed bytes. The three cannot be told apart.
var ErrUnreadable = fault.New(fault.Internal, "secret.unreadable", "a ciphertext cannot be decrypted")

// FingerprintSize is the length of every fingerprint in bytes.
const FingerprintSize = 32

// Keyring encrypts and decrypts. It is safe for use by many goroutines.
type Keyring struct {
	encryption  tink.AEAD
	fingerprint *prf.Set
}

func newKeyring(encryption, fingerprints *keyset.Handle) (*Keyring, error) {
	primitive, err := aead.New(encryption)
	if err != nil {
		return nil, fmt.Errorf("use encryption keys: %w", err)
	}
	set, err := prf.NewPRFSet(fingerprints)
	if err != nil {
		return nil, fmt.Errorf("use fingerprint key: %w", err)
	}
	return &Keyring{encryption: primitive, fingerprint: set}, nil
}

// Encrypt encrypts plaintext for the place where, which is written
// "table/column/row id". Equal plaintexts give different results.
func (k *Keyring) Encrypt(plaintext []byte, where string) ([]byte, error) {
	ciphertext, err := k.encryption.Encrypt(plaintext, []byte(where))
	if err != nil {
		return nil, fmt.Errorf("encrypt %s: %w", where, err)
	}
	return ciphertext, nil
}

// Decrypt returns the plaintext that Encrypt got for the same place, with any key of the
// ring. Fails with ErrUnreadable.
func (k *Keyring) Decrypt(ciphertext []byte, where string) ([]byte, error) {
	plaintext, err := k.encryption.Decrypt(ciphertext, []byte(where))
	if err != nil {
		return nil, ErrUnreadable.Because(fmt.Errorf("open %s: %w", where, err))
	}
	return plaintext, nil
}

// Fingerprint returns FingerprintSize bytes that are equal for equal values of
// one place and tell no more: an index over them finds an encrypted
// identifier. where is "table/column" without the row. The caller brings the
// value to one spelling first. Rotate does not change fingerprints.
func (k *Keyring) Fingerprint(value, where string) ([]byte, error) {
	// The length keeps "a/b"+"c" apart from "a/"+"bc".
	input := binary.BigEndian.AppendUint32(nil, uint32(len(where))) //nolint:gosec // places are short constants
	input = append(append(input, where...), value...)
	digest, err := k.fingerprint.ComputePrimaryPRF(input, FingerprintSize)
	if err != nil {
		return nil, fmt.Errorf("fingerprint for %s: %w", where, err)
	}
	return digest, nil
}

const hidden = "[secret]"

// String hides the keys.
func (k *Keyring) String() string { return hidden }

// GoString hides the keys, for %#v.
func (k *Keyring) GoString() string { return hidden }

// LogValue hides the keys.
func (k *Keyring) LogValue() slog.Value { return slog.StringValue(hidden) }
