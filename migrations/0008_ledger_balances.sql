-- Balances by day, written off the write path; closing and reopening of
-- business dates by two people; entries that correct an earlier one.

-- +goose Up

-- How far the book of an authority is rolled up: every entry of a transaction
-- below horizon is in the day rows, every other one is not. Transaction numbers
-- mean something in the cluster that gave them only (home): in a book restored
-- elsewhere the day rows are ignored until they are made anew. What is not
-- rolled up yet is found by the index (authority, tx, id) that 0009 makes for sealing.
create table ledger.roll_up (
	authority text primary key references auth.authority (code),
	home      bigint not null,
	horizon   xid8 not null,
	rolled_at timestamptz not null
);
call app.protect('ledger.roll_up');
grant select on ledger.roll_up to doisoat_app;

-- Debits and credits of an account on a business date. Derived from postings:
-- only ledger.roll_up writes, doisoat check proves it.
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

-- The same per fee type and policy, of postings that name one; '' is none.
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
-- transactions only, and returns how many; 0 when nothing is left or another
-- session is at it. It moves the horizon in the same transaction, so every
-- entry is in the day rows or beyond the horizon, never both and never neither.
-- Below the oldest running transaction nothing can appear any more, whatever
-- its business date; an entry of an earlier date is added to the row of that date.
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
		select p.account_id, p.business_date, coalesce(p.fee_type, '') as fee_type, coalesce(p.policy, '') as policy,
			coalesce(sum(p.amount) filter (where p.side = 'D'), 0)::bigint as debits,
			coalesce(sum(p.amount) filter (where p.side = 'C'), 0)::bigint as credits
		from ledger.entry e
		join ledger.posting p on p.entry_id = e.id and p.business_date = e.business_date
		where e.authority = book and e.tx >= since and e.tx < until
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

-- The sweep looks for books with something to roll up; it learns codes and nothing else.
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

-- Who wants a business date closed or reopened, why, and who decided: another person.
create table ledger.day_proposal (
	id            uuid primary key,
	authority     text not null references auth.authority (code),
	business_date date not null,
	change        text not null constraint day_proposal_change check (change in ('close', 'reopen')),
	reason        text not null constraint day_proposal_reason check (reason <> ''),
	state         text not null default 'proposed'
		constraint day_proposal_state check (state in ('proposed', 'approved', 'rejected')),
	proposed_at   timestamptz not null,
	proposed_by   text not null check (proposed_by <> ''),
	decided_at    timestamptz,
	decided_by    text,
	note          text not null default '',
	key           text, -- the caller's: the same again is the same proposal
	constraint day_proposal_key unique (authority, key),
	constraint day_proposal_decided check
		((state = 'proposed') = (decided_by is null) and (decided_by is null) = (decided_at is null)),
	constraint day_proposal_two_people check (decided_by <> proposed_by),
	constraint day_proposal_identity unique (id, authority, business_date, change, proposed_by)
);
create unique index day_proposal_one_open on ledger.day_proposal (authority, business_date) where state = 'proposed';
create index day_proposal_by_date on ledger.day_proposal (authority, business_date, proposed_at);
call app.protect('ledger.day_proposal');
grant select, insert on ledger.day_proposal to doisoat_app;
grant update (state, decided_at, decided_by, note) on ledger.day_proposal to doisoat_app;

-- +goose StatementBegin
create function ledger.guard_day_proposal() returns trigger language plpgsql as $$
begin
	if tg_op <> 'UPDATE' or old.state <> 'proposed' then
		raise exception 'a proposal is decided once and stays'
			using errcode = 'restrict_violation', constraint = 'day_proposal_decided_once';
	end if;
	return new;
end
$$;
-- +goose StatementEnd
create trigger guard_day_proposal before update or delete on ledger.day_proposal
	for each row execute function ledger.guard_day_proposal();
alter table ledger.day_proposal enable always trigger guard_day_proposal;
create trigger append_only_truncate before truncate on ledger.day_proposal
	for each statement execute function app.refuse_change();
alter table ledger.day_proposal enable always trigger append_only_truncate;

