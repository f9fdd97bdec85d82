package auth

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/internal/postgres"
)

// Service signs requests in and knows the authorities.
type Service struct {
	DB  *pgxpool.Pool
	Now func() time.Time
}

// Authenticate returns the actor that the text of an API key stands for. A
// malformed, unknown, wrong, expired or revoked key is ErrUnauthenticated, all
// alike; a database that does not answer is postgres.ErrUnavailable. Nothing is
// remembered between calls: a revoked key is refused from the next call on.
func (s Service) Authenticate(ctx context.Context, bearer string) (Actor, error) {
	given, err := ParseCredential(bearer)
	if err != nil {
		return Actor{}, err
	}
	var stored storedKey
	err = postgres.ReadTx(ctx, s.DB, "", func(tx pgx.Tx) (err error) {
		stored, err = findKey(ctx, tx, given.KeyID())
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return Actor{}, ErrUnauthenticated
	}
	if err != nil {
		return Actor{}, fmt.Errorf("find API key: %w", err)
	}
	if !stored.accepts(given, s.Now()) {
		return Actor{}, ErrUnauthenticated
	}
	return Actor{Authority: stored.Authority, Role: stored.Role, ID: KeyActorID(stored.ID)}, nil
}

// KeyActorID is the id under which the holder of a key acts.
func KeyActorID(keyID string) string { return "key_" + keyID }

// accepts compares hashes of equal length in constant time, so that the time
// taken tells nothing of the secret.
func (k storedKey) accepts(given Credential, now time.Time) bool {
	hash := given.Hash()
	if subtle.ConstantTimeCompare(hash[:], k.SecretHash) != 1 {
		return false
	}
	return k.RevokedAt == nil && (k.ExpiresAt == nil || now.Before(*k.ExpiresAt))
}
