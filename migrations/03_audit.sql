-- The audit trail.

-- +goose Up
create schema audit;
grant usage on schema audit to doisoat_app;

-- One row per act: who did it to which object, why, and the object before and
-- after. The application appends and reads; every role is refused a change.
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
call app.append_only('audit.event');
grant select, insert on audit.event to doisoat_app;
