package refunds

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/merchants"
	"github.com/doisoat/doisoat/payments"
)

type refundRow struct {
	ID                  ID                 `db:"id"`
	Authority           string             `db:"authority"`
	DossierID           dossiers.ID        `db:"dossier_id"`
	DossierCode         string             `db:"dossier_code"`
	PaymentID           payments.ID        `db:"payment_id"`
	CaptureID           payments.CaptureID `db:"capture_id"`
	MerchantAccountID   merchants.ID       `db:"merchant_account_id"`
	Provider            string             `db:"provider"`
	Reference           string             `db:"reference"`
	Reason              string             `db:"reason"`
	Origin              Origin             `db:"origin"`
	Route               Route              `db:"route"`
	Stage               Stage              `db:"stage"`
	Status              Status             `db:"status"`
	Amount              int64              `db:"amount"`
	Currency            money.Currency     `db:"currency"`
	Note                string             `db:"note"`
	Deadline            calendar.Date      `db:"deadline"`
	RequestedAt         time.Time          `db:"requested_at"`
	RequestedBy         string             `db:"requested_by"`
	DecidedAt           *time.Time         `db:"decided_at"`
	DecidedBy           string             `db:"decided_by"`
	DecisionReason      string             `db:"decision_reason"`
	SentAt              *time.Time         `db:"sent_at"`
	DoneAt              *time.Time         `db:"done_at"`
	SettledAt           *time.Time         `db:"settled_at"`
	StatusAt            time.Time          `db:"status_at"`
	ProviderTransaction string             `db:"provider_transaction"`
	ProviderReason      string             `db:"provider_reason"`
	NextInquiryAt       *time.Time         `db:"next_inquiry_at"`
	Inquiries           int                `db:"inquiries"`
	RequestHash         []byte             `db:"request_hash"`
	Items               []byte             `db:"items"`
}

const selectRefund = `
	select r.id, r.authority, r.dossier_id, d.code as dossier_code, r.payment_id, r.capture_id, r.merchant_account_id, r.provider,
		r.reference, r.reason, r.origin, r.route, r.stage, r.status, r.amount, r.currency, r.note, r.deadline, r.requested_at, r.requested_by,
		r.decided_at, coalesce(r.decided_by, '') as decided_by, r.decision_reason, r.sent_at, r.done_at, r.settled_at, r.status_at,
		r.provider_transaction, r.provider_reason, r.next_inquiry_at, r.inquiries, r.request_hash, (
			select jsonb_agg(jsonb_build_object('charge', i.charge_id, 'amount', i.amount) order by i.line)
			from refunds.item i where i.refund_id = r.id) as items
	from refunds.refund r
	join dossiers.dossier d on d.id = r.dossier_id`

func (row refundRow) refund() (Refund, error) {
	r := Refund{
		ID: row.ID, Authority: row.Authority, DossierID: row.DossierID, DossierCode: row.DossierCode, PaymentID: row.PaymentID,
		CaptureID: row.CaptureID, MerchantID: row.MerchantAccountID, Provider: row.Provider, Reference: row.Reference,
		Reason: row.Reason, Origin: row.Origin, Route: row.Route, Stage: row.Stage, Status: row.Status,
		Amount: money.Amount{Currency: row.Currency, Minor: row.Amount}, Note: row.Note, Deadline: row.Deadline,
		RequestedAt: row.RequestedAt, RequestedBy: row.RequestedBy, DecidedAt: row.DecidedAt, DecidedBy: row.DecidedBy,
		DecisionReason: row.DecisionReason, SentAt: row.SentAt, DoneAt: row.DoneAt, SettledAt: row.SettledAt, StatusAt: row.StatusAt,
		Transaction: row.ProviderTransaction, ProviderReason: row.ProviderReason, NextInquiry: row.NextInquiryAt,
		Inquiries: row.Inquiries, requestHash: row.RequestHash,
	}
	var items []struct {
		Charge uuid.UUID `json:"charge"`
		Amount int64     `json:"amount"`
	}
	if err := json.Unmarshal(row.Items, &items); err != nil {
		return Refund{}, err
	}
	for _, i := range items {
		r.Items = append(r.Items, Item{dossiers.ChargeID(i.Charge), i.Amount})
	}
	return r, nil
}

