package repricing

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/approval"
	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/repricing/replay"
)

type repricingKind struct{}

// Prefix implements ident.Kind.
func (repricingKind) Prefix() string { return "rpr" }

// ID names a repricing.
type ID = ident.ID[repricingKind]

// Faults of repricing.
var (
	ErrInvalid   = fault.New(fault.Invalid, "repricing.invalid", "the request is not valid")
	ErrNotFound  = fault.New(fault.NotFound, "repricing.not_found", "no such repricing")
	ErrKeyReused = fault.New(fault.Conflict, "repricing.idempotency_key", "the idempotency key was used for another repricing")
)

// Status is how far a repricing is: proposed → approved → done, or proposed → rejected.
type Status string

// The statuses of a repricing.
const (
	Proposed Status = "proposed"
	Approved Status = "approved" // jobs are at work
	Rejected Status = "rejected"
	Done     Status = "done"
)

// Repricing prices the dossiers of a period again because a policy was wrong. Assessments never
// change: per charge the repricing proposes a refund of paid money, waives unpaid money, or adds a
// charge with the difference.
type Repricing struct {
	ID             ID
	Authority      string
	Policy         string
	Period         replay.Period
	Reason         string
	Status         Status
	Forecast       Counts // the counts that maker and checker saw
	Done           Counts // the counts of the items recorded so far
	DossiersSeen   int64
	RequestedAt    time.Time
	RequestedBy    string
	DecidedAt      *time.Time
	DecidedBy      string
	DecisionReason string
	DoneAt         *time.Time
	place          replay.Place
}

// Counts counts charges by outcome and sums the changes of their dues, in minor units.
type Counts struct {
	Dossiers        int64 `json:"dossiers"`
	Reduced         int64 `json:"reduced"`
	ReducedAmount   int64 `json:"reduced_amount"`
	Increased       int64 `json:"increased"`
	IncreasedAmount int64 `json:"increased_amount"`
	Manual          int64 `json:"manual"` // left to a person
}

// Request asks for a repricing. The same key and content gives the first answer.
type Request struct {
	Policy         string
	Period         replay.Period
	Reason         string
	IdempotencyKey string
}

// Run is the job that looks at the next dossiers of an approved repricing. Seen tells one batch from the next.
type Run struct {
	Authority string `json:"authority" river:"unique"`
	Repricing ID     `json:"repricing" river:"unique"`
	Seen      int64  `json:"seen" river:"unique"`
}

// Kind implements river.JobArgs.
func (Run) Kind() string { return "run_repricing" }

// forecastPage is how many dossiers a forecast reads at once.
const forecastPage = 20_000

// Propose counts the charges that a repricing would change, and keeps the counts as a proposal
// (maker). It changes no dossier. Needs auth.PermReprice. Faults: ErrInvalid, ErrKeyReused,
// replay.ErrPeriod.
func (s *Service) Propose(ctx context.Context, actor auth.Actor, q Request) (r Repricing, created bool, err error) {
	if err := auth.Require(actor, auth.PermReprice); err != nil {
		return Repricing{}, false, err
	}
	if q.Reason == "" {
		return Repricing{}, false, ErrInvalid.At("/reason", "must say why")
	}
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		r, created, err = s.propose(ctx, act, q)
		return err
	})
	if postgres.Constraint(err) == "repricing_idempotency_key" { // the same request was faster by a moment
		return Repricing{}, false, ErrKeyReused
	}
	return r, created, err
}

func (s *Service) propose(ctx context.Context, act postgres.Act, q Request) (Repricing, bool, error) {
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
		Status: Proposed, RequestedAt: now, RequestedBy: act.Actor.ID, place: q.Period.Begin(),
	}
	if r.Forecast, err = s.forecast(ctx, act, r); err != nil {
		return Repricing{}, false, err
	}
	if err := insertRepricing(ctx, act, r, q.IdempotencyKey); err != nil {
		return Repricing{}, false, err
	}
	return r, true, s.record(ctx, act, r, "propose", q.Reason)
}

