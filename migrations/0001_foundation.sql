-- Foundation: the application role, isolation by authority, authorities, API
-- keys and the audit trail. Everything later builds on these walls.

-- +goose Up

-- The application logs in as (or switches to) doisoat_app. It owns nothing,
-- cannot bypass row-level security and gets each right by name.
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
create schema auth;
create schema audit;
create schema river;
grant usage on schema app, auth, audit, river to doisoat_app;

-- River's tables are made after this file, by River's own migrations.
alter default privileges in schema river grant select, insert, update, delete on tables to doisoat_app;
alter default privileges in schema river grant usage, select on sequences to doisoat_app;

-- The authority of the running transaction; NULL when none was set, and then no row is visible.
-- +goose StatementBegin
create function app.authority() returns text
	language sql stable parallel safe
	return nullif(current_setting('app.authority', true), '');
-- +goose StatementEnd

-- protect switches row-level security on: the application sees and writes rows
-- of its transaction's authority only. The owner passes by a policy of its own,
-- because named security definer functions look across authorities.
-- +goose StatementBegin
create procedure app.protect(target regclass) language plpgsql as $$
begin
	execute format('alter table %s enable row level security', target);
	execute format('alter table %s force row level security', target);
	execute format('create policy by_authority on %s to doisoat_app using (authority = (select app.authority())) with check (authority = (select app.authority()))', target);
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

-- append_only refuses UPDATE, DELETE and TRUNCATE for everybody, the owner included.
-- +goose StatementBegin
create procedure app.append_only(target regclass) language plpgsql as $$
begin
	execute format('create trigger append_only before update or delete on %s for each row execute function app.refuse_change()', target);
	execute format('create trigger append_only_truncate before truncate on %s for each statement execute function app.refuse_change()', target);
	execute format('alter table %s enable always trigger append_only', target);
	execute format('alter table %s enable always trigger append_only_truncate', target);
end
$$;
-- +goose StatementEnd

-- Authorities: who adopts policies and collects fees. Public knowledge, readable by all.
-- Provinces merged on 2025-07-01: old codes stay on old dossiers and name their successor.
create table auth.authority (
	code       text primary key check (code ~ '^[A-Z][A-Z0-9]{1,7}$'),
	name       text not null check (name <> ''),
	level      text not null constraint authority_level check (level in ('province', 'central', 'law')),
	successor  text references auth.authority (code),
	valid_from date,
	valid_to   date,
	created_at timestamptz not null default now(),
	constraint authority_window check (valid_to >= valid_from)
);
create index authority_successor on auth.authority (successor);
grant select on auth.authority to doisoat_app;

-- API keys: only the SHA-256 of the secret part is kept.
create table auth.api_key (
	id          text primary key check (id ~ '^[0-9a-z]{12}$'),
	authority   text not null references auth.authority (code),
	role        text not null constraint api_key_role check (role in
		('portal', 'accountant', 'chief_accountant', 'policy_editor', 'policy_approver', 'auditor', 'admin')),
	name        text not null check (name <> ''),
	secret_hash bytea not null check (length(secret_hash) = 32),
	created_at  timestamptz not null,
	created_by  text not null,
	expires_at  timestamptz,
	revoked_at  timestamptz
);
create index api_key_authority on auth.api_key (authority, created_at);
call app.protect('auth.api_key');
grant select, insert on auth.api_key to doisoat_app;
grant update (revoked_at) on auth.api_key to doisoat_app;

-- A revoked key stays revoked.
-- +goose StatementBegin
create function auth.refuse_revival() returns trigger language plpgsql as $$
begin
	raise exception 'key % is revoked for good', old.id using errcode = 'restrict_violation', constraint = 'api_key_revoked_for_good';
end
$$;
-- +goose StatementEnd
create trigger refuse_revival before update on auth.api_key
	for each row when (old.revoked_at is not null) execute function auth.refuse_revival();
alter table auth.api_key enable always trigger refuse_revival;

-- Signing in happens before the authority is known: this one look-up crosses authorities.
-- +goose StatementBegin
create function auth.find_api_key(key_id text)
	returns table (id text, authority text, role text, secret_hash bytea, expires_at timestamptz, revoked_at timestamptz)
	language sql stable security definer set search_path = pg_catalog
	begin atomic
		select k.id, k.authority, k.role, k.secret_hash, k.expires_at, k.revoked_at
		from auth.api_key k where k.id = key_id;
	end;
-- +goose StatementEnd
revoke all on function auth.find_api_key(text) from public;
grant execute on function auth.find_api_key(text) to doisoat_app;

-- The audit trail: who did what to what, why, before and after.
create table audit.event (
	id          uuid primary key,
	at          timestamptz not null,
	authority   text not null references auth.authority (code),
	actor_role  text not null,
	actor_id    text not null,
	act         text not null check (act <> ''),
	object_kind text not null,
	object_id   text not null,
	before      jsonb,
	after       jsonb,
	reason      text not null default ''
);
create index event_object on audit.event (authority, object_kind, object_id, at);
create index event_time on audit.event (authority, at, id);
call app.protect('audit.event');
call app.append_only('audit.event');
grant select, insert on audit.event to doisoat_app;
