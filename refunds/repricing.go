package refunds

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/approval"
	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/postgres"
)

type repricingKind struct{}

// Prefix implements ident.Kind.
func (repricingKind) Prefix() string { return "rpr" }

// RepricingID names a repricing.
type RepricingID = ident.ID[repricingKind]

// ParseRepricingID reads the outside form of a repricing's id.
func ParseRepricingID(s string) (RepricingID, error) { return ident.Parse[repricingKind](s) }

// RepricingStatus is how far a repricing is: proposed → approved → done, or proposed → rejected.
type RepricingStatus string

// The statuses of a repricing.
const (
	RepricingProposed RepricingStatus = "proposed"
	RepricingApproved RepricingStatus = "approved" // jobs are at work
	RepricingRejected RepricingStatus = "rejected"
	RepricingDone     RepricingStatus = "done"
)

// Repricing prices the dossiers of a period again because a policy was wrong.
// History stays: per charge it proposes a refund, waives what is unpaid, or
// asks for the difference by a further charge.
type Repricing struct {
	ID             RepricingID
	Authority      string
	Policy         string
	Period         dossiers.Period
	Reason         string
	Status         RepricingStatus
	Forecast       RepricingCounts // what maker and checker saw
	Done           RepricingCounts // what has been done so far
	DossiersSeen   int64
	RequestedAt    time.Time
	RequestedBy    string
	DecidedAt      *time.Time
	DecidedBy      string
	DecisionReason string
	DoneAt         *time.Time
	place          dossiers.Place
}

// RepricingCounts counts charges and sums what changes for payers, in minor units.
type RepricingCounts struct {
	Dossiers        int64 `json:"dossiers"`
	Reduced         int64 `json:"reduced"`
	ReducedAmount   int64 `json:"reduced_amount"`
	Increased       int64 `json:"increased"`
	IncreasedAmount int64 `json:"increased_amount"`
	Manual          int64 `json:"manual"` // left to a person
}

// RepricingRequest asks for a repricing. The same key and content gives the first answer.
type RepricingRequest struct {
	Policy         string
	Period         dossiers.Period
	Reason         string
	IdempotencyKey string
}

// RunRepricing is the job that looks at the next dossiers of an approved repricing. Seen tells one batch from the next.
type RunRepricing struct {
	Authority string      `json:"authority" river:"unique"`
	Repricing RepricingID `json:"repricing" river:"unique"`
	Seen      int64       `json:"seen" river:"unique"`
}

// Kind implements river.JobArgs.
func (RunRepricing) Kind() string { return "run_repricing" }

// forecastPage is how many dossiers a forecast reads at once.
const forecastPage = 20_000

// ProposeRepricing counts what a repricing would do and keeps it as a proposal
// (maker). Nothing else changes. Needs auth.PermReprice. Faults: ErrInvalid,
// ErrKeyReused, dossiers.ErrPeriod.
func (s *Service) ProposeRepricing(ctx context.Context, actor auth.Actor, q RepricingRequest) (r Repricing, created bool, err error) {
	if err := auth.Require(actor, auth.PermReprice); err != nil {
		return Repricing{}, false, err
	}
	if q.Reason == "" {
		return Repricing{}, false, ErrInvalid.At("/reason", "must say why")
	}
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		r, created, err = s.proposeRepricing(ctx, act, q)
		return err
	})
	if postgres.Constraint(err) == "repricing_idempotency_key" { // the same request was faster by a moment
		return Repricing{}, false, ErrKeyReused
	}
	return r, created, err
}

func (s *Service) proposeRepricing(ctx context.Context, act postgres.Act, q RepricingRequest) (Repricing, bool, error) {
	if q.IdempotencyKey != "" {
		first, err := selectRepricing(ctx, act, ` where r.authority = $1 and r.idempotency_key = $2`, act.Actor.Authority, q.IdempotencyKey)
		if err == nil && (first.Policy != q.Policy || first.Period != q.Period || first.Reason != q.Reason) {
			err = ErrKeyReused
		}
		if !ErrNotFound.Is(err) {
			return first, false, err
		}
	}
	known, err := policyKnown(ctx, act, q.Policy)
	if err != nil {
		return Repricing{}, false, err
	}
	if !known {
		return Repricing{}, false, ErrInvalid.At("/policy", "is not recorded")
	}
	now := act.Now
	r := Repricing{
		ID: ident.New[repricingKind](), Authority: act.Actor.Authority, Policy: q.Policy, Period: q.Period, Reason: q.Reason,
		Status: RepricingProposed, RequestedAt: now, RequestedBy: act.Actor.ID, place: q.Period.Begin(),
	}
	if r.Forecast, err = s.forecast(ctx, act, r); err != nil {
		return Repricing{}, false, err
	}
	if err := insertRepricing(ctx, act, r, q.IdempotencyKey); err != nil {
		return Repricing{}, false, err
	}
	return r, true, s.auditRepricing(ctx, act, r, "propose", q.Reason)
}

