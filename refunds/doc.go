// Package refunds is money going back: proposals, and decisions by two people.
// It owns the PostgreSQL schema refunds. Package routes brings the money back;
// package refundcheck recomputes all of it.
//
// Portals and accountants request (web/api), a chief accountant approves. Jobs of
// dossiers and payments propose: the service is undeliverable, the payer paid too
// much, or a later day lowered the price.
//
// Invariants: a refund reserves its money when it is requested, so all refunds of
// a payment together never exceed its captures, per capture and per charge. The
// maker is not the checker. The reference is fixed when the refund is made.
//
// The program proposes a refund once per capture and reason. A rejection by a
// person and a refusal by the provider stand.
//
// Only a Locked refund changes; states.go is the one table of edges.
package refunds
