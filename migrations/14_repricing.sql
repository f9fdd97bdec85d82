-- Repricings: charges that are priced again, and the effects of that.

-- +goose Up
create schema repricing;
grant usage on schema repricing to doisoat_app;

-- A repricing: a policy was wrong over a period. The maker sees the counts
-- first, the checker decides, jobs carry it out dossier by dossier. The
-- assessment stays as it was; a refund, a waiver or a further charge corrects it.
create table repricing.repricing (
	id              uuid primary key,
	authority       text not null references auth.authority (code),
	policy          text not null check (policy <> ''),
	period_from     date not null,
	period_to       date not null,
	reason          text not null check (reason <> ''),
	status          text not null constraint repricing_status check (status in ('proposed', 'approved', 'rejected', 'done')),
	forecast        jsonb not null check (jsonb_typeof(forecast) = 'object'), -- the counts that maker and checker saw
	place_date      date not null,                                            -- the last dossier looked at
	place_dossier   uuid not null,
	dossiers_seen   bigint not null default 0 check (dossiers_seen >= 0),
	requested_at    timestamptz not null,
	requested_by    text not null check (requested_by <> ''),
	decided_at      timestamptz,
	decided_by      text,
	decision_reason text not null default '',
	done_at         timestamptz,
	idempotency_key text,
	constraint repricing_period check (period_from <= period_to),
	constraint repricing_maker_checker check (decided_by <> requested_by),
	constraint repricing_decided check ((status = 'proposed') = (decided_by is null) and (decided_at is null) = (decided_by is null)),
	constraint repricing_ended check ((status = 'done') = (done_at is not null)),
	constraint repricing_idempotency_key unique (authority, idempotency_key),
	constraint repricing_identity unique (id, authority)
);
create index repricing_listed on repricing.repricing (authority, id desc);
create index repricing_unfinished on repricing.repricing (decided_at) where status = 'approved';
call app.protect('repricing.repricing');
grant select, insert on repricing.repricing to doisoat_app;
grant update (status, place_date, place_dossier, dossiers_seen, decided_at, decided_by, decision_reason, done_at)
	on repricing.repricing to doisoat_app;

-- A dossier whose charges were priced again because the day of acceptance or of
-- the result became known, which some policies count; once per dossier and day.
-- The application appends.
create table repricing.day (
	dossier_id  uuid not null,
	day         text not null constraint day_repriced_day check (day in ('acceptance', 'issue')),
	authority   text not null,
	recorded_at timestamptz not null,
	constraint day_repriced_once primary key (dossier_id, day),
	constraint day_repriced_dossier foreign key (dossier_id, authority) references dossiers.dossier (id, authority)
);
call app.protect('repricing.day');
call app.append_only('repricing.day');
grant select, insert on repricing.day to doisoat_app;

-- The effect of a repricing, or of a day that became known, on one charge, once.
-- The application appends.
create table repricing.item (
	repricing_id uuid,
	charge_id    uuid not null,
	authority    text not null,
	dossier_id   uuid not null,
	assessed     bigint not null constraint repricing_item_assessed_check check (assessed >= 0), -- owed before
	lawful       bigint not null constraint repricing_item_lawful_check check (lawful >= 0),   -- owed by the policies as recorded now
	outcome      text not null constraint repricing_item_outcome check (outcome in ('reduced', 'increased', 'manual')),
	refunded     bigint not null constraint repricing_item_refunded_check check (refunded >= 0), -- proposed to be given back
	waived       bigint not null constraint repricing_item_waived_check check (waived >= 0),   -- unpaid, no longer asked for
	added        bigint not null constraint repricing_item_added_check check (added >= 0),    -- asked for by a further charge
	recorded_at  timestamptz not null,
	day          text,
	constraint repricing_item_key unique (repricing_id, charge_id),
	constraint repricing_item_day_once unique (charge_id, day),
	constraint repricing_item_cause check (num_nonnulls(repricing_id, day) = 1),
	constraint repricing_item_of_day foreign key (dossier_id, day) references repricing.day (dossier_id, day),
	constraint repricing_item_of foreign key (repricing_id, authority) references repricing.repricing (id, authority),
	constraint repricing_item_charge foreign key (charge_id, authority) references dossiers.charge (id, authority),
	constraint repricing_item_adds_up check (case outcome
		when 'reduced' then assessed - lawful = refunded + waived and added = 0
		when 'increased' then lawful - assessed = added and refunded + waived = 0
		else refunded + waived + added = 0 end)
);
create index repricing_item_by_day on repricing.item (dossier_id, day) where day is not null;
call app.protect('repricing.item');
call app.append_only('repricing.item');
grant select, insert on repricing.item to doisoat_app;

-- Repricings of all authorities whose work is not finished: a sweep queues their next job.
-- +goose StatementBegin
create function repricing.due(before timestamptz, most integer)
	returns table (authority text, repricing_id uuid, dossiers_seen bigint)
	language sql stable security definer set search_path = pg_catalog
	begin atomic
		select r.authority, r.id, r.dossiers_seen from repricing.repricing r
		where r.status = 'approved' and r.decided_at <= before
		order by r.decided_at limit most;
	end;
-- +goose StatementEnd
revoke all on function repricing.due(timestamptz, integer) from public;
grant execute on function repricing.due(timestamptz, integer) to doisoat_app;
