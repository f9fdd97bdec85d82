// Package fees holds fee types, discount policies and the quote: what an item
// costs on a date, which policy made it so, and why every other policy did not.
//
// It owns the Postgres schema fees. Dossiers call Price when they assess,
// refunds ask a fee type for its refund rule, web and cmd load and check
// policies. The quote is pure: same input, same answer, whatever the order of
// the policies and whatever the clock says.
//
// Invariants: 0 ≤ due ≤ base and base = due + discount + subsidy for every
// item; at most one exemption or rate rule and at most one subsidy per item,
// and beside them only policies that say of themselves that they multiply; a
// draft never applies; a policy without legal basis cannot be in force. Fee
// types and policies are documents in versions: a version once recorded never
// changes, other content becomes the next version.
//
// States of a policy: draft → submitted → approved → in force (by date) →
// expired, repealed, superseded; submitted → rejected, and then the next
// version is a draft again. Files of provinces say in_force_or_past and leave
// the rest to the window. Acts are written beside the version they are about
// (fees.policy_act) and never change; the checker is not the maker, by code and
// by the constraint policy_act_maker_checker. What is adopted was examined
// twice: complete, within its authority, its own cases right, and no overlap
// with another policy that it does not replace.
//
// A policy is held against the day of submission, of acceptance or of the
// result. Until that day is known it does not apply, and the item says so;
// charges assessed before then are priced again when it is (dossiers.PriceAgain),
// never rewritten.
package fees
