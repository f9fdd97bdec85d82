// Package payments is money coming in: the payments of a dossier, their
// attempts at providers, the captures that came of them and every message that a
// provider signed. Refused messages have a table of fixed size (refused.go).
// It owns the PostgreSQL schema payments.
//
// Portals create payments (web/api), providers call back (web/api, and those
// that wait at the same time share a transaction: ledger.Group), jobs ask
// about silent ones, reconcile settles captures and brings those that two
// persons identified, and refunds reserves what they hold.
//
// Invariants: our reference and the attempt are stored before a provider is
// called; a dossier has at most one live payment; a capture is unique by the
// provider's transaction; every đồng of a capture is either allocated to a
// charge or excess, which is owed back; money promised back never exceeds
// money taken. A message that proves a capture is never answered before the
// commit that records it, and never lost when recording fails.
//
// States: see states.go, the one table of edges.
package payments
