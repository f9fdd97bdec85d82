// Package merchants is an authority's contract with a provider: the merchant account with its
// settings, its secrets and its owner. It owns the PostgreSQL schema merchants.
//
// An administrator registers an account and rotates its secrets (web/api). payments and refunds
// open an account for a call to its provider, and payments/callbacks opens it to verify a message.
//
// Invariants: an authority has at most one live account per provider; an account never changes its
// authority; secrets are encrypted at rest and no list or answer shows them; a disabled account is
// still opened for messages about its earlier payments.
package merchants

import (
	"sync"

	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/secret"
	"github.com/doisoat/doisoat/providers"
)

type kind struct{}

// Prefix implements ident.Kind.
func (kind) Prefix() string { return "mer" }

// ID names a merchant account.
type ID = ident.ID[kind]

// ParseID reads the outside form of an account's id.
func ParseID(s string) (ID, error) { return ident.Parse[kind](s) }

// Faults of merchant accounts.
var (
	ErrNotFound = fault.New(fault.NotFound, "payments.merchant_not_found", "no such merchant account")
	ErrExists   = fault.New(fault.Conflict, "payments.merchant_exists", "the authority has a merchant account with this provider")
	ErrNoneLive = fault.New(fault.Precondition, "payments.no_merchant", "the authority has no merchant account with this provider")
)

// Service holds the use cases of merchant accounts.
type Service struct {
	DB        postgres.DB
	Providers providers.Registry
	Secret    *secret.Keyring

	authorities sync.Map // of accounts, by ID: an account never changes its authority
}
