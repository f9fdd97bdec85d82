package ledger

// balanceChecks prove three rules:
//   - the day rows are the sum of the postings of finished transactions below the horizon;
//   - a correction names a first entry of its own authority;
//   - closings and reopenings of a date take turns, with two people.
//
// Day rows of another cluster are not in use, so the checks leave them out.
//
// The queries find the wrong rows before they join the accounts' names. Over a join with a limit the planner expects
// many problems, and would read all sums for each account.
var balanceChecks = []string{
	`with wrong as materialized (
			select w.account_id, w.business_date, sum(w.debits) as debits, sum(w.credits) as credits
			from (
				select d.account_id, d.business_date, d.debits, d.credits from ledger.account_day d
				where d.authority in (select r.authority from ledger.roll_up r where r.home = ledger.home())
				union all
				select p.account_id, p.business_date, case p.side when 'D' then -p.amount else 0 end, case p.side when 'C' then -p.amount else 0 end
				from ledger.roll_up r
				join ledger.posting p on p.authority = r.authority and p.tx < r.horizon
				where r.home = ledger.home()) w
			group by w.account_id, w.business_date
			having sum(w.debits) <> 0 or sum(w.credits) <> 0)
		select 'the roll-up of ' || a.code || ' ' || a.currency || ' on ' || w.business_date || ' is wrong: debits off by ' ||
			w.debits || ', credits off by ' || w.credits
		from wrong w
		join ledger.account a on a.id = w.account_id
		order by a.code, a.currency, w.business_date`,
	`with wrong as materialized (
			select w.account_id, w.business_date, w.fee_type, w.policy, sum(w.debits) as debits, sum(w.credits) as credits
			from (
				select d.account_id, d.business_date, d.fee_type, d.policy, d.debits, d.credits from ledger.dimension_day d
				where d.authority in (select r.authority from ledger.roll_up r where r.home = ledger.home())
				union all
				select p.account_id, p.business_date, coalesce(p.fee_type, ''), coalesce(p.policy, ''),
					case p.side when 'D' then -p.amount else 0 end, case p.side when 'C' then -p.amount else 0 end
				from ledger.roll_up r
				join ledger.posting p on p.authority = r.authority and p.tx < r.horizon
				where r.home = ledger.home() and (p.fee_type is not null or p.policy is not null)) w
			group by w.account_id, w.business_date, w.fee_type, w.policy
			having sum(w.debits) <> 0 or sum(w.credits) <> 0)
		select 'the roll-up of ' || a.code || ' ' || a.currency || ' on ' || w.business_date || ' for fee type "' || w.fee_type ||
			'" and policy "' || w.policy || '" is wrong: debits off by ' || w.debits || ', credits off by ' || w.credits
		from wrong w
		join ledger.account a on a.id = w.account_id
		order by a.code, a.currency, w.business_date, w.fee_type, w.policy`,
	`select 'entry ent_' || replace(e.id::text, '-', '') || ' corrects an entry that is no first entry of ' || e.authority
		from ledger.entry e
		left join ledger.entry first on first.id = e.corrects and first.authority = e.authority
		where e.corrects is not null and (first.id is null or first.corrects is not null or first.reverses is not null)`,
	`select 'business date ' || w.business_date || ' was changed out of turn or by one person, at event ' || w.number
		from (
			select e.business_date, e.number, e.change, e.approved_by, e.proposed_by, e.proposal_id,
				lag(e.change, 1, 'reopen') over of_day as before, row_number() over of_day as place
			from ledger.day_event e
			window of_day as (partition by e.authority, e.business_date order by e.number)) w
		where w.change = w.before or w.number <> w.place or w.approved_by = w.proposed_by
			or (w.change = 'reopen' and w.proposal_id is null)`,
}
