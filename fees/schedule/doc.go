// Package schedule holds the documents that prices rest on: fee types with
// their rates, terms and refund rules, and discount policies with their legal
// basis, scope, condition, effect and cases.
//
// It reads documents strictly (every fault has a JSON pointer, a line and a
// column), validates them, and says which status a policy has on a day. It
// brings along the national catalogue and the policies of the demo provinces.
// It knows no database and no clock.
//
// Invariants: a valid policy whose status is not a draft has a legal basis and
// a first day; a lệ phí retains nothing (Luật 97/2015/QH13); a share lies
// between 0 and 1.
package schedule
