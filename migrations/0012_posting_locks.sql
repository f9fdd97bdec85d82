-- Posting takes no lock on the rows it points at. A foreign key locks the row
-- it refers to, and every posting to a clearing account, like every entry of an
-- authority, locked the same one: many at once kept each other busy. What the
-- keys promised is looked at instead. Accounts are never changed or deleted, so
-- a look when the posting is written is enough.

-- +goose Up

-- +goose StatementBegin
create or replace function ledger.check_postings() returns trigger language plpgsql as $$
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
	-- One look by key per posting, whatever the planner thinks of the table.
	select p.entry_id into bad
	from new_postings p
	where not coalesce((
		select a.authority = p.authority and a.currency = p.currency and a.memo = p.memo
		from ledger.account a where a.id = p.account_id), false)
	limit 1;
	if found then
		raise exception 'entry % has a posting that disagrees with its account', bad
			using errcode = 'foreign_key_violation', constraint = 'posting_account';
	end if;
	return null;
end
$$;
-- +goose StatementEnd

alter table ledger.posting drop constraint posting_account;
-- An entry has postings of its own authority (posting_entry), they have accounts
-- of it (above), and an account refers to its authority.
alter table ledger.entry drop constraint entry_authority_fkey;
