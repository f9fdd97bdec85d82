// Package dossiers holds the case that a citizen or a firm pays for: what it
// owes per fee item and whether the service was delivered. It owns the
// PostgreSQL schema dossiers.
//
// Portals register dossiers and report their status (web/api); payments and
// refunds record on the charges what was paid and given back.
//
// Invariants, enforced by the tables: base = due + discount + subsidy;
// refunded ≤ paid; outstanding = due − waived − (paid − refunded) ≥ 0. The
// assessment of charges and its memo entry are one transaction. A fee of 0 is
// a complete, paid obligation with a zero receipt.
//
// States: the national status codes 1 to 10, reported late, repeated and out
// of order; the newest report wins. A dossier becomes undeliverable once, by
// status 3, 7 or 8 or by the reason SERVICE_IMPOSSIBLE, and that opens refund
// proposals.
package dossiers
