// Package repricing prices recorded dossiers again. It owns the PostgreSQL schema repricing:
// repricings, their items and the days that fixed a price.
//
// Package repricing/replay finds the charges whose due differs from the lawful due, and writes
// nothing. A maker proposes a repricing because a policy was wrong (Propose). A checker decides
// about it (Approve, Reject), and jobs adjust the dossiers one by one (Reprice). A job calls
// PriceAgain when the day of acceptance or of the result is reported.
//
// Invariants:
//   - an assessment never changes; an adjustment waives, proposes a refund or adds a charge;
//   - the maker of a repricing is not its checker;
//   - one repricing, and one day, adjusts a charge once;
//   - a charge that people gave back or waived is left to people.
//
// Statuses of a repricing: proposed → approved → done, or proposed → rejected.
package repricing
