// Package days closes and reopens the business dates of the book.
//
// It owns the tables ledger.day_event and ledger.day_proposal. The database
// refuses an entry on a closed date (ledger.ErrDayClosed); a correction goes to
// the next open date (ledger.OpenDate).
//
// Callers: reconcile, which knows whether the runs of a date are closed.
//
// Invariants: closings and reopenings of a date take turns, beginning with a
// closing; one person proposes and another person decides; a decision is final.
// States of a proposal: proposed → approved, rejected.
package days

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/approval"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/postgres"
)

// Change is a change of a business date.
type Change string

// The changes of a business date; they take turns, beginning with a closing.
const (
	Closing   Change = "close"
	Reopening Change = "reopen"
)

// Status is the status of a proposal to close or reopen a date.
type Status string

// The states of a proposal: proposed → approved, rejected; both are final.
const (
	Proposed Status = "proposed"
	Approved Status = "approved"
	Rejected Status = "rejected"
)

type proposalKind struct{}

// Prefix implements ident.Kind.
func (proposalKind) Prefix() string { return "dpr" }

// ProposalID names a proposal to close or reopen a business date.
type ProposalID = ident.ID[proposalKind]

// Faults of business dates.
var (
	ErrSame     = fault.New(fault.Precondition, "ledger.day_state", "the business date is already open or already closed")
	ErrProposed = fault.New(fault.Conflict, "ledger.day_proposed", "another proposal for the business date waits for a decision")
	ErrKey      = fault.New(fault.Conflict, "ledger.day_idempotency_key", "the idempotency key was used for another request")
	ErrReason   = fault.New(fault.Invalid, "ledger.day_reason", "a reason is required")
	ErrNotFound = fault.New(fault.NotFound, "ledger.day_proposal_not_found", "no such proposal")
)

// Proposal is a person's proposal to close or reopen a business date, with a reason.
type Proposal struct {
	ID           ProposalID
	BusinessDate calendar.Date
	Change       Change
	Reason       string
	Status       Status
	ProposedAt   time.Time
	ProposedBy   string
	DecidedAt    *time.Time
	DecidedBy    string // another person than ProposedBy
	Note         string // by the person who decided
}

// Event is one closing or reopening of a business date.
type Event struct {
	Number     int // from 1 on
	Change     Change
	At         time.Time
	ApprovedBy string
	ProposedBy string     // empty for a closing that followed the closed runs of the day
	Proposal   ProposalID // zero for such a closing too
}

// Day is a business date with all its closings and reopenings, oldest first.
type Day struct {
	Date      calendar.Date
	Closed    bool
	Events    []Event
	Proposals []Proposal
}

// Close refuses further entries on date. Closing a closed day changes nothing. Close waits for transactions that post
// on this day, and later ones wait until tx ends. The caller has made sure that the runs of the day are closed.
func Close(ctx context.Context, act postgres.Act, date calendar.Date) error {
	if _, err := act.Exec(ctx, `select pg_advisory_xact_lock(ledger.day_lock($1, $2))`, act.Actor.Authority, date); err != nil {
		return err
	}
	_, err := act.Exec(ctx, `
		insert into ledger.day_event (authority, business_date, number, change, at, approved_by)
		select $1::text, $2::date, 0, 'close', $3::timestamptz, $4::text
		where not ledger.day_closed($1, $2)`, act.Actor.Authority, date, act.Now, act.Actor.ID)
	return err
}

// Request asks for a change of a business date.
type Request struct {
	Date   calendar.Date
	Change Change
	Reason string
	Key    string // the caller's idempotency key, if any
}

// Propose records the actor's proposal to close or reopen a date. created is false when the same proposal with the same
// key exists. ErrSame when the date already has the proposed status, ErrProposed while another proposal waits.
func Propose(ctx context.Context, act postgres.Act, q Request) (p Proposal, created bool, err error) {
	if q.Reason == "" {
		return p, false, ErrReason
	}
	if q.Key != "" {
		p, err = findProposal(ctx, act, ` where p.authority = $1 and p.key = $2`, act.Actor.Authority, q.Key)
		if err == nil && (p.BusinessDate != q.Date || p.Change != q.Change || p.Reason != q.Reason || p.ProposedBy != act.Actor.ID) {
			err = ErrKey
		}
		if !ErrNotFound.Is(err) {
			return p, false, err
		}
	}
	var closed bool
	if err := act.QueryRow(ctx, `select ledger.day_closed($1, $2)`, act.Actor.Authority, q.Date).Scan(&closed); err != nil {
		return p, false, err
	}
	if closed == (q.Change == Closing) {
		return p, false, ErrSame
	}
	p = Proposal{
		ID:           ident.New[proposalKind](),
		BusinessDate: q.Date,
		Change:       q.Change,
		Reason:       q.Reason,
		Status:       Proposed,
		ProposedAt:   act.Now,
		ProposedBy:   act.Actor.ID,
	}
	_, err = act.Exec(ctx, `
		insert into ledger.day_proposal (id, authority, business_date, change, reason, proposed_at, proposed_by, key)
		values (@id, @authority, @date, @change, @reason, @at, @by, nullif(@key::text, ''))`, pgx.StrictNamedArgs{
		"id":        p.ID,
		"authority": act.Actor.Authority,
		"date":      q.Date,
		"change":    q.Change,
		"reason":    q.Reason,
		"at":        act.Now,
		"by":        act.Actor.ID,
		"key":       q.Key,
	})
	return p, true, refused(err)
}

