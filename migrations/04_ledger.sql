-- The double-entry book. Entries and postings are appended and never change; the
-- database refuses an entry that does not balance. Nothing on the way of a
-- posting looks at more than one month: the facts that are unique over all
-- months, causes and reversals, have tables of their own.

-- +goose Up
create schema ledger;
grant usage on schema ledger to doisoat_app;

-- One account per authority, code and currency; memo accounts are off balance.
-- The application opens accounts; an account never changes.
create table ledger.account (
	id         bigint generated always as identity primary key,
	authority  text not null references auth.authority (code),
	code       text not null check (code ~ '^[ALEM]-[A-Za-z0-9_.:-]{1,60}$'),
	currency   text not null check (currency ~ '^[A-Z]{3}$'),
	class      text not null constraint account_class check (class in ('asset', 'liability', 'expense', 'memo')),
	normal     text not null constraint account_normal check (normal in ('D', 'C')),
	memo       boolean not null generated always as (class = 'memo') stored,
	created_at timestamptz not null default now(),
	constraint account_class_of_code check (left(code, 1) =
		case class when 'asset' then 'A' when 'liability' then 'L' when 'expense' then 'E' else 'M' end),
	constraint account_code unique (authority, code, currency),
	constraint account_identity unique (id, authority, currency, memo)
);
call app.protect('ledger.account');
call app.append_only('ledger.account');
grant select, insert on ledger.account to doisoat_app;

-- A proposal to close or reopen a business date: who wants it, why, and who
-- decided, another person. The application proposes, and decides once.
create table ledger.day_proposal (
	id            uuid primary key,
	authority     text not null references auth.authority (code),
	business_date date not null,
	change        text not null constraint day_proposal_change check (change in ('close', 'reopen')),
	reason        text not null constraint day_proposal_reason check (reason <> ''),
	status        text not null default 'proposed'
		constraint day_proposal_status check (status in ('proposed', 'approved', 'rejected')),
	proposed_at   timestamptz not null,
	proposed_by   text not null check (proposed_by <> ''),
	decided_at    timestamptz,
	decided_by    text,
	note          text not null default '',
	key           text, -- the caller's: the same again is the same proposal
	constraint day_proposal_key unique (authority, key),
	constraint day_proposal_decided check
		((status = 'proposed') = (decided_by is null) and (decided_by is null) = (decided_at is null)),
	constraint day_proposal_two_people check (decided_by <> proposed_by),
	constraint day_proposal_identity unique (id, authority, business_date, change, proposed_by)
);
create unique index day_proposal_one_open on ledger.day_proposal (authority, business_date) where status = 'proposed';
create index day_proposal_by_date on ledger.day_proposal (authority, business_date, proposed_at);
call app.protect('ledger.day_proposal');
grant select, insert on ledger.day_proposal to doisoat_app;
grant update (status, decided_at, decided_by, note) on ledger.day_proposal to doisoat_app;

-- +goose StatementBegin
create function ledger.guard_day_proposal() returns trigger language plpgsql as $$
begin
	if tg_op <> 'UPDATE' or old.status <> 'proposed' then
		raise exception 'a proposal is decided once and stays'
			using errcode = 'restrict_violation', constraint = 'day_proposal_decided_once';
	end if;
	return new;
end
$$;
-- +goose StatementEnd
create trigger guard_day_proposal before update or delete on ledger.day_proposal
	for each row execute function ledger.guard_day_proposal();
alter table ledger.day_proposal enable always trigger guard_day_proposal;
create trigger append_only_truncate before truncate on ledger.day_proposal
	for each statement execute function app.refuse_change();
alter table ledger.day_proposal enable always trigger append_only_truncate;

