// Package ident makes identifiers: UUIDv7 ids, one Go type per noun, shown
// outside with a prefix (pay_…), and short payment references that survive
// banks, wallets and typing.
package ident

import (
	"encoding/hex"
	"io"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/doisoat/doisoat/internal/fault"
)

// ErrID says that a text is no id of the expected kind.
var ErrID = fault.New(fault.NotFound, "ident.unknown", "no such id")

// Kind names a noun by its prefix; its zero value must do.
type Kind interface{ Prefix() string }

// ID is a UUIDv7 of one noun. The zero value is no id and is stored as NULL.
type ID[K Kind] uuid.UUID

// New makes an id. Ids are made before anything is sent, so that a repeat carries the same one.
func New[K Kind]() ID[K] {
	return ID[K](uuid.Must(uuid.NewV7()))
}

// Parse reads prefix_32hex and fails with ErrID for every other text, so that
// a malformed id and an absent one look the same.
func Parse[K Kind](s string) (ID[K], error) {
	var k K
	prefix := k.Prefix() + "_"
	if len(s) != len(prefix)+32 || s[:len(prefix)] != prefix {
		return ID[K]{}, ErrID
	}
	b, err := hex.DecodeString(s[len(prefix):])
	if err != nil {
		return ID[K]{}, ErrID
	}
	id := ID[K](b)
	if id.IsZero() { // zero means "none" inside the program; callers may not send it
		return ID[K]{}, ErrID
	}
	return id, nil
}

// String returns the outside form, for example pay_0199….
func (id ID[K]) String() string {
	var k K
	return k.Prefix() + "_" + hex.EncodeToString(id[:])
}

// UUID returns the stored form.
func (id ID[K]) UUID() uuid.UUID { return uuid.UUID(id) }

// IsZero reports whether id is no id.
func (id ID[K]) IsZero() bool { return uuid.UUID(id) == uuid.Nil }

// MarshalText writes the outside form.
func (id ID[K]) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads the outside form.
func (id *ID[K]) UnmarshalText(b []byte) error {
	p, err := Parse[K](string(b))
	if err == nil {
		*id = p
	}
	return err
}

// ScanUUID lets pgx read a uuid column; NULL becomes the zero id.
func (id *ID[K]) ScanUUID(v pgtype.UUID) error {
	if !v.Valid {
		*id = ID[K]{}
		return nil
	}
	*id = v.Bytes
	return nil
}

// UUIDValue lets pgx write a uuid column; the zero id becomes NULL.
func (id ID[K]) UUIDValue() (pgtype.UUID, error) {
	return pgtype.UUID{Bytes: id, Valid: !id.IsZero()}, nil
}

// ReferenceLength is the length of every payment reference: it fits the
// memo of a transfer, VNPAY's TxnRef and VietQR's 25 characters.
const ReferenceLength = 12

// referencePrefix starts every reference, so that free text can be searched for references.
const referencePrefix = "DS"

// alphabet leaves out 0/O, 1/I, 8/B and 5/S, which people confuse.
const alphabet = "234679ACDEFGHJKLMNPQRTUVWXYZ"

// NewReference draws a payment reference: DS, nine characters, one check
// character (ISO 7064 MOD 37,2). random must be cryptographically secure, so
// that a reference cannot be guessed.
func NewReference(random io.Reader) (string, error) {
	body := []byte(referencePrefix + "---------")
	for {
		for i := len(referencePrefix); i < len(body); {
			var b [1]byte
			if _, err := io.ReadFull(random, b[:]); err != nil {
				return "", err
			}
			if int(b[0]) < 256-256%len(alphabet) { // no bias towards the first letters
				body[i] = alphabet[int(b[0])%len(alphabet)]
				i++
			}
		}
		// '*' or a confusable check character would spoil the code: draw again.
		if c := checkCharacter(string(body)); inAlphabet(c) {
			return string(body) + string(c), nil
		}
	}
}

// IsReference reports whether s has the shape and the right check character of a payment reference.
func IsReference(s string) bool {
	if len(s) != ReferenceLength || s[:len(referencePrefix)] != referencePrefix {
		return false
	}
	for i := len(referencePrefix); i < len(s); i++ {
		if !inAlphabet(s[i]) {
			return false
		}
	}
	return checkCharacter(s[:len(s)-1]) == s[len(s)-1]
}

func inAlphabet(c byte) bool {
	for i := range len(alphabet) {
		if alphabet[i] == c {
			return true
		}
	}
	return false
}

const iso7064 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ*"

func checkCharacter(s string) byte {
	p := 0
	for i := range len(s) {
		p = (p + value(s[i])) * 2 % 37
	}
	return iso7064[(38-p)%37]
}

func value(c byte) int {
	if c >= '0' && c <= '9' {
		return int(c - '0')
	}
	return int(c-'A') + 10
}
