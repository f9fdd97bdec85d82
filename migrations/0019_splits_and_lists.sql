-- A posting locks the month that it writes to, and no other.
--
-- A split remembers up to where the book was finished when it read it, so that
-- the next one looks at what came since and not at three months again. And the
-- identifications that wait for a decision are found among all that were made.

-- +goose Up

-- Transactions below the horizon were over: the split saw all that they posted.
-- The number means something only in the cluster that gave it (ledger.home). Both
-- are empty for a split of an earlier program; the next one then looks further back.
alter table remittance.split add column horizon xid8, add column home bigint;

create index identification_by_state on reconcile.identification (authority, state, id desc);

-- As before, but the question about what an entry corrects stands alone. One
-- expression with a condition before it is one plan: from the sixth posting of a
-- connection on it locked every month of the book, though it looked at none.
-- +goose StatementBegin
create or replace function ledger.admit_entry() returns trigger
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
			raise exception 'entry % reverses what is no entry of %', new.id, new.authority
				using errcode = 'foreign_key_violation', constraint = 'entry_reverses';
		end if;
		insert into ledger.reversal (authority, entry_id, reversal) values (new.authority, new.reverses, new.id);
	end if;
	if new.corrects is not null then
		if not exists (
			select from ledger.entry e
			where e.id = new.corrects and e.authority = new.authority and e.corrects is null and e.reverses is null)
		then
			raise exception 'entry % corrects what is no first entry of %', new.id, new.authority
				using errcode = 'foreign_key_violation', constraint = 'entry_corrects_known';
		end if;
	end if;
	return null;
end
$$;
-- +goose StatementEnd
