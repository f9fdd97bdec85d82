package remittance

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/postgres"
)

// ErrMoreThanHeld: the book holds less money for a charge than a refund must give back. This is a programming
// error.
var ErrMoreThanHeld = fault.New(fault.Internal, "remittance.more_than_held", "the book holds less for a charge than is to be given back")

// Taking is the money that a refund takes for one charge. The refund first takes provisional collection, then
// shares, newest period first.
type Taking struct {
	Charge dossiers.Charge
	Held   int64 // from provisional collection
	Shares []Taken
}

// Taken is the money that a refund took from one share, and where that money was at this moment.
type Taken struct {
	Split    SplitID
	Charge   dossiers.ChargeID
	Budget   int64
	Retained int64
	Waiting  bool           // at the treasury's waiting account
	Remitted *calendar.Date // the budget has its part since this day
}

// Take takes money of charges of a locked dossier for a refund, and records from which shares the money came.
// Splits and vouchers of the authority wait until tx ends. A refund may take only once. When a provider then
// declines the refund, its money returns to provisional collection and the next period divides it.
func Take(ctx context.Context, act postgres.Act, d dossiers.Dossier, refund uuid.UUID, list []dossiers.Paid) ([]Taking, error) {
	if len(list) == 0 {
		return nil, nil
	}
	if err := lockShared(ctx, act, d.Authority); err != nil {
		return nil, err
	}
	held, err := selectHeld(ctx, act, d)
	if err != nil {
		return nil, err
	}
	open, err := selectOpen(ctx, act, list)
	if err != nil {
		return nil, err
	}
	takings := make([]Taking, len(list))
	var taken []Taken
	for i, p := range list {
		first := firstOf(p.Charge)
		t, err := takeOne(p, held[first], open[first])
		if err != nil {
			return nil, err
		}
		held[first] -= t.Held
		for _, x := range t.Shares {
			taken = withTaken(taken, x)
			o := slices.IndexFunc(open[first], x.sameShare)
			open[first][o].Left -= x.Budget + x.Retained
		}
		takings[i] = t
	}
	return takings, insertTaken(ctx, act, d.Authority, refund, taken)
}

// firstOf returns the charge that holds the money of c: the charge that c corrects, or c itself when c is no
// correction.
func firstOf(c dossiers.Charge) dossiers.ChargeID {
	if c.Corrects.IsZero() {
		return c.ID
	}
	return c.Corrects
}

// withTaken adds x to the element of the same share, or appends x when there is none.
func withTaken(list []Taken, x Taken) []Taken {
	for i := range list {
		if list[i].Split == x.Split && list[i].Charge == x.Charge {
			list[i].Budget += x.Budget
			list[i].Retained += x.Retained
			return list
		}
	}
	return append(list, x)
}

// openShare is a share with the amount that refunds have not taken (Left).
type openShare struct {
	Taken     // nothing taken yet
	Left      int64
	Retention retention
}

func (x Taken) sameShare(o openShare) bool { return o.Split == x.Split && o.Charge == x.Charge }

// takeOne decides the taking of one charge; pure.
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

// selectOpen finds the shares with money left for the charges and their corrections, newest period first.
func selectOpen(ctx context.Context, tx pgx.Tx, list []dossiers.Paid) (map[dossiers.ChargeID][]openShare, error) {
	ids := make([]dossiers.ChargeID, len(list))
	for i, p := range list {
		ids[i] = firstOf(p.Charge)
	}
	//nolint:rowserrcheck // ForEachRow checks
	rows, err := tx.Query(ctx, `
		select coalesce(c.corrects, c.id), x.split_id, x.charge_id, x.amount - coalesce(t.amount, 0), x.numerator, x.denominator, x.legal_basis,
			waiting.split_id is not null, budget.document_date
		from (select id, corrects from dossiers.charge where id = any($1::uuid[])
			union all select id, corrects from dossiers.charge where corrects = any($1::uuid[])) c
		join remittance.share x on x.charge_id = c.id
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
		where x.amount > coalesce(t.amount, 0)
		order by s.period_to desc, x.charge_id`, ids)
	if err != nil {
		return nil, err
	}
	open := map[dossiers.ChargeID][]openShare{}
	var (
		first dossiers.ChargeID
		x     openShare
	)
	_, err = pgx.ForEachRow(rows, []any{
		&first, &x.Split, &x.Charge, &x.Left, &x.Retention.share.Numerator, &x.Retention.share.Denominator,
		&x.Retention.legalBasis, &x.Waiting, &x.Remitted,
	}, func() error {
		open[first] = append(open[first], x)
		return nil
	})
	return open, err
}

func insertTaken(ctx context.Context, act postgres.Act, authority string, refund uuid.UUID, list []Taken) error {
	if len(list) == 0 {
		return nil
	}
	_, err := act.Exec(ctx, `
		insert into remittance.taken (refund_id, split_id, charge_id, authority, budget, retained, waiting, remitted, taken_at)
		select @refund, n.split, n.charge, @authority, n.budget, n.retained, n.waiting, n.remitted, @now
		from unnest(@splits::uuid[], @charges::uuid[], @budgets::bigint[], @retained::bigint[], @waiting::boolean[], @remitted::date[])
			as n (split, charge, budget, retained, waiting, remitted)`,
		pgx.StrictNamedArgs{
			"refund": refund, "authority": authority, "now": act.Now,
			"splits":   column(list, func(x Taken) SplitID { return x.Split }),
			"charges":  column(list, func(x Taken) dossiers.ChargeID { return x.Charge }),
			"budgets":  column(list, func(x Taken) int64 { return x.Budget }),
			"retained": column(list, func(x Taken) int64 { return x.Retained }),
			"waiting":  column(list, func(x Taken) bool { return x.Waiting }),
			"remitted": column(list, func(x Taken) *calendar.Date { return x.Remitted }),
		})
	return err
}

// TakenBy lists the money that a refund took, per share.
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
