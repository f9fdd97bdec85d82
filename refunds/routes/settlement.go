package routes

import (
	"context"

	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/refunds"
)

// ConfirmBySettlement takes a line of the provider's settlement as proof that
// a refund was carried out: a sent or unknown refund becomes done, and the
// refund counts as settled. Doing it again changes nothing.
func (s *Service) ConfirmBySettlement(ctx context.Context, act postgres.Act, id refunds.ID, transaction string) error {
	r, err := refunds.Lock(ctx, act, id)
	if err != nil {
		return err
	}
	if r.Status.UnderWay() {
		if transaction != "" {
			r.Transaction = transaction
		}
		if err := finish(ctx, act, r, "settlement"); err != nil {
			return err
		}
	}
	if r.Status != refunds.Done {
		return refunds.ErrStatus.With("a %s refund cannot be settled", r.Status)
	}
	if r.SettledAt != nil {
		return nil
	}
	r.SettledAt = &act.Now
	if err := r.Save(ctx, act); err != nil {
		return err
	}
	return auditSettled(ctx, act, r, "refund.settle")
}

// Unsettle undoes the settled mark for a match that was revoked; a done refund
// stays done. Doing it again changes nothing.
func (s *Service) Unsettle(ctx context.Context, act postgres.Act, id refunds.ID) error {
	r, err := refunds.Lock(ctx, act, id)
	if err != nil || r.SettledAt == nil {
		return err
	}
	r.SettledAt = nil
	if err := r.Save(ctx, act); err != nil {
		return err
	}
	return auditSettled(ctx, act, r, "refund.unsettle")
}

func auditSettled(ctx context.Context, act postgres.Act, r *refunds.Locked, verb string) error {
	return audit.Record(ctx, act, audit.Event{
		Actor: act.Actor, At: act.Now, Act: verb, ObjectKind: "refund", ObjectID: r.ID.String(),
		After: map[string]any{"status": r.Status, "settled": r.SettledAt != nil, "transaction": r.Transaction},
	})
}
