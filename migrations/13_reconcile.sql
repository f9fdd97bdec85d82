-- Reconcile: the book against the statements of banks and providers. Files and
-- lines are kept as they came; matches and breaks say how each was judged.

-- +goose Up
create schema reconcile;
grant usage on schema reconcile to doisoat_app;

-- The issuer of statements: a provider (settlement) or a bank account (bank). The
-- application appends.
create table reconcile.source (
	id         uuid primary key,
	authority  text not null references auth.authority (code),
	code       text not null check (code ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$'),
	kind       text not null constraint source_kind check (kind in ('settlement', 'bank')),
	provider   text not null default '',
	account    text not null default '', -- bank: the account; settlement: the merchant's terminal, or any
	profile    text not null default '', -- settlement: mapping profile, or found out
	currency   text not null check (currency ~ '^[A-Z]{3}$'),
	created_at timestamptz not null,
	created_by text not null,
	constraint source_code unique (authority, code),
	constraint source_identity unique (id, authority),
	constraint source_names_its_issuer check (case kind when 'bank' then account <> '' else provider <> '' end)
);
-- two sources of one account would count its money twice
create unique index source_one_per_bank_account on reconcile.source (authority, account) where kind = 'bank';
create unique index source_one_per_terminal on reconcile.source (authority, provider, account) where kind = 'settlement';
call app.protect('reconcile.source');
grant select, insert on reconcile.source to doisoat_app;

-- One file. The bytes are ciphertext, because they hold names and texts of payers.
-- The application appends.
create table reconcile.statement (
	id              uuid primary key,
	authority       text not null,
	source_id       uuid not null,
	status           text not null constraint statement_status check (status in
		('accepted', 'partial', 'rejected')),
	file_name       text not null,
	format          text not null,
	profile         text not null default '',
	sha256          bytea not null check (length(sha256) = 32),
	size            bigint not null check (size >= 0),
	file            bytea not null,
	period_from     date,
	period_to       date,
	opening         bigint,
	closing         bigint,
	rows_accepted   integer not null check (rows_accepted >= 0), -- rows of the file that are good
	rows_known      integer not null check (rows_known >= 0),    -- good rows that an earlier file already brought
	rows_refused    integer not null check (rows_refused >= 0),
	totals          jsonb not null,
	problems        jsonb not null,
	received_at     timestamptz not null,
	received_by     text not null,
	idempotency_key text,
	constraint statement_source foreign key (source_id, authority) references reconcile.source (id, authority),
	constraint statement_once unique (source_id, sha256),
	constraint statement_idempotency_key unique (authority, idempotency_key),
	constraint statement_identity unique (id, authority)
);
create index statement_listed on reconcile.statement (authority, id desc);
create index statement_listed_by_source on reconcile.statement (authority, source_id, id desc);
create index statement_by_period on reconcile.statement (source_id, period_to);
call app.protect('reconcile.statement');
call app.append_only('reconcile.statement');
grant select, insert on reconcile.statement to doisoat_app;

-- A run reconciles one source and business date (ADR 0007). The application moves
-- its status and closes it with a report.
create table reconcile.run (
	id            uuid primary key,
	authority     text not null,
	source_id     uuid not null,
	business_date date not null,
	number        smallint not null check (number >= 1),
	status        text not null constraint run_status check (status in ('open', 'matching', 'review', 'closed')),
	currency      text not null,
	created_at    timestamptz not null,
	created_by    text not null,
	matched_at    timestamptz,
	closed_at     timestamptz,
	closed_by     text,
	report        jsonb,
	constraint run_source foreign key (source_id, authority) references reconcile.source (id, authority),
	constraint run_number unique (source_id, business_date, number),
	constraint run_identity unique (id, authority),
	constraint run_closed_with_report check ((status = 'closed') = (closed_at is not null and closed_by is not null and report is not null))
);
create unique index run_one_open on reconcile.run (source_id, business_date) where status <> 'closed';
create index run_listed on reconcile.run (authority, id desc);
create index run_listed_by_source on reconcile.run (authority, source_id, id desc);
create index run_by_date on reconcile.run (authority, business_date);
call app.protect('reconcile.run');
grant select, insert on reconcile.run to doisoat_app;
grant update (status, matched_at, closed_at, closed_by, report) on reconcile.run to doisoat_app;

-- A closed run never changes: later findings belong to later runs.
-- +goose StatementBegin
create function reconcile.refuse_reopening() returns trigger language plpgsql as $$
begin
	raise exception 'run % is closed', old.id using errcode = 'restrict_violation', constraint = 'run_closed_for_good';
end
$$;
-- +goose StatementEnd
create trigger refuse_reopening before update on reconcile.run
	for each row when (old.status = 'closed') execute function reconcile.refuse_reopening();
alter table reconcile.run enable always trigger refuse_reopening;

-- One row of a statement. Equal rows differ in their ordinal within one
-- file, so that files which overlap give the union. A line counts in exactly
-- one run of its source, and a settlement line in one run of a bank as well
-- (payout_run_id), where its batch is looked for. The application moves the runs
-- and the marks of matching.
create table reconcile.statement_line (
	id             uuid primary key,
	authority      text not null,
	source_id      uuid not null,
	statement_id   uuid not null,
	row            integer not null,
	line_key       bytea not null check (length(line_key) = 32),
	ordinal        integer not null check (ordinal >= 1),
	account        text not null default '',
	business_date  date not null,
	booking_date   date,
	value_date     date,
	occurred_at    timestamptz,
	kind           text not null, -- empty: the file used an unknown word
	booked         boolean not null,
	amount         bigint not null, -- minor units, credit +; of a settlement row the gross amount
	fee            bigint not null default 0,
	fee_vat        bigint not null default 0,
	net            bigint not null,
	currency       text not null,
	reference      text not null default '',
	transaction_id text not null default '',
	original_id    text not null default '',
	bank_ref       text not null default '',
	batch_id       text not null default '',
	codes          text[] not null default '{}', -- payment references found in the content
	content        bytea,                        -- ciphertext: transfer text and other party
	run_id         uuid,
	payout_run_id  uuid,
	matched        boolean not null default false, -- in a live match as a line
	paid_out       boolean not null default false, -- in a live match as part of a batch
	suspense_entry uuid,                         -- live entry that holds the money of an unmatched bank line
	suspensions    smallint not null default 0,
	constraint statement_line_source foreign key (source_id, authority) references reconcile.source (id, authority),
	constraint statement_line_statement foreign key (statement_id, authority) references reconcile.statement (id, authority),
	constraint statement_line_run foreign key (run_id, authority) references reconcile.run (id, authority),
	constraint statement_line_payout_run foreign key (payout_run_id, authority) references reconcile.run (id, authority),
	constraint statement_line_once unique (source_id, line_key, ordinal),
	constraint statement_line_identity unique (id, authority)
);
create index statement_line_by_statement on reconcile.statement_line (statement_id, row, id);
create index statement_line_by_run on reconcile.statement_line (run_id) where run_id is not null;
create index statement_line_by_payout_run on reconcile.statement_line (payout_run_id) where payout_run_id is not null;
create index statement_line_open on reconcile.statement_line (source_id, business_date) where not matched;
create index statement_line_unpaid on reconcile.statement_line (source_id, business_date) where not paid_out and booked and batch_id <> '';
create index statement_line_by_source on reconcile.statement_line (source_id, run_id) where run_id is null;
call app.protect('reconcile.statement_line');
grant select, insert on reconcile.statement_line to doisoat_app;
grant update (run_id, payout_run_id, matched, paid_out, suspense_entry, suspensions) on reconcile.statement_line to doisoat_app;

-- The items of the book that a run accounts for: captures, refunds and money in
-- transit. Money in transit is known by the entry that put it on A-TRANSIT, the
-- document of a refund or an approved voucher; a bank line ends it, once. Each
-- item counts in exactly one run: the first that looked for it. The application appends.
create table reconcile.book_item (
	id            uuid primary key, -- of the capture, refund or entry
	authority     text not null,
	run_id        uuid not null,
	capture_id    uuid,
	refund_id     uuid,
	amount        bigint not null check (amount <> 0), -- refunds are negative
	transit_id    uuid constraint book_item_transit references ledger.entry (id),
	constraint book_item_run foreign key (run_id, authority) references reconcile.run (id, authority),
	constraint book_item_capture foreign key (capture_id, authority) references payments.capture (id, authority),
	constraint book_item_refund foreign key (refund_id, authority) references refunds.refund (id, authority),
	constraint book_item_one check (
		num_nonnulls(capture_id, refund_id, transit_id) = 1 and id = coalesce(capture_id, refund_id, transit_id))
);
create index book_item_by_run on reconcile.book_item (run_id);
create index book_item_by_capture on reconcile.book_item (capture_id) where capture_id is not null;
create index book_item_by_refund on reconcile.book_item (refund_id) where refund_id is not null;
create index book_item_by_transit on reconcile.book_item (transit_id) where transit_id is not null;
call app.protect('reconcile.book_item');
call app.append_only('reconcile.book_item');
grant select, insert on reconcile.book_item to doisoat_app;

-- Lines and book items judged to be the same money, with the rule, its version
-- and its inputs. The application revokes a match; the rest never changes.
create table reconcile.match (
	id            uuid primary key,
	authority     text not null,
	run_id        uuid not null,
	lane          text not null constraint match_lane check (lane in
		('settlement', 'refund', 'payout', 'transfer', 'transit', 'identified')),
	rule          text not null check (rule <> ''),
	version       smallint not null check (version >= 1),
	kind          text not null constraint match_kind check (kind in ('exact', 'rule', 'grouped', 'manual')),
	score         smallint not null check (score between 0 and 100),
	inputs        jsonb not null,
	amount        bigint not null, -- sum of its lines
	currency      text not null,
	entry_id      uuid,            -- the entry that it posted, if any
	created_at    timestamptz not null,
	created_by    text not null,
	revoked_at    timestamptz,
	revoked_by    text,
	revoke_reason text not null default '',
	constraint match_run foreign key (run_id, authority) references reconcile.run (id, authority),
	constraint match_identity unique (id, authority),
	constraint match_revoked_with_reason check ((revoked_at is null) = (revoked_by is null) and (revoked_at is null) = (revoke_reason = ''))
);
create index match_by_run on reconcile.match (run_id, id);
create index match_listed on reconcile.match (authority, id desc);
call app.protect('reconcile.match');
grant select, insert on reconcile.match to doisoat_app;
grant update (revoked_at, revoked_by, revoke_reason) on reconcile.match to doisoat_app;

-- Each line and each book item is in at most one live match. A settlement line
-- is a line towards captures, and a book item towards the bank's sum. The
-- application ends live.
create table reconcile.match_item (
	match_id   uuid not null,
	authority  text not null,
	side       text not null constraint match_item_side check (side in ('line', 'book')),
	capture_id uuid,
	refund_id  uuid,
	line_id    uuid,
	amount     bigint not null,
	live       boolean not null default true,
	transit_id uuid constraint match_item_transit references ledger.entry (id),
	constraint match_item_match foreign key (match_id, authority) references reconcile.match (id, authority),
	constraint match_item_capture foreign key (capture_id, authority) references payments.capture (id, authority),
	constraint match_item_refund foreign key (refund_id, authority) references refunds.refund (id, authority),
	constraint match_item_line foreign key (line_id, authority) references reconcile.statement_line (id, authority),
	constraint match_item_one check (
		num_nonnulls(capture_id, refund_id, line_id, transit_id) = 1 and (side = 'book' or line_id is not null))
);
create index match_item_by_match on reconcile.match_item (match_id);
create index match_item_by_line on reconcile.match_item (line_id) where line_id is not null;
create index match_item_by_capture on reconcile.match_item (capture_id) where capture_id is not null;
create index match_item_by_refund on reconcile.match_item (refund_id) where refund_id is not null;
create index match_item_by_transit on reconcile.match_item (transit_id) where transit_id is not null;
create unique index match_item_line_once on reconcile.match_item (line_id, side) where live and line_id is not null;
create unique index match_item_capture_once on reconcile.match_item (capture_id) where live and capture_id is not null;
create unique index match_item_refund_once on reconcile.match_item (refund_id) where live and refund_id is not null;
create unique index match_item_transit_once on reconcile.match_item (transit_id) where live and transit_id is not null;
call app.protect('reconcile.match_item');
grant select, insert on reconcile.match_item to doisoat_app;
grant update (live) on reconcile.match_item to doisoat_app;

-- A difference of one closed kind. A break that holds is where an unmatched
-- line, item or batch counts in the money identity, and each is held once; other
-- breaks (a wrong fee on a matched row, a gap between statements) only report.
-- The application moves status and amounts.
create table reconcile.break (
	id              uuid primary key,
	authority       text not null,
	run_id          uuid not null,
	source_id       uuid not null,
	kind            text not null constraint break_kind check (kind in ('missing_in_book', 'missing_at_source', 'amount_mismatch',
		'fee_mismatch', 'status_mismatch', 'duplicate', 'unidentified', 'refund_unmatched', 'balance_break')),
	status           text not null constraint break_status check (status in ('open', 'carried', 'resolved')),
	holds           boolean not null,
	line_id         uuid,
	capture_id      uuid,
	refund_id       uuid,
	payment_id      uuid,
	statement_id    uuid,
	batch_source_id uuid,
	batch_account   text not null default '',
	batch_id        text not null default '',
	amount          bigint not null,
	source_amount   bigint,
	book_amount     bigint,
	currency        text not null,
	detail          text not null, -- for people; no personal data
	created_at      timestamptz not null,
	resolved_at     timestamptz,
	resolution      text not null default '',
	transit_id      uuid constraint break_transit references ledger.entry (id),
	constraint break_run foreign key (run_id, authority) references reconcile.run (id, authority),
	constraint break_source foreign key (source_id, authority) references reconcile.source (id, authority),
	constraint break_line foreign key (line_id, authority) references reconcile.statement_line (id, authority),
	constraint break_capture foreign key (capture_id, authority) references payments.capture (id, authority),
	constraint break_refund foreign key (refund_id, authority) references refunds.refund (id, authority),
	constraint break_payment foreign key (payment_id, authority) references payments.payment (id, authority),
	constraint break_statement foreign key (statement_id, authority) references reconcile.statement (id, authority),
	constraint break_batch_source foreign key (batch_source_id, authority) references reconcile.source (id, authority),
	constraint break_resolved check ((status = 'resolved') = (resolved_at is not null))
);
create unique index break_one_per_line on reconcile.break (line_id, kind) where status <> 'resolved' and line_id is not null;
create unique index break_one_per_capture on reconcile.break (capture_id, kind) where status <> 'resolved' and capture_id is not null;
create unique index break_one_per_refund on reconcile.break (refund_id, kind) where status <> 'resolved' and refund_id is not null;
create unique index break_one_per_statement on reconcile.break (statement_id, kind) where status <> 'resolved' and statement_id is not null;
create unique index break_one_per_transit on reconcile.break (transit_id, kind) where status <> 'resolved' and transit_id is not null;
create unique index break_holds_line_once on reconcile.break (line_id) where status <> 'resolved' and holds and line_id is not null;
create unique index break_holds_capture_once on reconcile.break (capture_id)
	where status <> 'resolved' and holds and capture_id is not null;
create unique index break_holds_refund_once on reconcile.break (refund_id) where status <> 'resolved' and holds and refund_id is not null;
create unique index break_holds_transit_once on reconcile.break (transit_id)
	where status <> 'resolved' and holds and transit_id is not null;
create unique index break_holds_batch_once on reconcile.break (batch_source_id, batch_account, batch_id)
	where status <> 'resolved' and holds and batch_source_id is not null;
create index break_by_run on reconcile.break (run_id, id);
create index break_listed on reconcile.break (authority, id desc);
create index break_listed_by_source on reconcile.break (authority, source_id, id desc);
create index break_listed_by_kind on reconcile.break (authority, kind, id desc);
create index break_listed_by_status on reconcile.break (authority, status, id desc);
-- a run reads the live ones alone
create index break_by_source on reconcile.break (source_id) where status <> 'resolved';
create index break_by_line on reconcile.break (line_id) where line_id is not null;
create index break_by_capture on reconcile.break (capture_id) where capture_id is not null;
create index break_by_refund on reconcile.break (refund_id) where refund_id is not null;
create index break_by_transit on reconcile.break (transit_id) where transit_id is not null;
create index break_by_payment on reconcile.break (payment_id) where payment_id is not null;
create index break_by_statement on reconcile.break (statement_id) where statement_id is not null;
create index break_by_batch on reconcile.break (batch_source_id) where batch_source_id is not null;
call app.protect('reconcile.break');
grant select, insert on reconcile.break to doisoat_app;
grant update (status, amount, source_amount, book_amount, detail, resolved_at, resolution)
	on reconcile.break to doisoat_app;

-- Automatic repairs: the question that a line gave rise to, and its outcome. The
-- row is written before the call, so the daily caps hold after every failure.
-- The application records the outcome.
create table reconcile.repair (
	id          uuid primary key,
	authority   text not null references auth.authority (code),
	run_id      uuid not null,
	line_id     uuid not null,
	payment_id  uuid not null,
	kind        text not null constraint repair_kind check (kind in ('missed_success', 'lost_notice')),
	amount      bigint not null check (amount > 0),
	currency    text not null,
	asked_at    timestamptz not null,
	asked_on    date not null,
	outcome     text not null constraint repair_outcome check (outcome in ('asked', 'recorded', 'not_confirmed', 'failed')),
	evidence    jsonb,
	answered_at timestamptz,
	constraint repair_run foreign key (run_id, authority) references reconcile.run (id, authority),
	constraint repair_line foreign key (line_id, authority) references reconcile.statement_line (id, authority),
	constraint repair_payment foreign key (payment_id, authority) references payments.payment (id, authority),
	constraint repair_once unique (line_id)
);
create index repair_by_day on reconcile.repair (authority, asked_on);
create index repair_by_run on reconcile.repair (run_id);
create index repair_by_payment on reconcile.repair (payment_id);
call app.protect('reconcile.repair');
grant select, insert on reconcile.repair to doisoat_app;
grant update (run_id, asked_at, asked_on, outcome, evidence, answered_at) on reconcile.repair to doisoat_app;

-- A maker says that a suspended credit pays a dossier, a checker decides once.
create table reconcile.identification (
	id          uuid primary key,
	authority   text not null,
	line_id     uuid not null,
	dossier_id  uuid not null,
	amount      bigint not null check (amount > 0),
	currency    text not null check (currency ~ '^[A-Z]{3}$'),
	reason      text not null check (reason <> ''),
	status       text not null default 'proposed'
		constraint identification_status check (status in ('proposed', 'approved', 'rejected')),
	proposed_at timestamptz not null,
	proposed_by text not null check (proposed_by <> ''),
	decided_at  timestamptz,
	decided_by  text,
	note        text not null default '',
	capture_id  uuid,
	constraint identification_line foreign key (line_id, authority) references reconcile.statement_line (id, authority),
	constraint identification_dossier foreign key (dossier_id, authority) references dossiers.dossier (id, authority),
	constraint identification_capture foreign key (capture_id, authority) references payments.capture (id, authority),
	constraint identification_decided check
		((status = 'proposed') = (decided_by is null) and (decided_by is null) = (decided_at is null)),
	constraint identification_captured check ((status = 'approved') = (capture_id is not null)),
	constraint identification_rejected_with_reason check (status <> 'rejected' or note <> ''),
	constraint identification_maker_is_not_checker check (decided_by <> proposed_by)
);
-- a line waits for one decision at a time and is identified once, for good
create unique index identification_once on reconcile.identification (line_id) where status <> 'rejected';
create index identification_by_line on reconcile.identification (line_id);
create index identification_by_dossier on reconcile.identification (dossier_id);
create unique index identification_by_capture on reconcile.identification (capture_id) where capture_id is not null;
create index identification_by_status on reconcile.identification (authority, status, id desc);
create index identification_listed on reconcile.identification (authority, id desc);
call app.protect('reconcile.identification');
grant select, insert on reconcile.identification to doisoat_app;
grant update (status, decided_at, decided_by, note, capture_id) on reconcile.identification to doisoat_app;

-- +goose StatementBegin
create function reconcile.guard_identification() returns trigger language plpgsql as $$
begin
	if tg_op <> 'UPDATE' or old.status <> 'proposed' then
		raise exception 'an identification is decided once and stays'
			using errcode = 'restrict_violation', constraint = 'identification_decided_once';
	end if;
	return new;
end
$$;
-- +goose StatementEnd
create trigger guard_identification before update or delete on reconcile.identification
	for each row execute function reconcile.guard_identification();
alter table reconcile.identification enable always trigger guard_identification;
create trigger append_only_truncate before truncate on reconcile.identification
	for each statement execute function app.refuse_change();
alter table reconcile.identification enable always trigger append_only_truncate;
