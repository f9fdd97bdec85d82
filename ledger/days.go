package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/postgres"
)

// DayChange is what may happen to a business date.
type DayChange string

// The changes of a business date; they take turns, beginning with a closing.
const (
	DayClose  DayChange = "close"
	DayReopen DayChange = "reopen"
)

// ProposalState is how far a proposal to close or reopen a date has come.
type ProposalState string

// The states of a proposal: proposed → approved, rejected; both are final.
const (
	DayProposed ProposalState = "proposed"
	DayApproved ProposalState = "approved"
	DayRejected ProposalState = "rejected"
)

type dayProposalKind struct{}

// Prefix implements ident.Kind.
func (dayProposalKind) Prefix() string { return "dpr" }

// DayProposalID names a proposal to close or reopen a business date.
type DayProposalID = ident.ID[dayProposalKind]

// Faults of business dates.
var (
	ErrDayState         = fault.New(fault.Precondition, "ledger.day_state", "the business date is so already")
	ErrDayProposed      = fault.New(fault.Conflict, "ledger.day_proposed", "another proposal for the business date waits for a decision")
	ErrDayKey           = fault.New(fault.Conflict, "ledger.day_idempotency_key", "the idempotency key was used for another request")
	ErrDayReason        = fault.New(fault.Invalid, "ledger.day_reason", "a reason is needed")
	ErrProposalNotFound = fault.New(fault.NotFound, "ledger.day_proposal_not_found", "no such proposal")
	ErrProposalDecided  = fault.New(fault.Conflict, "ledger.day_proposal_decided", "the proposal is decided already")
	ErrSamePerson       = fault.New(fault.Forbidden, "ledger.same_person", "who proposed cannot decide")
)

// DayProposal is a wish to close or reopen a business date, with its reason.
type DayProposal struct {
	ID           DayProposalID
	BusinessDate calendar.Date
	Change       DayChange
	Reason       string
	State        ProposalState
	ProposedAt   time.Time
	ProposedBy   string
	DecidedAt    *time.Time
	DecidedBy    string // another person than ProposedBy
	Note         string // of who decided
}

// DayEvent is one closing or reopening of a business date.
type DayEvent struct {
	Number     int // from 1 on
	Change     DayChange
	At         time.Time
	ApprovedBy string
	ProposedBy string        // none for a closing that followed the closed runs of the day
	Proposal   DayProposalID // zero likewise
}

// Day is a business date with all that happened to it, oldest first.
type Day struct {
	Date      calendar.Date
	Closed    bool
	Events    []DayEvent
	Proposals []DayProposal
}

// OpenDate returns date, or the first date after it that is not closed.
func OpenDate(ctx context.Context, tx pgx.Tx, authority string, date calendar.Date) (open calendar.Date, err error) {
	b := &pgx.Batch{}
	QueueOpenDate(b, authority, date, &open)
	err = tx.SendBatch(ctx, b).Close()
	return open, err
}

// QueueOpenDate is OpenDate in the round trip of a batch: open is set when it has been sent.
func QueueOpenDate(b *pgx.Batch, authority string, date calendar.Date, open *calendar.Date) {
	b.Queue(`
		select e.business_date from (
			select distinct on (d.business_date) d.business_date, d.change
			from ledger.day_event d
			where d.authority = $1 and d.business_date >= $2
			order by d.business_date, d.number desc) e
		where e.change = 'close'
		order by e.business_date`, authority, date).Query(func(rows pgx.Rows) error {
		closed, err := pgx.CollectRows(rows, pgx.RowTo[calendar.Date])
		*open = date
		for _, c := range closed {
			if c != *open {
				break
			}
			*open = open.AddDays(1)
		}
		return err
	})
}

