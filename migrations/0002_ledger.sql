-- The double-entry book. Entries and postings are appended and never change;
-- the database itself refuses what does not balance.

-- +goose Up
create schema ledger;
grant usage on schema ledger to doisoat_app;

-- One account per authority, code and currency. memo accounts are off balance.
create table ledger.account (
	id         bigint generated always as identity primary key,
	authority  text not null references auth.authority (code),
	code       text not null check (code ~ '^[ALEM]-[A-Za-z0-9_.:-]{1,60}$'),
	currency   text not null check (currency ~ '^[A-Z]{3}$'),
	class      text not null constraint account_class check (class in ('asset', 'liability', 'expense', 'memo')),
	normal     text not null constraint account_normal check (normal in ('D', 'C')),
	memo       boolean not null generated always as (class = 'memo') stored,
	created_at timestamptz not null default now(),
	constraint account_class_of_code check (left(code, 1) = case class when 'asset' then 'A' when 'liability' then 'L' when 'expense' then 'E' else 'M' end),
	constraint account_code unique (authority, code, currency),
	-- postings refer to this key, so that a posting cannot disagree with its account
	constraint account_identity unique (id, authority, currency, memo)
);
call app.protect('ledger.account');
call app.append_only('ledger.account');
grant select, insert on ledger.account to doisoat_app;

create table ledger.entry (
	id            uuid primary key,
	authority     text not null references auth.authority (code),
	business_date date not null,
	recorded_at   timestamptz not null,
	cause_kind    text not null check (cause_kind <> ''),
	cause_id      text not null check (cause_id <> ''),
	cause_event   text not null check (cause_event <> ''),
	description   text not null,
	actor         text not null check (actor <> ''),
	reverses      uuid,
	reason        text not null default '',
	lines         smallint not null check (lines >= 2),
	digest        bytea not null check (length(digest) = 32),
	-- the writing transaction: postings must come from the same one
	tx            xid8 not null default pg_current_xact_id(),
	constraint entry_cause unique (authority, cause_kind, cause_id, cause_event),
	constraint entry_reversed_once unique (reverses),
	constraint entry_reverses foreign key (reverses) references ledger.entry (id),
	constraint entry_reversal_has_reason check (reverses is null or reason <> ''),
	constraint entry_identity unique (id, authority, business_date)
);
create index entry_date on ledger.entry (authority, business_date, id);
call app.protect('ledger.entry');
call app.append_only('ledger.entry');
grant select on ledger.entry to doisoat_app;
-- all but tx: the database says which transaction writes
grant insert (id, authority, business_date, recorded_at, cause_kind, cause_id, cause_event, description, actor, reverses,
	reason, lines, digest) on ledger.entry to doisoat_app;

create table ledger.posting (
	entry_id      uuid not null,
	line          smallint not null check (line >= 1),
	authority     text not null,
	business_date date not null,
	account_id    bigint not null,
	side          text not null constraint posting_side check (side in ('D', 'C')),
	amount        bigint not null constraint posting_amount check (amount > 0),
	currency      text not null,
	memo          boolean not null,
	dossier_id    uuid,
	payment_id    uuid,
	refund_id     uuid,
	charge_id     uuid,
	fee_type      text,
	policy        text,
	primary key (entry_id, line),
	constraint posting_entry foreign key (entry_id, authority, business_date)
		references ledger.entry (id, authority, business_date),
	constraint posting_account foreign key (account_id, authority, currency, memo)
		references ledger.account (id, authority, currency, memo)
);
create index posting_by_account on ledger.posting (account_id, business_date, entry_id, line);
create index posting_by_dossier on ledger.posting (dossier_id, entry_id) where dossier_id is not null;
create index posting_by_payment on ledger.posting (payment_id) where payment_id is not null;
create index posting_by_refund on ledger.posting (refund_id) where refund_id is not null;
call app.protect('ledger.posting');
call app.append_only('ledger.posting');
grant select, insert on ledger.posting to doisoat_app;

