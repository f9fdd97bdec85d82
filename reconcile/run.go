package reconcile

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/page"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger/days"
	"github.com/doisoat/doisoat/reconcile/matching"
	"github.com/doisoat/doisoat/reconcile/openitems"
	"github.com/doisoat/doisoat/reconcile/report"
	"github.com/doisoat/doisoat/statements"
)

type runKind struct{}

// Prefix implements ident.Kind.
func (runKind) Prefix() string { return "run" }

// RunID names a run.
type RunID = ident.ID[runKind]

// RunStatus is how far a run came.
type RunStatus string

// The statuses. Matching lasts from the first look until repairs are answered.
const (
	RunOpen     RunStatus = "open"
	RunMatching RunStatus = "matching"
	RunReview   RunStatus = "review"
	RunClosed   RunStatus = "closed"
)

// Run reconciles one source and business date. Totals are of now, or frozen when it was closed.
type Run struct {
	ID           RunID
	Authority    string
	SourceID     statements.SourceID
	Source       string // code
	BusinessDate calendar.Date
	Number       int // 1, then supplementary runs
	Status       RunStatus
	Currency     money.Currency
	CreatedAt    time.Time
	MatchedAt    *time.Time
	ClosedAt     *time.Time
	ClosedBy     string
	report.Report
}

type runRow struct {
	ID           RunID               `db:"id"`
	Authority    string              `db:"authority"`
	SourceID     statements.SourceID `db:"source_id"`
	Source       string              `db:"source"`
	BusinessDate calendar.Date       `db:"business_date"`
	Number       int                 `db:"number"`
	Status       RunStatus           `db:"status"`
	Currency     money.Currency      `db:"currency"`
	CreatedAt    time.Time           `db:"created_at"`
	MatchedAt    *time.Time          `db:"matched_at"`
	ClosedAt     *time.Time          `db:"closed_at"`
	ClosedBy     string              `db:"closed_by"`
	Report       []byte              `db:"report"`
}

const selectRun = `
	select r.id, r.authority, r.source_id, s.code as source, r.business_date, r.number, r.status, r.currency, r.created_at,
		r.matched_at, r.closed_at, coalesce(r.closed_by, '') as closed_by, r.report
	from reconcile.run r join reconcile.source s on s.id = r.source_id
	where r.authority = (select app.authority())`

func selectRuns(ctx context.Context, tx pgx.Tx, and string, args ...any) ([]Run, error) {
	rows, err := tx.Query(ctx, selectRun+and, args...)
	if err != nil {
		return nil, err
	}
	records, err := pgx.CollectRows(rows, pgx.RowToStructByName[runRow])
	if err != nil {
		return nil, err
	}
	list := make([]Run, len(records))
	for i, r := range records {
		list[i] = Run{
			ID: r.ID, Authority: r.Authority, SourceID: r.SourceID, Source: r.Source, BusinessDate: r.BusinessDate, Number: r.Number,
			Status: r.Status, Currency: r.Currency, CreatedAt: r.CreatedAt, MatchedAt: r.MatchedAt, ClosedAt: r.ClosedAt, ClosedBy: r.ClosedBy,
		}
		if r.Report != nil {
			if err := json.Unmarshal(r.Report, &list[i].Report); err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}

// RunByID returns a run of the authority of tx, or ErrRunNotFound. Its report is
// empty unless the run is closed. It locks nothing.
func RunByID(ctx context.Context, tx pgx.Tx, id RunID) (Run, error) { return runByID(ctx, tx, id, ``) }

func runByID(ctx context.Context, tx pgx.Tx, id RunID, lock string) (Run, error) {
	list, err := selectRuns(ctx, tx, ` and r.id = $1`+lock, id)
	if err != nil {
		return Run{}, err
	}
	if len(list) != 1 {
		return Run{}, ErrRunNotFound
	}
	return list[0], nil
}

// StartRun reconciles all open lines and items of a source up to a date. It
// continues an unfinished run of that date. After a closed run it makes a
// supplementary run for new lines and items, or returns the closed run when
// nothing is new. created tells whether this call made the run.
//
// One transaction saves matches, breaks and entries together. Repairs ask
// providers between two passes, with no transaction open. The runs of an
// authority take turns. A second call with nothing new changes nothing.
// ErrInvalid when the date has not begun.
func (s *Service) StartRun(
	ctx context.Context, actor auth.Actor, sourceCode string, date calendar.Date,
) (run Run, created bool, err error) {
	if err := auth.Require(actor, auth.PermReconcile); err != nil {
		return Run{}, false, err
	}
	var asked []repair
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		if date.IsZero() || date.After(calendar.On(act.Now)) {
			return ErrInvalid.At("/business_date", "must be a day that has begun")
		}
		src, err := s.takeTurn(ctx, act, actor.Authority, sourceCode)
		if err != nil {
			return err
		}
		if run, created, err = s.findOrCreateRun(ctx, act, src, date); err != nil || run.Status == RunClosed {
			return err
		}
		asked, err = s.pass(ctx, act, src, &run, true)
		return err
	})
	if err != nil || run.Status == RunClosed {
		return run, created, err
	}
	if len(asked) > 0 {
		s.repair(ctx, actor.Authority, asked)
		err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
			src, err := s.takeTurn(ctx, act, actor.Authority, sourceCode)
			if err != nil {
				return err
			}
			if run, err = runByID(ctx, act, run.ID, ``); err != nil || run.Status == RunClosed {
				return err
			}
			_, err = s.pass(ctx, act, src, &run, false)
			return err
		})
		if err != nil {
			return run, created, err
		}
	}
	run, err = s.FindRun(ctx, auth.System(actor.Authority), run.ID)
	return run, created, err
}

