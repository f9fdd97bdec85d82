package fees

import (
	"time"

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

// transitions is the whole life of a recorded version; what is not here is
// refused, by this table and by the constraint policy_act_edge. Files of
// adopted policies bring in_force and in_force_or_past; from there on they live
// as an approved one does. Coming into force and expiring are matters of the
// window, not of acts. After a rejection the next version is a draft again.
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

// revisable reports whether an editor may write the next version of a policy in this status.
func (s Status) revisable() bool { return s == Draft || s == Rejected }

// StatusOn is what the policy is on a day, its window included: approved until
// it starts, in force, and then expired, repealed or superseded. A policy that
// will be repealed is in force until its last day.
func (p *Policy) StatusOn(on calendar.Date) Status {
	never := !p.ValidTo.IsZero() && p.ValidTo.Before(p.ValidFrom)
	switch {
	case !p.Status.adopted():
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

// PolicyAct is one recorded act about a version.
type PolicyAct struct {
	Version    int
	Act        Act
	FromStatus Status
	ToStatus   Status
	Authority  string
	Actor      string
	At         time.Time
	Reason     string
	LegalBasis string
	EndsOn     calendar.Date
	ReplacedBy string
}

// step is an act on its way into the store.
type step struct {
	about      RecordedPolicy
	act        Act
	to         Status
	reason     string
	legalBasis string
	endsOn     calendar.Date
	replacedBy string
}
