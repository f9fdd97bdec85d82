-- Sealing at less work per entry. An entry carries the hash of what it says
-- (content) and the marks of its postings, made by whoever posts it, so that a
-- sealer needs not read it whole: version 2 of docs/sealing.md. Entries without
-- them are hashed when they are sealed, as before.
--
-- One hole less in the walls of the seal: that a block has its entries is seen
-- where they are inserted, all of them in one statement, and that it had none
-- before; until now a later transaction could insert as many again. Otherwise
-- as in 0014.

-- +goose Up

alter table ledger.entry add column content bytea, add column marks bytea,
	add constraint entry_content_check check ((content is null) = (marks is null)
		and (content is null or length(content) = 32 and length(marks) = 4 * lines));
grant insert (content, marks) on ledger.entry to doisoat_app;

alter table ledger.block drop constraint block_version_check;
alter table ledger.block add constraint block_version_check check (version in (1, 2));

-- +goose StatementBegin
create or replace function ledger.check_sealed() returns trigger language plpgsql
	-- entries are found by key, whatever the planner thinks of the book
	set enable_seqscan = off as $$
declare
	n record;
begin
	for n in
		select e.authority, e.block, count(*) as entries, count(distinct e.position) as places, min(e.position) as low, max(e.position) as high,
			array_agg(e.entry_id) as ids
		from new_entries e group by e.authority, e.block
	loop
		if n.places <> n.entries or n.low <> 0 or n.high <> n.entries - 1
			or not exists (select from ledger.block b where b.authority = n.authority and b.number = n.block and b.entries = n.entries)
			or (select count(*) from ledger.sealed_entry s where s.authority = n.authority and s.block = n.block and s.position = 0) <> 1
		then
			raise exception 'block % is not sealed with exactly the entries that it names', n.block
				using errcode = 'check_violation', constraint = 'sealed_entry_block';
		end if;
		-- ids differ: each is sealed once
		if (select count(*) from ledger.entry e where e.id = any (n.ids) and e.authority = n.authority) <> n.entries then
			raise exception 'block % seals what is no entry of its book', n.block
				using errcode = 'foreign_key_violation', constraint = 'sealed_entry_known';
		end if;
	end loop;
	return null;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function ledger.check_block_complete() returns trigger language plpgsql as $$
begin
	if exists (select from ledger.sealed_entry s where s.authority = new.authority and s.block = new.number and s.position = 0) <> (new.entries > 0) then
		raise exception 'block % of % does not have its % entries', new.number, new.authority, new.entries
			using errcode = 'check_violation', constraint = 'block_complete';
	end if;
	return null;
end
$$;
-- +goose StatementEnd
