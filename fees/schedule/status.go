package schedule

import (
	"github.com/doisoat/doisoat/internal/calendar"
)

// Act is one step in the life of a policy.
type Act string

// The acts. Supersede is the consequence of approving a policy that replaces another.
const (
	ActSubmit    Act = "submit"
	ActApprove   Act = "approve"
	ActReject    Act = "reject"
	ActRepeal    Act = "repeal"
	ActSupersede Act = "supersede"
)

// transitions is the whole life of a recorded version. This table and the
// constraint policy_act_edge refuse every other act. Files of adopted policies
// bring in_force and in_force_or_past; both take the same acts as approved. The
// window decides when a policy comes into force and expires, not an act. After a
// rejection the next version is a draft again.
var transitions = map[Status]map[Act]Status{
	Draft:         {ActSubmit: Submitted},
	Submitted:     {ActApprove: Approved, ActReject: Rejected},
	Approved:      {ActRepeal: Repealed, ActSupersede: Superseded},
	InForce:       {ActRepeal: Repealed, ActSupersede: Superseded},
	InForceOrPast: {ActRepeal: Repealed, ActSupersede: Superseded},
}

// After returns the status that an act leads to; ok is false when the table has no such edge.
func (s Status) After(a Act) (to Status, ok bool) {
	to, ok = transitions[s][a]
	return to, ok
}

// Revisable reports whether an editor may write the next version of a policy in this status.
func (s Status) Revisable() bool { return s == Draft || s == Rejected }

// StatusOn returns the status of the policy on a day, its window included:
// approved until it starts, in force, and then expired, repealed or superseded.
// A policy that will be repealed is in force until its last day.
func (p *Policy) StatusOn(on calendar.Date) Status {
	never := !p.ValidTo.IsZero() && p.ValidTo.Before(p.ValidFrom)
	switch {
	case !p.Status.Adopted():
		return p.Status
	case never || !p.ValidTo.IsZero() && on.After(p.ValidTo):
		if p.Status == Superseded || p.Status == Repealed {
			return p.Status
		}
		if p.DeclaredValidTo.After(p.ValidTo) {
			return Repealed
		}
		return Expired
	case on.Before(p.ValidFrom):
		return Approved
	default:
		return InForce
	}
}
