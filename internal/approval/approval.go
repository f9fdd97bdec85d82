// Package approval is the rule of two persons: one person proposes, another
// person decides, and a decision is final.
//
// Rooms ask Check under the lock of the proposal and before any other change.
// The database holds the same rule as a constraint of each table; Refused turns
// a violation of such a constraint into the same fault.
package approval

import (
	"slices"
	"strings"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/fault"
)

// Faults of a decision.
var (
	// ErrSamePerson: the actor proposed and tries to decide.
	ErrSamePerson = fault.New(
		fault.Forbidden,
		"approval.same_person",
		"the person who proposed may not decide; ask another person with this right",
	)
	// ErrDecided: another decision, or the same decision of another person, stands.
	ErrDecided = fault.New(fault.Conflict, "approval.decided", "this proposal is already decided; read it again to see the decision")
)

// Proposal holds the facts of a proposal that the rule needs.
type Proposal struct {
	MadeBy    []string // ids of the actors who made it
	Open      bool     // it waits for a decision
	DecidedBy string   // id of the actor who decided
	Same      bool     // the decision that stands is the one that is asked for
}

// Check reports whether actor may decide on p. It answers in one order: the
// maker is refused with ErrSamePerson; an open proposal may be decided; the same
// decision of the same actor is repeated, which changes nothing; every other
// case is ErrDecided.
func Check(actor auth.Actor, p Proposal) (repeated bool, err error) {
	switch {
	case slices.Contains(p.MadeBy, actor.ID):
		return false, ErrSamePerson
	case p.Open:
		return false, nil
	case p.Same && p.DecidedBy == actor.ID:
		return true, nil
	default:
		return false, ErrDecided
	}
}

// Refused is the fault of a constraint that holds this rule in the database, by
// the ending of its name: _two_people, _maker_checker, _maker_is_not_checker, and _decided_once. Any
// other constraint is err itself.
func Refused(constraint string, err error) error {
	switch {
	case strings.HasSuffix(constraint, "_two_people"), strings.HasSuffix(constraint, "_maker_checker"),
		strings.HasSuffix(constraint, "_maker_is_not_checker"):
		return ErrSamePerson.Because(err)
	case strings.HasSuffix(constraint, "_decided_once"):
		return ErrDecided.Because(err)
	}
	return err
}
