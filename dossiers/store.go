package dossiers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/postgres"
)

type dossierRow struct {
	ID             ID             `db:"id"`
	Authority      string         `db:"authority"`
	Code           string         `db:"code"`
	Agency         string         `db:"agency"`
	Procedure      string         `db:"procedure"`
	Channel        string         `db:"channel"`
	ServiceLevel   string         `db:"service_level"`
	PaymentChannel string         `db:"payment_channel"`
	SubmittedAt    time.Time      `db:"submitted_at"`
	PricingDate    calendar.Date  `db:"pricing_date"`
	Currency       money.Currency `db:"currency"`
	Applicant      []byte         `db:"applicant"`
	Status         Status         `db:"status"`
	StatusAt       time.Time      `db:"status_at"`
	Stage          schedule.Stage `db:"stage"`
	Undeliverable  string         `db:"undeliverable"`
	RequestHash    []byte         `db:"request_hash"`
	IdempotencyKey *string        `db:"idempotency_key"`
	CreatedAt      time.Time      `db:"created_at"`
}

const selectDossier = `
	select id, authority, code, agency, procedure, channel, service_level, payment_channel, submitted_at, pricing_date, currency, applicant,
		status, status_at, stage, undeliverable, request_hash, idempotency_key, created_at
	from dossiers.dossier`

func (r dossierRow) dossier() Dossier {
	return Dossier{
		ID: r.ID, Authority: r.Authority, Code: r.Code, Agency: r.Agency, Procedure: r.Procedure, Channel: r.Channel,
		ServiceLevel: r.ServiceLevel, PaymentChannel: r.PaymentChannel, SubmittedAt: r.SubmittedAt, PricingDate: r.PricingDate,
		Currency: r.Currency,
		Status:   r.Status, StatusAt: r.StatusAt, Stage: r.Stage, Undeliverable: r.Undeliverable, CreatedAt: r.CreatedAt,
	}
}

func selectOne(ctx context.Context, tx pgx.Tx, where string, args ...any) (dossierRow, error) {
	rows, err := tx.Query(ctx, selectDossier+where, args...)
	if err != nil {
		return dossierRow{}, err
	}
	return collectDossier(rows)
}

func collectDossier(rows pgx.Rows) (dossierRow, error) {
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[dossierRow])
	if errors.Is(err, pgx.ErrNoRows) {
		return dossierRow{}, ErrNotFound
	}
	return row, err
}

type chargeRow struct {
	ID          ChargeID       `db:"id"`
	DossierID   ID             `db:"dossier_id"`
	Line        int16          `db:"line"`
	FeeType     string         `db:"fee_type"`
	Kind        schedule.Kind  `db:"kind"`
	Quantity    int32          `db:"quantity"`
	Ground      string         `db:"assessed_ground"`
	Base        int64          `db:"base"`
	Discount    int64          `db:"discount"`
	Subsidy     int64          `db:"subsidy"`
	Due         int64          `db:"due"`
	Paid        int64          `db:"paid"`
	Refunded    int64          `db:"refunded"`
	Waived      int64          `db:"waived"`
	Currency    money.Currency `db:"currency"`
	Policy      string         `db:"policy"`
	Explanation []byte         `db:"explanation"`
	Corrects    ChargeID       `db:"corrects"`
	CreatedAt   time.Time      `db:"created_at"`
}

func (r chargeRow) charge() (Charge, error) {
	c := Charge{
		ID: r.ID, DossierID: r.DossierID, Line: r.Line, FeeType: r.FeeType, Kind: r.Kind, Quantity: r.Quantity,
		Ground: r.Ground, Base: r.Base, Discount: r.Discount, Subsidy: r.Subsidy, Due: r.Due, Paid: r.Paid, Refunded: r.Refunded,
		Waived: r.Waived, Currency: r.Currency, Policy: r.Policy, Corrects: r.Corrects, CreatedAt: r.CreatedAt,
	}
	return c, json.Unmarshal(r.Explanation, &c.Explanation)
}

func collectCharges(rows pgx.Rows) ([]Charge, error) {
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[chargeRow])
	if err != nil {
		return nil, err
	}
	charges := make([]Charge, len(list))
	for i, r := range list {
		if charges[i], err = r.charge(); err != nil {
			return nil, err
		}
	}
	return charges, nil
}

func readReceipts(b *pgx.Batch, id ID, d *Dossier) {
	b.Queue(`
		select id, kind, amount, currency, issued_at from dossiers.receipt
		where dossier_id = $1 order by issued_at, kind`, id).Query(func(rows pgx.Rows) (err error) {
		d.Receipts, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Receipt])
		return err
	})
}

