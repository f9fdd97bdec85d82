// Package fees records fee types and discount policies, and takes a policy
// from its draft to its adoption by two people.
//
// It owns the Postgres schema fees. Dossiers ask it for the schedule of an
// authority before they assess, web and cmd load documents and act on policies.
// The documents themselves are in fees/schedule, the price in fees/quote.
//
// Fee types and policies are documents in versions. A recorded version never
// changes: other content becomes the next version. Acts are recorded beside the
// version that they are about (fees.policy_act) and never change. The checker is
// not the maker, by code and by the constraint policy_act_maker_checker. A policy
// is examined twice, on submission and on approval: it is complete, its authority
// may adopt it, its own cases come out right, and it overlaps with no policy that
// it does not replace.
//
// States of a policy: draft → submitted → approved → in force (by date) →
// expired, repealed, superseded; submitted → rejected, and then the next
// version is a draft again. Files of provinces say in_force_or_past: their
// policies are adopted, and the window decides whether they apply.
package fees