// takeTurn lets one run of an authority work at a time, until tx ends: two
// runs may want the same batch, capture or line.
func (s *Service) takeTurn(ctx context.Context, tx pgx.Tx, authority, code string) (statements.Source, error) {
	if err := statements.TakeTurn(ctx, tx, authority); err != nil {
		return statements.Source{}, err
	}
	return statements.FindSource(ctx, tx, code)
}

func (s *Service) findOrCreateRun(ctx context.Context, act postgres.Act, src statements.Source, date calendar.Date) (Run, bool, error) {
	list, err := selectRuns(ctx, act, ` and r.source_id = $1 and r.business_date = $2 order by r.number desc limit 1`, src.ID, date)
	if err != nil {
		return Run{}, false, err
	}
	number := 1
	if len(list) == 1 {
		last := list[0]
		if last.Status != RunClosed {
			return last, false, nil
		}
		more, err := openitems.AnyNew(ctx, act, src, date)
		if err != nil || !more {
			return last, false, err
		}
		number = last.Number + 1
	}
	run := Run{
		ID: ident.New[runKind](), Authority: act.Actor.Authority, SourceID: src.ID, Source: src.Code, BusinessDate: date, Number: number,
		Status: RunOpen, Currency: src.Currency, CreatedAt: act.Now,
	}
	_, err = act.Exec(ctx, `
		insert into reconcile.run (id, authority, source_id, business_date, number, status, currency, created_at, created_by)
		values (@id, @authority, @source, @date, @number, @status, @currency, @at, @by)`,
		pgx.StrictNamedArgs{
			"id": run.ID, "authority": run.Authority, "source": run.SourceID, "date": run.BusinessDate, "number": run.Number,
			"status": run.Status, "currency": run.Currency, "at": run.CreatedAt, "by": act.Actor.ID,
		})
	if err != nil {
		return Run{}, false, err
	}
	return run, true, audit.Record(ctx, act, audit.Event{
		Actor: act.Actor, At: run.CreatedAt, Act: "run.start", ObjectKind: "run", ObjectID: run.ID.String(),
		After: map[string]any{"source": src.Code, "business_date": date, "number": number},
	})
}

// pass loads all open lines and items and matches them. When mayRepair is true
// and the matcher requests repairs, pass stores and returns only the repairs. The
// pass after the answers saves the matches and breaks.
func (s *Service) pass(ctx context.Context, act postgres.Act, src statements.Source, run *Run, mayRepair bool) ([]repair, error) {
	if err := accountForLines(ctx, act, src, *run); err != nil {
		return nil, err
	}
	open, err := openitems.Load(ctx, act, s.Statements, src, run.BusinessDate)
	if err != nil {
		return nil, err
	}
	match := matching.Settlement
	if src.Kind == statements.BankSource {
		match = matching.Bank
	}
	out := match(open.Input)
	if mayRepair && len(out.Repairs) > 0 {
		asked, err := s.reserveRepairs(ctx, act, src, *run, open, out.Repairs)
		if err != nil {
			return nil, err
		}
		if len(asked) > 0 {
			return asked, setRunStatus(ctx, act, run, RunMatching)
		}
	}
	if err := s.save(ctx, act, src, *run, open, out); err != nil {
		return nil, err
	}
	return nil, setRunStatus(ctx, act, run, RunReview)
}

// accountForLines makes the run account for the lines up to its date that no
// run has accounted for; at a bank, also for the rows of batches.
func accountForLines(ctx context.Context, tx pgx.Tx, src statements.Source, run Run) error {
	_, err := tx.Exec(ctx, `
		update reconcile.statement_line set run_id = $2
		where source_id = $1 and run_id is null and business_date <= $3`, src.ID, run.ID, run.BusinessDate)
	if err != nil || src.Kind != statements.BankSource {
		return err
	}
	_, err = tx.Exec(ctx, `
		update reconcile.statement_line set payout_run_id = $1
		where source_id in (select id from reconcile.source where authority = (select app.authority()) and kind = 'settlement')
			and not paid_out and booked and batch_id <> '' and payout_run_id is null and business_date <= $2`, run.ID, run.BusinessDate)
	return err
}

func setRunStatus(ctx context.Context, act postgres.Act, run *Run, status RunStatus) error {
	run.Status, run.MatchedAt = status, &act.Now
	_, err := act.Exec(ctx, `update reconcile.run set status = $2, matched_at = $3 where id = $1`, run.ID, status, act.Now)
	return err
}

