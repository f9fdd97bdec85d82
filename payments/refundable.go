package payments

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/postgres"
)

// The functions below serve refunds and reconcile, inside their transactions.

// FindCapture returns a capture without a lock, or ErrCaptureNotFound.
func FindCapture(ctx context.Context, tx pgx.Tx, id CaptureID) (Capture, error) {
	list, err := selectCaptures(ctx, tx, ` where c.id = $1`, id)
	if err != nil {
		return Capture{}, err
	}
	if len(list) != 1 {
		return Capture{}, ErrCaptureNotFound
	}
	return list[0], nil
}

// CapturesOf returns every capture of a dossier, oldest first.
func CapturesOf(ctx context.Context, tx pgx.Tx, dossier dossiers.ID) ([]Capture, error) {
	return selectCaptures(ctx, tx, ` where c.dossier_id = $1 order by c.recorded_at, c.id`, dossier)
}

// FindInTx returns a payment without a lock.
func FindInTx(ctx context.Context, tx pgx.Tx, id ID) (Payment, error) {
	return selectOne(ctx, tx, ` where id = $1`, id)
}

// CancelLive cancels the pending payment of a locked dossier, if it has one. It leaves an unknown
// payment alone, because inquiries still ask the provider about it.
func (s *Service) CancelLive(ctx context.Context, act postgres.Act, dossier dossiers.ID) error {
	p, err := findLive(ctx, act, dossier)
	if ErrNotFound.Is(err) || (err == nil && p.Status != Pending) {
		return nil
	}
	if err != nil {
		return err
	}
	if p, err = lock(ctx, act, p.ID); err != nil || p.Status != Pending {
		return err
	}
	return s.moveNow(ctx, act, &p, Cancelled, "dossier_ended")
}