// readItems reads charges and receipts of a dossier into d when the batch is sent.
func readItems(b *pgx.Batch, id ID, d *Dossier) {
	b.Queue(`
		select id, dossier_id, line, fee_type, kind, quantity, assessed_ground, base, discount, subsidy, due, paid, refunded, waived,
			currency, policy, explanation, corrects, created_at
		from dossiers.charge where dossier_id = $1 order by line`, id).Query(func(rows pgx.Rows) (err error) {
		d.Charges, err = collectCharges(rows)
		return err
	})
	readReceipts(b, id, d)
}

// Milestones returns the first reported times of acceptance and of the result, zero when not yet reported. A
// time before the submission comes from a wrong clock and counts as the time of submission.
func Milestones(ctx context.Context, tx pgx.Tx, dossier ID) (accepted, issued time.Time, err error) {
	var first, last *time.Time
	err = tx.QueryRow(ctx, `
		select greatest(min(e.at) filter (where e.status = any(@accepted)), max(d.submitted_at) filter (where e.status = any(@accepted))),
			greatest(min(e.at) filter (where e.status = any(@finished)), max(d.submitted_at) filter (where e.status = any(@finished)))
		from dossiers.status_event e join dossiers.dossier d on d.id = e.dossier_id
		where e.dossier_id = @dossier`,
		pgx.StrictNamedArgs{"dossier": dossier, "accepted": ReportsOf(schedule.ByAcceptance), "finished": ReportsOf(schedule.ByIssue)},
	).Scan(&first, &last)
	if first != nil {
		accepted = *first
	}
	if last != nil {
		issued = *last
	}
	return accepted, issued, err
}

func insertDossier(ctx context.Context, act postgres.Act, d Dossier, ciphertext, applicantKey, requestHash []byte, key string) error {
	_, err := act.Exec(ctx, `
		insert into dossiers.dossier (id, authority, code, agency, procedure, channel, service_level, payment_channel, submitted_at, pricing_date,
			currency, applicant, applicant_key, status, status_at, stage, request_hash, idempotency_key, created_at, created_by)
		values (@id, @authority, @code, @agency, @procedure, @channel, @service_level, @payment_channel, @submitted_at, @pricing_date,
			@currency, @applicant, @applicant_key, @status, @status_at, @stage,
			@request_hash, nullif(@idempotency_key, ''), @created_at, @created_by)`,
		pgx.StrictNamedArgs{
			"id": d.ID, "authority": d.Authority, "code": d.Code, "agency": d.Agency, "procedure": d.Procedure,
			"channel": d.Channel, "service_level": d.ServiceLevel, "payment_channel": d.PaymentChannel, "submitted_at": d.SubmittedAt,
			"pricing_date": d.PricingDate,
			"currency":     d.Currency, "applicant": ciphertext, "applicant_key": applicantKey, "status": d.Status, "status_at": d.StatusAt,
			"stage":        d.Stage,
			"request_hash": requestHash, "idempotency_key": key, "created_at": d.CreatedAt, "created_by": act.Actor.ID,
		})
	return err
}

// insertCharges writes all charges in one statement. It cannot use COPY, because COPY does not work under
// row-level security.
func insertCharges(ctx context.Context, tx pgx.Tx, authority string, charges []Charge, by request) error {
	var (
		ids, corrects                      []ChargeID
		lines                              []int16
		feeTypes, kinds, policies, grounds []string
		quantities                         []int32
		bases, discounts, subsidies, dues  []int64
		explanations                       []string
	)
	for _, c := range charges {
		explanation, err := json.Marshal(c.Explanation)
		if err != nil {
			return err
		}
		ids, lines, feeTypes, kinds = append(ids, c.ID), append(lines, c.Line), append(feeTypes, c.FeeType), append(kinds, string(c.Kind))
		policies, quantities, bases = append(policies, c.Policy), append(quantities, c.Quantity), append(bases, c.Base)
		discounts, subsidies, dues = append(discounts, c.Discount), append(subsidies, c.Subsidy), append(dues, c.Due)
		explanations, corrects = append(explanations, string(explanation)), append(corrects, c.Corrects)
		grounds = append(grounds, c.Ground)
	}
	_, err := tx.Exec(ctx, `
		insert into dossiers.charge (id, authority, dossier_id, line, fee_type, kind, quantity, base, discount, subsidy, due,
			currency, policy, explanation, corrects, assessed_ground, created_at, idempotency_key, request_hash)
		select n.id, @authority, @dossier, n.line, n.fee_type, n.kind, n.quantity, n.base, n.discount, n.subsidy, n.due,
			@currency, n.policy, n.explanation, n.corrects, n.ground, @created_at, nullif(@key, ''), @hash
		from unnest(@ids::uuid[], @lines::smallint[], @fee_types::text[], @kinds::text[], @quantities::integer[], @bases::bigint[],
				@discounts::bigint[], @subsidies::bigint[], @dues::bigint[], @policies::text[], @explanations::jsonb[], @corrects::uuid[],
				@grounds::text[])
			as n (id, line, fee_type, kind, quantity, base, discount, subsidy, due, policy, explanation, corrects, ground)`,
		pgx.StrictNamedArgs{
			"authority": authority, "dossier": charges[0].DossierID, "currency": charges[0].Currency, "created_at": charges[0].CreatedAt,
			"key": by.key, "hash": by.hash, "ids": ids, "lines": lines, "fee_types": feeTypes, "kinds": kinds, "quantities": quantities,
			"bases":     bases,
			"discounts": discounts, "subsidies": subsidies, "dues": dues, "policies": policies, "explanations": explanations, "corrects": corrects,
			"grounds": grounds,
		})
	return err
}

