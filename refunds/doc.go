// Package refunds is money going back: proposals, decisions by two people and
// the way back through the provider. It owns the PostgreSQL schema refunds.
//
// Portals and accountants request (web/api), a chief accountant approves,
// dossiers and payments propose through jobs (undeliverable, paid too much, a
// price that a later day lowered), reconcile confirms by settlement.
//
// Invariants: a refund reserves its money when it is requested, so that all
// refunds of a payment together never exceed what was captured, per capture
// and per charge; the maker is not the checker; the reference is fixed when
// the refund is made and a provider sees it once; an unclear answer is
// unknown, and only an inquiry or a statement ends that.
//
// Sending is three steps: a transaction that moves the refund to sending, the
// call with no transaction open, a transaction that records the answer. A
// refund found in sending is left to who is sending it; when that has taken
// longer than it can, it was interrupted: it is not sent again, it is unknown.
//
// An inquiry's answer counts only while no other refund of the payment was
// sent meanwhile: providers tell refunds of one payment apart badly. What we
// propose by ourselves comes once per capture and reason; what people or the
// provider made of it stands.
//
// States: see states.go, the one table of edges.
package refunds