-- What became of a business date: closed, reopened, closed again. The latest
-- event says how it is. A reopening always follows a proposal; a closing may
-- follow the closed runs of the day instead, and then names no proposer.
create table ledger.day_event (
	authority     text not null references auth.authority (code),
	business_date date not null,
	number        integer not null,
	change        text not null constraint day_event_change check (change in ('close', 'reopen')),
	at            timestamptz not null,
	approved_by   text not null check (approved_by <> ''),
	proposed_by   text,
	proposal_id   uuid,
	primary key (authority, business_date, number),
	constraint day_event_two_people check (proposed_by <> approved_by),
	constraint day_event_proposed check ((proposal_id is null) = (proposed_by is null)),
	constraint day_event_reopen_proposed check (change = 'close' or proposal_id is not null),
	constraint day_event_one_per_proposal unique (proposal_id),
	constraint day_event_proposal foreign key (proposal_id, authority, business_date, change, proposed_by)
		references ledger.day_proposal (id, authority, business_date, change, proposed_by)
);
insert into ledger.day_event (authority, business_date, number, change, at, approved_by)
select c.authority, c.business_date, 1, 'close', c.closed_at, c.closed_by from ledger.closed_day c;
call app.protect('ledger.day_event');
call app.append_only('ledger.day_event');
grant select, insert on ledger.day_event to doisoat_app;

-- Close and reopen take turns. A day changes when nobody is posting to it: the
-- exclusive lock waits for running posters and holds off others.
-- +goose StatementBegin
create function ledger.number_day_event() returns trigger language plpgsql as $$
declare
	last_change text;
	last_number integer;
begin
	perform pg_advisory_xact_lock(ledger.day_lock(new.authority, new.business_date));
	select e.change, e.number into last_change, last_number from ledger.day_event e
	where e.authority = new.authority and e.business_date = new.business_date
	order by e.number desc limit 1;
	if new.change = coalesce(last_change, 'reopen') then
		raise exception 'business date % of % is so already', new.business_date, new.authority
			using errcode = 'check_violation', constraint = 'day_event_alternates';
	end if;
	new.number := coalesce(last_number, 0) + 1;
	return new;
end
$$;
-- +goose StatementEnd
create trigger number_day_event before insert on ledger.day_event
	for each row execute function ledger.number_day_event();
alter table ledger.day_event enable always trigger number_day_event;

-- +goose StatementBegin
create function ledger.day_closed(authority text, business_date date) returns boolean
	language sql stable
	return coalesce((
		select e.change = 'close' from ledger.day_event e
		where e.authority = day_closed.authority and e.business_date = day_closed.business_date
		order by e.number desc limit 1), false);
-- +goose StatementEnd

-- An earlier program writes ledger.closed_day: that is an event too.
-- +goose StatementBegin
create function ledger.tell_closed_day() returns trigger language plpgsql as $$
begin
	if not ledger.day_closed(new.authority, new.business_date) then
		insert into ledger.day_event (authority, business_date, number, change, at, approved_by)
		values (new.authority, new.business_date, 0, 'close', new.closed_at, new.closed_by);
	end if;
	return null;
end
$$;
-- +goose StatementEnd
create trigger tell_closed_day after insert on ledger.closed_day
	for each row execute function ledger.tell_closed_day();
alter table ledger.closed_day enable always trigger tell_closed_day;

-- +goose StatementBegin
create or replace function ledger.refuse_closed_day() returns trigger language plpgsql as $$
declare
	last_change text;
begin
	perform pg_advisory_xact_lock_shared(ledger.day_lock(new.authority, new.business_date));
	select e.change into last_change from ledger.day_event e
	where e.authority = new.authority and e.business_date = new.business_date
	order by e.number desc limit 1;
	if last_change = 'close' then
		raise exception 'business date % of % is closed', new.business_date, new.authority
			using errcode = 'check_violation', constraint = 'entry_day_open';
	end if;
	return new;
end
$$;
-- +goose StatementEnd

-- An adjustment carries the difference to what an earlier entry should have
-- said, and names that entry. Entries are never deleted, so a look at insert is enough.
alter table ledger.entry
	add column corrects uuid,
	add constraint entry_corrects_or_reverses check (corrects is null or reverses is null),
	add constraint entry_correction_has_reason check (corrects is null or reason <> '');
create index entry_corrects on ledger.entry (corrects) where corrects is not null;
grant insert (corrects) on ledger.entry to doisoat_app;

-- +goose StatementBegin
create function ledger.check_correction() returns trigger language plpgsql as $$
begin
	if not exists (select from ledger.entry e
	               where e.id = new.corrects and e.authority = new.authority and e.corrects is null and e.reverses is null) then
		raise exception 'entry % corrects what is no first entry of %', new.id, new.authority
			using errcode = 'foreign_key_violation', constraint = 'entry_corrects_known';
	end if;
	return new;
end
$$;
-- +goose StatementEnd
create trigger check_correction before insert on ledger.entry
	for each row when (new.corrects is not null) execute function ledger.check_correction();
alter table ledger.entry enable always trigger check_correction;
