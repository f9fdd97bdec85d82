package payments

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/postgres"
)

const selectPayment = `
	select id, authority, dossier_id, merchant_account_id, provider, reference, amount, currency, status, captured,
		refund_reserved, checkout, return_url, locale, created_at, expires_at, status_at, reason, next_inquiry_at, inquiries, request_hash
	from payments.payment`

// scanPayment reads the columns of selectPayment.
func scanPayment(row pgx.CollectableRow) (p Payment, err error) {
	err = row.Scan(&p.ID, &p.Authority, &p.DossierID, &p.MerchantID, &p.Provider, &p.Reference, &p.Amount.Minor, &p.Amount.Currency,
		&p.Status, &p.Captured, &p.Reserved, &p.Checkout, &p.ReturnURL, &p.Locale, &p.CreatedAt, &p.ExpiresAt, &p.StatusAt, &p.Reason,
		&p.NextInquiry, &p.Inquiries, &p.requestHash)
	return p, err
}

// selectPayments returns every payment that the condition finds.
func selectPayments(ctx context.Context, tx pgx.Tx, where string, args ...any) ([]Payment, error) {
	rows, err := tx.Query(ctx, selectPayment+where, args...)
	if err != nil {
		return nil, err
	}
	return collectPayments(rows)
}

func collectPayments(rows pgx.Rows) ([]Payment, error) { return pgx.CollectRows(rows, scanPayment) }

func selectOne(ctx context.Context, tx pgx.Tx, where string, args ...any) (Payment, error) {
	list, err := selectPayments(ctx, tx, where, args...)
	if err != nil {
		return Payment{}, err
	}
	if len(list) != 1 {
		return Payment{}, ErrNotFound
	}
	return list[0], nil
}

// findLive returns the dossier's live payment, or ErrNotFound.
func findLive(ctx context.Context, tx pgx.Tx, dossier dossiers.ID) (Payment, error) {
	return selectOne(ctx, tx, ` where dossier_id = $1 and status in ('pending', 'unknown')`, dossier)
}

// lock holds a payment's row until tx ends; its dossier must be locked before.
func lock(ctx context.Context, tx pgx.Tx, id ID) (Payment, error) {
	return selectOne(ctx, tx, lockedBy, id)
}

const lockedBy = ` where id = $1 for no key update`

// queueLock is lock in the round trip of a batch: p is set after the batch was sent.
func queueLock(b *pgx.Batch, id ID, p *Payment) {
	b.Queue(selectPayment+lockedBy, id).Query(func(rows pgx.Rows) error {
		list, err := collectPayments(rows)
		if err == nil && len(list) != 1 {
			err = ErrNotFound
		}
		if err == nil {
			*p = list[0]
		}
		return err
	})
}

func insertPayment(ctx context.Context, act postgres.Act, p Payment, charges []dossiers.Paid, key string) error {
	_, err := act.Exec(ctx, `
		insert into payments.payment (id, authority, dossier_id, merchant_account_id, provider, reference, amount, currency, status,
			return_url, locale, created_at, created_by, expires_at, status_at, next_inquiry_at, idempotency_key, request_hash)
		values (@id, @authority, @dossier, @merchant, @provider, @reference, @amount, @currency, @status,
			@return_url, @locale, @created_at, @created_by, @expires_at, @created_at, @next_inquiry_at, nullif(@key, ''), @hash)`,
		pgx.StrictNamedArgs{
			"id": p.ID, "authority": p.Authority, "dossier": p.DossierID, "merchant": p.MerchantID, "provider": p.Provider,
			"reference": p.Reference, "amount": p.Amount.Minor, "currency": p.Amount.Currency, "status": p.Status,
			"return_url": p.ReturnURL, "locale": p.Locale, "created_at": p.CreatedAt, "created_by": act.Actor.ID, "expires_at": p.ExpiresAt,
			"next_inquiry_at": p.NextInquiry, "key": key, "hash": p.requestHash,
		})
	if err != nil {
		return err
	}
	var (
		ids     []dossiers.ChargeID
		amounts []int64
	)
	for _, c := range charges {
		ids, amounts = append(ids, c.Charge.ID), append(amounts, c.Amount)
	}
	_, err = act.Exec(ctx, `
		insert into payments.payment_charge (payment_id, charge_id, authority, amount)
		select $1, n.id, $2, n.amount from unnest($3::uuid[], $4::bigint[]) as n (id, amount)`,
		p.ID, p.Authority, ids, amounts)
	return err
}

// insertAttempt writes the first attempt of a payment.
func insertAttempt(ctx context.Context, tx pgx.Tx, p Payment) error {
	_, err := tx.Exec(ctx, `
		insert into payments.attempt (id, authority, payment_id, number, status, created_at, status_at)
		values ($1, $2, $3, 1, 'created', $4, $4)`, ident.New[attemptKind](), p.Authority, p.ID, p.CreatedAt)
	return err
}

// updatePayment writes the columns of a locked payment that may change, and the status of its
// attempt.
func updatePayment(b *pgx.Batch, p Payment) {
	b.Queue(`
		with a as (
			update payments.attempt set status = @attempt, status_at = @status_at
			where payment_id = @id and status <> @attempt)
		update payments.payment
		set status = @status, status_at = @status_at, captured = @captured, reason = @reason,
			next_inquiry_at = @next_inquiry_at, inquiries = @inquiries
		where id = @id`,
		pgx.StrictNamedArgs{
			"id": p.ID, "status": p.Status, "status_at": p.StatusAt, "captured": p.Captured, "reason": p.Reason,
			"next_inquiry_at": p.NextInquiry, "inquiries": p.Inquiries, "attempt": attemptAfter(p.Status),
		})
}

func selectTimeline(ctx context.Context, tx pgx.Tx, id ID) (attempts []Attempt, callbacks []CallbackSeen, err error) {
	rows, err := tx.Query(ctx, `
		select id, number, status, created_at, status_at from payments.attempt where payment_id = $1 order by number`, id)
	if err != nil {
		return nil, nil, err
	}
	if attempts, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Attempt]); err != nil {
		return nil, nil, err
	}
	rows, err = tx.Query(ctx, `
		select id, provider, received_at, reply from payments.callback where payment_id = $1 order by received_at, id`, id)
	if err != nil {
		return nil, nil, err
	}
	callbacks, err = pgx.CollectRows(rows, pgx.RowToStructByPos[CallbackSeen])
	return attempts, callbacks, err
}
