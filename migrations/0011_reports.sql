-- Preview, reports and repricing. A dossier that was priced by a wrong policy
-- is corrected by what comes after it: a refund, a waiver, or a charge that
-- carries the difference. What was assessed stays as it was.

-- +goose Up

-- What a period was priced at, in order.
create index dossier_priced on dossiers.dossier (authority, pricing_date, id);
-- The first sign that work on a dossier began (QĐ 766/QĐ-TTg counts by it).
create index status_event_processing on dossiers.status_event (authority, at) where status in (2, 4, 5, 6, 9, 10);

-- A charge that corrects another carries the difference: its base is 0, what
-- the payer owes more was granted too much as discount or subsidy.
alter table dossiers.charge
	add column corrects uuid,
	drop constraint charge_discount_check,
	drop constraint charge_subsidy_check,
	add constraint charge_granted check (corrects is not null or (discount >= 0 and subsidy >= 0)),
	add constraint charge_correction check (corrects is null or (base = 0 and due > 0)),
	add constraint charge_corrects foreign key (corrects, authority) references dossiers.charge (id, authority);
create index charge_correction_of on dossiers.charge (corrects) where corrects is not null;

alter table refunds.refund
	drop constraint refund_origin,
	add constraint refund_origin check (origin in ('automatic', 'manual', 'repricing'));

-- A repricing: a policy was wrong over a period. The maker sees the counts
-- first, the checker decides, jobs carry it out dossier by dossier.
create table refunds.repricing (
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
create index repricing_listed on refunds.repricing (authority, id desc);
create index repricing_unfinished on refunds.repricing (decided_at) where status = 'approved';
call app.protect('refunds.repricing');
grant select, insert on refunds.repricing to doisoat_app;
grant update (status, place_date, place_dossier, dossiers_seen, decided_at, decided_by, decision_reason, done_at)
	on refunds.repricing to doisoat_app;

-- What a repricing did about one charge, once.
create table refunds.repricing_item (
	repricing_id uuid not null,
	charge_id    uuid not null,
	authority    text not null,
	dossier_id   uuid not null,
	assessed     bigint not null check (assessed >= 0), -- owed before, by all that came before
	lawful       bigint not null check (lawful >= 0),   -- owed by the policies as they are recorded now
	outcome      text not null constraint repricing_item_outcome check (outcome in ('reduced', 'increased', 'manual')),
	refunded     bigint not null check (refunded >= 0), -- proposed to be given back
	waived       bigint not null check (waived >= 0),   -- unpaid, no longer asked for
	added        bigint not null check (added >= 0),    -- asked for by a further charge
	recorded_at  timestamptz not null,
	constraint repricing_item_key primary key (repricing_id, charge_id),
	constraint repricing_item_of foreign key (repricing_id, authority) references refunds.repricing (id, authority),
	constraint repricing_item_charge foreign key (charge_id, authority) references dossiers.charge (id, authority),
	constraint repricing_item_adds_up check (case outcome
		when 'reduced' then assessed - lawful = refunded + waived and added = 0
		when 'increased' then lawful - assessed = added and refunded + waived = 0
		else refunded + waived + added = 0 end)
);
create index repricing_item_by_charge on refunds.repricing_item (charge_id);
call app.protect('refunds.repricing_item');
call app.append_only('refunds.repricing_item');
grant select, insert on refunds.repricing_item to doisoat_app;

-- Repricings of all authorities whose work is not finished: a sweep queues their next job.
-- +goose StatementBegin
create function refunds.due_for_repricing(before timestamptz, most integer) returns table (authority text, repricing_id uuid, dossiers_seen bigint)
	language sql stable security definer set search_path = pg_catalog
	begin atomic
		select r.authority, r.id, r.dossiers_seen from refunds.repricing r
		where r.status = 'approved' and r.decided_at <= before
		order by r.decided_at limit most;
	end;
-- +goose StatementEnd
revoke all on function refunds.due_for_repricing(timestamptz, integer) from public;
grant execute on function refunds.due_for_repricing(timestamptz, integer) to doisoat_app;
