package dossiers

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/postgres"
)

// clockTolerance is how far a portal's clock may run ahead of this system's clock.
const clockTolerance = 10 * time.Minute

// StatusReport is a portal's report of a dossier's progress.
type StatusReport struct {
	Status Status
	At     time.Time
	Reason string
	Note   string
}

// RecordStatus keeps a status report. The same report again changes nothing. A report older than the newest report is
// kept and does not change the status. The first report that ends the service queues refund proposals. The first report
// of acceptance and the first report of the result queue PriceAgain, when some policy counts from such a day.
func (s *Service) RecordStatus(ctx context.Context, actor auth.Actor, code string, r StatusReport) (d Dossier, err error) {
	if err := auth.Require(actor, auth.PermDossierWrite); err != nil {
		return Dossier{}, err
	}
	if r.Status < 1 || r.Status > 10 || r.At.IsZero() {
		return Dossier{}, ErrInvalid.At("/status", "status must be 1 to 10 and at a time")
	}
	r.At = r.At.UTC().Truncate(keptPrecision)
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		if r.At.After(act.Now.Add(clockTolerance)) { // a report from the future would hide every later one
			return ErrInvalid.At("/at", "must not lie in the future")
		}
		d, err = Lock(ctx, act, code)
		if err != nil {
			return err
		}
		isNew, err := insertStatusEvent(ctx, act, d, r)
		if err != nil || !isNew {
			return err
		}
		return s.applyStatus(ctx, act, &d, r)
	})
	return d, err
}

func (s *Service) applyStatus(ctx context.Context, act postgres.Act, d *Dossier, r StatusReport) error {
	before := *d
	if !r.At.Before(d.StatusAt) {
		d.Status, d.StatusAt = r.Status, r.At
	}
	d.Stage = stageAfter(d.Stage, r.Status)
	reason := undeliverableReason(r.Status, r.Reason)
	ends := reason != "" && d.Undeliverable == ""
	if ends {
		d.Undeliverable = reason
	}
	if err := updateStatus(ctx, act, *d); err != nil {
		return err
	}
	if d.Undeliverable == "" {
		if err := s.queuePriceAgain(ctx, act, *d, r); err != nil {
			return err
		}
	}
	if ends {
		args := ProposeRefunds{Authority: d.Authority, Dossier: d.ID, Reason: reason}
		if _, err := s.Jobs.InsertTx(ctx, act, args, &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true}}); err != nil {
			return err
		}
	}
	return audit.Record(ctx, act, audit.Event{
		Actor: act.Actor, At: act.Now, Act: "dossier.status", ObjectKind: "dossier", ObjectID: d.ID.String(), Reason: reason,
		Before: map[string]any{"status": before.Status, "undeliverable": before.Undeliverable},
		After:  map[string]any{"status": d.Status, "undeliverable": d.Undeliverable},
	})
}

// queuePriceAgain queues PriceAgain for the first report of a day from which some policy counts.
func (s *Service) queuePriceAgain(ctx context.Context, tx pgx.Tx, d Dossier, r StatusReport) error {
	day, ok := dayBy(r.Status)
	if !ok {
		return nil
	}
	reports, err := countReports(ctx, tx, d.ID, ReportsOf(day))
	if err != nil || reports > 1 {
		return err
	}
	schedule, err := s.Fees.Schedule(ctx, tx, d.Authority, LastDay(d.PricingDate, r.At))
	if err != nil || !schedule.AsksForMilestones() {
		return err
	}
	args := PriceAgain{Authority: d.Authority, Dossier: d.ID, Day: day}
	_, err = s.Jobs.InsertTx(ctx, tx, args, &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true}})
	return err
}
