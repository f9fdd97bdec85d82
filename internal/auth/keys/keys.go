// Package keys makes, lists and revokes API keys.
//
// It writes auth.api_key for internal/auth. Each act leaves an audit event, so
// this package stands above internal/audit, which stands above internal/auth.
// Callers: web/api for admins, cmd for the operator.
//
// Invariants: the secret leaves once, as the answer of CreateKey, and only its
// SHA-256 is kept; one authority, role and name has at most MaxLive live keys,
// because a change of keys without interruption needs two; keys are revoked,
// never deleted. States: live → revoked, live → expired.
package keys

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/postgres"
)

// MaxLive is how many live keys one name may have in one role of one authority.
const MaxLive = 2

// maxName bounds the name of a key.
const maxName = 100

// Faults of this package.
var (
	ErrInvalid     = fault.New(fault.Invalid, "keys.invalid", "the key cannot be made as asked")
	ErrTooMany     = fault.New(fault.Precondition, "keys.too_many", "this name already has two live keys: revoke one first")
	ErrKeyNotFound = fault.New(fault.NotFound, "keys.unknown", "no such key")
)

// Key is an API key without its secret.
type Key struct {
	ID        string
	Authority string
	Role      auth.Role
	Name      string // which client holds it; no personal data
	CreatedAt time.Time
	CreatedBy string // id of the actor
	ExpiresAt *time.Time
	RevokedAt *time.Time
}

// Live reports whether the key signs in at now.
func (k Key) Live(now time.Time) bool {
	return k.RevokedAt == nil && (k.ExpiresAt == nil || now.Before(*k.ExpiresAt))
}

// Service makes, lists and revokes the keys of an actor's authority.
type Service struct {
	DB postgres.DB

	Random io.Reader // cryptographically secure
}

// CreateKey makes a key and returns its text, which is shown this once and
// cannot be found again. A zero expires means never. Needs auth.PermKeysWrite.
// Fails with ErrInvalid, and with ErrTooMany when the name has MaxLive live keys.
func (s Service) CreateKey(ctx context.Context, actor auth.Actor, role auth.Role, name string, expires time.Time) (text string, key Key,
	err error,
) {
	if err := auth.Require(actor, auth.PermKeysWrite); err != nil {
		return "", Key{}, err
	}
	name = strings.TrimSpace(name)
	credential, err := auth.DrawCredential(s.Random)
	if err != nil {
		return "", Key{}, err
	}
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) (err error) {
		if err := check(role, name, expires, act.Now); err != nil {
			return err
		}
		row := Key{ID: credential.KeyID(), Authority: actor.Authority, Role: role, Name: name, CreatedAt: act.Now, CreatedBy: actor.ID}
		if !expires.IsZero() {
			row.ExpiresAt = &expires
		}
		if err := lockName(ctx, act, row); err != nil {
			return fmt.Errorf("lock key name: %w", err)
		}
		live, err := countLive(ctx, act, row)
		if err != nil {
			return fmt.Errorf("count live keys: %w", err)
		}
		if live >= MaxLive {
			return ErrTooMany
		}
		hash := credential.Hash()
		if key, err = insert(ctx, act, row, hash[:]); err != nil {
			return fmt.Errorf("insert key: %w", err)
		}
		return audit.Record(ctx, act, event(act, "key.create", nil, &key, ""))
	})
	if err != nil {
		return "", Key{}, err
	}
	return credential.Text(), key, nil
}

func check(role auth.Role, name string, expires, now time.Time) error {
	bad := ErrInvalid
	if !slices.Contains(auth.KeyRoles(), role) {
		bad = bad.At("/role", "no role that a key can have")
	}
	if name == "" || len(name) > maxName {
		bad = bad.At("/name", fmt.Sprintf("1 to %d bytes", maxName))
	}
	if !expires.IsZero() && !expires.After(now) {
		bad = bad.At("/expires_at", "must lie in the future")
	}
	if len(bad.Fields) > 0 {
		return bad
	}
	return nil
}

// RevokeKey ends a key at once. A key revoked before stays as it was and is
// returned. Needs auth.PermKeysWrite; fails with ErrKeyNotFound, also for a key of
// another authority. Locks the key.
func (s Service) RevokeKey(ctx context.Context, actor auth.Actor, id, reason string) (Key, error) {
	if err := auth.Require(actor, auth.PermKeysWrite); err != nil {
		return Key{}, err
	}
	var after Key
	err := postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		before, err := lock(ctx, act, id)
		if err != nil {
			return err
		}
		if before.RevokedAt != nil {
			after = before
			return nil
		}
		if after, err = revoke(ctx, act, id); err != nil {
			return fmt.Errorf("revoke key: %w", err)
		}
		return audit.Record(ctx, act, event(act, "key.revoke", &before, &after, reason))
	})
	return after, err
}

// ListKeys returns the keys of the actor's authority, oldest first, revoked and
// expired ones too. Needs auth.PermKeysRead.
func (s Service) ListKeys(ctx context.Context, actor auth.Actor) ([]Key, error) {
	if err := auth.Require(actor, auth.PermKeysRead); err != nil {
		return nil, err
	}
	var all []Key
	err := postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) (err error) {
		all, err = list(ctx, tx)
		return err
	})
	return all, err
}

// trace is a key as the audit trail shows it.
type trace struct {
	Role      auth.Role  `json:"role"`
	Name      string     `json:"name"`
	ExpiresAt *time.Time `json:"expires_at"`
	RevokedAt *time.Time `json:"revoked_at"`
}

func event(act postgres.Act, verb string, before, after *Key, reason string) audit.Event {
	e := audit.Event{Actor: act.Actor, At: act.Now, Act: verb, ObjectKind: "api_key", ObjectID: after.ID, After: traced(after), Reason: reason}
	if before != nil {
		e.Before = traced(before)
	}
	return e
}

func traced(k *Key) trace { return trace{k.Role, k.Name, k.ExpiresAt, k.RevokedAt} }