// CloseDay refuses further entries on date. Closing a closed day changes nothing.
// It waits for running posters of that day and holds them off until tx ends.
// Who calls has made sure that the day is done: its runs are closed.
func CloseDay(ctx context.Context, tx pgx.Tx, authority string, date calendar.Date, actor string, now time.Time) error {
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(ledger.day_lock($1, $2))`, authority, date); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `
		insert into ledger.day_event (authority, business_date, number, change, at, approved_by)
		select $1::text, $2::date, 0, 'close', $3::timestamptz, $4::text
		where not ledger.day_closed($1, $2)`, authority, date, now, actor)
	return err
}

// DayRequest asks for a change of a business date.
type DayRequest struct {
	Date   calendar.Date
	Change DayChange
	Reason string
	Key    string // the caller's idempotency key, if any
}

// ProposeDay records that actor wants a date closed or reopened; created is
// false when the same was proposed with the same key before. ErrDayState when
// it is so already, ErrDayProposed while another proposal waits.
func ProposeDay(ctx context.Context, tx pgx.Tx, authority string, q DayRequest, actor string, now time.Time) (p DayProposal, created bool, err error) {
	if q.Reason == "" {
		return p, false, ErrDayReason
	}
	if q.Key != "" {
		p, err = findProposal(ctx, tx, ` where p.authority = $1 and p.key = $2`, authority, q.Key)
		if err == nil && (p.BusinessDate != q.Date || p.Change != q.Change || p.Reason != q.Reason || p.ProposedBy != actor) {
			err = ErrDayKey
		}
		if !ErrProposalNotFound.Is(err) {
			return p, false, err
		}
	}
	var closed bool
	if err := tx.QueryRow(ctx, `select ledger.day_closed($1, $2)`, authority, q.Date).Scan(&closed); err != nil {
		return p, false, err
	}
	if closed == (q.Change == DayClose) {
		return p, false, ErrDayState
	}
	p = DayProposal{
		ID: ident.New[dayProposalKind](), BusinessDate: q.Date, Change: q.Change, Reason: q.Reason, State: DayProposed, ProposedAt: now, ProposedBy: actor,
	}
	_, err = tx.Exec(ctx, `
		insert into ledger.day_proposal (id, authority, business_date, change, reason, proposed_at, proposed_by, key)
		values (@id, @authority, @date, @change, @reason, @at, @by, nullif(@key::text, ''))`, pgx.StrictNamedArgs{
		"id": p.ID, "authority": authority, "date": q.Date, "change": q.Change, "reason": q.Reason, "at": now, "by": actor, "key": q.Key,
	})
	return p, true, dayFault(err)
}

// LockProposal finds a proposal and holds it until tx ends, or returns ErrProposalNotFound.
func LockProposal(ctx context.Context, tx pgx.Tx, id DayProposalID) (DayProposal, error) {
	return findProposal(ctx, tx, ` where p.id = $1 for update`, id)
}

func findProposal(ctx context.Context, tx pgx.Tx, where string, args ...any) (DayProposal, error) {
	rows, err := tx.Query(ctx, selectProposals+where, args...)
	if err != nil {
		return DayProposal{}, err
	}
	p, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[proposalRow])
	if errors.Is(err, pgx.ErrNoRows) {
		return DayProposal{}, ErrProposalNotFound
	}
	return p.proposal(), err
}

// DecideDay ends a proposal. Approved, the date is closed or reopened in the
// same transaction: it waits for running posters of that day. ErrSamePerson
// when actor proposed it, ErrProposalDecided when it is not open any more.
func DecideDay(ctx context.Context, tx pgx.Tx, authority string, p DayProposal, decision ProposalState, note, actor string, now time.Time) (DayProposal, error) {
	if p.State != DayProposed {
		return p, ErrProposalDecided
	}
	if p.ProposedBy == actor {
		return p, ErrSamePerson
	}
	_, err := tx.Exec(ctx, `
		update ledger.day_proposal set state = @state, decided_at = @at, decided_by = @by, note = @note where id = @id`,
		pgx.StrictNamedArgs{"id": p.ID, "state": decision, "at": now, "by": actor, "note": note})
	if err != nil {
		return p, dayFault(err)
	}
	if decision == DayApproved {
		_, err = tx.Exec(ctx, `
			insert into ledger.day_event (authority, business_date, number, change, at, approved_by, proposed_by, proposal_id)
			values (@authority, @date, 0, @change, @at, @by, @proposed_by, @id)`, pgx.StrictNamedArgs{
			"authority": authority, "date": p.BusinessDate, "change": p.Change, "at": now, "by": actor, "proposed_by": p.ProposedBy, "id": p.ID,
		})
		if err != nil {
			return p, dayFault(err)
		}
	}
	p.State, p.DecidedAt, p.DecidedBy, p.Note = decision, &now, actor, note
	return p, nil
}

func dayFault(err error) error {
	switch postgres.Constraint(err) {
	case "day_event_alternates":
		return ErrDayState.Because(err)
	case "day_proposal_key":
		return ErrDayKey.Because(err)
	case "day_proposal_one_open":
		return ErrDayProposed.Because(err)
	case "day_proposal_two_people", "day_event_two_people":
		return ErrSamePerson.Because(err)
	case "day_proposal_decided_once":
		return ErrProposalDecided.Because(err)
	}
	return err
}

// FindDay returns a business date of the transaction's authority; one that
// nothing happened to is open.
func FindDay(ctx context.Context, tx pgx.Tx, date calendar.Date) (Day, error) {
	d := Day{Date: date, Events: []DayEvent{}, Proposals: []DayProposal{}}
	rows, err := tx.Query(ctx, `
		select e.number, e.change, e.at, e.approved_by, coalesce(e.proposed_by, '') as proposed_by, e.proposal_id as proposal
		from ledger.day_event e
		where e.authority = (select app.authority()) and e.business_date = $1 order by e.number`, date)
	if err != nil {
		return d, err
	}
	if d.Events, err = pgx.CollectRows(rows, pgx.RowToStructByName[DayEvent]); err != nil {
		return d, err
	}
	if n := len(d.Events); n > 0 {
		d.Closed = d.Events[n-1].Change == DayClose
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
	select p.id, p.business_date, p.change, p.reason, p.state, p.proposed_at, p.proposed_by, p.decided_at, p.decided_by, p.note
	from ledger.day_proposal p`

type proposalRow struct {
	ID           DayProposalID `db:"id"`
	BusinessDate calendar.Date `db:"business_date"`
	Change       DayChange     `db:"change"`
	Reason       string        `db:"reason"`
	State        ProposalState `db:"state"`
	ProposedAt   time.Time     `db:"proposed_at"`
	ProposedBy   string        `db:"proposed_by"`
	DecidedAt    *time.Time    `db:"decided_at"`
	DecidedBy    *string       `db:"decided_by"`
	Note         string        `db:"note"`
}

func (r proposalRow) proposal() DayProposal {
	return DayProposal{
		ID: r.ID, BusinessDate: r.BusinessDate, Change: r.Change, Reason: r.Reason, State: r.State,
		ProposedAt: r.ProposedAt, ProposedBy: r.ProposedBy, DecidedAt: r.DecidedAt, DecidedBy: orZero(r.DecidedBy), Note: r.Note,
	}
}
