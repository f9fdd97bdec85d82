package repricing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/repricing/replay"
)

type repricingRow struct {
	ID              ID            `db:"id"`
	Authority       string        `db:"authority"`
	Policy          string        `db:"policy"`
	PeriodFrom      calendar.Date `db:"period_from"`
	PeriodTo        calendar.Date `db:"period_to"`
	Reason          string        `db:"reason"`
	Status          Status        `db:"status"`
	Forecast        []byte        `db:"forecast"`
	PlaceDate       calendar.Date `db:"place_date"`
	PlaceDossier    dossiers.ID   `db:"place_dossier"`
	DossiersSeen    int64         `db:"dossiers_seen"`
	RequestedAt     time.Time     `db:"requested_at"`
	RequestedBy     string        `db:"requested_by"`
	DecidedAt       *time.Time    `db:"decided_at"`
	DecidedBy       string        `db:"decided_by"`
	DecisionReason  string        `db:"decision_reason"`
	DoneAt          *time.Time    `db:"done_at"`
	Dossiers        int64         `db:"dossiers"`
	Reduced         int64         `db:"reduced"`
	ReducedAmount   int64         `db:"reduced_amount"`
	Increased       int64         `db:"increased"`
	IncreasedAmount int64         `db:"increased_amount"`
	Manual          int64         `db:"manual"`
}

func selectRepricing(ctx context.Context, tx pgx.Tx, where string, args ...any) (Repricing, error) {
	rows, err := tx.Query(ctx, `
		select r.id, r.authority, r.policy, r.period_from, r.period_to, r.reason, r.status, r.forecast, r.place_date, r.place_dossier,
			r.dossiers_seen, r.requested_at, r.requested_by, r.decided_at, coalesce(r.decided_by, '') as decided_by, r.decision_reason, r.done_at,
			i.dossiers, i.reduced, i.reduced_amount, i.increased, i.increased_amount, i.manual
		from repricing.repricing r
		cross join lateral (
			select count(distinct dossier_id) as dossiers,
				count(*) filter (where outcome = 'reduced') as reduced, coalesce(sum(refunded + waived), 0)::bigint as reduced_amount,
				count(*) filter (where outcome = 'increased') as increased, coalesce(sum(added), 0)::bigint as increased_amount,
				count(*) filter (where outcome = 'manual') as manual
			from repricing.item where repricing_id = r.id) i`+where, args...)
	if err != nil {
		return Repricing{}, err
	}
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[repricingRow])
	if errors.Is(err, pgx.ErrNoRows) {
		return Repricing{}, ErrNotFound
	}
	if err != nil {
		return Repricing{}, err
	}
	r := Repricing{
		ID:             row.ID,
		Authority:      row.Authority,
		Policy:         row.Policy,
		Period:         replay.Period{From: row.PeriodFrom, To: row.PeriodTo},
		Reason:         row.Reason,
		Status:         row.Status,
		DossiersSeen:   row.DossiersSeen,
		RequestedAt:    row.RequestedAt,
		RequestedBy:    row.RequestedBy,
		DecidedAt:      row.DecidedAt,
		DecidedBy:      row.DecidedBy,
		DecisionReason: row.DecisionReason,
		DoneAt:         row.DoneAt,
		Done: Counts{
			Dossiers: row.Dossiers, Reduced: row.Reduced, ReducedAmount: row.ReducedAmount,
			Increased: row.Increased, IncreasedAmount: row.IncreasedAmount, Manual: row.Manual,
		},
		place: replay.Place{Date: row.PlaceDate, Dossier: row.PlaceDossier},
	}
	return r, json.Unmarshal(row.Forecast, &r.Forecast)
}

// lockRepricing holds a repricing's row until tx ends. Dossiers come before it in the order of locks.
func lockRepricing(ctx context.Context, tx pgx.Tx, id ID) (Repricing, error) {
	return selectRepricing(ctx, tx, ` where r.id = $1 for no key update of r`, id)
}

