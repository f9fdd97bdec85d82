-- Payments: money coming in. The payment's reference and the attempt are stored
-- before a provider is called; every message of a provider is kept.

-- +goose Up
create schema payments;
grant usage on schema payments to doisoat_app;

-- A payment: a dossier asks a payer for an amount, through a provider. Money that
-- came into a bank account unasked has no merchant account. The application
-- moves the status and the sums.
create table payments.payment (
	id                  uuid primary key,
	authority           text not null references auth.authority (code),
	dossier_id          uuid not null,
	merchant_account_id uuid,
	provider            text not null,
	reference           text not null check (reference ~ '^[A-Z0-9]{12}$'),
	amount              bigint not null constraint payment_amount check (amount > 0),
	currency            text not null,
	status              text not null constraint payment_status check (status in
		('pending', 'unknown', 'captured', 'settled', 'failed', 'expired', 'cancelled')),
	captured            bigint not null default 0 check (captured >= 0),
	refund_reserved     bigint not null default 0,
	checkout            jsonb,
	return_url          text not null default '',
	locale              text not null default 'vi',
	created_at          timestamptz not null,
	created_by          text not null,
	expires_at          timestamptz not null,
	status_at           timestamptz not null,
	reason              text not null default '', -- the provider's code behind the status
	next_inquiry_at     timestamptz,
	inquiries           integer not null default 0,
	idempotency_key     text,
	request_hash        bytea not null check (length(request_hash) = 32),
	constraint payment_dossier foreign key (dossier_id, authority) references dossiers.dossier (id, authority),
	constraint payment_merchant foreign key (merchant_account_id, authority) references merchants.account (id, authority),
	constraint payment_reference unique (reference),
	constraint payment_idempotency_key unique (authority, idempotency_key),
	constraint payment_identity unique (id, authority),
	constraint payment_without_merchant check ((merchant_account_id is null) = (provider = 'bank')),
	-- money given back never exceeds money taken
	constraint payment_refund_cap check (refund_reserved between 0 and captured)
);
create unique index payment_one_live_per_dossier on payments.payment (dossier_id) where status in ('pending', 'unknown');
create index payment_by_dossier on payments.payment (dossier_id, created_at);
create index payment_by_merchant on payments.payment (merchant_account_id);
create index payment_listed on payments.payment (authority, id desc);
-- people look for rare statuses, newest first
create index payment_by_status on payments.payment (authority, status, id desc);
create index payment_due on payments.payment (next_inquiry_at) where next_inquiry_at is not null;
call app.protect('payments.payment');
grant select, insert on payments.payment to doisoat_app;
grant update (status, status_at, captured, refund_reserved, checkout, reason, next_inquiry_at, inquiries)
	on payments.payment to doisoat_app;

-- The charges that a payment asks for. The application appends.
create table payments.payment_charge (
	payment_id uuid not null,
	charge_id  uuid not null,
	authority  text not null,
	amount     bigint not null check (amount > 0),
	primary key (payment_id, charge_id),
	constraint payment_charge_payment foreign key (payment_id, authority) references payments.payment (id, authority),
	constraint payment_charge_charge foreign key (charge_id, authority) references dossiers.charge (id, authority)
);
create index payment_charge_by_charge on payments.payment_charge (charge_id);
call app.protect('payments.payment_charge');
call app.append_only('payments.payment_charge');
grant select, insert on payments.payment_charge to doisoat_app;

-- An attempt to create the payment with its provider. The application moves the status.
create table payments.attempt (
	id         uuid primary key,
	authority  text not null,
	payment_id uuid not null,
	number     smallint not null check (number >= 1),
	status     text not null constraint attempt_status check (status in
		('created', 'sent', 'captured', 'declined', 'expired', 'unknown')),
	created_at timestamptz not null,
	status_at  timestamptz not null,
	constraint attempt_payment foreign key (payment_id, authority) references payments.payment (id, authority),
	constraint attempt_number unique (payment_id, number)
);
call app.protect('payments.attempt');
grant select, insert on payments.attempt to doisoat_app;
grant update (status, status_at) on payments.attempt to doisoat_app;