// addedBefore reports whether the same request has already added its charges to a locked dossier.
// ErrKeyReused when another request used the key.
func addedBefore(ctx context.Context, tx pgx.Tx, d Dossier, by request) (bool, error) {
	if by.key == "" {
		return false, nil
	}
	var hash []byte
	err := tx.QueryRow(ctx, `select request_hash from dossiers.charge where dossier_id = $1 and idempotency_key = $2 limit 1`,
		d.ID, by.key).Scan(&hash)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err == nil && !bytes.Equal(hash, by.hash) {
		return false, ErrKeyReused
	}
	return err == nil, err
}

// updateCharges adds to paid, refunded and waived of many charges in one statement. The checks of the table
// refuse amounts below zero.
func updateCharges(b *pgx.Batch, changes []change) {
	var (
		ids                    []ChargeID
		paid, refunded, waived []int64
	)
	for _, c := range changes {
		ids = append(ids, c.charge)
		paid, refunded, waived = append(paid, c.paid), append(refunded, c.refunded), append(waived, c.waived)
	}
	b.Queue(`
		update dossiers.charge c
		set paid = c.paid + n.paid, refunded = c.refunded + n.refunded, waived = c.waived + n.waived
		from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[]) as n (id, paid, refunded, waived)
		where c.id = n.id`, ids, paid, refunded, waived).Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() != int64(len(changes)) {
			return ErrNotFound.With("a charge does not exist")
		}
		return nil
	})
}

type change struct {
	charge                 ChargeID
	paid, refunded, waived int64
}

// insertReceipts sums the amounts per kind and writes one receipt per kind; the same cause again changes nothing.
func insertReceipts(b *pgx.Batch, d Dossier, perKind map[schedule.Kind]int64, causeKind string, cause uuid.UUID, now time.Time) {
	var (
		ids     []uuid.UUID
		kinds   []string
		amounts []int64
	)
	for _, kind := range []schedule.Kind{schedule.Phi, schedule.LePhi} {
		if amount, ok := perKind[kind]; ok {
			ids = append(ids, ident.New[receiptKind]().UUID())
			kinds = append(kinds, string(kind))
			amounts = append(amounts, amount)
		}
	}
	b.Queue(`
		insert into dossiers.receipt (id, authority, dossier_id, kind, amount, currency, cause_kind, cause_id, issued_at)
		select n.id, $4, $5, n.kind, n.amount, $6, $7, $8, $9
		from unnest($1::uuid[], $2::text[], $3::bigint[]) as n (id, kind, amount)
		on conflict on constraint receipt_once do nothing`,
		ids, kinds, amounts, d.Authority, d.ID, d.Currency, causeKind, cause, now)
}

func insertStatusEvent(ctx context.Context, act postgres.Act, d Dossier, r StatusReport) (isNew bool, err error) {
	tag, err := act.Exec(ctx, `
		insert into dossiers.status_event (id, authority, dossier_id, status, reason, note, at, recorded_at, recorded_by)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		on conflict on constraint status_event_once do nothing`,
		ident.New[eventKind](), d.Authority, d.ID, r.Status, r.Reason, r.Note, r.At, act.Now, act.Actor.ID)
	return tag.RowsAffected() == 1, err
}

// countReports counts the reports of some statuses that a dossier has.
func countReports(ctx context.Context, tx pgx.Tx, dossier ID, of []Status) (n int, err error) {
	err = tx.QueryRow(ctx, `select count(*) from dossiers.status_event where dossier_id = $1 and status = any($2)`, dossier, of).Scan(&n)
	return n, err
}

func updateStatus(ctx context.Context, tx pgx.Tx, d Dossier) error {
	_, err := tx.Exec(ctx, `update dossiers.dossier set status = $2, status_at = $3, undeliverable = $4, stage = $5 where id = $1`,
		d.ID, d.Status, d.StatusAt, d.Undeliverable, d.Stage)
	return err
}

type eventKind struct{}

// Prefix implements ident.Kind.
func (eventKind) Prefix() string { return "evt" }