func (s *Service) forecast(ctx context.Context, tx pgx.Tx, r Repricing) (Counts, error) {
	var counts Counts
	for after := r.Period.Begin(); ; {
		list, seen, end, err := s.Replay.Differences(ctx, tx, r.Authority, r.Policy, r.Period, after, forecastPage)
		if err != nil {
			return Counts{}, err
		}
		before, err := moved(ctx, tx, chargesOf(list))
		if err != nil {
			return Counts{}, err
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

func (c *Counts) add(s step) {
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

// Approve lets jobs carry a repricing out (checker). The maker cannot
// approve. Approving again by the same checker changes nothing. Needs
// auth.PermRefundApprove. Faults: approval.ErrSamePerson, approval.ErrDecided.
func (s *Service) Approve(ctx context.Context, actor auth.Actor, id ID) (Repricing, error) {
	return s.decide(ctx, actor, id, Approved, "")
}

// Reject ends a proposal (checker), like Approve. reason must say why.
func (s *Service) Reject(ctx context.Context, actor auth.Actor, id ID, reason string) (Repricing, error) {
	if reason == "" {
		return Repricing{}, ErrInvalid.At("/reason", "must say why")
	}
	return s.decide(ctx, actor, id, Rejected, reason)
}

func (s *Service) decide(ctx context.Context, actor auth.Actor, id ID, to Status, reason string) (r Repricing, err error) {
	if err := auth.Require(actor, auth.PermRefundApprove); err != nil {
		return Repricing{}, err
	}
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		r, err = lockRepricing(ctx, act, id)
		if err != nil {
			return err
		}
		approvedBefore := to == Approved && (r.Status == Approved || r.Status == Done)
		repeated, err := approval.Check(actor, approval.Proposal{
			MadeBy: []string{r.RequestedBy}, Open: r.Status == Proposed, DecidedBy: r.DecidedBy, Same: r.Status == to || approvedBefore,
		})
		if err != nil || repeated {
			return err
		}
		now := act.Now
		r.Status, r.DecidedAt, r.DecidedBy, r.DecisionReason = to, &now, actor.ID, reason
		if err := updateRepricing(ctx, act, r); err != nil {
			return err
		}
		if to == Approved {
			if err := s.queue(ctx, act, r); err != nil {
				return err
			}
		}
		return s.record(ctx, act, r, map[Status]string{Approved: "approve", Rejected: "reject"}[to], reason)
	})
	return r, err
}

func (s *Service) queue(ctx context.Context, tx pgx.Tx, r Repricing) error {
	_, err := s.Jobs.InsertTx(ctx, tx, Run{Authority: r.Authority, Repricing: r.ID, Seen: r.DossiersSeen}, unlessWaiting())
	return err
}

// Find returns a repricing of the actor's authority with the counts of its recorded items. Needs
// auth.PermReportRead.
func (s *Service) Find(ctx context.Context, actor auth.Actor, id ID) (r Repricing, err error) {
	if err := auth.Require(actor, auth.PermReportRead); err != nil {
		return Repricing{}, err
	}
	err = postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) error {
		r, err = selectRepricing(ctx, tx, ` where r.id = $1`, id)
		return err
	})
	return r, err
}

func (s *Service) record(ctx context.Context, tx postgres.Act, r Repricing, act, reason string) error {
	return audit.Record(ctx, tx, audit.Event{
		Actor: tx.Actor, At: tx.Now, Act: "repricing." + act, ObjectKind: "repricing", ObjectID: r.ID.String(), Reason: reason,
		After: map[string]any{
			"status": r.Status, "policy": r.Policy, "from": r.Period.From, "to": r.Period.To, "forecast": r.Forecast, "seen": r.DossiersSeen,
		},
	})
}

// QueueDue queues the next batch of every approved repricing of all authorities whose job was lost
// or given up. It skips a batch that is queued already, and returns the number of queued jobs.
func (s *Service) QueueDue(ctx context.Context) (int, error) {
	queued := 0
	err := postgres.InTx(ctx, s.DB, auth.System(""), func(act postgres.Act) error {
		queued = 0
		rows, err := act.Query(ctx, `
			select authority, repricing_id, dossiers_seen from repricing.due($1, $2)`, act.Now.Add(-lostAfter), sweepBatch)
		if err != nil {
			return err
		}
		found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Run])
		if err != nil || len(found) == 0 {
			return err
		}
		list := make([]river.InsertManyParams, len(found))
		for i, args := range found {
			list[i] = river.InsertManyParams{Args: args, InsertOpts: unlessWaiting()}
		}
		results, err := s.Jobs.InsertManyTx(ctx, act, list)
		for _, result := range results {
			if !result.UniqueSkippedAsDuplicate {
				queued++
			}
		}
		return err
	})
	return queued, err
}

// A sweep queues a repricing again when its job was lost, or given up, for lostAfter; sweepBatch bounds one sweep.
const (
	lostAfter  = time.Hour
	sweepBatch = 1000
)

// unlessWaiting makes an insert skip a job when a job with the same arguments waits or runs.
func unlessWaiting() *river.InsertOpts {
	return &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
		rivertype.JobStateRetryable, rivertype.JobStateScheduled,
	}}}
}