// LockProposal finds a proposal and holds it until tx ends, or returns ErrNotFound.
func LockProposal(ctx context.Context, tx pgx.Tx, id ProposalID) (Proposal, error) {
	return findProposal(ctx, tx, ` where p.id = $1 for update`, id)
}

func findProposal(ctx context.Context, tx pgx.Tx, where string, args ...any) (Proposal, error) {
	rows, err := tx.Query(ctx, selectProposals+where, args...)
	if err != nil {
		return Proposal{}, err
	}
	p, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[proposalRow])
	if errors.Is(err, pgx.ErrNoRows) {
		return Proposal{}, ErrNotFound
	}
	return p.proposal(), err
}

// Decide ends a proposal. An approval closes or reopens the date in the same transaction, and waits for transactions
// that post on this day. decided is false when the same actor made the same decision before; see approval.Check for the
// faults.
func Decide(ctx context.Context, act postgres.Act, p Proposal, decision Status, note string) (_ Proposal, decided bool, err error) {
	repeated, err := approval.Check(act.Actor, approval.Proposal{
		MadeBy: []string{p.ProposedBy}, Open: p.Status == Proposed, DecidedBy: p.DecidedBy, Same: p.Status == decision,
	})
	if err != nil || repeated {
		return p, false, err
	}
	_, err = act.Exec(ctx, `
		update ledger.day_proposal set status = @status, decided_at = @at, decided_by = @by, note = @note where id = @id`,
		pgx.StrictNamedArgs{"id": p.ID, "status": decision, "at": act.Now, "by": act.Actor.ID, "note": note})
	if err != nil {
		return p, false, refused(err)
	}
	if decision == Approved {
		_, err = act.Exec(ctx, `
			insert into ledger.day_event (authority, business_date, number, change, at, approved_by, proposed_by, proposal_id)
			values (@authority, @date, 0, @change, @at, @by, @proposed_by, @id)`, pgx.StrictNamedArgs{
			"authority":   act.Actor.Authority,
			"date":        p.BusinessDate,
			"change":      p.Change,
			"at":          act.Now,
			"by":          act.Actor.ID,
			"proposed_by": p.ProposedBy,
			"id":          p.ID,
		})
		if err != nil {
			return p, false, refused(err)
		}
	}
	p.Status, p.DecidedAt, p.DecidedBy, p.Note = decision, &act.Now, act.Actor.ID, note
	return p, true, nil
}

func refused(err error) error {
	switch postgres.Constraint(err) {
	case "day_event_alternates":
		return ErrSame.Because(err)
	case "day_proposal_key":
		return ErrKey.Because(err)
	case "day_proposal_one_open":
		return ErrProposed.Because(err)
	}
	return approval.Refused(postgres.Constraint(err), err)
}

// Find returns a business date of the transaction's authority. A date without any event is open.
func Find(ctx context.Context, tx pgx.Tx, date calendar.Date) (Day, error) {
	d := Day{Date: date, Events: []Event{}, Proposals: []Proposal{}}
	rows, err := tx.Query(ctx, `
		select e.number, e.change, e.at, e.approved_by, coalesce(e.proposed_by, '') as proposed_by, e.proposal_id as proposal
		from ledger.day_event e
		where e.authority = (select app.authority()) and e.business_date = $1 order by e.number`, date)
	if err != nil {
		return d, err
	}
	if d.Events, err = pgx.CollectRows(rows, pgx.RowToStructByName[Event]); err != nil {
		return d, err
	}
	if n := len(d.Events); n > 0 {
		d.Closed = d.Events[n-1].Change == Closing
	}
	rows, err = tx.Query(ctx, selectProposals+`
		where p.authority = (select app.authority()) and p.business_date = $1 order by p.proposed_at, p.id`, date)
	if err != nil {
		return d, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[proposalRow])
	for _, row := range list {
		d.Proposals = append(d.Proposals, row.proposal())
	}
	return d, err
}

const selectProposals = `
	select p.id, p.business_date, p.change, p.reason, p.status, p.proposed_at, p.proposed_by, p.decided_at, p.decided_by, p.note
	from ledger.day_proposal p`

type proposalRow struct {
	ID           ProposalID    `db:"id"`
	BusinessDate calendar.Date `db:"business_date"`
	Change       Change        `db:"change"`
	Reason       string        `db:"reason"`
	Status       Status        `db:"status"`
	ProposedAt   time.Time     `db:"proposed_at"`
	ProposedBy   string        `db:"proposed_by"`
	DecidedAt    *time.Time    `db:"decided_at"`
	DecidedBy    *string       `db:"decided_by"`
	Note         string        `db:"note"`
}

func (r proposalRow) proposal() Proposal {
	return Proposal{
		ID: r.ID, BusinessDate: r.BusinessDate, Change: r.Change, Reason: r.Reason, Status: r.Status,
		ProposedAt: r.ProposedAt, ProposedBy: r.ProposedBy, DecidedAt: r.DecidedAt, DecidedBy: orNone(r.DecidedBy), Note: r.Note,
	}
}

func orNone(actor *string) string {
	if actor == nil {
		return ""
	}
	return *actor
}
