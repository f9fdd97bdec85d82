package dossiers

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
)

// Paid is money taken for one charge.
type Paid struct {
	Charge Charge
	Amount int64
}

// RecordPaid queues the statements that add captured money to charges and issue receipts, one per kind. capture names
// the cause. The caller calls RecordPaid once per capture: a second call would add the money twice.
func RecordPaid(b *pgx.Batch, d Dossier, list []Paid, capture uuid.UUID, now time.Time) {
	if len(list) == 0 {
		return
	}
	changes := make([]change, len(list))
	perKind := map[schedule.Kind]int64{}
	for i, p := range list {
		changes[i] = change{charge: p.Charge.ID, paid: p.Amount}
		perKind[p.Charge.Kind] += p.Amount
	}
	updateCharges(b, changes)
	insertReceipts(b, d, perKind, "capture", capture, now)
}

// RecordRefunded adds refunded money to charges, waives the same amount of the obligation, and issues
// adjusting receipts. refund names the cause.
func RecordRefunded(ctx context.Context, act postgres.Act, d Dossier, list []Paid, refund uuid.UUID) error {
	if len(list) == 0 {
		return nil
	}
	changes := make([]change, len(list))
	perKind := map[schedule.Kind]int64{}
	for i, p := range list {
		changes[i] = change{charge: p.Charge.ID, refunded: p.Amount, waived: p.Amount}
		perKind[p.Charge.Kind] -= p.Amount
	}
	b := &pgx.Batch{}
	updateCharges(b, changes)
	insertReceipts(b, d, perKind, "refund", refund, act.Now)
	return act.SendBatch(ctx, b).Close()
}

// Waiver ends an unpaid part of a charge.
type Waiver struct {
	Charge Charge
	Amount int64
}

// Waive ends unpaid obligations of a locked dossier and posts the memo entry. cause names the act that decided it.
func Waive(ctx context.Context, act postgres.Act, d Dossier, list []Waiver, cause uuid.UUID) error {
	if len(list) == 0 {
		return nil
	}
	changes := make([]change, len(list))
	for i, w := range list {
		changes[i] = change{charge: w.Charge.ID, waived: w.Amount}
	}
	b := &pgx.Batch{}
	updateCharges(b, changes)
	if err := act.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	date, err := ledger.OpenDate(ctx, act, d.Authority, calendar.On(act.Now))
	if err != nil {
		return err
	}
	_, err = ledger.Post(ctx, act, waived(d, list, cause, date, act.Now, act.Actor.ID))
	return err
}
