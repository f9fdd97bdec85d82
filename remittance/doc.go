// Package remittance is what becomes of collected money after it was
// collected: at the end of a period provisional collection is divided between
// the state budget and the agency, phí goes to the treasury's waiting account,
// and the budget's part is remitted. It owns the PostgreSQL schema remittance.
//
// Accountants divide and propose vouchers, a chief accountant approves them
// (web/api); refunds ask it where the money of a charge is and take it from
// there (Take).
//
// Invariants: a period is divided once per currency, and everything collected
// up to its end with it; retained = floor(amount × ratio), the budget has the
// rest, so the parts add up; lệ phí is the budget's wholly; what
// was decided never changes, refunds take from it by adding; money of a split
// moves each way once, by a voucher that two persons made; the retained ratio
// and its legal basis are kept with each share.
//
// States: a voucher is proposed, then approved or rejected; both end it.
package remittance
