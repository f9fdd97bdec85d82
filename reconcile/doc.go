// Package reconcile compares our book with the statements of banks and
// providers. It writes runs, matches, breaks and repairs in the PostgreSQL schema
// reconcile, which it shares with statements and cases.
//
// Staff start a run for a source and a date (StartRun), close runs and days
// (CloseRun, CloseDay, ProposeDay, DecideDay) and read the reports of runs.
// web/api and cmd call it; cases calls RunByID, SaveMatch and InsertBreaks inside
// its own transactions.
//
// A pass has three steps: reconcile/openitems loads lines and items,
// reconcile/matching compares them, and this package saves the result and posts
// the entries of reconcile/entries.
//
// Invariants:
//   - a line, a capture, a refund and an entry of money in transit are each in
//     at most one live match (partial unique indexes), and their money is held
//     by at most one break;
//   - a run closes only when, on both sides, total = matched + listed breaks,
//     exactly;
//   - a closed run never changes: lines and items that come later belong to later runs;
//   - every match keeps its rule, version and inputs;
//   - a bank account in the book (A-BANK-<source>) moves with each booked line
//     once: unidentified money lies in L-SUSPENSE or A-BREAK;
//   - a repair needs two pieces of evidence and stays below a daily cap.
//
// Statuses: run open → matching → review → closed; break open → carried (its
// run was closed) → resolved.
package reconcile
