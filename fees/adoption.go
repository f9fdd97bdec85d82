package fees

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/approval"
	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/postgres"
)

// DraftPolicy records a policy as a draft of the actor's authority, or the next
// version of one that is still a draft or was rejected. The same content again
// changes nothing and created is false. Needs auth.PermPolicyDraft. Faults:
// ErrPolicy, ErrOwner, and ErrStatus for a policy that is submitted or adopted.
func (s Service) DraftPolicy(ctx context.Context, actor auth.Actor, p schedule.Policy) (drafted RecordedPolicy, created bool, err error) {
	if err := auth.Require(actor, auth.PermPolicyDraft); err != nil {
		return RecordedPolicy{}, false, err
	}
	var found fault.Problems
	p.ValidateAt(&found, "")
	found.Require(p.Document != nil, "", "has no document: policies come from ParsePolicy or ParseFile")
	found.Require(p.Status == schedule.Draft, "/status", "an editor records drafts; a policy is adopted by its approval, not by its document")
	if err := found.As(schedule.ErrPolicy); err != nil {
		return RecordedPolicy{}, false, err
	}
	if p.Authority.Code != actor.Authority {
		return RecordedPolicy{}, false, notItsOwn(p, actor.Authority)
	}
	d := documentOf(p)
	if d.sha, err = fingerprint(d.text); err != nil {
		return RecordedPolicy{}, false, err
	}
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		created, err = s.draft(ctx, act, d)
		if err != nil {
			return err
		}
		drafted, err = withHistory(ctx, act, p.ID)
		return err
	})
	return drafted, created, err
}

func notItsOwn(p schedule.Policy, actor string) error {
	return ErrOwner.With("policy %s is a matter of %s, not of %s", p.ID, p.Authority.Code, actor).
		At("/authority/code", "is not the authority of your key")
}

func (s Service) draft(ctx context.Context, act postgres.Act, d document) (bool, error) {
	if err := lockPolicies(ctx, act); err != nil {
		return false, err
	}
	if err := checkOwner(ctx, act, act.Actor.Authority, []document{d}); err != nil {
		return false, err
	}
	before, err := findOnePolicy(ctx, act, d.id)
	switch {
	case ErrNotFound.Is(err):
	case err != nil:
		return false, err
	case before.owner != act.Actor.Authority:
		return false, ErrOwner.With("%s belongs to %s", d.id, before.owner)
	case before.Policy.Status == schedule.Draft && bytes.Equal(before.SHA256, d.sha):
		return false, nil
	case before.Policy.Status == schedule.Submitted:
		return false, ErrStatus.With("%s is submitted: it must be rejected before it changes", d.id)
	case !before.Policy.Status.Revisable():
		return false, ErrStatus.With("%s is adopted and stays as it is: draft a policy that names it in replaces, or repeal it", d.id)
	}
	d.version = before.Policy.Version + 1
	if err := insertPolicies(ctx, act, []document{d}); err != nil {
		return false, err
	}
	e := policyTexts.event(act, d, recordedVersion{Version: before.Policy.Version, SHA: before.SHA256})
	e.Act = "policy.draft"
	return true, audit.Record(ctx, act, e)
}

// SubmitPolicy hands a draft to the checker. Every fault that would prevent the
// adoption prevents the submission: an incomplete document, a fee of the centre,
// an overlap with an adopted policy, a case that fails. Needs
// auth.PermPolicyDraft. Faults: ErrNotFound, ErrOwner, ErrStatus, ErrPolicy,
// ErrCentralFee, ErrClash, ErrCases. Submitting again changes nothing.
func (s Service) SubmitPolicy(ctx context.Context, actor auth.Actor, id, note string) (RecordedPolicy, error) {
	return s.act(ctx, actor, auth.PermPolicyDraft, id, step{act: schedule.ActSubmit, reason: note})
}

// ApprovePolicy adopts a submitted policy, after the same examination as on
// submission, and ends the policies it names in replaces on the day before its
// first. Another person than the maker must approve: approval.ErrSamePerson. Needs
// auth.PermPolicyApprove. Other faults as SubmitPolicy. Approving again changes nothing.
func (s Service) ApprovePolicy(ctx context.Context, actor auth.Actor, id, note string) (RecordedPolicy, error) {
	return s.act(ctx, actor, auth.PermPolicyApprove, id, step{act: schedule.ActApprove, reason: note})
}

// RejectPolicy refuses a submitted policy for a reason that its maker reads.
// Needs auth.PermPolicyApprove. Faults: ErrNotFound, ErrOwner, ErrStatus, approval.ErrSamePerson.
func (s Service) RejectPolicy(ctx context.Context, actor auth.Actor, id, reason string) (RecordedPolicy, error) {
	if err := auth.Require(actor, auth.PermPolicyApprove); err != nil {
		return RecordedPolicy{}, err
	}
	if reason == "" {
		return RecordedPolicy{}, schedule.ErrPolicy.At("/reason", "is needed: the maker reads it")
	}
	return s.act(ctx, actor, auth.PermPolicyApprove, id, step{act: schedule.ActReject, reason: reason})
}

// Repeal is the act that ends a policy before its time.
type Repeal struct {
	LastDay    calendar.Date // the last day in force; the day before the first when it never comes into force
	LegalBasis string        // of the repeal
	Reason     string
}

