// Package reconcile holds our book against the statements of banks and
// providers. It owns the PostgreSQL schema reconcile: sources, statements and
// their lines, runs, matches, breaks, repairs and identifications.
//
// Staff and jobs bring in files (Ingest), reconcile a source and a day
// (StartRun), close runs and days (CloseRun, CloseDay) and read what was found
// (web/api, web/console, cmd).
//
// Package reconcile/matching compares lines with book items; this package reads
// both, saves the result and posts it.
//
// Invariants:
//   - a file is kept as it came, sealed; its lines are imported whole or not at all;
//   - overlapping files give the union of their lines;
//   - a line, a capture, a refund and an entry of money in transit are each in
//     at most one live match (partial unique indexes), and their money is held
//     by at most one break;
//   - a run closes only when, on both sides, total = matched + listed breaks,
//     exactly; a closed run is not changed, later truth belongs to later runs;
//   - every match keeps its rule, version and inputs, and can be revoked, but
//     for an identification, which two persons made;
//   - a suspended credit is identified once: it then is a capture of a dossier;
//   - a bank account in the book (A-BANK-<source>) moves with each booked line
//     once: money that nobody can identify lies in L-SUSPENSE or A-BREAK;
//   - a repair needs two pieces of evidence and stays below a daily cap.
//
// States: statement received → parsed → balanced → accepted, partial,
// rejected; run open → matching → review → closed; break open → carried (its
// run was closed) → resolved.
package reconcile
