-- Balances by day, computed off the write path.

-- +goose Up

-- How far the book of an authority is rolled up: every entry of a transaction
-- below horizon is in the day rows, and no other entry is. Transaction numbers
-- mean something only in the cluster that gave them (home): after a restore to
-- another cluster the day rows are ignored until a roll-up writes them again.
-- Only ledger.roll_up writes.
create table ledger.roll_up (
	authority text primary key references auth.authority (code),
	home      bigint not null,
	horizon   xid8 not null,
	rolled_at timestamptz not null
);
call app.protect('ledger.roll_up');
grant select on ledger.roll_up to doisoat_app;

-- Debits and credits of an account on a business date, derived from postings.
-- Only ledger.roll_up writes; doisoat check recomputes.
create table ledger.account_day (
	authority     text not null references auth.authority (code),
	account_id    bigint not null,
	business_date date not null,
	debits        bigint not null constraint account_day_debits check (debits >= 0),
	credits       bigint not null constraint account_day_credits check (credits >= 0),
	primary key (authority, account_id, business_date),
	constraint account_day_account foreign key (account_id) references ledger.account (id)
);
create index account_day_by_account on ledger.account_day (account_id);
call app.protect('ledger.account_day');
grant select on ledger.account_day to doisoat_app;

-- Debits and credits per fee type and policy, of the postings that name one; ''
-- is none. Only ledger.roll_up writes.
create table ledger.dimension_day (
	authority     text not null references auth.authority (code),
	fee_type      text not null,
	policy        text not null,
	account_id    bigint not null,
	business_date date not null,
	debits        bigint not null constraint dimension_day_debits check (debits >= 0),
	credits       bigint not null constraint dimension_day_credits check (credits >= 0),
	primary key (authority, fee_type, policy, account_id, business_date),
	constraint dimension_day_account foreign key (account_id) references ledger.account (id)
);
create index dimension_day_by_policy on ledger.dimension_day (authority, policy, account_id, business_date);
create index dimension_day_by_account on ledger.dimension_day (account_id);
call app.protect('ledger.dimension_day');
grant select on ledger.dimension_day to doisoat_app;

-- The number of the cluster. A book restored to another cluster has other
-- transaction numbers.
-- +goose StatementBegin
create function ledger.home() returns bigint
	language sql stable security definer set search_path = pg_catalog
	begin atomic
		select s.system_identifier from pg_control_system() s;
	end;
-- +goose StatementEnd
revoke all on function ledger.home() from public;
grant execute on function ledger.home() to doisoat_app;

-- roll_up adds about `most` entries to the day rows of one authority, whole
-- transactions only, and returns their number. 0 says that nothing is left or
-- that another session rolls up. The horizon moves in the same transaction, so
-- every entry is either in the day rows or beyond the horizon. Below the oldest
-- running transaction no entry can appear later, for any business date; an entry
-- of an earlier date is added to the row of that date. Postings are looked up by
-- the entries of the step: a free join would read all months for every step.
-- +goose StatementBegin
create function ledger.roll_up(book text, most integer) returns bigint
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
revoke all on function ledger.roll_up(text, integer) from public;
grant execute on function ledger.roll_up(text, integer) to doisoat_app;

-- The sweep looks for books with entries to roll up; it learns codes and nothing more.
-- +goose StatementBegin
create function ledger.due_for_roll_up() returns table (authority text)
	language sql volatile security definer set search_path = pg_catalog
	begin atomic
		select a.code from auth.authority a
		left join ledger.roll_up r on r.authority = a.code and r.home = ledger.home()
		where exists (
			select from ledger.entry e
			where e.authority = a.code and e.tx >= coalesce(r.horizon, '0')
				and e.tx < pg_snapshot_xmin(pg_current_snapshot()))
		order by a.code;
	end;
-- +goose StatementEnd
revoke all on function ledger.due_for_roll_up() from public;
grant execute on function ledger.due_for_roll_up() to doisoat_app;