-- The closings and reopenings of a business date, in turn; the latest one says
-- whether the date is closed. A reopening always follows a proposal. A closing
-- may follow the closed runs of the date instead, and then names no proposer.
-- The application appends.
create table ledger.day_event (
	authority     text not null references auth.authority (code),
	business_date date not null,
	number        integer not null,
	change        text not null constraint day_event_change check (change in ('close', 'reopen')),
	at            timestamptz not null,
	approved_by   text not null check (approved_by <> ''),
	proposed_by   text,
	proposal_id   uuid,
	primary key (authority, business_date, number),
	constraint day_event_two_people check (proposed_by <> approved_by),
	constraint day_event_proposed check ((proposal_id is null) = (proposed_by is null)),
	constraint day_event_reopen_proposed check (change = 'close' or proposal_id is not null),
	constraint day_event_one_per_proposal unique (proposal_id),
	constraint day_event_proposal foreign key (proposal_id, authority, business_date, change, proposed_by)
		references ledger.day_proposal (id, authority, business_date, change, proposed_by)
);
call app.protect('ledger.day_event');
call app.append_only('ledger.day_event');
grant select, insert on ledger.day_event to doisoat_app;

-- A poster holds a shared lock on the date until it commits, and a closing takes
-- the lock exclusively: no entry slips in between the last look at the totals of
-- a date and its closing.
-- +goose StatementBegin
create function ledger.day_lock(authority text, business_date date) returns bigint
	language sql immutable
	-- the day as a number: how a date is written depends on the session
	return hashtextextended(authority || ' ' || (business_date - date '2000-01-01')::text, 20231107);
-- +goose StatementEnd

-- Close and reopen take turns. The exclusive lock waits for running posters and
-- holds off others.
-- +goose StatementBegin
create function ledger.number_day_event() returns trigger language plpgsql as $$
declare
	last_change text;
	last_number integer;
begin
	perform pg_advisory_xact_lock(ledger.day_lock(new.authority, new.business_date));
	select e.change, e.number into last_change, last_number from ledger.day_event e
	where e.authority = new.authority and e.business_date = new.business_date
	order by e.number desc limit 1;
	if new.change = coalesce(last_change, 'reopen') then
		raise exception 'business date % of % is so already', new.business_date, new.authority
			using errcode = 'check_violation', constraint = 'day_event_alternates';
	end if;
	new.number := coalesce(last_number, 0) + 1;
	return new;
end
$$;
-- +goose StatementEnd
create trigger number_day_event before insert on ledger.day_event
	for each row execute function ledger.number_day_event();
alter table ledger.day_event enable always trigger number_day_event;

-- +goose StatementBegin
create function ledger.day_closed(authority text, business_date date) returns boolean
	language sql stable
	return coalesce((
		select e.change = 'close' from ledger.day_event e
		where e.authority = day_closed.authority and e.business_date = day_closed.business_date
		order by e.number desc limit 1), false);
-- +goose StatementEnd

-- The cause of each entry, once over all months. Only admit_entry writes.
create table ledger.cause (
	authority text not null references auth.authority (code),
	kind      text not null,
	id        text not null,
	event     text not null,
	entry_id  uuid not null,
	constraint entry_cause primary key (authority, kind, id, event)
);
call app.protect('ledger.cause');
call app.append_only('ledger.cause');
grant select on ledger.cause to doisoat_app;

-- At most one reversal per entry, over all months. Only admit_entry writes.
create table ledger.reversal (
	authority text not null references auth.authority (code),
	entry_id  uuid not null, -- the entry that is reversed
	reversal  uuid not null, -- the entry that reverses it
	constraint entry_reversed_once primary key (entry_id)
);
create index reversal_authority on ledger.reversal (authority);
call app.protect('ledger.reversal');
call app.append_only('ledger.reversal');
grant select on ledger.reversal to doisoat_app;

