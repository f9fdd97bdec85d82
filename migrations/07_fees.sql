-- Fees: fee types with their rates, and discount policies. Legal norms are
-- public: every authority reads all of them, and records its own only.
-- Documents come in versions. An act that changes the status of a version is
-- recorded beside it; neither version nor act ever changes.

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
	execute format('create policy recorded_by_authority on %s for insert to doisoat_app '
		|| 'with check (authority = (select app.authority()))', target);
	execute format('create policy by_owner on %s to %I using (true) with check (true)', target, current_user);
	execute format('grant select, insert on %s to doisoat_app', target);
end
$$;
-- +goose StatementEnd

-- A fee type of one authority. A national authority's is for every province; a
-- province's hides the national fee type of the same code.
create table fees.fee_type (
	authority   text not null references auth.authority (code),
	code        text not null constraint fee_type_code check (code ~ '^(P|LP)_[A-Z0-9]+(_[A-Z0-9]+)*$'),
	kind        text not null constraint fee_type_kind check (kind = case when code like 'LP\_%' then 'le_phi' else 'phi' end),
	recorded_at timestamptz not null,
	constraint fee_type_key primary key (authority, code)
);
call fees.publish('fees.fee_type');
call app.append_only('fees.fee_type');

-- The document of a fee type, version by version.
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

-- The id of a policy belongs to the authority that recorded it first.
create table fees.policy (
	id          text not null constraint policy_key primary key check (id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$'),
	authority   text not null references auth.authority (code),
	recorded_at timestamptz not null,
	constraint policy_owner unique (authority, id)
);
call fees.publish('fees.policy');
call app.append_only('fees.policy');

-- The document of a policy, version by version, with the status in which it was recorded.
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
	-- acts about a version name its maker
	constraint policy_version_maker unique (policy, version, recorded_by),
	constraint policy_version_of foreign key (authority, policy) references fees.policy (authority, id),
	constraint policy_window check (valid_to >= valid_from),
	constraint policy_adopted check (status in ('draft', 'submitted', 'rejected') or (legal_basis <> '' and valid_from is not null))
);
create index policy_version_owner on fees.policy_version (authority, policy);
create index policy_version_territory on fees.policy_version using gin (territory);
call fees.publish('fees.policy_version');
call app.append_only('fees.policy_version');

-- An act about a version: submitted, approved, rejected, repealed, superseded.
-- The maker of a version never approves it, and the database says so too.
create table fees.policy_act (
	policy       text not null,
	version      integer not null,
	seq          integer not null check (seq >= 1),
	authority    text not null references auth.authority (code), -- who acts: the owner, or its successor
	act          text not null,
	from_status  text not null,
	to_status    text not null,
	drafted_by   text not null,
	submitted_by text,          -- the checker must be another person
	actor        text not null check (actor <> ''),
	at           timestamptz not null,
	reason       text not null default '',
	legal_basis  text not null default '', -- of a repeal
	ends_on      date,          -- last day in force, once repealed or superseded
	replaced_by  text references fees.policy (id),
	submitter    text generated always as (case act when 'submit' then actor end) stored,
	constraint policy_act_key primary key (policy, version, seq),
	constraint policy_act_of foreign key (policy, version, drafted_by) references fees.policy_version (policy, version, recorded_by),
	constraint policy_act_submitter unique (policy, version, submitter),
	constraint policy_act_submitted foreign key (policy, version, submitted_by) references fees.policy_act (policy, version, submitter),
	constraint policy_act_edge check ((act, from_status, to_status) in (
		('submit', 'draft', 'submitted'),
		('approve', 'submitted', 'approved'),
		('reject', 'submitted', 'rejected'),
		('repeal', 'approved', 'repealed'), ('repeal', 'in_force', 'repealed'), ('repeal', 'in_force_or_past', 'repealed'),
		('supersede', 'approved', 'superseded'), ('supersede', 'in_force', 'superseded'), ('supersede', 'in_force_or_past', 'superseded'))),
	constraint policy_act_decided check (act not in ('approve', 'reject') or submitted_by is not null),
	constraint policy_act_maker_checker check
		(act not in ('approve', 'reject', 'repeal') or (actor <> drafted_by and actor is distinct from submitted_by)),
	constraint policy_act_end check ((act in ('repeal', 'supersede')) = (ends_on is not null)),
	constraint policy_act_replaced check ((act = 'supersede') = (replaced_by is not null)),
	constraint policy_act_grounds check ((act <> 'reject' or reason <> '') and (act <> 'repeal' or legal_basis <> ''))
);
create index policy_act_replaced_by on fees.policy_act (replaced_by) where replaced_by is not null;
create index policy_act_authority on fees.policy_act (authority);
call fees.publish('fees.policy_act');
call app.append_only('fees.policy_act');

