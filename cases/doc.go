// Package cases is the work of people on differences: staff list breaks and
// matches, revoke a match, and identify a suspended credit as the payment of a
// dossier. It writes identifications, and the end of matches and breaks, in the
// PostgreSQL schema reconcile, which it shares with reconcile and statements.
// web/api calls it.
//
// Every change takes the turn of the authority (statements.TakeTurn), so that no
// run works at the same time.
//
// Invariants:
//   - a match can be revoked, except an identification, which two persons made;
//   - a person who proposes an identification never decides it;
//   - a suspended credit is identified once: then the credit is a capture of a dossier.
//
// Statuses: identification proposed → approved, rejected.
package cases