-- An entry: why and when money moved. Its postings say which money. An entry
-- that corrects another carries the difference; one that reverses another
-- cancels it. The application appends entries.
create table ledger.entry (
	id            uuid not null,
	authority     text not null,
	business_date date not null,
	recorded_at   timestamptz not null,
	cause_kind    text not null constraint entry_cause_kind_check check (cause_kind <> ''),
	cause_id      text not null constraint entry_cause_id_check check (cause_id <> ''),
	cause_event   text not null constraint entry_cause_event_check check (cause_event <> ''),
	description   text not null,
	actor         text not null constraint entry_actor_check check (actor <> ''),
	reverses      uuid,
	reason        text not null default '',
	postings      smallint not null constraint entry_postings_check check (postings >= 2), -- their number
	-- the writing transaction: postings must come from the same one
	tx            xid8 not null default pg_current_xact_id(),
	corrects      uuid,
	-- the hash of the entry and four bytes of hash per posting, which the poster
	-- computes so that the sealer need not read the entry again
	content       bytea not null,
	marks         bytea not null,
	primary key (id),
	-- postings refer to this key
	constraint entry_identity unique (id, authority, business_date, postings, tx),
	constraint entry_reversal_has_reason check (reverses is null or reason <> ''),
	constraint entry_corrects_or_reverses check (corrects is null or reverses is null),
	constraint entry_correction_has_reason check (corrects is null or reason <> ''),
	constraint entry_content_check check (length(content) = 32 and length(marks) = 4 * postings)
) partition by range (id);
create index entry_date on ledger.entry (authority, business_date, id);
-- roll-up and sealer walk in the order of transactions
create index entry_sealing on ledger.entry (authority, tx, id);
create index entry_corrects on ledger.entry (corrects) where corrects is not null;
call app.protect('ledger.entry');
call app.append_only('ledger.entry');
grant select on ledger.entry to doisoat_app;
-- all but tx: the database says which transaction writes
grant insert (id, authority, business_date, recorded_at, cause_kind, cause_id, cause_event, description, actor, reverses,
	reason, postings, corrects, content, marks) on ledger.entry to doisoat_app;

-- An entry is admitted when its business date is open, its cause is new, and the
-- entry that it reverses or corrects exists. The trigger fires after the insert,
-- so that row-level security judges first. When two transactions write one cause
-- at once, the later one fails with a serialization failure. Its repeat then
-- finds the entry of the first.
-- +goose StatementBegin
create function ledger.admit_entry() returns trigger
	language plpgsql security definer set search_path = pg_catalog as $$
declare
	last_change text;
begin
	perform pg_advisory_xact_lock_shared(ledger.day_lock(new.authority, new.business_date));
	select e.change into last_change from ledger.day_event e
	where e.authority = new.authority and e.business_date = new.business_date
	order by e.number desc limit 1;
	if last_change = 'close' then
		raise exception 'business date % of % is closed', new.business_date, new.authority
			using errcode = 'check_violation', constraint = 'entry_day_open';
	end if;
	insert into ledger.cause (authority, kind, id, event, entry_id)
	values (new.authority, new.cause_kind, new.cause_id, new.cause_event, new.id)
	on conflict do nothing;
	if not found then
		raise exception 'cause % % % has an entry', new.cause_kind, new.cause_id, new.cause_event
			using errcode = 'serialization_failure', constraint = 'entry_cause';
	end if;
	if new.reverses is not null then
		if not exists (select from ledger.entry e where e.id = new.reverses and e.authority = new.authority) then
			raise exception 'entry % reverses an entry that % does not have', new.id, new.authority
				using errcode = 'foreign_key_violation', constraint = 'entry_reverses';
		end if;
		insert into ledger.reversal (authority, entry_id, reversal) values (new.authority, new.reverses, new.id);
	end if;
	-- a separate query: joined with the condition above it would be one plan, which
	-- locks every month also when it reads none
	if new.corrects is not null then
		if not exists (
			select from ledger.entry e
			where e.id = new.corrects and e.authority = new.authority and e.corrects is null and e.reverses is null)
		then
			raise exception 'entry % corrects an entry that is no first entry of %', new.id, new.authority
				using errcode = 'foreign_key_violation', constraint = 'entry_corrects_known';
		end if;
	end if;
	return null;
end
$$;
-- +goose StatementEnd
create trigger admit_entry after insert on ledger.entry
	for each row execute function ledger.admit_entry();
alter table ledger.entry enable always trigger admit_entry;

