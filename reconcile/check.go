package reconcile

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Check returns a sentence for each fault in the records of the authority of tx.
// A fault is a line or item in two live matches, a match whose sides differ, or
// a line whose marks contradict its matches. A closed run whose lines no longer
// add up to its report is a fault, too. Suspense in the book must equal the
// suspended lines, and money in transit must equal the documents and vouchers
// that the bank has not shown. Check reads only.
func Check(ctx context.Context, tx pgx.Tx) ([]string, error) {
	var faults []string
	for _, rule := range checks {
		rows, err := tx.Query(ctx, rule.query)
		if err != nil {
			return nil, fmt.Errorf("check %s: %w", rule.means, err)
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, fmt.Errorf("check %s: %w", rule.means, err)
		}
		for _, id := range ids {
			faults = append(faults, fmt.Sprintf("reconcile: %s: %s", rule.means, id))
		}
	}
	return faults, nil
}

// checks find ids of rows that break a rule; each is cut at 100.
var checks = []struct{ means, query string }{
	{"line or book item in two live matches", `
		select coalesce(line_id, capture_id, refund_id, transit_id)::text from reconcile.match_item where live
		group by line_id, capture_id, refund_id, transit_id, case when line_id is not null then side end having count(*) > 1 limit 100`},
	{"match whose sides differ", `
		select m.id::text from reconcile.match m join reconcile.match_item i on i.match_id = m.id
		group by m.id having sum(case i.side when 'line' then i.amount else -i.amount end) <> 0
			or sum(i.amount) filter (where i.side = 'line') is distinct from m.amount limit 100`},
	{"match that is revoked on one half only", `
		select m.id::text from reconcile.match m join reconcile.match_item i on i.match_id = m.id
		where i.live <> (m.revoked_at is null) limit 100`},
	{"line whose marks contradict its matches", `
		select l.id::text from reconcile.statement_line l
		where l.matched <> exists (select from reconcile.match_item i where i.line_id = l.id and i.side = 'line' and i.live)
			or l.paid_out <> exists (select from reconcile.match_item i where i.line_id = l.id and i.side = 'book' and i.live) limit 100`},
	{"matched line that a break still holds", `
		select b.id::text from reconcile.break b join reconcile.statement_line l on l.id = b.line_id
		where b.holds and b.status <> 'resolved' and l.matched limit 100`},
	{"closed run whose report does not add up", `
		select r.id::text from reconcile.run r where r.status = 'closed' and (
			(r.report->'source_side'->>'total')::bigint <> (r.report->'source_side'->>'matched')::bigint
				+ (r.report->'source_side'->>'breaks')::bigint
			or (r.report->'book_side'->>'total')::bigint <> (r.report->'book_side'->>'matched')::bigint + (r.report->'book_side'->>'breaks')::bigint
			or (r.report->>'unexplained')::bigint <> 0) limit 100`},
	{"closed run whose lines are not those of its report", `
		select r.id::text from reconcile.run r where r.status = 'closed' and (
			(r.report->'source_side'->>'total')::bigint is distinct from
				(select coalesce(sum(l.amount), 0) from reconcile.statement_line l where l.run_id = r.id and l.booked)
			or (r.report->'book_side'->>'total')::bigint is distinct from
				(select coalesce(sum(t.amount), 0) from reconcile.book_item t where t.run_id = r.id)
				+ (select coalesce(sum(l.net), 0) from reconcile.statement_line l where l.payout_run_id = r.id)) limit 100`},
	{"line of a closed run that was never matched nor listed", `
		select l.id::text from reconcile.statement_line l join reconcile.run r on r.id = l.run_id
		where r.status = 'closed' and l.booked
			and not exists (select from reconcile.match_item i where i.line_id = l.id and i.side = 'line')
			and not exists (select from reconcile.break b where b.line_id = l.id and b.holds) limit 100`},
	{"suspense of a bank line that is matched", `
		select l.id::text from reconcile.statement_line l where l.matched and l.suspense_entry is not null limit 100`},
	{"suspense in the book that is not what unidentified credits hold", `
		with held as (
			select l.currency, sum(l.amount) as amount from reconcile.statement_line l
			where l.suspense_entry is not null and l.amount > 0 group by l.currency),
		book as (
			select p.currency, sum(case p.side when 'C' then p.amount else -p.amount end) as amount
			from ledger.posting p join ledger.account a on a.id = p.account_id join ledger.entry e on e.id = p.entry_id
			where a.code = 'L-SUSPENSE' and e.corrects is null group by p.currency)
		select format('%s is %s, not %s', coalesce(b.currency, h.currency), coalesce(b.amount, 0), coalesce(h.amount, 0))
		from book b full join held h on h.currency = b.currency
		where coalesce(b.amount, 0) <> coalesce(h.amount, 0) limit 100`},
	// A first order pays the refund less the parts of the budget and of the waiting account. A bounce and a later order move the whole refund.
	{"money in transit that is not orders and bounces that the bank has not shown", `
		with sent as (
			select d.account, r.currency, 'refund' as kind, 'ref_' || replace(d.refund_id::text, '-', '') as cause,
				case when d.act = 'paid' and d.seq = 1 then 'done' else d.act || '-' || d.seq end as event,
				case when d.act = 'returned' then r.amount when d.seq > 1 then -r.amount else coalesce(t.amount, 0) - r.amount end as amount
			from refunds.document d
			join refunds.refund r on r.id = d.refund_id
			left join (
				select refund_id, sum(case when remitted is not null then budget else 0 end
					+ case when waiting then retained + case when remitted is null then budget else 0 end else 0 end) as amount
				from remittance.taken group by refund_id) t on t.refund_id = r.id
			where d.account <> ''
			union all
			select v.account, s.currency, 'voucher', 'vch_' || replace(v.id::text, '-', ''), 'approved', -v.amount
			from remittance.voucher v
			join remittance.split s on s.id = v.split_id
			join remittance.decision x on x.voucher_id = v.id and x.approved
			where v.account <> ''),
		unseen as (
			select 'A-TRANSIT-' || n.account as code, n.currency, sum(n.amount) as amount
			from sent n
			left join ledger.cause c on c.authority = (select app.authority()) and c.kind = n.kind and c.id = n.cause and c.event = n.event
			where not exists (select from reconcile.match_item i where i.transit_id = c.entry_id and i.live)
			group by 1, 2),
		book as (
			select a.code, p.currency, sum(case p.side when 'D' then p.amount else -p.amount end) as amount
			from ledger.posting p join ledger.account a on a.id = p.account_id join ledger.entry e on e.id = p.entry_id
			where a.code like 'A-TRANSIT-%' and e.corrects is null group by a.code, p.currency)
		select format('%s is %s, not %s', coalesce(b.code, u.code), coalesce(b.amount, 0), coalesce(u.amount, 0))
		from book b full join unseen u on u.code = b.code and u.currency = b.currency
		where coalesce(b.amount, 0) <> coalesce(u.amount, 0) limit 100`},
	{"identified line that is not matched with its capture", `
		select n.id::text from reconcile.identification n
		where n.status = 'approved' and not exists (
			select from reconcile.match_item l join reconcile.match_item c on c.match_id = l.match_id and c.live and c.side = 'book'
			where l.line_id = n.line_id and l.side = 'line' and l.live and c.capture_id = n.capture_id and l.amount = n.amount) limit 100`},
	{"capture of an identified line that nobody identified", `
		select c.id::text from payments.capture c
		where c.evidence = 'identified' and not exists (
			select from reconcile.identification n where n.capture_id = c.id and n.status = 'approved' and n.amount = c.amount) limit 100`},
}
