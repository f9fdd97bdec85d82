// Package ledger is the double-entry book. It owns the PostgreSQL schema ledger. Rooms that move money call Post and
// Reverse inside their own transaction. Every other caller only reads.
//
// Invariants, each enforced by the database:
//   - an entry balances: real and memo postings each on their own, per currency;
//   - entries and postings never change and are never deleted;
//   - an entry is unique by its cause and is reversed at most once;
//   - a closed business date takes no entry; reopening it takes two people;
//   - a correction carries the difference and names the entry that it corrects;
//   - a balance is the sum of its postings, at every moment.
//
// Hot accounts (clearing, collection) take no lock per posting: postings are only appended. A job adds finished entries
// to rows per account and day (day rows), outside of the posting transactions. A balance is the sum of the day rows and
// of the postings since, so no query scans the book. The horizon between the two is a transaction number: no new entry
// can appear below it, whichever business date the entry has.
//
// States of a business date: open → closed → open → … (day_event). Of a proposal to change it: proposed → approved,
// rejected.
package ledger
