-- Policies' life-cycle: what became of a recorded version is written down act
-- by act beside it; neither version nor act ever changes. Who made a policy
-- never approves it, and the database says so too.

-- +goose Up

-- The maker of a version can be named by the acts about it.
alter table fees.policy_version add constraint policy_version_maker unique (policy, version, recorded_by);

create table fees.policy_act (
	policy       text not null,
	version      integer not null,
	seq          integer not null check (seq >= 1),
	authority    text not null references auth.authority (code), -- who acts: the owner, or its successor
	act          text not null,
	from_status  text not null,
	to_status    text not null,
	drafted_by   text not null,
	submitted_by text,          -- the maker's checker must be somebody else
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
	constraint policy_act_maker_checker check (act not in ('approve', 'reject', 'repeal') or (actor <> drafted_by and actor is distinct from submitted_by)),
	constraint policy_act_end check ((act in ('repeal', 'supersede')) = (ends_on is not null)),
	constraint policy_act_replaced check ((act = 'supersede') = (replaced_by is not null)),
	constraint policy_act_grounds check ((act <> 'reject' or reason <> '') and (act <> 'repeal' or legal_basis <> ''))
);
create index policy_act_replaced_by on fees.policy_act (replaced_by) where replaced_by is not null;
create index policy_act_authority on fees.policy_act (authority);
call fees.publish('fees.policy_act');
call app.append_only('fees.policy_act');

-- follow_policy refuses an act that does not follow the last one of the newest
-- version, and one of an authority that neither owns the policy nor took its
-- owner over. It holds against every writer, the owner of the schema included.
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

-- policy_now is every policy as it stands: its newest version, and what the
-- acts made of it. ends_on is the last day that a repeal or successor left.
create view fees.policy_now with (security_invoker = true) as
	select v.policy, v.version, v.authority, coalesce(a.to_status, v.status) as status, v.territory, v.valid_from, v.valid_to,
		a.ends_on, coalesce(a.replaced_by, '') as replaced_by, v.document, v.sha, v.recorded_at, v.recorded_by, coalesce(a.submitted_by, '') as submitted_by,
		coalesce(a.seq, 0) as acts
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

-- How the payer will pay, when the portal knows; a policy may ask for it.
alter table dossiers.dossier
	add column payment_channel text not null default '' constraint dossier_payment_channel check (payment_channel in ('', 'online', 'cash'));
