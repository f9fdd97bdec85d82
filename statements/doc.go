// Package statements keeps the files that providers and banks issue. It owns
// sources, statements and their lines.
//
// Staff and jobs bring in files (Ingest) and read them (web/api, cmd); package
// reconcile matches the lines with the book and marks them.
//
// Invariants:
//   - two sources never show the same account, so no money counts twice;
//   - a file is kept as it came, encrypted; its lines are imported whole or not at all;
//   - overlapping files give the union of their lines;
//   - the same bytes, or the same idempotency key, give the first statement.
//
// Statuses of a statement: accepted, partial or rejected, decided when it is
// ingested. The status of a line follows from its match or break.
package statements
