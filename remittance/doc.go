// Package remittance divides collected money between the state budget and the agency, and remits the budget's
// part. At the end of a period a split divides the provisional collection. Vouchers then bring phí to the
// treasury's waiting account and remit the budget's part. The package owns the PostgreSQL schema remittance.
//
// Accountants divide and propose vouchers, a chief accountant approves the vouchers (web/api). Refunds call
// Take: it finds where the money of a charge is, and takes the money from there.
//
// Invariants:
//   - a period is divided once per currency, together with all earlier collection that is not divided yet;
//   - retained = floor(amount × ratio) and the budget has the rest, so the parts add up;
//   - lệ phí belongs wholly to the budget;
//   - a split never changes; a refund takes from it by adding rows;
//   - the money of a split moves each way once, by a voucher with a maker and a checker;
//   - the retained ratio and its legal basis are kept with each share.
//
// States: a voucher is proposed, then approved or rejected; both end it.
package remittance