func selectRefunds(ctx context.Context, tx pgx.Tx, where string, args ...any) ([]Refund, error) {
	rows, err := tx.Query(ctx, selectRefund+where, args...)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[refundRow])
	if err != nil {
		return nil, err
	}
	found := make([]Refund, len(list))
	for i, row := range list {
		if found[i], err = row.refund(); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func selectOne(ctx context.Context, tx pgx.Tx, where string, args ...any) (Refund, error) {
	list, err := selectRefunds(ctx, tx, where, args...)
	if err != nil {
		return Refund{}, err
	}
	if len(list) != 1 {
		return Refund{}, ErrNotFound
	}
	return list[0], nil
}

// lock holds a refund's row until tx ends; dossier, payment and capture come before it.
func lock(ctx context.Context, tx pgx.Tx, id ID) (Refund, error) {
	return selectOne(ctx, tx, ` where r.id = $1 for no key update of r`, id)
}

func insertRefund(ctx context.Context, tx pgx.Tx, r Refund, key string) error {
	_, err := tx.Exec(ctx, `
		insert into refunds.refund (id, authority, dossier_id, payment_id, capture_id, merchant_account_id, provider, reference, reason,
			origin, route, status, amount, currency, note, deadline, requested_at, requested_by, status_at, idempotency_key, request_hash)
		values (@id, @authority, @dossier, @payment, @capture, @merchant, @provider, @reference, @reason,
			@origin, @route, @status, @amount, @currency, @note, @deadline, @requested_at, @requested_by, @requested_at, nullif(@key, ''), @hash)`,
		pgx.StrictNamedArgs{
			"id": r.ID, "authority": r.Authority, "dossier": r.DossierID, "payment": r.PaymentID, "capture": r.CaptureID,
			"merchant": r.MerchantID, "provider": r.Provider, "reference": r.Reference, "reason": r.Reason, "origin": r.Origin,
			"route": r.Route, "status": r.Status, "amount": r.Amount.Minor, "currency": r.Amount.Currency, "note": r.Note,
			"deadline": r.Deadline, "requested_at": r.RequestedAt, "requested_by": r.RequestedBy, "key": key, "hash": r.requestHash,
		})
	if err != nil {
		return err
	}
	var (
		lines   []int16
		charges []dossiers.ChargeID
		amounts []int64
	)
	for i, item := range r.Items {
		lines = append(lines, int16(i+1))
		charges, amounts = append(charges, item.Charge), append(amounts, item.Amount)
	}
	_, err = tx.Exec(ctx, `
		insert into refunds.item (refund_id, line, authority, charge_id, amount)
		select $1, n.line, $2, n.charge_id, n.amount
		from unnest($3::smallint[], $4::uuid[], $5::bigint[]) as n (line, charge_id, amount)`,
		r.ID, r.Authority, lines, charges, amounts)
	return err
}

// wasProposed reports whether the program opened a refund for a capture and reason, also when the refund has ended.
func wasProposed(ctx context.Context, tx pgx.Tx, capture payments.CaptureID, reason string) (found bool, err error) {
	err = tx.QueryRow(ctx, `
		select exists (select from refunds.refund where capture_id = $1 and reason = $2 and origin = 'automatic')`,
		capture, reason).Scan(&found)
	return found, err
}

// update writes the columns of a locked refund that may change.
func update(ctx context.Context, tx pgx.Tx, r Refund) error {
	_, err := tx.Exec(ctx, `
		update refunds.refund
		set status = @status, route = @route, stage = @stage, status_at = @status_at, decided_at = @decided_at,
			decided_by = nullif(@decided_by, ''), decision_reason = @decision_reason,
			sent_at = @sent_at, done_at = @done_at, settled_at = @settled_at,
			provider_transaction = @transaction, provider_reason = @provider_reason,
			next_inquiry_at = @next_inquiry_at, inquiries = @inquiries
		where id = @id`,
		pgx.StrictNamedArgs{
			"id": r.ID, "status": r.Status, "route": r.Route, "stage": r.Stage, "status_at": r.StatusAt,
			"decided_at": r.DecidedAt, "decided_by": r.DecidedBy, "decision_reason": r.DecisionReason,
			"sent_at": r.SentAt, "done_at": r.DoneAt, "settled_at": r.SettledAt,
			"transaction": r.Transaction, "provider_reason": r.ProviderReason, "next_inquiry_at": r.NextInquiry, "inquiries": r.Inquiries,
		})
	return err
}
