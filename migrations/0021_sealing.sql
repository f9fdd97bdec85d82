-- Walls of the seal at less work per entry, and one hole less: that a block has
-- its entries is seen where they are inserted, all of them in one statement, and
-- that it had none before; until now a later transaction could insert as many
-- again. Otherwise as in 0014.

-- +goose Up

-- +goose StatementBegin
create or replace function ledger.check_sealed() returns trigger language plpgsql as $$
declare
	bad bigint;
begin
	select n.block into bad
	from (select n.authority, n.block, count(*) as entries, count(distinct n.position) as places, min(n.position) as low, max(n.position) as high
	      from new_entries n group by n.authority, n.block) n
	left join ledger.block b on b.authority = n.authority and b.number = n.block
	where b.number is null or n.entries <> b.entries or n.places <> n.entries or n.low <> 0 or n.high <> b.entries - 1
		or (select count(*) from ledger.sealed_entry s where s.authority = n.authority and s.block = n.block and s.position = 0) <> 1
	limit 1;
	if found then
		raise exception 'block % is not sealed with exactly the entries that it names', bad
			using errcode = 'check_violation', constraint = 'sealed_entry_block';
	end if;
	select n.block into bad from new_entries n
	-- one look by key per entry, whatever the planner thinks of the book
	where not coalesce((select e.authority = n.authority from ledger.entry e where e.id = n.entry_id), false)
	limit 1;
	if found then
		raise exception 'block % seals what is no entry of its book', bad
			using errcode = 'foreign_key_violation', constraint = 'sealed_entry_known';
	end if;
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
