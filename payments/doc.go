// Package payments is the money that comes in: the payments of a dossier, their
// attempts at providers and the captures that follow.
// It writes the PostgreSQL schema payments together with the packages inside it.
//
// Portals create payments (web/api). payments/callbacks applies the messages of
// providers. A job queries the provider when no callback came. reconcile records
// credits that two persons identified. payments/captures reserves money for
// refunds and marks captures as settled; payments/checks compares all with the book.
//
// Invariants: our reference and the attempt are stored before a provider is
// called; a dossier has at most one live payment; a capture is unique by the
// provider's transaction; every đồng of a capture is either allocated to a
// charge or excess, which is owed back.
//
// Statuses: see states.go, the one table of edges.
package payments
