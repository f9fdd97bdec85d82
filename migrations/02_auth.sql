-- Authorities, and the API keys that act for them.

-- +goose Up
create schema auth;
grant usage on schema auth to doisoat_app;

-- An authority adopts policies and collects fees. The list is public knowledge:
-- every authority reads all of it, and only the owner of the schema writes.
-- Provinces merged on 2025-07-01: an old code stays on old dossiers and names its successor.
create table auth.authority (
	code       text primary key check (code ~ '^[A-Z][A-Z0-9]{1,7}$'),
	name       text not null check (name <> ''),
	level      text not null constraint authority_level check (level in ('province', 'central', 'law')),
	successor  text references auth.authority (code),
	valid_from date,
	valid_to   date,
	created_at timestamptz not null default now(),
	-- how far the submission of a dossier may lie from now
	days_back     integer not null default 400 constraint authority_days_back check (days_back between 1 and 36500),
	minutes_ahead integer not null default 5 constraint authority_minutes_ahead check (minutes_ahead between 1 and 1440),
	constraint authority_window check (valid_to >= valid_from)
);
create index authority_successor on auth.authority (successor);
grant select on auth.authority to doisoat_app;

-- The API keys of an authority, each with one role; of the secret part only the
-- SHA-256 is kept. The application adds keys and revokes them.
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
