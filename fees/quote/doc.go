// Package quote prices fees: the amount of an item on a date, the policy that
// lowered it, and the reason for which every other policy did not apply.
//
//	q, err := quote.Price(request, schedule)
//
// Price is pure: the answer depends on the request and the schedule alone, not
// on the order of the policies and not on the clock. Dossiers call Price when they
// assess. "policy check" and the examination of a draft evaluate the cases of a
// policy with it.
//
// Invariants: 0 ≤ due ≤ base and base = due + discount + subsidy for every
// item; at most one exemption or rate rule and at most one subsidy per item, and
// beside them only policies that declare that they multiply; a draft never
// applies.
//
// A policy looks at the day of submission, of acceptance or of the result.
// Until that day is known the policy does not apply, and the item says so.
// Charges assessed before that day are priced again when it is known
// (dossiers.PriceAgain); the earlier assessment is never rewritten.
package quote