// RepealPolicy ends an adopted policy of the actor's authority, or of one
// merged into it. The recorded version, the end first announced and all earlier
// prices stay. Needs auth.PermPolicyApprove.
// Faults: ErrNotFound, ErrOwner, ErrStatus, approval.ErrSamePerson, ErrRepeal.
func (s Service) RepealPolicy(ctx context.Context, actor auth.Actor, id string, r Repeal) (RecordedPolicy, error) {
	if err := auth.Require(actor, auth.PermPolicyApprove); err != nil {
		return RecordedPolicy{}, err
	}
	var found fault.Problems
	found.Require(r.LegalBasis != "", "/legal_basis", "is needed: a repeal rests on a text as an adoption does")
	found.Require(!r.LastDay.IsZero(), "/valid_to", "is needed: the last day in force")
	if err := found.As(ErrRepeal); err != nil {
		return RecordedPolicy{}, err
	}
	repeal := step{act: schedule.ActRepeal, reason: r.Reason, legalBasis: r.LegalBasis, endsOn: r.LastDay}
	return s.act(ctx, actor, auth.PermPolicyApprove, id, repeal)
}

// act does one act of a person about the newest version of a policy.
func (s Service) act(ctx context.Context, actor auth.Actor, perm auth.Permission, id string, next step) (done RecordedPolicy, err error) {
	if err := auth.Require(actor, perm); err != nil {
		return RecordedPolicy{}, err
	}
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		if err := lockPolicies(ctx, act); err != nil {
			return err
		}
		now, err := withHistory(ctx, act, id)
		if err != nil {
			return err
		}
		if now.doneBefore(actor, next) {
			done = now
			return nil
		}
		next := next
		next.about = now
		if err := next.allowed(ctx, act); err != nil {
			return err
		}
		steps := []step{next.leading()}
		if next.act == schedule.ActSubmit || next.act == schedule.ActApprove {
			replaced, err := s.examine(ctx, act, now.Policy)
			if err != nil {
				return err
			}
			if next.act == schedule.ActApprove {
				steps = append(steps, replaced...)
			}
		}
		if err := s.recordSteps(ctx, act, steps); err != nil {
			return err
		}
		done, err = withHistory(ctx, act, id)
		return err
	})
	return done, approval.Refused(postgres.Constraint(err), err)
}

// doneBefore reports whether the last act was this one, by this actor.
func (r RecordedPolicy) doneBefore(actor auth.Actor, next step) bool {
	if len(r.History) == 0 || r.acts == 0 {
		return false
	}
	last := r.History[len(r.History)-1]
	return last.Version == r.Policy.Version && last.Act == next.act && last.Actor == actor.ID && last.EndsOn == next.endsOn &&
		(next.act == schedule.ActSubmit || next.act == schedule.ActApprove || last.Reason == next.reason && last.LegalBasis == next.legalBasis)
}

// leading is the step with the status it leads to.
func (n step) leading() step {
	n.to, _ = n.about.Policy.Status.After(n.act)
	return n
}

// allowed checks state, owner, maker and, of a repeal, the last day.
func (n step) allowed(ctx context.Context, act postgres.Act) error {
	p := n.about.Policy
	if n.about.owner != act.Actor.Authority {
		successor := false
		if n.act == schedule.ActRepeal {
			merged, err := mergedInto(ctx, act, act.Actor.Authority)
			if err != nil {
				return err
			}
			successor = slices.Contains(merged, n.about.owner)
		}
		if !successor {
			return ErrOwner.With("policy %s is a matter of %s, not of %s", p.ID, n.about.owner, act.Actor.Authority)
		}
	}
	if _, ok := p.Status.After(n.act); !ok {
		return ErrStatus.With("a policy in status %s does not take the act %s", p.Status, n.act)
	}
	if n.act != schedule.ActSubmit {
		makers := approval.Proposal{MadeBy: []string{n.about.DraftedBy, n.about.SubmittedBy}, Open: true}
		if _, err := approval.Check(act.Actor, makers); err != nil {
			return err
		}
	}
	if n.act != schedule.ActRepeal {
		return nil
	}
	switch {
	case n.endsOn.Before(p.ValidFrom.AddDays(-1)):
		return ErrRepeal.At("/valid_to", fmt.Sprintf("must not come before %s, the day before its first", p.ValidFrom.AddDays(-1)))
	case !p.ValidTo.IsZero() && !n.endsOn.Before(p.ValidTo):
		return ErrRepeal.At("/valid_to", fmt.Sprintf("must come before %s, when it ends anyway", p.ValidTo))
	}
	return nil
}

// recordSteps writes acts and their audit events.
func (s Service) recordSteps(ctx context.Context, act postgres.Act, list []step) error {
	if err := insertActs(ctx, act, list); err != nil {
		return err
	}
	events := make([]audit.Event, len(list))
	for i, n := range list {
		after := map[string]any{"status": n.to, "version": n.about.Policy.Version, "sha256": fmt.Sprintf("%x", n.about.SHA256)}
		if !n.endsOn.IsZero() {
			after["valid_to"] = n.endsOn
		}
		if n.replacedBy != "" {
			after["replaced_by"] = n.replacedBy
		}
		if n.legalBasis != "" {
			after["legal_basis"] = n.legalBasis
		}
		events[i] = audit.Event{
			Actor: act.Actor, At: act.Now, Act: "policy." + string(n.act), ObjectKind: "policy", ObjectID: n.about.Policy.ID, Reason: n.reason,
			Before: map[string]any{"status": n.about.Policy.Status, "valid_to": n.about.Policy.ValidTo}, After: after,
		}
	}
	return audit.RecordAll(ctx, act, events)
}