-- A capture: the provider confirms that the payer's money is taken. Several may
-- reach one payment; money that no charge needs is excess and owed back. An
-- identified capture came straight into a bank account: its transaction is the
-- statement line, it has no merchant account, and no provider can give it back.
create table payments.capture (
	id                  uuid primary key,
	authority           text not null,
	payment_id          uuid not null,
	dossier_id          uuid not null,
	merchant_account_id uuid,
	provider            text not null,
	transaction_id      text not null check (transaction_id <> ''),
	bank_reference      text not null default '', -- as the bank or the provider wrote it
	bank_number         text not null default '', -- the bank's number in it, in one spelling
	amount              bigint not null check (amount > 0),
	currency            text not null,
	excess              bigint not null check (excess between 0 and amount),
	refund_reserved     bigint not null default 0,
	excess_reserved     bigint not null default 0,
	occurred_at         timestamptz not null,
	business_date       date not null, -- the provider's day
	evidence            text not null constraint capture_evidence check (evidence in ('callback', 'inquiry', 'statement', 'identified')),
	recorded_at         timestamptz not null,
	settled_at          timestamptz,
	constraint capture_payment foreign key (payment_id, authority) references payments.payment (id, authority),
	constraint capture_dossier foreign key (dossier_id, authority) references dossiers.dossier (id, authority),
	constraint capture_merchant foreign key (merchant_account_id, authority) references merchants.account (id, authority),
	constraint capture_without_merchant check ((merchant_account_id is null) = (evidence = 'identified')),
	constraint capture_once unique (merchant_account_id, transaction_id),
	constraint capture_identity unique (id, authority),
	constraint capture_refund_cap check (refund_reserved between 0 and amount),
	constraint capture_excess_cap check (excess_reserved between 0 and excess)
);
-- a statement line pays once
create unique index capture_identified_once on payments.capture (transaction_id) where merchant_account_id is null;
create index capture_by_payment on payments.capture (payment_id);
create index capture_by_dossier on payments.capture (dossier_id);
create index capture_open on payments.capture (authority, provider, business_date) where settled_at is null;
create index capture_by_bank_number on payments.capture (authority, bank_number) where bank_number <> '';
create index capture_by_bank_reference on payments.capture (authority, bank_reference) where bank_reference <> '';
call app.protect('payments.capture');
grant select, insert on payments.capture to doisoat_app;
grant update (refund_reserved, excess_reserved, settled_at) on payments.capture to doisoat_app;

-- The part of a capture that paid a charge, and how much of it is promised back.
-- The application moves the promise.
create table payments.allocation (
	capture_id      uuid not null,
	charge_id       uuid not null,
	authority       text not null,
	amount          bigint not null check (amount > 0),
	refund_reserved bigint not null default 0,
	primary key (capture_id, charge_id),
	constraint allocation_capture foreign key (capture_id, authority) references payments.capture (id, authority),
	constraint allocation_charge foreign key (charge_id, authority) references dossiers.charge (id, authority),
	constraint allocation_refund_cap check (refund_reserved between 0 and amount)
);
create index allocation_by_charge on payments.allocation (charge_id);
call app.protect('payments.allocation');
grant select, insert on payments.allocation to doisoat_app;
grant update (refund_reserved) on payments.allocation to doisoat_app;

