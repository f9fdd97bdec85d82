-- Rolling up costs what is new, not what is there: postings are looked up by the
-- entries of the step. Joined freely, the planner read the whole book, all
-- months of it, for every step. Otherwise as in 0008.

-- +goose Up

-- +goose StatementBegin
create or replace function ledger.roll_up(book text, most integer) returns bigint
	language plpgsql security definer set search_path = pg_catalog as $$
declare
	here    bigint := ledger.home();
	since   xid8;
	until   xid8;
	cut     xid8;
	made_at bigint;
	rolled  bigint;
begin
	if not exists (select from ledger.roll_up r where r.authority = book) then
		insert into ledger.roll_up (authority, home, horizon, rolled_at)
		values (book, here, '0', now()) on conflict do nothing;
	end if;
	select r.horizon, r.home into since, made_at
	from ledger.roll_up r where r.authority = book for update skip locked;
	if not found then
		return 0;
	end if;
	if made_at <> here then
		delete from ledger.account_day d where d.authority = book;
		delete from ledger.dimension_day d where d.authority = book;
		since := '0';
	end if;
	until := pg_snapshot_xmin(pg_current_snapshot());
	select e.tx into cut from ledger.entry e
	where e.authority = book and e.tx >= since and e.tx < until
	order by e.tx offset most limit 1;
	if found then
		if exists (select from ledger.entry e where e.authority = book and e.tx >= since and e.tx < cut) then
			until := cut;
		else -- one transaction with more than that: it is taken whole
			until := (cut::text::numeric + 1)::text::xid8;
		end if;
	end if;
	select count(*) into rolled from ledger.entry e
	where e.authority = book and e.tx >= since and e.tx < until;
	if rolled = 0 and made_at = here then
		return 0;
	end if;
	with fresh as materialized (
		select p.account_id, p.business_date, p.fee_type, p.policy,
			coalesce(sum(p.amount) filter (where p.side = 'D'), 0)::bigint as debits,
			coalesce(sum(p.amount) filter (where p.side = 'C'), 0)::bigint as credits
		from (
			select e.id from ledger.entry e
			where e.authority = book and e.tx >= since and e.tx < until
			offset 0) e
		cross join lateral (
			select q.account_id, q.business_date, coalesce(q.fee_type, '') as fee_type, coalesce(q.policy, '') as policy, q.side, q.amount
			from ledger.posting q where q.entry_id = e.id
			offset 0) p
		group by 1, 2, 3, 4
	), dimensions as (
		insert into ledger.dimension_day as d (authority, fee_type, policy, account_id, business_date, debits, credits)
		select book, f.fee_type, f.policy, f.account_id, f.business_date, f.debits, f.credits
		from fresh f where f.fee_type <> '' or f.policy <> ''
		on conflict (authority, fee_type, policy, account_id, business_date)
		do update set debits = d.debits + excluded.debits, credits = d.credits + excluded.credits
	)
	insert into ledger.account_day as d (authority, account_id, business_date, debits, credits)
	select book, f.account_id, f.business_date, sum(f.debits)::bigint, sum(f.credits)::bigint
	from fresh f group by f.account_id, f.business_date
	on conflict (authority, account_id, business_date)
	do update set debits = d.debits + excluded.debits, credits = d.credits + excluded.credits;
	update ledger.roll_up r set home = here, horizon = until, rolled_at = now() where r.authority = book;
	return rolled;
end
$$;
-- +goose StatementEnd