func insertRepricing(ctx context.Context, tx pgx.Tx, r Repricing, key string) error {
	forecast, err := json.Marshal(r.Forecast)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		insert into repricing.repricing (id, authority, policy, period_from, period_to, reason, status, forecast, place_date, place_dossier,
			requested_at, requested_by, idempotency_key)
		values (@id, @authority, @policy, @from, @to, @reason, @status, @forecast, @place_date, @place_dossier,
			@requested_at, @requested_by, nullif(@key, ''))`,
		pgx.StrictNamedArgs{
			"id": r.ID, "authority": r.Authority, "policy": r.Policy, "from": r.Period.From, "to": r.Period.To, "reason": r.Reason,
			"status": r.Status, "forecast": forecast, "place_date": r.place.Date, "place_dossier": r.place.Dossier.UUID(),
			"requested_at": r.RequestedAt, "requested_by": r.RequestedBy, "key": key,
		})
	return err
}

// updateRepricing writes the columns that may change: status, place, decision and end. The caller
// has locked the repricing.
func updateRepricing(ctx context.Context, tx pgx.Tx, r Repricing) error {
	_, err := tx.Exec(ctx, `
		update repricing.repricing
		set status = @status, place_date = @place_date, place_dossier = @place_dossier, dossiers_seen = @seen,
			decided_at = @decided_at, decided_by = nullif(@decided_by, ''), decision_reason = @reason, done_at = @done_at
		where id = @id`,
		pgx.StrictNamedArgs{
			"id": r.ID, "status": r.Status, "place_date": r.place.Date, "place_dossier": r.place.Dossier.UUID(), "seen": r.DossiersSeen,
			"decided_at": r.DecidedAt, "decided_by": r.DecidedBy, "reason": r.DecisionReason, "done_at": r.DoneAt,
		})
	return err
}

// policyKnown asks the public norms whether there is such a policy.
func policyKnown(ctx context.Context, tx pgx.Tx, id string) (known bool, err error) {
	err = tx.QueryRow(ctx, `select exists (select from fees.policy where id = $1)`, id).Scan(&known)
	return known, err
}

// moved sums two amounts per charge: the money waived, given back or promised back, and the money
// that earlier repricings waived or proposed for refund. The first includes the charges that correct
// the charge.
func moved(ctx context.Context, tx pgx.Tx, charges []dossiers.ChargeID) (map[dossiers.ChargeID]movement, error) {
	//nolint:rowserrcheck // ForEachRow checks
	rows, err := tx.Query(ctx, `
		select n.id, coalesce(g.gone, 0)::bigint, coalesce(i.reduced, 0)::bigint
		from unnest($1::uuid[]) as n (id)
		cross join lateral (
			select sum(c.waived - c.refunded + coalesce((
				select sum(a.refund_reserved) from payments.allocation a where a.charge_id = c.id), 0)) as gone
			from dossiers.charge c where c.id = n.id or c.corrects = n.id) g
		cross join lateral (
			select sum(refunded + waived) as reduced from repricing.item where charge_id = n.id) i`, charges)
	if err != nil {
		return nil, fmt.Errorf("read movements: %w", err)
	}
	found := make(map[dossiers.ChargeID]movement, len(charges))
	var (
		id dossiers.ChargeID
		m  movement
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &m.gone, &m.reduced}, func() error { found[id] = m; return nil })
	return found, err
}

// handledBy lists the charges about which a repricing has done its work.
func handledBy(ctx context.Context, tx pgx.Tx, id ID, charges []dossiers.ChargeID) ([]dossiers.ChargeID, error) {
	rows, err := tx.Query(
		ctx,
		`select charge_id from repricing.item where repricing_id = $1 and charge_id = any($2::uuid[])`,
		id,
		charges,
	)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[dossiers.ChargeID])
}

// insertDay marks that a dossier was priced again because of a day; false when it was before.
func insertDay(ctx context.Context, act postgres.Act, d dossiers.Dossier, day schedule.Basis) (first bool, err error) {
	tag, err := act.Exec(ctx, `
		insert into repricing.day (dossier_id, day, authority, recorded_at)
		values ($1, $2, $3, $4)
		on conflict on constraint day_repriced_once do nothing`, d.ID, day, d.Authority, act.Now)
	return tag.RowsAffected() == 1, err
}

func insertSteps(ctx context.Context, act postgres.Act, d dossiers.Dossier, why grounds, steps []step) error {
	var (
		charges                                      []dossiers.ChargeID
		outcomes                                     []string
		assessed, lawful, refundeds, waiveds, addeds []int64
	)
	for _, s := range steps {
		charges, outcomes = append(charges, s.charge), append(outcomes, string(s.outcome))
		assessed, lawful = append(assessed, s.assessed), append(lawful, s.lawful)
		refundeds, waiveds, addeds = append(refundeds, s.refunded), append(waiveds, s.waived), append(addeds, s.added)
	}
	_, err := act.Exec(ctx, `
		insert into repricing.item (repricing_id, day, charge_id, authority, dossier_id,
			assessed, lawful, outcome, refunded, waived, added, recorded_at)
		select @repricing, nullif(@day, ''), n.charge, @authority, @dossier,
			n.assessed, n.lawful, n.outcome, n.refunded, n.waived, n.added, @now
		from unnest(@charges::uuid[], @assessed::bigint[], @lawful::bigint[], @outcomes::text[],
				@refunded::bigint[], @waived::bigint[], @added::bigint[])
			as n (charge, assessed, lawful, outcome, refunded, waived, added)`,
		pgx.StrictNamedArgs{
			"repricing": why.repricing,
			"day":       string(why.day),
			"authority": d.Authority,
			"dossier":   d.ID,
			"now":       act.Now,
			"charges":   charges,
			"assessed":  assessed,
			"lawful":    lawful,
			"outcomes":  outcomes,
			"refunded":  refundeds,
			"waived":    waiveds,
			"added":     addeds,
		})
	return err
}
