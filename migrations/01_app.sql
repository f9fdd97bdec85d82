-- The ground that every room stands on: the application role, isolation by
-- authority, tables that only grow, and partitions by month.

-- +goose Up

-- The application logs in as doisoat_app, or switches to it. The role owns
-- nothing, obeys row-level security and gets each right by name.
-- +goose StatementBegin
do $$
begin
	if not exists (select from pg_roles where rolname = 'doisoat_app') then
		create role doisoat_app login nosuperuser nocreatedb nocreaterole noinherit nobypassrls;
	end if;
exception when duplicate_object or unique_violation then
	null; -- another migrator on the same server was faster
end
$$;
-- +goose StatementEnd

create schema app;
grant usage on schema app to doisoat_app;

-- River's own migrations make River's tables after these files.
create schema river;
grant usage on schema river to doisoat_app;
alter default privileges in schema river grant select, insert, update, delete on tables to doisoat_app;
alter default privileges in schema river grant usage, select on sequences to doisoat_app;

-- The authority of the running transaction. Without one the function returns
-- NULL, and the transaction sees no row.
-- +goose StatementBegin
create function app.authority() returns text
	language sql stable parallel safe
	return nullif(current_setting('app.authority', true), '');
-- +goose StatementEnd

-- protect switches row-level security on: the application reads and writes the
-- rows of its transaction's authority only. The owner passes by a policy of its
-- own, because named security definer functions look across authorities.
-- +goose StatementBegin
create procedure app.protect(target regclass) language plpgsql as $$
begin
	execute format('alter table %s enable row level security', target);
	execute format('alter table %s force row level security', target);
	execute format('create policy by_authority on %s to doisoat_app '
		|| 'using (authority = (select app.authority())) with check (authority = (select app.authority()))', target);
	execute format('create policy by_owner on %s to %I using (true) with check (true)', target, current_user);
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create function app.refuse_change() returns trigger language plpgsql as $$
begin
	raise exception '% on %.% is refused: the table is append-only', tg_op, tg_table_schema, tg_table_name
		using errcode = 'restrict_violation', constraint = 'append_only';
end
$$;
-- +goose StatementEnd

-- append_only refuses UPDATE, DELETE and TRUNCATE to every role, the owner included.
-- +goose StatementBegin
create procedure app.append_only(target regclass) language plpgsql as $$
begin
	execute format('create trigger append_only before update or delete on %s for each row execute function app.refuse_change()', target);
	execute format('create trigger append_only_truncate before truncate on %s '
		|| 'for each statement execute function app.refuse_change()', target);
	execute format('alter table %s enable always trigger append_only', target);
	execute format('alter table %s enable always trigger append_only_truncate', target);
end
$$;
-- +goose StatementEnd

-- Three kinds of tables grow without end: the book, its seals and the audit
-- trail. They are partitioned by month. A row lies in the month, in Viet Nam, in
-- which its id was made (a UUIDv7 begins with the time), so an old month never
-- changes again. A job makes months ahead (make_months). A row outside all
-- months lies in a default partition, where every rule holds too, and raises an
-- alarm (stray_rows).

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
-- that can be attached as a partition. Triggers per statement do not pass from a
-- parent to its partitions, so each partition gets its own: a writer that names
-- a partition meets the same rules.
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

-- attach_part makes a prepared table the partition of one month; without a month
-- the default partition.
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

-- make_part makes one month of every partitioned table.
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

-- make_months makes this month and the three after it where they are missing,
-- and returns the months it made. It waits two seconds for a lock at most: months
-- are made long before they are needed. When rows of a month lie in a default
-- partition already they stay there, and the alarm goes on.
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

-- stray_rows names the tables with rows in their default partition.
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

revoke all on function app.stray_rows(), app.make_months() from public;
revoke all on procedure app.prepare_part(regclass, text), app.attach_part(regclass, text, date), app.make_part(text, date) from public;
grant execute on function app.stray_rows(), app.make_months() to doisoat_app;