-- follow_policy refuses an act that does not follow the last act of the newest
-- version. It also refuses an authority that neither owns the policy nor
-- succeeded its owner. The rule holds against every writer, the owner of the
-- schema included.
-- +goose StatementBegin
create function fees.follow_policy() returns trigger language plpgsql as $$
declare
	owner  text;
	status text;
	newest integer;
	last   integer;
begin
	select v.authority, v.version, coalesce(a.to_status, v.status), coalesce(a.seq, 0)
		into owner, newest, status, last
		from fees.policy_version v
		left join lateral (select l.to_status, l.seq from fees.policy_act l
			where l.policy = v.policy and l.version = v.version order by l.seq desc limit 1) a on true
		where v.policy = new.policy order by v.version desc limit 1;
	if newest is distinct from new.version or status is distinct from new.from_status or new.seq <> last + 1 then
		raise exception 'act % does not follow on % version % in status %', new.act, new.policy, newest, status
			using errcode = 'check_violation', constraint = 'policy_act_follows', schema = 'fees', table = 'policy_act';
	end if;
	if new.authority <> owner and not exists (select from auth.authority t where t.code = owner and t.successor = new.authority) then
		raise exception '% acts on a policy of %', new.authority, owner
			using errcode = 'check_violation', constraint = 'policy_act_owner', schema = 'fees', table = 'policy_act';
	end if;
	return new;
end
$$;
-- +goose StatementEnd
create trigger policy_act_follows before insert on fees.policy_act for each row execute function fees.follow_policy();
alter table fees.policy_act enable always trigger policy_act_follows;

-- policy_now is every policy as it stands: its newest version, with the status
-- after the last act. ends_on is the last day that a repeal or successor left.
create view fees.policy_now with (security_invoker = true) as
	select v.policy, v.version, v.authority, coalesce(a.to_status, v.status) as status, v.territory, v.valid_from, v.valid_to,
		a.ends_on, coalesce(a.replaced_by, '') as replaced_by, v.document, v.sha, v.recorded_at, v.recorded_by,
		coalesce(a.submitted_by, '') as submitted_by, coalesce(a.seq, 0) as acts
	from (
		select distinct on (n.policy) n.policy, n.version, n.authority, n.status, n.territory, n.valid_from, n.valid_to,
			n.document, n.sha, n.recorded_at, n.recorded_by
		from fees.policy_version n
		order by n.policy, n.version desc
	) v
	left join lateral (
		select l.to_status, l.ends_on, l.replaced_by, l.seq,
			(select s.actor from fees.policy_act s where s.policy = v.policy and s.version = v.version and s.act = 'submit') as submitted_by
		from fees.policy_act l
		where l.policy = v.policy and l.version = v.version
		order by l.seq desc limit 1
	) a on true;
grant select on fees.policy_now to doisoat_app;

-- A policy with acts of two persons takes no further version until it is
-- rejected: a new version would stand without their acts, and undo a repeal.
-- +goose StatementBegin
create function fees.follow_acts() returns trigger language plpgsql as $$
declare
	status text;
begin
	select a.to_status into status from fees.policy_act a
	where a.policy = new.policy order by a.version desc, a.seq desc limit 1;
	if status <> 'rejected' then
		raise exception 'policy % is % and takes no other version', new.policy, status
			using errcode = 'check_violation', constraint = 'policy_version_follows', schema = 'fees', table = 'policy_version';
	end if;
	return new;
end
$$;
-- +goose StatementEnd
create trigger policy_version_follows before insert on fees.policy_version for each row execute function fees.follow_acts();
alter table fees.policy_version enable always trigger policy_version_follows;
