package reconcile

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger/days"
)

// refuseUnfinished returns ErrDayOpen for a date that is not over or whose
// runs, one at least per source, are not all closed.
func refuseUnfinished(ctx context.Context, act postgres.Act, authority string, date calendar.Date) error {
	if !date.Before(calendar.On(act.Now)) {
		return ErrDayOpen.With("%s is not over", date)
	}
	rows, err := act.Query(ctx, `
		select s.code from reconcile.source s
		where s.authority = $1 and s.created_at < $3 and (
			not exists (select from reconcile.run r where r.source_id = s.id and r.business_date = $2)
			or exists (select from reconcile.run r where r.source_id = s.id and r.business_date = $2 and r.status <> 'closed'))
		order by s.code`, authority, date, date.AddDays(1).Start())
	if err != nil {
		return err
	}
	open, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	if len(open) > 0 {
		return ErrDayOpen.With("the runs of these sources are not closed: %v", open)
	}
	return nil
}

// ProposeDay records the actor's wish to close or reopen a business date, with
// its reason; the same key and request again give the first proposal. A date is
// closed only when CloseDay would: ErrDayOpen.
func (s *Service) ProposeDay(ctx context.Context, actor auth.Actor, q days.Request) (p days.Proposal, created bool, err error) {
	if err := auth.Require(actor, auth.PermDayPropose); err != nil {
		return p, false, err
	}
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		if q.Change == days.Closing {
			if err := refuseUnfinished(ctx, act, actor.Authority, q.Date); err != nil {
				return err
			}
		}
		if p, created, err = days.Propose(ctx, act, q); err != nil || !created {
			return err
		}
		return audit.Record(ctx, act, audit.Event{
			Actor: actor, At: act.Now, Act: "day.propose", ObjectKind: "day", ObjectID: q.Date.String(), Reason: q.Reason,
			After: map[string]any{"proposal": p.ID.String(), "change": p.Change},
		})
	})
	return p, created, err
}

// DecideDay approves or rejects a proposal; the actor is another person than
// who made it. Approved, the date is closed or reopened at once, and runs that
// were opened again since the proposal refuse a closing. The same decision of
// the same person again changes nothing.
func (s *Service) DecideDay(
	ctx context.Context,
	actor auth.Actor,
	date calendar.Date,
	id days.ProposalID,
	decision days.Status,
	note string,
) (p days.Proposal, err error) {
	if err := auth.Require(actor, auth.PermDayApprove); err != nil {
		return p, err
	}
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		if p, err = days.LockProposal(ctx, act, id); err != nil {
			return err
		}
		if p.BusinessDate != date {
			return days.ErrNotFound
		}
		if p.Change == days.Closing && decision == days.Approved && p.Status == days.Proposed {
			if err := refuseUnfinished(ctx, act, actor.Authority, date); err != nil {
				return err
			}
		}
		decided := false
		if p, decided, err = days.Decide(ctx, act, p, decision, note); err != nil || !decided {
			return err
		}
		verb := "day.reject"
		if decision == days.Approved {
			verb = "day." + string(p.Change)
		}
		return audit.Record(ctx, act, audit.Event{
			Actor: actor, At: act.Now, Act: verb, ObjectKind: "day", ObjectID: date.String(), Reason: p.Reason,
			After: map[string]any{"proposal": p.ID.String(), "proposed_by": p.ProposedBy, "note": note},
		})
	})
	return p, err
}

// FindDay returns a business date of the actor's authority with its history.
func (s *Service) FindDay(ctx context.Context, actor auth.Actor, date calendar.Date) (day days.Day, err error) {
	if err := auth.Require(actor, auth.PermLedgerRead); err != nil {
		return day, err
	}
	err = postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) error {
		day, err = days.Find(ctx, tx, date)
		return err
	})
	return day, err
}
