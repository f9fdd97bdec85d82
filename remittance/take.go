package remittance

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/money"
)

// ErrMoreThanHeld: the book holds less for a charge than is to be given back. A mistake of ours.
var ErrMoreThanHeld = fault.New(fault.Internal, "remittance.more_than_held", "the book holds less for a charge than is to be given back")

// Taking is what a refund takes for one charge: first from what is provisional
// collection still, then from shares, newest period first.
type Taking struct {
	Charge dossiers.Charge
	Held   int64 // from provisional collection
	Shares []Taken
}

// Taken is what a refund took out of one share, and where that was by then.
type Taken struct {
	Split    SplitID
	Charge   dossiers.ChargeID
	Budget   int64
	Retained int64
	Waiting  bool           // at the treasury's waiting account
	Remitted *calendar.Date // the budget has its part since this day
}

// Take takes money of charges of a locked dossier for a refund and keeps what
// it took from where. It holds off splits and vouchers until tx ends. A refund
// takes once. What a provider then declines returns to provisional collection
// and is divided with the next period.
func Take(ctx context.Context, tx pgx.Tx, d dossiers.Dossier, refund uuid.UUID, list []dossiers.Paid, now time.Time) ([]Taking, error) {
	if len(list) == 0 {
		return nil, nil
	}
	if err := lockShared(ctx, tx, d.Authority); err != nil {
		return nil, err
	}
	held, err := selectHeld(ctx, tx, d)
	if err != nil {
		return nil, err
	}
	open, err := selectOpen(ctx, tx, list)
	if err != nil {
		return nil, err
	}
	takings := make([]Taking, len(list))
	var taken []Taken
	for i, p := range list {
		takings[i], err = takeOne(p, held[p.Charge.ID], open[p.Charge.ID])
		if err != nil {
			return nil, err
		}
		taken = append(taken, takings[i].Shares...)
	}
	return takings, insertTaken(ctx, tx, d.Authority, refund, taken, now)
}

// openShare is a share with what is left of it.
type openShare struct {
	Taken     // nothing taken yet
	Left      int64
	Retention retention
}

// takeOne decides for one charge; pure.
func takeOne(p dossiers.Paid, held int64, open []openShare) (Taking, error) {
	t := Taking{Charge: p.Charge, Held: min(p.Amount, max(held, 0))}
	rest := p.Amount - t.Held
	for _, x := range open {
		amount := min(rest, x.Left)
		if amount == 0 {
			continue
		}
		retained, budget, err := x.Retention.take(
			money.Amount{Currency: p.Charge.Currency, Minor: x.Left}, money.Amount{Currency: p.Charge.Currency, Minor: amount})
		if err != nil {
			return Taking{}, err
		}
		x.Budget, x.Retained = budget.Minor, retained.Minor
		t.Shares = append(t.Shares, x.Taken)
		rest -= amount
	}
	if rest > 0 {
		return Taking{}, ErrMoreThanHeld.With("charge %s: %d of %d are not in the book", p.Charge.ID, rest, p.Amount)
	}
	return t, nil
}

// selectOpen finds the shares of charges that still hold money, newest period first.
func selectOpen(ctx context.Context, tx pgx.Tx, list []dossiers.Paid) (map[dossiers.ChargeID][]openShare, error) {
	ids := make([]dossiers.ChargeID, len(list))
	for i, p := range list {
		ids[i] = p.Charge.ID
	}
	rows, err := tx.Query(ctx, `
		select x.split_id, x.charge_id, x.amount - coalesce(t.amount, 0), x.numerator, x.denominator, x.legal_basis,
			waiting.split_id is not null, budget.document_date
		from remittance.share x
		join remittance.split s on s.id = x.split_id
		left join lateral (
			select sum(t.budget + t.retained)::bigint as amount
			from remittance.taken t where t.split_id = x.split_id and t.charge_id = x.charge_id) t on true
		left join remittance.decision waiting
			on waiting.split_id = x.split_id and waiting.kind = 'waiting' and waiting.approved and x.kind = 'phi'
		left join (
			select d.split_id, d.kind, v.document_date
			from remittance.decision d join remittance.voucher v on v.id = d.voucher_id where d.approved) budget
			on budget.split_id = x.split_id and budget.kind = case x.kind when 'phi' then 'budget_phi' else 'budget_le_phi' end
		where x.charge_id = any($1::uuid[]) and x.amount > coalesce(t.amount, 0)
		order by x.charge_id, s.period_to desc`, ids)
	if err != nil {
		return nil, err
	}
	open := map[dossiers.ChargeID][]openShare{}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (x openShare, err error) {
		return x, row.Scan(&x.Split, &x.Charge, &x.Left, &x.Retention.share.Numerator,
			&x.Retention.share.Denominator, &x.Retention.legalBasis, &x.Waiting, &x.Remitted)
	})
	for _, x := range found {
		open[x.Charge] = append(open[x.Charge], x)
	}
	return open, err
}

func insertTaken(ctx context.Context, tx pgx.Tx, authority string, refund uuid.UUID, list []Taken, now time.Time) error {
	if len(list) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `
		insert into remittance.taken (refund_id, split_id, charge_id, authority, budget, retained, waiting, remitted, taken_at)
		select @refund, n.split, n.charge, @authority, n.budget, n.retained, n.waiting, n.remitted, @now
		from unnest(@splits::uuid[], @charges::uuid[], @budgets::bigint[], @retained::bigint[], @waiting::boolean[], @remitted::date[])
			as n (split, charge, budget, retained, waiting, remitted)`,
		pgx.StrictNamedArgs{
			"refund": refund, "authority": authority, "now": now,
			"splits":   column(list, func(x Taken) SplitID { return x.Split }),
			"charges":  column(list, func(x Taken) dossiers.ChargeID { return x.Charge }),
			"budgets":  column(list, func(x Taken) int64 { return x.Budget }),
			"retained": column(list, func(x Taken) int64 { return x.Retained }),
			"waiting":  column(list, func(x Taken) bool { return x.Waiting }),
			"remitted": column(list, func(x Taken) *calendar.Date { return x.Remitted }),
		})
	return err
}

// TakenBy is what a refund took out of shares.
func TakenBy(ctx context.Context, tx pgx.Tx, refund uuid.UUID) ([]Taken, error) {
	rows, err := tx.Query(ctx, `
		select split_id, charge_id, budget, retained, waiting, remitted
		from remittance.taken where refund_id = $1 order by split_id, charge_id`, refund)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (x Taken, err error) {
		return x, row.Scan(&x.Split, &x.Charge, &x.Budget, &x.Retained, &x.Waiting, &x.Remitted)
	})
}
