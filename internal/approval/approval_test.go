package approval_test

import (
	"errors"
	"testing"

	"github.com/doisoat/doisoat/internal/approval"
	"github.com/doisoat/doisoat/internal/auth"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	maker, checker, other := auth.Actor{ID: "key_maker"}, auth.Actor{ID: "key_checker"}, auth.Actor{ID: "key_other"}
	by := []string{"key_drafter", maker.ID}
	open := approval.Proposal{MadeBy: by, Open: true}
	approved := approval.Proposal{MadeBy: by, DecidedBy: checker.ID, Same: true}
	rejected := approval.Proposal{MadeBy: by, DecidedBy: checker.ID}
	for name, c := range map[string]struct {
		actor    auth.Actor
		p        approval.Proposal
		repeated bool
		err      error
	}{
		"open, checker":                       {checker, open, false, nil},
		"open, maker":                         {maker, open, false, approval.ErrSamePerson},
		"open, first of two makers":           {auth.Actor{ID: "key_drafter"}, open, false, approval.ErrSamePerson},
		"decided so, the same checker":        {checker, approved, true, nil},
		"decided so, another checker":         {other, approved, false, approval.ErrDecided},
		"decided otherwise, the same checker": {checker, rejected, false, approval.ErrDecided},
		"decided, the maker learns no more":   {maker, approved, false, approval.ErrSamePerson},
		"never decided and closed, a checker": {checker, approval.Proposal{MadeBy: by, Same: true}, false, approval.ErrDecided},
		"an actor without id": {
			auth.Actor{}, approval.Proposal{MadeBy: by, Same: true, DecidedBy: checker.ID}, false, approval.ErrDecided,
		},
	} {
		repeated, err := approval.Check(c.actor, c.p)
		if repeated != c.repeated || !errors.Is(err, c.err) {
			t.Errorf("%s: got %t, %v; want %t, %v", name, repeated, err, c.repeated, c.err)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	cause := errors.New("violated")
	for constraint, want := range map[string]error{
		"day_proposal_two_people": approval.ErrSamePerson, "repricing_maker_checker": approval.ErrSamePerson,
		"day_proposal_decided_once": approval.ErrDecided, "day_proposal_key": cause, "": cause,
	} {
		if got := approval.Refused(constraint, cause); !errors.Is(got, want) {
			t.Errorf("%q: got %v, want %v", constraint, got, want)
		}
	}
}
