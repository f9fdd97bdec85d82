// Package ledger is the double-entry book. It owns the PostgreSQL schema
// ledger; rooms that move money call Post and Reverse inside their own
// transaction, everybody else only reads.
//
// Invariants, each enforced by the database:
//   - an entry balances: real and memo postings each on their own, per currency;
//   - entries and postings are never changed or deleted, by nobody;
//   - an entry is unique by its cause and is reversed at most once;
//   - a closed business date takes no entry.
//
// Hot accounts (clearing, collection) take no lock per posting: postings are
// appended and balances are sums.
package ledger
