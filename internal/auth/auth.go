// Package auth names the actors, their authority and their rights.
//
// These are words only, below internal/postgres: each transaction carries its
// actor. internal/auth/registry reads authorities and keys from the schema
// auth; internal/auth/keys makes and revokes keys.
//
// Callers: each use case of a room takes an Actor first and asks Require before
// it does anything.
//
// Invariants: the rights of all roles are one table (permission.go) in which every
// pair of role and permission is decided; no role both changes money and hands
// out keys; the auditor changes nothing; an unknown, wrong, expired or revoked
// key gives one and the same fault.
package auth

import (
	"log/slog"

	"github.com/doisoat/doisoat/internal/fault"
)

// Role is the part an actor plays. The list is closed.
type Role string

// The roles. All but RoleOperator and RoleSystem are held by API keys.
const (
	RolePortal          Role = "portal"           // a public service portal: dossiers and payments
	RoleAccountant      Role = "accountant"       // maker: statements, runs, refund requests
	RoleChiefAccountant Role = "chief_accountant" // checker: approves the work of accountants
	RolePolicyEditor    Role = "policy_editor"    // drafts fee policies
	RolePolicyApprover  Role = "policy_approver"  // approves fee policies
	RoleAuditor         Role = "auditor"          // reads everything of an authority, changes nothing
	RoleAdmin           Role = "admin"            // keys, merchants, sources, fee schedules; no money
	RoleOperator        Role = "operator"         // a person at the server's command line; never a key
	RoleSystem          Role = "system"           // jobs; never a key
)

// KeyRoles are the roles that an API key can have, in the order of the manual.
func KeyRoles() []Role {
	return []Role{
		RolePortal, RoleAccountant, RoleChiefAccountant, RolePolicyEditor, RolePolicyApprover, RoleAuditor, RoleAdmin,
	}
}

// Actor is the key, person or job that acts for one authority. It holds no secret. Maker and checker are compared by
// ID.
type Actor struct {
	Authority string // code of auth.authority; empty sees no authority-bound row
	Role      Role
	ID        string // key_<key id>, operator or system
}

// KeyActorID is the id under which the holder of a key acts.
func KeyActorID(keyID string) string { return "key_" + keyID }

// System is the actor of jobs that run for authority.
func System(authority string) Actor {
	return Actor{Authority: authority, Role: RoleSystem, ID: string(RoleSystem)}
}

// Operator is the actor of commands given at the server itself for authority.
func Operator(authority string) Actor {
	return Actor{Authority: authority, Role: RoleOperator, ID: string(RoleOperator)}
}

// LogValue writes an actor as a group; ids of actors are no personal data.
func (a Actor) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("authority", a.Authority), slog.String("role", string(a.Role)), slog.String("id", a.ID))
}

// Faults of this room.
var (
	// ErrUnauthenticated is the same for every reason that a key is refused, so that a caller cannot learn which ids exist.
	ErrUnauthenticated = fault.New(fault.Unauthenticated, "auth.unauthenticated", "a valid API key is required")
	// ErrForbidden says that the actor's role lacks the permission.
	ErrForbidden = fault.New(fault.Forbidden, "auth.forbidden", "this role may not do this")
	// ErrAuthorityNotFound says that no authority has the code.
	ErrSubmittedAt       = fault.New(fault.Invalid, "auth.submitted_at", "the authority takes no dossier submitted at this time")
	ErrAuthorityNotFound = fault.New(fault.NotFound, "auth.authority_unknown", "no such authority")
)

// Require returns nil when the role of actor has permission, and ErrForbidden otherwise.
// An actor without an authority, an unknown role and an unknown permission are refused.
func Require(actor Actor, permission Permission) error {
	if actor.Authority == "" || !Allowed(actor.Role, permission) {
		return ErrForbidden.With("the role %q may not do %q", actor.Role, permission)
	}
	return nil
}
