// Package captures changes a capture after it was recorded: refunds reserves and
// releases portions of it, reconcile marks it as settled. Both bring their own
// transaction. The tables stand in the PostgreSQL schema payments.
//
// Invariant: the portions promised to refunds never exceed the captured money.
package captures

import (
	"bytes"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/payments"
)

// Portion is a part of a capture that is to be given back: money of a charge,
// or of the excess when Charge is zero.
type Portion struct {
	Charge dossiers.ChargeID
	Amount int64
}

// Reserve promises portions of a capture to a refund. The caller has locked the dossier; Reserve
// locks the payment and the capture. It fails with payments.ErrRefundCap when the promises would
// exceed a portion, the capture or the payment. Check constraints of the tables hold the same
// bounds.
func Reserve(ctx context.Context, tx pgx.Tx, id payments.CaptureID, portions []Portion) error {
	return changeReserved(ctx, tx, id, portions, 1)
}

// Release takes back the promise of a refund that was rejected or declined.
func Release(ctx context.Context, tx pgx.Tx, id payments.CaptureID, portions []Portion) error {
	return changeReserved(ctx, tx, id, portions, -1)
}

func changeReserved(ctx context.Context, tx pgx.Tx, id payments.CaptureID, portions []Portion, sign int64) error {
	var (
		charges       []dossiers.ChargeID
		amounts       []int64
		total, excess int64
	)
	for _, p := range portions {
		if p.Amount <= 0 {
			return payments.ErrRefundCap.With("a portion must be above zero")
		}
		total += sign * p.Amount
		if p.Charge.IsZero() {
			excess += sign * p.Amount
			continue
		}
		charges, amounts = append(charges, p.Charge), append(amounts, sign*p.Amount)
	}
	c, err := payments.FindCapture(ctx, tx, id)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `update payments.payment set refund_reserved = refund_reserved + $2 where id = $1`, c.PaymentID, total)
	if err != nil {
		return refundFault(err)
	}
	_, err = tx.Exec(ctx, `
		update payments.capture set refund_reserved = refund_reserved + $2, excess_reserved = excess_reserved + $3
		where id = $1`, id, total, excess)
	if err != nil {
		return refundFault(err)
	}
	if len(charges) == 0 {
		return nil
	}
	tag, err := tx.Exec(ctx, `
		update payments.allocation a set refund_reserved = a.refund_reserved + n.amount
		from (select charge_id, sum(amount) as amount from unnest($2::uuid[], $3::bigint[]) as u (charge_id, amount) group by charge_id) n
		where a.capture_id = $1 and a.charge_id = n.charge_id`, id, charges, amounts)
	if err != nil {
		return refundFault(err)
	}
	slices.SortFunc(charges, func(a, b dossiers.ChargeID) int { return bytes.Compare(a[:], b[:]) })
	if tag.RowsAffected() != int64(len(slices.Compact(charges))) {
		return payments.ErrRefundCap.With("the capture did not pay one of these charges")
	}
	return nil
}

func refundFault(err error) error {
	switch postgres.Constraint(err) {
	case "payment_refund_cap", "capture_refund_cap", "capture_excess_cap", "allocation_refund_cap":
		return payments.ErrRefundCap.Because(err)
	}
	return err
}

// lockPayments locks the payments of captures before the captures, in order of id, like every other
// writer.
func lockPayments(ctx context.Context, tx pgx.Tx, ids []payments.CaptureID) error {
	_, err := tx.Exec(ctx, `
		select from payments.payment
		where id in (select payment_id from payments.capture where id = any($1::uuid[]))
		order by id for no key update`, ids)
	return err
}

// Settle marks captures as matched with settlement lines. It moves payments whose captures are all
// settled, and audits each. It skips captures that are settled already.
func Settle(ctx context.Context, act postgres.Act, ids []payments.CaptureID) error {
	if err := lockPayments(ctx, act, ids); err != nil {
		return err
	}
	rows, err := act.Query(ctx, `
		with done as (
			update payments.capture set settled_at = $2 where id = any($1::uuid[]) and settled_at is null
			returning payment_id)
		select distinct payment_id from done`, ids, act.Now)
	if err != nil {
		return err
	}
	touched, err := pgx.CollectRows(rows, pgx.RowTo[payments.ID])
	if err != nil || len(touched) == 0 {
		return err
	}
	return changeSettled(ctx, act, touched, payments.Captured, payments.Settled, `
		and not exists (select from payments.capture c where c.payment_id = p.id and c.settled_at is null)`)
}

// Unsettle undoes Settle for a match that was revoked.
func Unsettle(ctx context.Context, act postgres.Act, ids []payments.CaptureID) error {
	if err := lockPayments(ctx, act, ids); err != nil {
		return err
	}
	rows, err := act.Query(ctx, `
		with undone as (
			update payments.capture set settled_at = null where id = any($1::uuid[]) and settled_at is not null
			returning payment_id)
		select distinct payment_id from undone`, ids)
	if err != nil {
		return err
	}
	touched, err := pgx.CollectRows(rows, pgx.RowTo[payments.ID])
	if err != nil || len(touched) == 0 {
		return err
	}
	return changeSettled(ctx, act, touched, payments.Settled, payments.Captured, ``)
}

// changeSettled moves many payments along one edge at once.
func changeSettled(ctx context.Context, act postgres.Act, ids []payments.ID, from, to payments.Status, condition string) error {
	name, err := payments.EdgeName(from, to)
	if err != nil {
		return err
	}
	rows, err := act.Query(ctx, `
		update payments.payment p set status = $3, status_at = $4
		where p.id = any($1::uuid[]) and p.status = $2`+condition+`
		returning p.id`, ids, from, to, act.Now)
	if err != nil {
		return err
	}
	moved, err := pgx.CollectRows(rows, pgx.RowTo[payments.ID])
	if err != nil {
		return err
	}
	events := make([]audit.Event, len(moved))
	for i, id := range moved {
		events[i] = audit.Event{
			Actor: act.Actor, At: act.Now, Act: "payment." + name, ObjectKind: "payment", ObjectID: id.String(),
			Before: map[string]any{"status": from}, After: map[string]any{"status": to},
		}
	}
	return audit.RecordAll(ctx, act, events)
}
