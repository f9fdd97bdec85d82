// Package ledger is the double-entry book. It owns the PostgreSQL schema
// ledger; rooms that move money call Post and Reverse inside their own
// transaction, or bring what they do to a Group, which commits those that wait
// at the same time together; everybody else only reads.
//
// Invariants, each enforced by the database:
//   - an entry balances: real and memo postings each on their own, per currency;
//   - entries and postings are never changed or deleted, by nobody;
//   - an entry is unique by its cause and is reversed at most once;
//   - a closed business date takes no entry; it is reopened by two people;
//   - a correction carries the difference and names the entry that it corrects;
//   - a balance is the sum of its postings, at every moment.
//
// Hot accounts (clearing, collection) take no lock per posting: postings are
// appended. A job adds finished entries to rows per account and day, off the
// write path; a balance is those rows and the tail since, so nothing scans the
// book. The horizon between the two is a transaction number below which nothing
// can appear any more, whatever its business date.
//
// States of a business date: open → closed → open → … (day_event). Of a
// proposal to change it: proposed → approved, rejected.
package ledger