-- Every verified message of a provider with the reply it got. The message is ciphertext,
-- because headers and bank texts hold secrets and names. A message that could
-- not be applied is kept with the reply our_error; a job applies it later and
-- adds a row of its own. The application appends.
create table payments.callback (
	id                  uuid primary key,
	authority           text not null,
	merchant_account_id uuid not null,
	provider            text not null,
	received_at         timestamptz not null,
	message             bytea not null,
	event_id            text,
	payment_id          uuid,
	reply               text not null constraint callback_reply check (reply in
		('stored', 'already_stored', 'unknown_order', 'wrong_amount', 'bad_message', 'our_error')),
	constraint callback_merchant foreign key (merchant_account_id, authority) references merchants.account (id, authority),
	constraint callback_payment foreign key (payment_id, authority) references payments.payment (id, authority)
);
create unique index callback_event on payments.callback (merchant_account_id, event_id) where reply = 'stored';
create index callback_by_payment on payments.callback (payment_id, received_at) where payment_id is not null;
-- an event that waits for its job waits once, however often its sender repeats it
create unique index callback_kept on payments.callback (merchant_account_id, event_id) where reply = 'our_error';
create index callback_by_event on payments.callback (merchant_account_id, event_id, reply) where event_id is not null;
create index callback_received on payments.callback (authority, received_at);
call app.protect('payments.callback');
call app.append_only('payments.callback');
grant select, insert on payments.callback to doisoat_app;

-- The first messages of an account on each day whose signature was missing or
-- wrong, for the person who looks for the cause: a rotated secret, a wrong clock,
-- an attack. Eight partitions take the days in turn, and a job truncates the
-- partition of a day that is a week old. The application appends.
create table payments.refused_callback (
	part                smallint not null,
	day                 date not null, -- of receipt, in Viet Nam
	merchant_account_id uuid not null,
	number              smallint not null constraint refused_callback_bound check (number between 0 and 49),
	authority           text not null,
	id                  uuid not null,
	provider            text not null,
	received_at         timestamptz not null,
	reason              text not null check (length(reason) <= 200),
	length              integer not null check (length >= 0), -- bytes of query and body
	hash                bytea not null check (length(hash) = 32), -- SHA-256 of query and body
	head                bytea not null check (length(head) <= 2200), -- ciphertext of the first 2 kB
	primary key (part, day, merchant_account_id, number),
	constraint refused_callback_part check (part = (day - date '2000-01-01') % 8),
	constraint refused_callback_merchant foreign key (merchant_account_id, authority) references merchants.account (id, authority)
) partition by list (part);
call app.protect('payments.refused_callback');
grant select, insert on payments.refused_callback to doisoat_app;

-- +goose StatementBegin
do $$
begin
	for n in 0..7 loop
		execute format('create table payments.refused_callback_%s partition of payments.refused_callback for values in (%s)', n, n);
		call app.protect(format('payments.refused_callback_%s', n)::regclass);
	end loop;
end
$$;
-- +goose StatementEnd

-- drop_refused_callbacks empties each part whose newest day is before the given
-- one, and returns how many parts held something. It never empties the last week.
-- +goose StatementBegin
create function payments.drop_refused_callbacks(before date) returns integer
	language plpgsql security definer set search_path = pg_catalog set lock_timeout = '2s' as $$
declare
	old     boolean;
	emptied integer := 0;
begin
	before := least(before, (now() at time zone 'Asia/Ho_Chi_Minh')::date - 6);
	for n in 0..7 loop
		execute format('select max(day) < $1 from payments.refused_callback_%s', n) into old using before;
		if old then
			execute format('truncate payments.refused_callback_%s', n);
			emptied := emptied + 1;
		end if;
	end loop;
	return emptied;
end
$$;
-- +goose StatementEnd
revoke all on function payments.drop_refused_callbacks(date) from public;
grant execute on function payments.drop_refused_callbacks(date) to doisoat_app;

-- The sweep looks for due work across authorities; it learns ids and nothing more.
-- +goose StatementBegin
create function payments.due_for_inquiry(at timestamptz, most integer) returns table (authority text, payment_id uuid)
	language sql stable security definer set search_path = pg_catalog
	begin atomic
		select p.authority, p.id from payments.payment p
		where p.next_inquiry_at <= at
		order by p.next_inquiry_at limit most;
	end;
-- +goose StatementEnd
revoke all on function payments.due_for_inquiry(timestamptz, integer) from public;
grant execute on function payments.due_for_inquiry(timestamptz, integer) to doisoat_app;
