-- Fees: fee types with their rates, and discount policies. Legal norms are
-- public: every authority reads all of them, and records its own only.
-- Documents come in versions; a version never changes.

-- +goose Up
create schema fees;
grant usage on schema fees to doisoat_app;

-- publish switches row-level security on for public norms: all read, the owner records.
-- +goose StatementBegin
create procedure fees.publish(target regclass) language plpgsql as $$
begin
	execute format('alter table %s enable row level security', target);
	execute format('alter table %s force row level security', target);
	execute format('create policy read_by_all on %s for select to doisoat_app using (true)', target);
	execute format('create policy recorded_by_authority on %s for insert to doisoat_app with check (authority = (select app.authority()))', target);
	execute format('create policy by_owner on %s to %I using (true) with check (true)', target, current_user);
	execute format('grant select, insert on %s to doisoat_app', target);
end
$$;
-- +goose StatementEnd

-- A fee type of one authority: of a national one for everybody, of a province
-- for its own schedule, where it hides the national fee type of the same code.
create table fees.fee_type (
	authority   text not null references auth.authority (code),
	code        text not null constraint fee_type_code check (code ~ '^(P|LP)_[A-Z0-9]+(_[A-Z0-9]+)*$'),
	kind        text not null constraint fee_type_kind check (kind = case when code like 'LP\_%' then 'le_phi' else 'phi' end),
	recorded_at timestamptz not null,
	constraint fee_type_key primary key (authority, code)
);
call fees.publish('fees.fee_type');
call app.append_only('fees.fee_type');

create table fees.fee_type_version (
	authority   text not null,
	code        text not null,
	version     integer not null check (version >= 1),
	territory   text not null constraint fee_type_territory check (territory = '*' or territory = authority),
	document    jsonb not null check (jsonb_typeof(document) = 'object'),
	sha         bytea not null check (length(sha) = 32),
	recorded_at timestamptz not null,
	recorded_by text not null check (recorded_by <> ''),
	constraint fee_type_version_key primary key (authority, code, version),
	constraint fee_type_version_of foreign key (authority, code) references fees.fee_type (authority, code)
);
call fees.publish('fees.fee_type_version');
call app.append_only('fees.fee_type_version');

-- A policy's id belongs to the authority that recorded it first.
create table fees.policy (
	id          text not null constraint policy_key primary key check (id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$'),
	authority   text not null references auth.authority (code),
	recorded_at timestamptz not null,
	constraint policy_owner unique (authority, id)
);
call fees.publish('fees.policy');
call app.append_only('fees.policy');

create table fees.policy_version (
	policy      text not null,
	version     integer not null check (version >= 1),
	authority   text not null,
	status      text not null constraint policy_status check (status in
		('draft', 'submitted', 'rejected', 'approved', 'in_force', 'in_force_or_past', 'expired', 'repealed', 'superseded')),
	territory   text[] not null constraint policy_territory check (cardinality(territory) > 0),
	legal_basis text not null,
	valid_from  date,
	valid_to    date,
	document    jsonb not null check (jsonb_typeof(document) = 'object'),
	sha         bytea not null check (length(sha) = 32),
	recorded_at timestamptz not null,
	recorded_by text not null check (recorded_by <> ''),
	constraint policy_version_key primary key (policy, version),
	constraint policy_version_of foreign key (authority, policy) references fees.policy (authority, id),
	constraint policy_window check (valid_to >= valid_from),
	constraint policy_adopted check (status in ('draft', 'submitted', 'rejected') or (legal_basis <> '' and valid_from is not null))
);
create index policy_version_owner on fees.policy_version (authority, policy);
create index policy_version_territory on fees.policy_version using gin (territory);
call fees.publish('fees.policy_version');
call app.append_only('fees.policy_version');
