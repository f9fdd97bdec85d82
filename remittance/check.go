package remittance

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// mostBreaches bounds the breaches that each check reports.
const mostBreaches = 50

// Check recomputes the rules of the remittance of the transaction's authority. It describes each breach in
// one line, and returns none when every rule holds:
//   - a share is divided by its ratio, and refunds took no more than each side had;
//   - the parts of a split are the sums of its shares, and of the money that refunds took from the shares;
//   - in the book L-NSNN and L-RETAIN hold, per fee type, the money divided and not remitted, less the money that refunds took;
//   - each split and each approved voucher has its entries, and the entries move the split's or voucher's amount;
//   - the checker of a voucher is not its maker;
//   - no charge, together with its corrections, has given back more than was collected for it. Only a subsidy that
//     was taken back after the division may be missing, until the payer pays in the budget's place;
//   - no collection came on a date so far back that splits do not read it.
//
// Check changes nothing.
func Check(ctx context.Context, tx pgx.Tx) ([]string, error) {
	var breaches []string
	for _, check := range checks {
		rows, err := tx.Query(ctx, check+` limit @most`, pgx.StrictNamedArgs{"most": mostBreaches})
		if err != nil {
			return nil, fmt.Errorf("check remittance: %w", err)
		}
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, fmt.Errorf("check remittance: %w", err)
		}
		breaches = append(breaches, found...)
	}
	return breaches, nil
}