// FindRun returns a run with its totals, or ErrRunNotFound.
func (s *Service) FindRun(ctx context.Context, actor auth.Actor, id RunID) (run Run, err error) {
	if err := auth.Require(actor, auth.PermReconcileRead); err != nil {
		return Run{}, err
	}
	err = postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) error {
		if run, err = runByID(ctx, tx, id, ``); err != nil || run.Status == RunClosed {
			return err
		}
		run.Report, err = report.Of(ctx, tx, run.ID.UUID())
		return err
	})
	return run, err
}

// ListRuns returns runs of the actor's authority without totals unless they
// are closed, newest first, of one source or (empty) of all. next is zero at the end.
func (s *Service) ListRuns(
	ctx context.Context, actor auth.Actor, source string, after RunID, limit int,
) (list []Run, next RunID, err error) {
	if err := auth.Require(actor, auth.PermReconcileRead); err != nil {
		return nil, next, err
	}
	limit = page.Limit(limit)
	err = postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) error {
		list, err = selectRuns(ctx, tx, `
			and (@source = '' or r.source_id = (`+statements.SourceIDByCode+`)) and (@after::uuid is null or r.id < @after)
			order by r.id desc limit @limit`, pgx.StrictNamedArgs{"source": source, "after": after, "limit": limit + 1})
		return err
	})
	list, next = page.Cut(list, limit, func(x Run) RunID { return x.ID })
	return list, next, err
}

// CloseRun freezes a run with its report, when on both sides total = matched +
// listed breaks exactly and every line has a place: ErrUnexplained otherwise,
// ErrNotMatched when lines arrived that it has not looked at. Open breaks are
// carried to later runs. Closing a closed run changes nothing.
func (s *Service) CloseRun(ctx context.Context, actor auth.Actor, id RunID) (run Run, err error) {
	if err := auth.Require(actor, auth.PermRunClose); err != nil {
		return Run{}, err
	}
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		seen, err := runByID(ctx, act, id, ``)
		if err != nil {
			return err
		}
		src, err := s.takeTurn(ctx, act, actor.Authority, seen.Source)
		if err != nil {
			return err
		}
		if run, err = runByID(ctx, act, id, ` for update of r`); err != nil || run.Status == RunClosed {
			return err
		}
		if run.Status != RunReview {
			return ErrNotMatched.With("the run is %s: run again before closing", run.Status)
		}
		if more, err := openitems.AnyNew(ctx, act, src, run.BusinessDate); err != nil || more {
			return orElse(err, ErrNotMatched)
		}
		if run.Report, err = report.Of(ctx, act, run.ID.UUID()); err != nil {
			return err
		}
		if !run.Holds() {
			return ErrUnexplained.With("unexplained: %d of the source, %d of the book, %d lines or items",
				run.SourceSide.Difference(), run.BookSide.Difference(), run.Unexplained)
		}
		return s.close(ctx, act, &run)
	})
	return run, err
}

func orElse(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

func (s *Service) close(ctx context.Context, act postgres.Act, run *Run) error {
	now := act.Now
	frozen, err := json.Marshal(run.Report)
	if err != nil {
		return err
	}
	run.Status, run.ClosedAt, run.ClosedBy = RunClosed, &now, act.Actor.ID
	_, err = act.Exec(ctx, `
		update reconcile.run set status = 'closed', closed_at = $2, closed_by = $3, report = $4 where id = $1`, run.ID, now, act.Actor.ID, frozen)
	if err != nil {
		return err
	}
	if _, err := act.Exec(ctx, `update reconcile.break set status = 'carried' where run_id = $1 and status = 'open'`, run.ID); err != nil {
		return err
	}
	return audit.Record(ctx, act, audit.Event{
		Actor: act.Actor, At: now, Act: "run.close", ObjectKind: "run", ObjectID: run.ID.String(),
		Before: map[string]any{"status": RunReview},
		After: map[string]any{
			"status": RunClosed, "total": run.SourceSide.Total, "matched": run.SourceSide.Matched, "breaks": run.SourceSide.Breaks,
		},
	})
}

// CloseDay closes a business date: from then on the book refuses entries of that
// date. The date must be over, and each source must have a run of the date, all
// closed; otherwise ErrDayOpen names the missing runs. Closing a closed day
// changes nothing.
func (s *Service) CloseDay(ctx context.Context, actor auth.Actor, date calendar.Date) error {
	if err := auth.Require(actor, auth.PermRunClose); err != nil {
		return err
	}
	return postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		if err := refuseUnfinished(ctx, act, actor.Authority, date); err != nil {
			return err
		}
		if err := days.Close(ctx, act, date); err != nil {
			return err
		}
		return audit.Record(ctx, act, audit.Event{
			Actor: actor, At: act.Now, Act: "day.close", ObjectKind: "day", ObjectID: date.String(), After: map[string]any{"date": date},
		})
	})
}
