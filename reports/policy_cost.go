package reports

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
)

// PolicyCostRow is the cost of one policy in one month, by procedure and agency, in minor units.
// Discount is the balance of M-DISCOUNT. Exempt is the part of Discount that the law itself exempts
// (never an online discount). Subsidy is the balance of A-SUBSIDY. A correction counts in the month
// in which it was booked.
type PolicyCostRow struct {
	Policy    string
	Procedure string
	Agency    string
	Month     string // YYYY-MM
	Currency  string
	Dossiers  int64
	Cost
}

// Cost is amounts in minor units.
type Cost struct {
	Discount int64
	Exempt   int64
	Subsidy  int64
}

// PolicyCost is the cost of policies in a period of business dates. The totals are per currency.
type PolicyCost struct {
	Period Period
	Totals []PolicyCostTotal
	Rows   []PolicyCostRow
}

// PolicyCostTotal sums the rows of one currency.
type PolicyCostTotal struct {
	Currency string
	Cost
}

// PolicyCost reads the book: the sums are the movement of M-DISCOUNT and
// A-SUBSIDY over the period, to the đồng. Needs auth.PermReportRead. Faults:
// ErrPeriod, ErrTooMany.
func (s *Service) PolicyCost(ctx context.Context, actor auth.Actor, p Period) (PolicyCost, error) {
	if err := auth.Require(actor, auth.PermReportRead); err != nil {
		return PolicyCost{}, err
	}
	if err := p.validate(); err != nil {
		return PolicyCost{}, err
	}
	report := PolicyCost{Period: p}
	err := postgres.ReadTx(ctx, s.DB, actor.Authority, func(tx pgx.Tx) (err error) {
		report.Rows, err = selectPolicyCost(ctx, tx, actor.Authority, p)
		return err
	})
	if err != nil {
		return PolicyCost{}, err
	}
	for _, row := range report.Rows {
		report.add(row)
	}
	return report, nil
}

func (r *PolicyCost) add(row PolicyCostRow) {
	at := -1
	for i := range r.Totals {
		if r.Totals[i].Currency == row.Currency {
			at = i
		}
	}
	if at < 0 {
		r.Totals = append(r.Totals, PolicyCostTotal{Currency: row.Currency})
		at = len(r.Totals) - 1
	}
	r.Totals[at].Discount += row.Discount
	r.Totals[at].Exempt += row.Exempt
	r.Totals[at].Subsidy += row.Subsidy
}

func selectPolicyCost(ctx context.Context, tx pgx.Tx, authority string, p Period) ([]PolicyCostRow, error) {
	// Only postings that name a policy are the cost of a policy: the payments of the budget also
	// post to the subsidy account. A correction takes back an amount that the earlier charge
	// granted, and is exempt if the earlier charge was.
	rows, err := tx.Query(ctx, `
		select policy, procedure, agency, month, currency, count(distinct dossier_id) as dossiers,
			coalesce(sum(amount) filter (where code = @discount), 0)::bigint as discount,
			coalesce(sum(amount) filter (where code = @discount and exempt), 0)::bigint as exempt,
			coalesce(sum(amount) filter (where code = @subsidy), 0)::bigint as subsidy
		from (
			select coalesce(p.policy, '') as policy, coalesce(d.procedure, '') as procedure, coalesce(d.agency, '') as agency,
				to_char(p.business_date, 'YYYY-MM') as month, p.currency, p.dossier_id, a.code,
				case p.side when 'D' then p.amount else -p.amount end as amount,
				coalesce(b.explanation, c.explanation) ->> 'reason' = 'exempt_by_law' as exempt
			from ledger.account a
			join ledger.posting p on p.account_id = a.id
			left join dossiers.dossier d on d.id = p.dossier_id
			left join dossiers.charge c on c.id = p.charge_id
			left join lateral (
				select w.explanation from dossiers.charge w
				where w.dossier_id = c.dossier_id and (w.id = c.corrects or w.corrects = c.corrects) and w.line < c.line
				order by w.line desc limit 1) b on p.side = 'C' and c.corrects is not null
			where a.authority = @authority and a.code in (@discount, @subsidy) and p.business_date between @from and @to
				and (a.code = @discount or p.policy is not null)) moved
		group by policy, procedure, agency, month, currency
		order by policy, procedure, agency, month, currency
		limit @limit`,
		pgx.StrictNamedArgs{
			"authority": authority, "from": p.From, "to": p.To, "discount": ledger.MemoDiscount, "subsidy": ledger.Subsidy, "limit": MaxRows + 1,
		})
	if err != nil {
		return nil, fmt.Errorf("read policy cost: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r PolicyCostRow, err error) {
		err = row.Scan(&r.Policy, &r.Procedure, &r.Agency, &r.Month, &r.Currency, &r.Dossiers, &r.Discount, &r.Exempt, &r.Subsidy)
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("read policy cost: %w", err)
	}
	if len(list) > MaxRows {
		return nil, ErrTooMany
	}
	return list, nil
}

// Table is the report for people: one line per row and one for all of a currency.
func (r PolicyCost) Table() Table {
	t := Table{
		Title: "Số tiền giảm trừ theo chính sách",
		Headings: []string{
			"Chính sách", "Mã thủ tục", "Cơ quan", "Tháng", "Số hồ sơ", "Số tiền giảm trừ",
			"Trong đó miễn theo luật", "Ngân sách cấp bù", "Loại tiền",
		},
	}
	for _, row := range r.Rows {
		t.Rows = append(t.Rows, []Cell{
			Text(row.Policy), Text(row.Procedure), Text(row.Agency), Text(row.Month), Number(row.Dossiers),
			Number(row.Discount), Number(row.Exempt), Number(row.Subsidy), Text(row.Currency),
		})
	}
	for _, total := range r.Totals {
		t.Rows = append(t.Rows, []Cell{
			Text("Tổng cộng"), Text(""), Text(""), Text(""), Text(""),
			Number(total.Discount), Number(total.Exempt), Number(total.Subsidy), Text(total.Currency),
		})
	}
	return t
}
