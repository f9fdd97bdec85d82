-- Indexes that the lists and the runs were missing once their tables were
-- large, and the sums of a split beside its shares. web/api TestPlans holds
-- every statement of the API against a database with a million entries.

-- +goose Up

-- Payments and refunds in one state, newest first: states that are rare
-- (unknown, returned) are what people look for.
create index payment_by_status on payments.payment (authority, status, id desc);
create index refund_by_status on refunds.refund (authority, status, id desc);
-- A settlement row names a refund by the provider's own number.
create index refund_by_transaction on refunds.refund (merchant_account_id, provider_transaction) where provider_transaction <> '';

-- Runs newest first, of all sources and of one.
create index run_listed on reconcile.run (authority, id desc);
create index run_listed_by_source on reconcile.run (authority, source_id, id desc);
-- Statements of one source, newest first.
create index statement_listed_by_source on reconcile.statement (authority, source_id, id desc);
-- Breaks of one source, kind or state, newest first. The index of the live ones
-- by source is left as it is: a run reads those alone.
create index break_listed_by_source on reconcile.break (authority, source_id, id desc);
create index break_listed_by_kind on reconcile.break (authority, kind, id desc);
create index break_listed_by_state on reconcile.break (authority, state, id desc);

-- What a split divided, per fee type: the sums of its shares and of what refunds
-- took of them; neither ever changes. A list of splits reads these rows and not
-- millions of shares. Only triggers write them, so a program from before this
-- migration keeps them true.
create table remittance.part (
	split_id       uuid not null,
	fee_type       text not null,
	kind           text not null,
	authority      text not null,
	charges        bigint not null check (charges > 0),
	amount         bigint not null check (amount > 0),
	retained       bigint not null check (retained between 0 and amount),
	taken_budget   bigint not null default 0,
	taken_retained bigint not null default 0,
	constraint part_taken check (taken_budget between 0 and amount - retained and taken_retained between 0 and retained),
	primary key (split_id, fee_type, kind),
	constraint part_split foreign key (split_id, authority) references remittance.split (id, authority)
);
call app.protect('remittance.part');
grant select on remittance.part to doisoat_app;

-- +goose StatementBegin
create function remittance.sum_shares() returns trigger
	language plpgsql security definer set search_path = pg_catalog as $$
begin
	insert into remittance.part as p (split_id, fee_type, kind, authority, charges, amount, retained)
	select n.split_id, n.fee_type, n.kind, n.authority, count(*), sum(n.amount), sum(n.retained)
	from new_shares n group by n.split_id, n.fee_type, n.kind, n.authority
	on conflict (split_id, fee_type, kind) do update
	set charges = p.charges + excluded.charges, amount = p.amount + excluded.amount, retained = p.retained + excluded.retained;
	return null;
end
$$;
-- +goose StatementEnd
revoke all on function remittance.sum_shares() from public;
create trigger sum_shares after insert on remittance.share
	referencing new table as new_shares for each statement execute function remittance.sum_shares();
alter table remittance.share enable always trigger sum_shares;

-- A refund takes of several parts: they are locked in one order first, so that
-- refunds decided at once wait for each other and never in a circle.
-- +goose StatementBegin
create function remittance.sum_taken() returns trigger
	language plpgsql security definer set search_path = pg_catalog as $$
begin
	perform from remittance.part p
	where exists (
		select from new_taken n join remittance.share x on x.split_id = n.split_id and x.charge_id = n.charge_id
		where x.split_id = p.split_id and x.fee_type = p.fee_type and x.kind = p.kind)
	order by p.split_id, p.fee_type, p.kind for update;
	update remittance.part p
	set taken_budget = p.taken_budget + t.budget, taken_retained = p.taken_retained + t.retained
	from (
		select x.split_id, x.fee_type, x.kind, sum(n.budget) as budget, sum(n.retained) as retained
		from new_taken n join remittance.share x on x.split_id = n.split_id and x.charge_id = n.charge_id
		group by x.split_id, x.fee_type, x.kind) t
	where p.split_id = t.split_id and p.fee_type = t.fee_type and p.kind = t.kind;
	return null;
end
$$;
-- +goose StatementEnd
revoke all on function remittance.sum_taken() from public;
create trigger sum_taken after insert on remittance.taken
	referencing new table as new_taken for each statement execute function remittance.sum_taken();
alter table remittance.taken enable always trigger sum_taken;

-- The triggers' locks keep writers away until these are committed.
insert into remittance.part (split_id, fee_type, kind, authority, charges, amount, retained, taken_budget, taken_retained)
select x.split_id, x.fee_type, x.kind, x.authority, count(*), sum(x.amount), sum(x.retained),
	coalesce(sum(t.budget), 0), coalesce(sum(t.retained), 0)
from remittance.share x
left join (select split_id, charge_id, sum(budget) as budget, sum(retained) as retained from remittance.taken group by split_id, charge_id) t
	on t.split_id = x.split_id and t.charge_id = x.charge_id
group by x.split_id, x.fee_type, x.kind, x.authority;
