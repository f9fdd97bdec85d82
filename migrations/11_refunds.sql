-- Refunds: money going back. Reserved under a lock when asked for, decided by
-- a second person, sent once with a fixed reference, asked about until known.

-- +goose Up
create schema refunds;
grant usage on schema refunds to doisoat_app;

-- A refund of money of one capture. The application moves it through its
-- statuses; stage says where the money was when the refund was decided (M1 to
-- M5; empty before).
create table refunds.refund (
	id                   uuid primary key,
	authority            text not null references auth.authority (code),
	dossier_id           uuid not null,
	payment_id           uuid not null,
	capture_id           uuid not null,
	merchant_account_id  uuid,
	provider             text not null,
	reference            text not null check (reference ~ '^[A-Z0-9]{12}$'),
	reason               text not null check (reason <> ''),
	origin               text not null constraint refund_origin check (origin in ('automatic', 'manual', 'repricing')),
	route                text not null constraint refund_route check (route in ('provider', 'payment_order', 'treasury_order')),
	status               text not null constraint refund_status check (status in ('requested', 'approved', 'rejected', 'reserved',
		'sending', 'sent', 'unknown', 'done', 'declined', 'returned')),
	amount               bigint not null check (amount > 0),
	currency             text not null,
	note                 text not null default '',
	deadline             date not null,
	requested_at         timestamptz not null,
	requested_by         text not null,
	decided_at           timestamptz,
	decided_by           text,
	decision_reason      text not null default '',
	sent_at              timestamptz,
	done_at              timestamptz,
	settled_at           timestamptz,
	status_at            timestamptz not null,
	provider_transaction text not null default '',
	provider_reason      text not null default '',
	next_inquiry_at      timestamptz,
	inquiries            integer not null default 0,
	idempotency_key      text,
	request_hash         bytea not null check (length(request_hash) = 32),
	stage                text not null default '' constraint refund_stage check (stage in ('', 'M1', 'M2', 'M3', 'M4', 'M5')),
	constraint refund_dossier foreign key (dossier_id, authority) references dossiers.dossier (id, authority),
	constraint refund_payment foreign key (payment_id, authority) references payments.payment (id, authority),
	constraint refund_capture foreign key (capture_id, authority) references payments.capture (id, authority),
	constraint refund_merchant foreign key (merchant_account_id, authority) references merchants.account (id, authority),
	constraint refund_reference unique (reference),
	constraint refund_idempotency_key unique (authority, idempotency_key),
	constraint refund_identity unique (id, authority),
	-- money that came straight into a bank account has no provider to give it back
	constraint refund_without_merchant check (merchant_account_id is not null or route <> 'provider'),
	-- the maker is never the checker, and nothing leaves undecided
	constraint refund_maker_is_not_checker check (decided_by is null or decided_by <> requested_by),
	constraint refund_decided check (status = 'requested' or decided_by is not null)
);
create index refund_by_dossier on refunds.refund (dossier_id, requested_at);
create index refund_by_payment on refunds.refund (payment_id);
create index refund_by_capture on refunds.refund (capture_id);
create index refund_by_merchant on refunds.refund (merchant_account_id);
create index refund_listed on refunds.refund (authority, id desc);
create index refund_by_status on refunds.refund (authority, status, id desc);
-- a settlement row names a refund by the provider's own number
create index refund_by_transaction on refunds.refund (merchant_account_id, provider_transaction) where provider_transaction <> '';
create index refund_due on refunds.refund (next_inquiry_at) where next_inquiry_at is not null;
create index refund_unsent on refunds.refund (status_at) where status = 'reserved' and route = 'provider';
-- the program proposes a refund of its own accord once; the decision about it stands
create unique index refund_proposed_once on refunds.refund (capture_id, reason) where origin = 'automatic';
create index refund_open on refunds.refund (authority, provider) where settled_at is null;
call app.protect('refunds.refund');
grant select, insert on refunds.refund to doisoat_app;
grant update (status, stage, route, status_at, decided_at, decided_by, decision_reason, sent_at, done_at, settled_at, provider_transaction,
	provider_reason, next_inquiry_at, inquiries) on refunds.refund to doisoat_app;

-- The money that a refund gives back: of a charge, or of the excess when no
-- charge is named. The application appends.
create table refunds.item (
	refund_id uuid not null,
	line      smallint not null check (line >= 1),
	authority text not null,
	charge_id uuid,
	amount    bigint not null check (amount > 0),
	primary key (refund_id, line),
	constraint item_charge_once unique nulls not distinct (refund_id, charge_id),
	constraint item_refund foreign key (refund_id, authority) references refunds.refund (id, authority),
	constraint item_charge foreign key (charge_id, authority) references dossiers.charge (id, authority)
);
create index item_by_charge on refunds.item (charge_id) where charge_id is not null;
call app.protect('refunds.item');
call app.append_only('refunds.item');
grant select, insert on refunds.item to doisoat_app;

-- The documents by which a refund was paid, or came back. A document carries a
-- refund out, or brings it back, once: the request that recorded it may come
-- again after the refund bounced and was paid a second time. The application appends.
create table refunds.document (
	refund_id     uuid not null,
	seq           smallint not null check (seq >= 1),
	authority     text not null,
	act           text not null constraint document_act check (act in ('paid', 'returned')),
	number        text not null check (number <> ''),
	document_date date not null,
	account       text not null, -- the bank account that paid or received; empty: all of it at the treasury
	recorded_at   timestamptz not null,
	recorded_by   text not null check (recorded_by <> ''),
	primary key (refund_id, seq),
	constraint document_once unique (refund_id, act, number, document_date),
	constraint document_refund foreign key (refund_id, authority) references refunds.refund (id, authority)
);
create index document_by_account on refunds.document (authority, account, document_date);
call app.protect('refunds.document');
call app.append_only('refunds.document');
grant select, insert on refunds.document to doisoat_app;

-- The sweeps look for due work across authorities; they learn ids and nothing more.
-- +goose StatementBegin
create function refunds.due_for_inquiry(at timestamptz, most integer) returns table (authority text, refund_id uuid)
	language sql stable security definer set search_path = pg_catalog
	begin atomic
		select r.authority, r.id from refunds.refund r
		where r.next_inquiry_at <= at
		order by r.next_inquiry_at limit most;
	end;
-- +goose StatementEnd
revoke all on function refunds.due_for_inquiry(timestamptz, integer) from public;
grant execute on function refunds.due_for_inquiry(timestamptz, integer) to doisoat_app;

-- +goose StatementBegin
create function refunds.due_for_sending(before timestamptz, most integer) returns table (authority text, refund_id uuid)
	language sql stable security definer set search_path = pg_catalog
	begin atomic
		select r.authority, r.id from refunds.refund r
		where r.status = 'reserved' and r.route = 'provider' and r.status_at <= before
		order by r.status_at limit most;
	end;
-- +goose StatementEnd
revoke all on function refunds.due_for_sending(timestamptz, integer) from public;
grant execute on function refunds.due_for_sending(timestamptz, integer) to doisoat_app;
