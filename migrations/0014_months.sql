-- Tables that grow without end lie in months: the book, its seals and the audit trail.
-- A row lies in the month, in Viet Nam, of its id (UUIDv7 begins with the time), so an old month never changes again.
-- A job makes months ahead (app.make_months). A row of no month lies in a default partition, where every rule holds
-- too, and raises an alarm (app.stray_rows). Causes and reversals are unique over all months, so each has a table of
-- its own: a posting looks at one month only, however many there are.

-- +goose Up

-- The lowest UUIDv7 of an instant.
-- +goose StatementBegin
create function app.first_id(at timestamptz) returns uuid
	language sql immutable strict parallel safe
	return (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;
-- +goose StatementEnd

-- +goose StatementBegin
create function app.month_start(month date) returns timestamptz
	language sql immutable strict parallel safe
	return date_trunc('month', month::timestamp) at time zone 'Asia/Ho_Chi_Minh';
-- +goose StatementEnd

-- prepare_part makes a table like parent, with its keys, checks and isolation,
-- that can be attached as a part of it. Triggers per statement do not pass from
-- a parent to its parts, so each part gets its own: whoever writes to a part by
-- name meets the same walls.
-- +goose StatementBegin
create procedure app.prepare_part(parent regclass, part text) language plpgsql set search_path = pg_catalog as $$
declare
	home  text := (select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = parent);
	found record;
begin
	execute format('create table %I.%I (like %s including all)', home, part, parent);
	call app.protect(format('%I.%I', home, part)::regclass);
	for found in
		select t.tgname, t.tgenabled, pg_get_triggerdef(t.oid) as text from pg_trigger t
		where t.tgrelid = parent and not t.tgisinternal and t.tgtype & 1 = 0
	loop
		execute replace(found.text, format(' ON %s ', parent), format(' ON %I.%I ', home, part));
		if found.tgenabled = 'A' then
			execute format('alter table %I.%I enable always trigger %I', home, part, found.tgname);
		end if;
	end loop;
end
$$;
-- +goose StatementEnd

-- attach_part makes a prepared table the default part, or that of one month.
-- +goose StatementBegin
create procedure app.attach_part(parent regclass, part text, month date) language plpgsql set search_path = pg_catalog as $$
declare
	home   text := (select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = parent);
	bounds text := 'default';
begin
	if month is not null then
		bounds := format('for values from (%L) to (%L)', app.first_id(app.month_start(month)),
			app.first_id(app.month_start((date_trunc('month', month::timestamp) + interval '1 month')::date)));
	end if;
	execute format('alter table %s attach partition %I.%I %s', parent, home, part, bounds);
end
$$;
-- +goose StatementEnd

-- The same for both tables of the book at once. An entry and its postings lie in
-- the same month, so that what binds them to each other stays within it.
-- +goose StatementBegin
create procedure ledger.make_part(suffix text, month date) language plpgsql set search_path = pg_catalog as $$
declare
	entries  text := 'entry_' || suffix;
	postings text := 'posting_' || suffix;
begin
	call app.prepare_part('ledger.entry', entries);
	call app.prepare_part('ledger.posting', postings);
	-- a posting agrees with its entry, and comes in the transaction of its entry
	execute format('alter table ledger.%I add constraint posting_entry foreign key (entry_id, authority, business_date, lines, tx) '
		|| 'references ledger.%I (id, authority, business_date, lines, tx)', postings, entries);
	-- an entry has its last posting at commit; with check_postings that is all of them
	execute format('alter table ledger.%I add constraint entry_complete foreign key (id, lines) '
		|| 'references ledger.%I (entry_id, line) deferrable initially deferred', entries, postings);
	call app.attach_part('ledger.entry', entries, month);
	call app.attach_part('ledger.posting', postings, month);
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create procedure app.make_part(suffix text, month date) language plpgsql set search_path = pg_catalog as $$
begin
	call ledger.make_part(suffix, month);
	call app.prepare_part('ledger.sealed_entry', 'sealed_entry_' || suffix);
	call app.attach_part('ledger.sealed_entry', 'sealed_entry_' || suffix, month);
	call app.prepare_part('audit.event', 'event_' || suffix);
	call app.attach_part('audit.event', 'event_' || suffix, month);
end
$$;
-- +goose StatementEnd

-- stray_rows says which tables have rows that no month takes.
-- +goose StatementBegin
create function app.stray_rows() returns setof text
	language plpgsql stable security definer set search_path = pg_catalog as $$
declare
	parent regclass;
	part   regclass;
	stray  boolean;
begin
	for parent, part in
		select p.partrelid, p.partdefid from pg_partitioned_table p where p.partdefid <> 0 order by p.partrelid::regclass::text
	loop
		execute format('select exists (select from %s)', part) into stray;
		if stray then
			return next parent;
		end if;
	end loop;
end
$$;
-- +goose StatementEnd
revoke all on function app.stray_rows() from public;
-- make_months makes this month and the three after it where they are missing,
-- and returns those it made. It waits for no lock longer than a moment: months
-- are made long before they are needed. A month of which rows lie in a default
-- partition already stays there, and the alarm goes on.
-- +goose StatementBegin
create function app.make_months() returns setof date
	language plpgsql security definer set search_path = pg_catalog set lock_timeout = '2s' as $$
declare
	month date;
begin
	perform pg_advisory_xact_lock(20261127);
	for month in
		select (date_trunc('month', now() at time zone 'Asia/Ho_Chi_Minh') + n * interval '1 month')::date from generate_series(0, 3) n
	loop
		continue when to_regclass('ledger.entry_' || to_char(month, 'YYYYMM')) is not null;
		begin
			call app.make_part(to_char(month, 'YYYYMM'), month);
			return next month;
		exception when check_violation then
			raise warning 'rows of % lie in a default partition', month;
		end;
	end loop;
end
$$;
-- +goose StatementEnd
revoke all on function app.make_months() from public;
grant execute on function app.stray_rows(), app.make_months() to doisoat_app;
revoke all on procedure app.prepare_part(regclass, text), app.attach_part(regclass, text, date),
	ledger.make_part(text, date), app.make_part(text, date) from public;

-- The tables as they were stand aside until their rows have moved.
create schema before_months;
alter table ledger.posting set schema before_months;
alter table ledger.entry set schema before_months;
alter table ledger.sealed_entry set schema before_months;
alter table audit.event set schema before_months;
drop function ledger.due_for_roll_up();

-- One entry per cause, over all months. Only ledger.admit_entry writes.
create table ledger.cause (
	authority text not null references auth.authority (code),
	kind      text not null,
	id        text not null,
	event     text not null,
	entry_id  uuid not null,
	constraint entry_cause primary key (authority, kind, id, event)
);
call app.protect('ledger.cause');
grant select on ledger.cause to doisoat_app;

-- At most one reversal per entry, over all months. Only ledger.admit_entry writes.
create table ledger.reversal (
	authority text not null references auth.authority (code),
	entry_id  uuid not null, -- what is reversed
	reversal  uuid not null, -- by which entry
	constraint entry_reversed_once primary key (entry_id)
);
create index reversal_authority on ledger.reversal (authority);
call app.protect('ledger.reversal');
grant select on ledger.reversal to doisoat_app;

create table ledger.entry (
	id            uuid not null,
	authority     text not null,
	business_date date not null,
	recorded_at   timestamptz not null,
	cause_kind    text not null constraint entry_cause_kind_check check (cause_kind <> ''),
	cause_id      text not null constraint entry_cause_id_check check (cause_id <> ''),
	cause_event   text not null constraint entry_cause_event_check check (cause_event <> ''),
	description   text not null,
	actor         text not null constraint entry_actor_check check (actor <> ''),
	reverses      uuid,
	reason        text not null default '',
	lines         smallint not null constraint entry_lines_check check (lines >= 2),
	digest        bytea not null constraint entry_digest_check check (length(digest) = 32),
	-- the writing transaction: postings must come from the same one
	tx            xid8 not null default pg_current_xact_id(),
	corrects      uuid,
	primary key (id),
	-- postings refer to this key
	constraint entry_identity unique (id, authority, business_date, lines, tx),
	constraint entry_reversal_has_reason check (reverses is null or reason <> ''),
	constraint entry_corrects_or_reverses check (corrects is null or reverses is null),
	constraint entry_correction_has_reason check (corrects is null or reason <> '')
) partition by range (id);
create index entry_date on ledger.entry (authority, business_date, id);
-- roll-up and sealer walk in the order of transactions
create index entry_sealing on ledger.entry (authority, tx, id);
create index entry_corrects on ledger.entry (corrects) where corrects is not null;
call app.protect('ledger.entry');
grant select on ledger.entry to doisoat_app;
-- all but tx: the database says which transaction writes
grant insert (id, authority, business_date, recorded_at, cause_kind, cause_id, cause_event, description, actor, reverses,
	reason, lines, digest, corrects) on ledger.entry to doisoat_app;

create table ledger.posting (
	entry_id      uuid not null,
	line          smallint not null,
	lines         smallint not null, -- of its entry
	authority     text not null,
	business_date date not null,
	account_id    bigint not null,
	side          text not null constraint posting_side check (side in ('D', 'C')),
	amount        bigint not null constraint posting_amount check (amount > 0),
	currency      text not null,
	memo          boolean not null,
	dossier_id    uuid,
	payment_id    uuid,
	refund_id     uuid,
	charge_id     uuid,
	fee_type      text,
	policy        text,
	tx            xid8 not null default pg_current_xact_id(), -- of its entry
	primary key (entry_id, line),
	constraint posting_line check (line between 1 and lines)
) partition by range (entry_id);
create index posting_by_account on ledger.posting (account_id, business_date, entry_id, line);
create index posting_by_dossier on ledger.posting (dossier_id, entry_id) where dossier_id is not null;
create index posting_by_payment on ledger.posting (payment_id) where payment_id is not null;
create index posting_by_refund on ledger.posting (refund_id) where refund_id is not null;
call app.protect('ledger.posting');
grant select on ledger.posting to doisoat_app;
grant insert (entry_id, line, lines, authority, business_date, account_id, side, amount, currency, memo, dossier_id, payment_id,
	refund_id, charge_id, fee_type, policy) on ledger.posting to doisoat_app;

create table ledger.sealed_entry (
	authority text not null,
	block     bigint not null,
	position  integer not null constraint sealed_entry_position_check check (position >= 0),
	entry_id  uuid not null,
	leaf      bytea not null constraint sealed_entry_leaf_check check (length(leaf) = 32),
	marks     bytea not null constraint sealed_entry_marks_check check (length(marks) % 4 = 0),
	constraint sealed_entry_once primary key (entry_id)
) partition by range (entry_id);
create index sealed_entry_place on ledger.sealed_entry (authority, block, position);
call app.protect('ledger.sealed_entry');
grant select, insert on ledger.sealed_entry to doisoat_app;

create table audit.event (
	id          uuid not null,
	at          timestamptz not null,
	authority   text not null references auth.authority (code),
	actor_role  text not null,
	actor_id    text not null,
	act         text not null constraint event_act_check check (act <> ''),
	object_kind text not null,
	object_id   text not null,
	before      jsonb,
	after       jsonb,
	reason      text not null default '',
	primary key (id)
) partition by range (id);
create index event_object on audit.event (authority, object_kind, object_id, at);
create index event_time on audit.event (authority, at, id);
call app.protect('audit.event');
grant select, insert on audit.event to doisoat_app;

-- Every statement that inserts postings brings whole, balanced entries of its
-- own transaction: all their lines, real and memo postings balanced each on their own
-- per currency, and each posting agrees with its account. Accounts are never
-- changed or deleted, so a look now is enough.
-- +goose StatementBegin
create or replace function ledger.check_postings() returns trigger language plpgsql as $$
declare
	bad  uuid;
	wall text;
begin
	select g.entry_id, case when g.late then 'posting_with_entry' when g.stray then 'posting_account' else 'posting_balanced' end
	into bad, wall
	from (
		select p.entry_id, bool_or(p.tx <> pg_current_xact_id()) as late,
			sum(case p.side when 'D' then p.amount else -p.amount end) as off,
			-- one look by key per posting, whatever the planner thinks of the table
			bool_or(not coalesce((
				select a.authority = p.authority and a.currency = p.currency and a.memo = p.memo
				from ledger.account a where a.id = p.account_id), false)) as stray
		from new_postings p
		group by p.entry_id, p.currency, p.memo) g
	where g.off <> 0 or g.late or g.stray
	limit 1;
	if found then
		raise exception 'entry % does not balance, is finished, or has a posting that disagrees with its account', bad
			using errcode = case wall when 'posting_account' then 'foreign_key_violation' else 'check_violation' end, constraint = wall;
	end if;
	select p.entry_id into bad from new_postings p group by p.entry_id having count(*) <> max(p.lines) limit 1;
	if found then
		raise exception 'entry % does not have all its postings', bad
			using errcode = 'check_violation', constraint = 'entry_complete';
	end if;
	return null;
end
$$;
-- +goose StatementEnd

-- An entry is let in when its business date is open, its cause is new, and what
-- it reverses or corrects is there. After the insert, so that row-level security
-- has its say first. A poster holds a shared lock on the day until it commits
-- (see day_event). Two writers of one cause at once: the later one is told to
-- try again, and then finds the entry of the first.
-- +goose StatementBegin
create function ledger.admit_entry() returns trigger
	language plpgsql security definer set search_path = pg_catalog as $$
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
	insert into ledger.cause (authority, kind, id, event, entry_id)
	values (new.authority, new.cause_kind, new.cause_id, new.cause_event, new.id)
	on conflict do nothing;
	if not found then
		raise exception 'cause % % % has an entry', new.cause_kind, new.cause_id, new.cause_event
			using errcode = 'serialization_failure', constraint = 'entry_cause';
	end if;
	if new.reverses is not null then
		if not exists (select from ledger.entry e where e.id = new.reverses and e.authority = new.authority) then
			raise exception 'entry % reverses what is no entry of %', new.id, new.authority
				using errcode = 'foreign_key_violation', constraint = 'entry_reverses';
		end if;
		insert into ledger.reversal (authority, entry_id, reversal) values (new.authority, new.reverses, new.id);
	end if;
	-- a question of its own: one expression would be one plan, which locks every
	-- month also when it looks at none
	if new.corrects is not null then
		if not exists (
			select from ledger.entry e
			where e.id = new.corrects and e.authority = new.authority and e.corrects is null and e.reverses is null)
		then
			raise exception 'entry % corrects what is no first entry of %', new.id, new.authority
				using errcode = 'foreign_key_violation', constraint = 'entry_corrects_known';
		end if;
	end if;
	return null;
end
$$;
-- +goose StatementEnd

-- As before; no place of a block is taken twice, and each entry is one of its book.
-- +goose StatementBegin
create or replace function ledger.check_sealed() returns trigger language plpgsql as $$
declare
	bad bigint;
begin
	select n.block into bad
	from (select n.authority, n.block, count(*) as entries, count(distinct n.position) as places, min(n.position) as low, max(n.position) as high
	      from new_entries n group by n.authority, n.block) n
	left join ledger.block b on b.authority = n.authority and b.number = n.block
	where b.number is null or n.entries <> b.entries or n.places <> n.entries or n.low <> 0 or n.high <> b.entries - 1
	limit 1;
	if found then
		raise exception 'block % is not sealed with exactly the entries that it names', bad
			using errcode = 'check_violation', constraint = 'sealed_entry_block';
	end if;
	select n.block into bad from new_entries n
	-- one look by key per entry, whatever the planner thinks of the book
	where not coalesce((select e.authority = n.authority from ledger.entry e where e.id = n.entry_id), false)
	limit 1;
	if found then
		raise exception 'block % seals what is no entry of its book', bad
			using errcode = 'foreign_key_violation', constraint = 'sealed_entry_known';
	end if;
	return null;
end
$$;
-- +goose StatementEnd

-- A header does not stay without the entries that it announces.
-- +goose StatementBegin
create function ledger.check_block_complete() returns trigger language plpgsql as $$
begin
	if (select count(*) from ledger.sealed_entry s where s.authority = new.authority and s.block = new.number) <> new.entries then
		raise exception 'block % of % does not have its % entries', new.number, new.authority, new.entries
			using errcode = 'check_violation', constraint = 'block_complete';
	end if;
	return null;
end
$$;
-- +goose StatementEnd
create constraint trigger check_block_complete after insert on ledger.block
	deferrable initially deferred
	for each row execute function ledger.check_block_complete();
alter table ledger.block enable always trigger check_block_complete;

-- Triggers per row pass to every part, those per statement by prepare_part.
call app.append_only('ledger.cause');
call app.append_only('ledger.reversal');
call app.append_only('ledger.entry');
call app.append_only('ledger.posting');
call app.append_only('ledger.sealed_entry');
call app.append_only('audit.event');
create trigger check_postings after insert on ledger.posting
	referencing new table as new_postings
	for each statement execute function ledger.check_postings();
alter table ledger.posting enable always trigger check_postings;
create trigger check_sealed after insert on ledger.sealed_entry
	referencing new table as new_entries
	for each statement execute function ledger.check_sealed();
alter table ledger.sealed_entry enable always trigger check_sealed;

-- Months of what is there, of now and of what comes next, and the default.
-- +goose StatementBegin
do $$
declare
	month date;
begin
	call app.make_part('default', null);
	for month in
		select distinct date_trunc('month', r.made at time zone 'Asia/Ho_Chi_Minh')::date
		from (
			select to_timestamp(('x' || left(replace(m.id::text, '-', ''), 12))::bit(48)::bigint / 1000.0) as made
			from (select id from before_months.entry union all select id from before_months.event) m
			where substr(m.id::text, 15, 1) = '7' -- the version
			union all
			-- whole months first: on 30 November three months from now is 1 March in Viet Nam, which would leave out February
			select (date_trunc('month', now() at time zone 'Asia/Ho_Chi_Minh') + n * interval '1 month') at time zone 'Asia/Ho_Chi_Minh'
			from generate_series(0, 3) n) r
		order by 1
	loop
		call app.make_part(to_char(month, 'YYYYMM'), month);
	end loop;
end
$$;
-- +goose StatementEnd

-- The book moves over as it is, transaction numbers included: what is sealed stays sealed.
insert into ledger.entry (id, authority, business_date, recorded_at, cause_kind, cause_id, cause_event, description, actor,
	reverses, reason, lines, digest, tx, corrects)
select id, authority, business_date, recorded_at, cause_kind, cause_id, cause_event, description, actor,
	reverses, reason, lines, digest, tx, corrects
from before_months.entry;
alter table ledger.posting disable trigger check_postings;
insert into ledger.posting (entry_id, line, lines, authority, business_date, account_id, side, amount, currency, memo,
	dossier_id, payment_id, refund_id, charge_id, fee_type, policy, tx)
select p.entry_id, p.line, e.lines, p.authority, p.business_date, p.account_id, p.side, p.amount, p.currency, p.memo,
	p.dossier_id, p.payment_id, p.refund_id, p.charge_id, p.fee_type, p.policy, e.tx
from before_months.posting p join before_months.entry e on e.id = p.entry_id;
alter table ledger.posting enable always trigger check_postings;
alter table ledger.sealed_entry disable trigger check_sealed;
insert into ledger.sealed_entry (authority, block, position, entry_id, leaf, marks)
select authority, block, position, entry_id, leaf, marks from before_months.sealed_entry;
alter table ledger.sealed_entry enable always trigger check_sealed;
insert into audit.event (id, at, authority, actor_role, actor_id, act, object_kind, object_id, before, after, reason)
select id, at, authority, actor_role, actor_id, act, object_kind, object_id, before, after, reason from before_months.event;
insert into ledger.cause (authority, kind, id, event, entry_id)
select authority, cause_kind, cause_id, cause_event, id from before_months.entry;
insert into ledger.reversal (authority, entry_id, reversal)
select authority, reverses, id from before_months.entry where reverses is not null;

-- What was put off is looked at now; then entries come in by the door.
set constraints all immediate;
create trigger admit_entry after insert on ledger.entry
	for each row execute function ledger.admit_entry();
alter table ledger.entry enable always trigger admit_entry;

drop table before_months.posting, before_months.entry, before_months.sealed_entry, before_months.event;
drop schema before_months;
drop function ledger.check_entry();
drop function ledger.check_correction();
drop function ledger.refuse_closed_day();

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