func (s *Service) forecast(ctx context.Context, tx pgx.Tx, r Repricing) (RepricingCounts, error) {
	var counts RepricingCounts
	for after := r.Period.Begin(); ; {
		list, seen, end, err := s.Dossiers.Differences(ctx, tx, r.Authority, r.Policy, r.Period, after, forecastPage)
		if err != nil {
			return RepricingCounts{}, err
		}
		before, err := moved(ctx, tx, chargesOf(list))
		if err != nil {
			return RepricingCounts{}, err
		}
		last := dossiers.ID{}
		for _, diff := range list {
			step := stepFor(diff, before[diff.Charge])
			if step.outcome == "" {
				continue
			}
			counts.add(step)
			if diff.Dossier != last {
				counts.Dossiers++
			}
			last = diff.Dossier
		}
		if seen < forecastPage {
			return counts, nil
		}
		after = end
	}
}

func (c *RepricingCounts) add(s step) {
	switch s.outcome {
	case reduced:
		c.Reduced++
		c.ReducedAmount += s.assessed - s.lawful
	case increased:
		c.Increased++
		c.IncreasedAmount += s.lawful - s.assessed
	default:
		c.Manual++
	}
}

// ApproveRepricing lets jobs carry a repricing out (checker). The maker cannot
// approve. Approving again by the same checker changes nothing. Needs
// auth.PermRefundApprove. Faults: approval.ErrSamePerson, approval.ErrDecided.
func (s *Service) ApproveRepricing(ctx context.Context, actor auth.Actor, id RepricingID) (Repricing, error) {
	return s.decideRepricing(ctx, actor, id, RepricingApproved, "")
}

// RejectRepricing ends a proposal (checker), like ApproveRepricing. reason must say why.
func (s *Service) RejectRepricing(ctx context.Context, actor auth.Actor, id RepricingID, reason string) (Repricing, error) {
	if reason == "" {
		return Repricing{}, ErrInvalid.At("/reason", "must say why")
	}
	return s.decideRepricing(ctx, actor, id, RepricingRejected, reason)
}

func (s *Service) decideRepricing(ctx context.Context, actor auth.Actor, id RepricingID, to RepricingStatus, reason string) (r Repricing, err error) {
	if err := auth.Require(actor, auth.PermRefundApprove); err != nil {
		return Repricing{}, err
	}
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		r, err = lockRepricing(ctx, act, id)
		if err != nil {
			return err
		}
		approvedBefore := to == RepricingApproved && (r.Status == RepricingApproved || r.Status == RepricingDone)
		repeated, err := approval.Check(actor, approval.Proposal{
			MadeBy: []string{r.RequestedBy}, Open: r.Status == RepricingProposed, DecidedBy: r.DecidedBy, Same: r.Status == to || approvedBefore,
		})
		if err != nil || repeated {
			return err
		}
		now := act.Now
		r.Status, r.DecidedAt, r.DecidedBy, r.DecisionReason = to, &now, actor.ID, reason
		if err := updateRepricing(ctx, act, r); err != nil {
			return err
		}
		if to == RepricingApproved {
			if err := s.queueRepricing(ctx, act, r); err != nil {
				return err
			}
		}
		return s.auditRepricing(ctx, act, r, map[RepricingStatus]string{RepricingApproved: "approve", RepricingRejected: "reject"}[to], reason)
	})
	return r, err
}

func (s *Service) queueRepricing(ctx context.Context, tx pgx.Tx, r Repricing) error {
	_, err := s.Jobs.InsertTx(ctx, tx, RunRepricing{Authority: r.Authority, Repricing: r.ID, Seen: r.DossiersSeen}, unlessQueued())
	return err
}

// FindRepricing returns a repricing of the actor's authority with what was done so far. Needs auth.PermReportRead.
func (s *Service) FindRepricing(ctx context.Context, actor auth.Actor, id RepricingID) (r Repricing, err error) {
	if err := auth.Require(actor, auth.PermReportRead); err != nil {
		return Repricing{}, err
	}
	err = postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) error {
		r, err = selectRepricing(ctx, tx, ` where r.id = $1`, id)
		return err
	})
	return r, err
}

func (s *Service) auditRepricing(ctx context.Context, tx postgres.Act, r Repricing, act, reason string) error {
	return audit.Record(ctx, tx, audit.Event{
		Actor: tx.Actor, At: tx.Now, Act: "repricing." + act, ObjectKind: "repricing", ObjectID: r.ID.String(), Reason: reason,
		After: map[string]any{"status": r.Status, "policy": r.Policy, "from": r.Period.From, "to": r.Period.To, "forecast": r.Forecast, "seen": r.DossiersSeen},
	})
}