-- Every statement that inserts postings must bring whole, balanced entries of
-- its own transaction: real and memo postings balance each on their own, per
-- currency. One set-based look per statement, whatever the number of rows.
-- A finished entry has every line that it announced, so a line beyond them
-- comes late, also in a restored book where tx says nothing.
-- +goose StatementBegin
create function ledger.check_postings() returns trigger language plpgsql as $$
declare
	bad uuid;
begin
	select p.entry_id into bad
	from new_postings p
	group by p.entry_id, p.currency, p.memo
	having sum(case p.side when 'D' then p.amount else -p.amount end) <> 0
	limit 1;
	if found then
		raise exception 'entry % does not balance', bad
			using errcode = 'check_violation', constraint = 'posting_balanced';
	end if;
	select p.entry_id into bad
	from new_postings p join ledger.entry e on e.id = p.entry_id
	where e.tx <> pg_current_xact_id() or p.line > e.lines
	limit 1;
	if found then
		raise exception 'entry % is finished: postings come with their entry', bad
			using errcode = 'check_violation', constraint = 'posting_with_entry';
	end if;
	return null;
end
$$;
-- +goose StatementEnd
create trigger check_postings after insert on ledger.posting
	referencing new table as new_postings
	for each statement execute function ledger.check_postings();
alter table ledger.posting enable always trigger check_postings;

-- At commit an entry has exactly the postings that it announced.
-- +goose StatementBegin
create function ledger.check_entry() returns trigger language plpgsql as $$
begin
	if (select count(*) from ledger.posting p where p.entry_id = new.id) <> new.lines then
		raise exception 'entry % does not have its % postings', new.id, new.lines
			using errcode = 'check_violation', constraint = 'entry_complete';
	end if;
	return null;
end
$$;
-- +goose StatementEnd
create constraint trigger check_entry after insert on ledger.entry
	deferrable initially deferred
	for each row execute function ledger.check_entry();
alter table ledger.entry enable always trigger check_entry;

-- Closed days refuse entries. A poster holds a shared advisory lock on the
-- day until it commits and a closer takes it exclusively, so no entry slips in
-- between the last look at a day's totals and its closing.
create table ledger.closed_day (
	authority     text not null references auth.authority (code),
	business_date date not null,
	closed_at     timestamptz not null,
	closed_by     text not null,
	primary key (authority, business_date)
);
call app.protect('ledger.closed_day');
call app.append_only('ledger.closed_day');
grant select, insert on ledger.closed_day to doisoat_app;

-- +goose StatementBegin
create function ledger.day_lock(authority text, business_date date) returns bigint
	language sql immutable
	-- the day as a number: how a date is written depends on the session
	return hashtextextended(authority || ' ' || (business_date - date '2000-01-01')::text, 20231107);
-- +goose StatementEnd

-- +goose StatementBegin
create function ledger.refuse_closed_day() returns trigger language plpgsql as $$
begin
	perform pg_advisory_xact_lock_shared(ledger.day_lock(new.authority, new.business_date));
	if exists (select from ledger.closed_day c
	           where c.authority = new.authority and c.business_date = new.business_date) then
		raise exception 'business date % of % is closed', new.business_date, new.authority
			using errcode = 'check_violation', constraint = 'entry_day_open';
	end if;
	return new;
end
$$;
-- +goose StatementEnd
create trigger refuse_closed_day before insert on ledger.entry
	for each row execute function ledger.refuse_closed_day();
alter table ledger.entry enable always trigger refuse_closed_day;

-- +goose StatementBegin
create function ledger.lock_day_for_closing() returns trigger language plpgsql as $$
begin
	perform pg_advisory_xact_lock(ledger.day_lock(new.authority, new.business_date));
	return new;
end
$$;
-- +goose StatementEnd
create trigger lock_day_for_closing before insert on ledger.closed_day
	for each row execute function ledger.lock_day_for_closing();