// A correction of a ledger entry has no row in this room's tables, so the check of L-NSNN and L-RETAIN leaves
// corrections out.
var checks = []string{
	`select format('share of charge chg_%s in split spl_%s: refunds took %s and %s of %s for the budget and %s retained',
		replace(x.charge_id::text, '-', ''), replace(x.split_id::text, '-', ''), t.budget, t.retained, x.amount - x.retained, x.retained)
	from remittance.share x
	join (select split_id, charge_id, sum(budget) as budget, sum(retained) as retained from remittance.taken group by split_id, charge_id) t
		on t.split_id = x.split_id and t.charge_id = x.charge_id
	where x.authority = (select app.authority())
		and (t.budget > x.amount - x.retained or t.retained > x.retained
			or x.retained - t.retained <> div((x.amount - t.budget - t.retained) * x.numerator, x.denominator))
	order by x.split_id, x.charge_id`,

	`select format('split spl_%s says of %s: %s; its shares and refunds say %s',
		replace(coalesce(p.split_id, x.split_id)::text, '-', ''), coalesce(p.fee_type, x.fee_type), p.sums, x.sums)
	from (
		select split_id, fee_type, kind, (charges, amount, retained, taken_budget, taken_retained)::text as sums
		from remittance.part where authority = (select app.authority())) p
	full join (
		select s.split_id, s.fee_type, s.kind,
			(count(*), sum(s.amount), sum(s.retained), coalesce(sum(t.budget), 0), coalesce(sum(t.retained), 0))::text as sums
		from remittance.share s
		left join (
			select split_id, charge_id, sum(budget) as budget, sum(retained) as retained
			from remittance.taken group by split_id, charge_id) t
			on t.split_id = s.split_id and t.charge_id = s.charge_id
		where s.authority = (select app.authority()) group by s.split_id, s.fee_type, s.kind) x
		on x.split_id = p.split_id and x.fee_type = p.fee_type and x.kind = p.kind
	where p.sums is distinct from x.sums
	order by 1`,

	`with book as (
		select a.code, p.currency, p.fee_type, sum(case p.side when 'C' then p.amount else -p.amount end) as balance
		from ledger.posting p join ledger.account a on a.id = p.account_id join ledger.entry e on e.id = p.entry_id
		where a.authority = (select app.authority()) and a.code in ('L-NSNN', 'L-RETAIN') and e.corrects is null
		group by a.code, p.currency, p.fee_type),
	wanted as (
		select s.currency, x.fee_type,
			coalesce(sum(x.amount - x.retained - coalesce(t.budget, 0)) filter (where b.voucher_id is null), 0) as payable,
			sum(x.retained - coalesce(t.retained, 0)) as retained
		from remittance.share x
		join remittance.split s on s.id = x.split_id
		left join remittance.decision b on b.split_id = x.split_id and b.approved
			and b.kind = case x.kind when 'phi' then 'budget_phi' else 'budget_le_phi' end
		left join (
			select split_id, charge_id, sum(budget) as budget, sum(retained) as retained
			from remittance.taken group by split_id, charge_id) t
			on t.split_id = x.split_id and t.charge_id = x.charge_id
		where x.authority = (select app.authority()) group by s.currency, x.fee_type)
	select format('%s of %s is %s, not %s', n.code, coalesce(w.fee_type, b.fee_type, '(none)'), coalesce(b.balance, 0), coalesce(n.balance, 0))
	from wanted w
	cross join lateral (values ('L-NSNN', w.payable), ('L-RETAIN', w.retained)) n (code, balance)
	full join book b on b.code = n.code and b.currency = w.currency and b.fee_type = w.fee_type
	where coalesce(b.balance, 0) <> coalesce(n.balance, 0) or coalesce(b.balance, 0) < 0
	order by 1`,

	`select format('split spl_%s divided %s of dossier dos_%s and its entry moved %s', replace(w.split_id::text, '-', ''), w.amount,
		replace(w.dossier_id::text, '-', ''), coalesce(b.amount, 0))
	from (
		select split_id, dossier_id, sum(amount) as amount from remittance.share
		where authority = (select app.authority()) group by split_id, dossier_id) w
	left join ledger.cause e on e.authority = (select app.authority()) and e.kind = 'split' and e.event = 'divided'
		and e.id = 'spl_' || replace(w.split_id::text, '-', '') || '/dos_' || replace(w.dossier_id::text, '-', '')
	left join lateral (select sum(p.amount) as amount from ledger.posting p where p.entry_id = e.entry_id and p.side = 'D') b on true
	where coalesce(b.amount, 0) <> w.amount order by w.split_id, w.dossier_id`,

	`select format('voucher vch_%s over %s is %s and its entry moved %s', replace(v.id::text, '-', ''), v.amount,
		case d.approved when true then 'approved' when false then 'rejected' else 'proposed' end, coalesce(b.amount, 0))
	from remittance.voucher v
	left join remittance.decision d on d.voucher_id = v.id
	left join ledger.cause e on e.authority = (select app.authority()) and e.kind = 'voucher'
		and e.id = 'vch_' || replace(v.id::text, '-', '') and e.event = 'approved'
	left join lateral (select sum(p.amount) as amount from ledger.posting p where p.entry_id = e.entry_id and p.side = 'D') b on true
	where v.authority = (select app.authority()) and coalesce(b.amount, 0) <> case when d.approved then v.amount else 0 end order by v.id`,

	`with held as (
		select coalesce(c.corrects, p.charge_id) as charge_id, a.code, a.currency,
			sum(case p.side when 'C' then p.amount else -p.amount end) as amount
		from ledger.account a join ledger.posting p on p.account_id = a.id left join dossiers.charge c on c.id = p.charge_id
		where a.authority = (select app.authority()) and a.code in ('L-TAMTHU-PHI', 'L-TAMTHU-LEPHI')
		group by 1, 2, 3)
	select format('%s of charge %s is %s %s', h.code, coalesce('chg_' || replace(h.charge_id::text, '-', ''), '(none)'), h.amount, h.currency)
	from held h
	cross join lateral (
		select coalesce(sum(x.amount - (
			select coalesce(sum(t.budget + t.retained), 0) from remittance.taken t
			where t.split_id = x.split_id and t.charge_id = x.charge_id)), 0) as amount
		from remittance.share x where x.charge_id = h.charge_id) divided
	cross join lateral (
		select coalesce(sum(-c.subsidy), 0) as amount from dossiers.charge c where c.corrects = h.charge_id and c.subsidy < 0) back
	where h.amount < 0 and h.amount < -least(divided.amount, back.amount)
	order by h.charge_id`,

	`select format('voucher vch_%s was decided by %s who proposed it', replace(voucher_id::text, '-', ''), decided_by)
	from remittance.decision where authority = (select app.authority()) and decided_by = proposed_by order by voucher_id`,

	`with last as (
		select currency, max(period_to) as period_to from remittance.split where authority = (select app.authority()) group by currency),
	held as (
		select a.currency, coalesce(c.corrects, c.id) as charge_id, max(p.business_date) as upto,
			sum(case p.side when 'C' then p.amount else -p.amount end) as amount
		from ledger.account a join ledger.posting p on p.account_id = a.id join dossiers.charge c on c.id = p.charge_id
		where a.authority = (select app.authority()) and a.code in ('L-TAMTHU-PHI', 'L-TAMTHU-LEPHI')
		group by 1, 2)
	select format('%s of charge chg_%s came on dates up to %s, which splits do not read',
		held.amount, replace(held.charge_id::text, '-', ''), held.upto)
	from held join last on last.currency = held.currency
	where held.amount > 0 and held.upto <= last.period_to - ` + strconv.Itoa(lateDays) + `
	order by held.charge_id`,
}