-- A posting: one amount on one side of one account, with the objects it is
-- about. A foreign key to the account would lock the account's row, and the many
-- postings to a clearing account would wait for each other; check_postings
-- compares instead. The application appends postings with their entry.
create table ledger.posting (
	entry_id      uuid not null,
	line          smallint not null,
	postings      smallint not null, -- of its entry
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
	tx            xid8 not null default pg_current_xact_id(), -- of its entry
	primary key (entry_id, line),
	constraint posting_line check (line between 1 and postings)
) partition by range (entry_id);
create index posting_by_account on ledger.posting (account_id, business_date, entry_id, line);
create index posting_by_dossier on ledger.posting (dossier_id, entry_id) where dossier_id is not null;
create index posting_by_payment on ledger.posting (payment_id) where payment_id is not null;
create index posting_by_refund on ledger.posting (refund_id) where refund_id is not null;
call app.protect('ledger.posting');
call app.append_only('ledger.posting');
grant select on ledger.posting to doisoat_app;
grant insert (entry_id, line, postings, authority, business_date, account_id, side, amount, currency, memo, dossier_id, payment_id,
	refund_id, charge_id, fee_type, policy) on ledger.posting to doisoat_app;

-- Every statement that inserts postings brings whole, balanced entries of its
-- own transaction. An entry has all its postings; real and memo postings balance
-- each on their own per currency; each posting agrees with its account. Accounts
-- never change, so one comparison at the insert is enough.
-- +goose StatementBegin
create function ledger.check_postings() returns trigger language plpgsql as $$
declare
	bad  uuid;
	wall text;
begin
	select g.entry_id, case when g.late then 'posting_with_entry' when g.stray then 'posting_account' else 'posting_balanced' end
	into bad, wall
	from (
		select p.entry_id, bool_or(p.tx <> pg_current_xact_id()) as late,
			sum(case p.side when 'D' then p.amount else -p.amount end) as off,
			-- one look by key per posting, independent of the table's statistics
			bool_or(not coalesce((
				select a.authority = p.authority and a.currency = p.currency and a.memo = p.memo
				from ledger.account a where a.id = p.account_id), false)) as stray
		from new_postings p
		group by p.entry_id, p.currency, p.memo) g
	where g.off <> 0 or g.late or g.stray
	limit 1;
	if found then
		raise exception 'entry % does not balance, is finished, or has a posting that disagrees with its account', bad
			using errcode = case wall when 'posting_account' then 'foreign_key_violation' else 'check_violation' end, constraint = wall;
	end if;
	select p.entry_id into bad from new_postings p group by p.entry_id having count(*) <> max(p.postings) limit 1;
	if found then
		raise exception 'entry % does not have all its postings', bad
			using errcode = 'check_violation', constraint = 'entry_complete';
	end if;
	return null;
end
$$;
-- +goose StatementEnd
create trigger check_postings after insert on ledger.posting
	referencing new table as new_postings
	for each statement execute function ledger.check_postings();
alter table ledger.posting enable always trigger check_postings;

-- make_part makes one month of both tables of the book. An entry and its postings
-- lie in the same month, so the keys that bind them stay within the month.
-- +goose StatementBegin
create procedure ledger.make_part(suffix text, month date) language plpgsql set search_path = pg_catalog as $$
declare
	entries  text := 'entry_' || suffix;
	postings text := 'posting_' || suffix;
begin
	call app.prepare_part('ledger.entry', entries);
	call app.prepare_part('ledger.posting', postings);
	-- a posting agrees with its entry, and comes in the transaction of its entry
	execute format('alter table ledger.%I add constraint posting_entry foreign key (entry_id, authority, business_date, postings, tx) '
		|| 'references ledger.%I (id, authority, business_date, postings, tx)', postings, entries);
	-- an entry has its last posting at commit; with check_postings that is all of them
	execute format('alter table ledger.%I add constraint entry_complete foreign key (id, postings) '
		|| 'references ledger.%I (entry_id, line) deferrable initially deferred', entries, postings);
	call app.attach_part('ledger.entry', entries, month);
	call app.attach_part('ledger.posting', postings, month);
end
$$;
-- +goose StatementEnd
revoke all on procedure ledger.make_part(text, date) from public;
