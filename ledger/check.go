package ledger

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"
)

// mostProblems bounds the problems that each check reports.
const mostProblems = 50

// checks find states that the book must never have. The database refuses each of them at the write. The checks prove it
// for the stored rows too, also after a restore or a change by a database superuser.
var checks = []string{
	// An entry balances: real and memo postings each on their own, per currency.
	`select 'entry ent_' || replace(p.entry_id::text, '-', '') || ' is off by ' ||
			sum(case p.side when 'D' then p.amount else -p.amount end) || ' ' || p.currency || case when p.memo then ' (memo)' else '' end
		from ledger.posting p
		group by p.entry_id, p.currency, p.memo
		having sum(case p.side when 'D' then p.amount else -p.amount end) <> 0`,
	// The whole book balances, per currency.
	`select 'the trial balance is off by ' || sum(case p.side when 'D' then p.amount else -p.amount end) || ' ' || p.currency ||
			case when p.memo then ' (memo)' else '' end
		from ledger.posting p
		group by p.currency, p.memo
		having sum(case p.side when 'D' then p.amount else -p.amount end) <> 0`,
	// An entry has the postings that it announced, of its own transaction.
	`select 'entry ent_' || replace(e.id::text, '-', '') || ' has ' || count(p.line) || ' postings and announced ' || e.postings
		from ledger.entry e left join ledger.posting p on p.entry_id = e.id and p.postings = e.postings and p.tx = e.tx
		group by e.id, e.postings
		having count(p.line) <> e.postings`,
	// Every entry has its cause, and every cause its entry.
	`select 'entry ent_' || replace(coalesce(e.id, c.entry_id)::text, '-', '') ||
			case when e.id is null then ' is missing and has a cause' else ' lacks its cause' end
		from ledger.entry e
		full join ledger.cause c on c.entry_id = e.id
		where e.id is null or c.entry_id is null or (c.kind, c.id, c.event) <> (e.cause_kind, e.cause_id, e.cause_event)`,
	// Every reversal has its row in ledger.reversal, and every row its reversal.
	`select 'entry ent_' || replace(coalesce(e.id, r.reversal)::text, '-', '') || ' is not the known reversal'
		from (select id, reverses from ledger.entry where reverses is not null) e
		full join ledger.reversal r on r.reversal = e.id and r.entry_id = e.reverses
		where e.id is null or r.reversal is null`,
	// A reversal mirrors its entry: on every account the two sum to zero.
	`select 'entry ent_' || replace(e.id::text, '-', '') || ' does not mirror its entry on account ' || a.code
		from ledger.entry e
		join ledger.posting p on p.entry_id in (e.id, e.reverses)
		join ledger.account a on a.id = p.account_id
		where e.reverses is not null
		group by e.id, a.code, p.currency
		having sum(case p.side when 'D' then p.amount else -p.amount end) <> 0`,
	// No payer is owed a negative amount.
	`select 'refund payable of payment ' || coalesce('pay_' || replace(p.payment_id::text, '-', ''), '(none)') || ' is ' ||
			sum(case p.side when 'C' then p.amount else -p.amount end) || ' ' || p.currency
		from ledger.posting p join ledger.account a on a.id = p.account_id
		where a.code = 'L-REFUND'
		group by p.payment_id, p.currency
		having sum(case p.side when 'C' then p.amount else -p.amount end) < 0`,
}

// Check recomputes the book of the transaction's authority and describes each problem in one sentence. It returns none
// when the book is right. It reads every posting.
func Check(ctx context.Context, tx pgx.Tx) ([]string, error) {
	var problems []string
	for _, query := range slices.Concat(checks, balanceChecks) {
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
