// Package registry reads the authorities and signs requests in by API key.
//
// It owns the table auth.authority (public knowledge) and reads auth.api_key,
// which internal/auth/keys writes; only a SHA-256 of a key's secret is kept.
// Callers: web signs requests in with Service.Authenticate; rooms look an
// authority up with FindAuthority.
package registry

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/postgres"
)

// Service signs requests in and knows the authorities.
type Service struct {
	DB  *pgxpool.Pool
	Now func() time.Time
}

// Authenticate returns the actor of an API key. A malformed, unknown, wrong, expired or revoked key is
// auth.ErrUnauthenticated, without a difference. A database that does not answer is postgres.ErrUnavailable.
// Authenticate keeps nothing between calls, so a revoked key is refused from the next call on.
func (s Service) Authenticate(ctx context.Context, bearer string) (auth.Actor, error) {
	given, err := auth.ParseCredential(bearer)
	if err != nil {
		return auth.Actor{}, err
	}
	var stored storedKey
	err = postgres.ReadTx(ctx, s.DB, "", func(tx pgx.Tx) (err error) {
		stored, err = findKey(ctx, tx, given.KeyID())
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return auth.Actor{}, auth.ErrUnauthenticated
	}
	if err != nil {
		return auth.Actor{}, fmt.Errorf("find API key: %w", err)
	}
	if !stored.accepts(given, s.Now()) {
		return auth.Actor{}, auth.ErrUnauthenticated
	}
	return auth.Actor{Authority: stored.Authority, Role: stored.Role, ID: auth.KeyActorID(stored.ID)}, nil
}

// accepts compares hashes of equal length in constant time, so that the time of the answer reveals nothing about the
// secret.
func (k storedKey) accepts(given auth.Credential, now time.Time) bool {
	hash := given.Hash()
	if subtle.ConstantTimeCompare(hash[:], k.SecretHash) != 1 {
		return false
	}
	return k.RevokedAt == nil && (k.ExpiresAt == nil || now.Before(*k.ExpiresAt))
}
