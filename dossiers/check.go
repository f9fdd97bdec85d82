package dossiers

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// mostProblems bounds the problems that each check reports.
const mostProblems = 50

var checks = []string{
	// A charge adds up by itself.
	`select 'charge chg_' || replace(c.id::text, '-', '') || ' does not add up'
		from dossiers.charge c
		where c.base <> c.due + c.discount + c.subsidy or c.refunded > c.paid or c.due - c.waived - c.paid + c.refunded < 0`,
	// The outstanding amount of a charge is its receivable in the book.
	`select 'charge chg_' || replace(c.id::text, '-', '') || ' owes ' || (c.due - c.waived - c.paid + c.refunded) ||
			', the book says ' || coalesce(b.receivable, 0)
		from dossiers.charge c left join (
			select p.charge_id, sum(case p.side when 'D' then p.amount else -p.amount end) as receivable
			from ledger.posting p join ledger.account a on a.id = p.account_id
			where a.code = 'M-RECEIVABLE'
			group by p.charge_id) b on b.charge_id = c.id
		where c.due - c.waived - c.paid + c.refunded <> coalesce(b.receivable, 0)`,
	// The receipts of a kind add up to the money paid and not refunded.
	`select 'dossier ' || d.code || ' has receipts of ' || coalesce(r.amount, 0) || ' for ' || c.kind || ' and kept ' || c.kept
		from (
			select dossier_id, kind, sum(paid - refunded) as kept from dossiers.charge group by dossier_id, kind) c
		join dossiers.dossier d on d.id = c.dossier_id
		left join (
			select dossier_id, kind, sum(amount) as amount from dossiers.receipt group by dossier_id, kind) r
			on r.dossier_id = c.dossier_id and r.kind = c.kind
		where coalesce(r.amount, 0) <> c.kept`,
	// A dossier has charges, and each charge has the dossier's currency.
	`select 'dossier ' || d.code || ' has no charge, or one in another currency'
		from dossiers.dossier d
		where not exists (select from dossiers.charge c where c.dossier_id = d.id)
			or exists (select from dossiers.charge c where c.dossier_id = d.id and c.currency <> d.currency)`,
}

// Check compares the dossiers of the transaction's authority with the book and describes each problem in one sentence.
func Check(ctx context.Context, tx pgx.Tx) ([]string, error) {
	var problems []string
	for _, query := range checks {
		rows, err := tx.Query(ctx, query+` limit $1`, mostProblems)
		if err != nil {
			return nil, err
		}
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, err
		}
		problems = append(problems, found...)
	}
	return problems, nil
}
