// Package dossiers holds the case that a citizen or a firm pays for: its charges, one per fee item, and its
// status. The package owns the PostgreSQL schema dossiers.
//
// Portals register dossiers and report their status (web/api). Payments and refunds record paid and refunded
// amounts on the charges.
//
// Invariants, enforced by the tables: base = due + discount + subsidy; refunded ≤ paid;
// outstanding = due − waived − (paid − refunded) ≥ 0. One transaction writes the charges of an assessment
// and their memo entry. A charge of 0 is complete and paid, and has a receipt of 0.
//
// States: the national status codes 1 to 10. A portal may report a status late, twice or out of order; the
// newest report decides. Status 3, 7 or 8, or the reason SERVICE_IMPOSSIBLE, makes a dossier undeliverable.
// This happens once and queues refund proposals.
package dossiers
