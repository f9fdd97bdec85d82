-- Dossiers: the case, the charges that it owes, and whether it was delivered.

-- +goose Up
create schema dossiers;
grant usage on schema dossiers to doisoat_app;

-- A dossier as the portal registered it. The application moves its status and
-- stage; the rest never changes.
create table dossiers.dossier (
	id              uuid primary key,
	authority       text not null references auth.authority (code),
	code            text not null check (code ~ '^(\d{3}\.\d{2}\.\d{2}\.)?[HG]\d{2}(\.\d{1,3}){0,3}-\d{6}-\d{4,}$'),
	agency          text not null check (agency <> ''),
	procedure       text not null default '',
	channel         text not null constraint dossier_channel check (channel in ('online', 'direct', 'postal')),
	service_level   text not null default '' constraint dossier_service_level check (service_level in ('', 'toan_trinh', 'mot_phan')),
	submitted_at    timestamptz not null,
	pricing_date    date not null,
	currency        text not null check (currency ~ '^[A-Z]{3}$'),
	applicant       bytea not null,          -- ciphertext: name, identifier, groups
	applicant_key   bytea,                   -- keyed hash of the identifier, for look-ups
	status          smallint not null constraint dossier_status check (status between 1 and 10),
	status_at       timestamptz not null,
	stage           text not null constraint dossier_stage check (stage in ('before_acceptance', 'processing', 'delivered')),
	undeliverable   text not null default '', -- the refund reason that ended the service, or nothing
	request_hash    bytea not null check (length(request_hash) = 32),
	idempotency_key text,
	created_at      timestamptz not null,
	created_by      text not null,
	-- how the payer will pay, when the portal knows; a policy may ask for it
	payment_channel text not null default '' constraint dossier_payment_channel check (payment_channel in ('', 'online', 'cash')),
	constraint dossier_code unique (authority, code),
	constraint dossier_idempotency_key unique (authority, idempotency_key),
	constraint dossier_identity unique (id, authority)
);
create index dossier_applicant on dossiers.dossier (authority, applicant_key) where applicant_key is not null;
-- the dossiers that a period priced, in order
create index dossier_priced on dossiers.dossier (authority, pricing_date, id);
create index dossier_created on dossiers.dossier (authority, created_at, id);
call app.protect('dossiers.dossier');
grant select, insert on dossiers.dossier to doisoat_app;
grant update (status, status_at, stage, undeliverable) on dossiers.dossier to doisoat_app;

-- The charge of a dossier for one fee item. Amounts are minor units:
-- base = due + discount + subsidy; outstanding = due - waived - (paid - refunded).
-- A charge that corrects another carries the difference: its base is 0, and due
-- is the discount or subsidy that was granted too much. The application moves
-- paid, refunded and waived.
create table dossiers.charge (
	id               uuid primary key,
	authority        text not null,
	dossier_id       uuid not null,
	line             smallint not null check (line >= 1),
	fee_type         text not null check (fee_type <> ''),
	kind             text not null constraint charge_kind check (kind in ('phi', 'le_phi')),
	quantity         integer not null check (quantity >= 1),
	base             bigint not null check (base >= 0),
	discount         bigint not null,
	subsidy          bigint not null,
	due              bigint not null check (due >= 0),
	paid             bigint not null default 0 check (paid >= 0),
	refunded         bigint not null default 0 check (refunded >= 0),
	waived           bigint not null default 0 check (waived >= 0),
	currency         text not null,
	policy           text not null default '', -- the policy that gave the discount
	explanation      jsonb not null,           -- applied and not applied policies, as quoted
	idempotency_key  text,                     -- of the request that added it later
	request_hash     bytea,
	created_at       timestamptz not null,
	corrects         uuid,                     -- the charge whose difference this one carries
	-- the ground of an amount that an agency assessed; empty for all other amounts
	assessed_ground  text not null default '' constraint charge_assessed_ground check (char_length(assessed_ground) <= 500),
	constraint charge_dossier foreign key (dossier_id, authority) references dossiers.dossier (id, authority),
	constraint charge_line unique (dossier_id, line),
	constraint charge_identity unique (id, authority),
	constraint charge_request check ((idempotency_key is null) = (request_hash is null)),
	constraint charge_corrects foreign key (corrects, authority) references dossiers.charge (id, authority),
	constraint charge_granted check (corrects is not null or (discount >= 0 and subsidy >= 0)),
	constraint charge_correction check (corrects is null or (base = 0 and due > 0)),
	constraint charge_adds_up check (base = due + discount + subsidy),
	constraint charge_refund_cap check (refunded <= paid),
	constraint charge_outstanding check (due - waived - paid + refunded >= 0)
);
create index charge_correction_of on dossiers.charge (corrects) where corrects is not null;
create index charge_by_ground on dossiers.charge (authority, id) where assessed_ground <> '';
create index charge_by_idempotency_key on dossiers.charge (dossier_id, idempotency_key) where idempotency_key is not null;
call app.protect('dossiers.charge');
grant select, insert on dossiers.charge to doisoat_app;
grant update (paid, refunded, waived) on dossiers.charge to doisoat_app;

-- National status codes as portals report them: late, repeated, out of order.
-- The application appends.
create table dossiers.status_event (
	id          uuid primary key,
	authority   text not null,
	dossier_id  uuid not null,
	status      smallint not null check (status between 1 and 10),
	reason      text not null default '',
	note        text not null default '',
	at          timestamptz not null,
	recorded_at timestamptz not null,
	recorded_by text not null,
	constraint status_event_dossier foreign key (dossier_id, authority) references dossiers.dossier (id, authority),
	constraint status_event_once unique (dossier_id, status, at, reason)
);
-- the first sign that work on a dossier began (QĐ 766/QĐ-TTg counts by it)
create index status_event_processing on dossiers.status_event (authority, at) where status in (2, 4, 5, 6, 9, 10);
call app.protect('dossiers.status_event');
call app.append_only('dossiers.status_event');
grant select, insert on dossiers.status_event to doisoat_app;

-- One receipt per kind of fee; a zero receipt for a fee of 0; a negative one
-- adjusts after a refund. The application appends.
create table dossiers.receipt (
	id         uuid primary key,
	authority  text not null,
	dossier_id uuid not null,
	kind       text not null check (kind in ('phi', 'le_phi')),
	amount     bigint not null,
	currency   text not null,
	cause_kind text not null, -- assessment, capture, refund
	cause_id   uuid not null,
	issued_at  timestamptz not null,
	constraint receipt_dossier foreign key (dossier_id, authority) references dossiers.dossier (id, authority),
	constraint receipt_once unique (dossier_id, cause_kind, cause_id, kind)
);
call app.protect('dossiers.receipt');
call app.append_only('dossiers.receipt');
grant select, insert on dossiers.receipt to doisoat_app;
