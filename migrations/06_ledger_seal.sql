-- Seals: finished entries are hashed into Merkle blocks off the write path, and
-- each block carries the hash of the block before it. A person who keeps the hash
-- of a day can prove later that the book of that day was not rewritten.

-- +goose Up

-- One sealer at a time per authority.
-- +goose StatementBegin
create function ledger.seal_lock(authority text) returns bigint
	language sql immutable
	return hashtextextended(authority, 20231108);
-- +goose StatementEnd

-- A block of the chain of one authority. hash is that of the header: all other
-- columns in canonical form (docs/sealing.md). The sealer appends.
create table ledger.block (
	authority  text not null references auth.authority (code),
	number     bigint not null check (number >= 1),
	version    smallint not null check (version = 1),
	sealed_at  timestamptz not null,
	previous   bytea not null check (length(previous) = 32),
	root       bytea not null check (length(root) = 32),
	first      bigint not null check (first >= 0),
	entries    integer not null check (entries between 0 and 65536),
	postings   bigint not null check (postings >= 0),
	-- lines of currency, real or memo, debits, credits
	totals     text not null,
	-- How far the sealer has come: every entry of this cluster at or before
	-- (reached_tx, reached_id) is in this block or an earlier one. resume_tx is
	-- set while the whole book is looked through in a new cluster.
	cluster    text not null,
	reached_tx xid8 not null,
	reached_id uuid not null,
	resume_tx  xid8,
	hash       bytea not null check (length(hash) = 32),
	primary key (authority, number),
	-- a chain never forks
	constraint block_previous unique (authority, previous)
);
create index block_day on ledger.block (authority, sealed_at, number);
call app.protect('ledger.block');
call app.append_only('ledger.block');
grant select, insert on ledger.block to doisoat_app;

-- The place of each entry in its block. leaf is the hash of its canonical bytes;
-- marks are four bytes of hash per posting, which name a posting that changed.
-- The sealer appends. The table has no foreign key, because sealing must cost little.
create table ledger.sealed_entry (
	authority text not null,
	block     bigint not null,
	position  integer not null constraint sealed_entry_position_check check (position >= 0),
	entry_id  uuid not null,
	leaf      bytea not null constraint sealed_entry_leaf_check check (length(leaf) = 32),
	marks     bytea not null constraint sealed_entry_marks_check check (length(marks) % 4 = 0),
	constraint sealed_entry_once primary key (entry_id)
) partition by range (entry_id);
create index sealed_entry_place on ledger.sealed_entry (authority, block, position);
call app.protect('ledger.sealed_entry');
call app.append_only('ledger.sealed_entry');
grant select, insert on ledger.sealed_entry to doisoat_app;

-- A block follows the last one, and its header names the hash of the last one. The
-- trigger fires after the insert, so that row-level security judges first.
-- +goose StatementBegin
create function ledger.check_block() returns trigger language plpgsql as $$
begin
	if new.number = 1 and new.previous = decode(repeat('00', 32), 'hex') and new.first = 0 then
		return new;
	end if;
	if exists (select from ledger.block b
	           where b.authority = new.authority and b.number = new.number - 1 and b.hash = new.previous
	             and b.first + b.entries = new.first and b.sealed_at <= new.sealed_at) then
		return new;
	end if;
	raise exception 'block % of % does not follow the one before it', new.number, new.authority
		using errcode = 'check_violation', constraint = 'block_follows';
end
$$;
-- +goose StatementEnd
create trigger check_block after insert on ledger.block
	for each row execute function ledger.check_block();
alter table ledger.block enable always trigger check_block;

-- The entries of a block come in one statement, all of them, after its header;
-- the block had none before. No place is taken twice, and each entry is one of
-- the block's book.
-- +goose StatementBegin
create function ledger.check_sealed() returns trigger language plpgsql
	-- entries are found by key, independent of the book's statistics
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
			raise exception 'block % seals an entry that its book does not have', n.block
				using errcode = 'foreign_key_violation', constraint = 'sealed_entry_known';
		end if;
	end loop;
	return null;
end
$$;
-- +goose StatementEnd
create trigger check_sealed after insert on ledger.sealed_entry
	referencing new table as new_entries
	for each statement execute function ledger.check_sealed();
alter table ledger.sealed_entry enable always trigger check_sealed;

-- At commit a header has the entries that it announced.
-- +goose StatementBegin
create function ledger.check_block_complete() returns trigger language plpgsql as $$
begin
	if exists (select from ledger.sealed_entry s
	           where s.authority = new.authority and s.block = new.number and s.position = 0) <> (new.entries > 0) then
		raise exception 'block % of % does not have its % entries', new.number, new.authority, new.entries
			using errcode = 'check_violation', constraint = 'block_complete';
	end if;
	return null;
end
$$;
-- +goose StatementEnd
create constraint trigger check_block_complete after insert on ledger.block
	deferrable initially deferred
	for each row execute function ledger.check_block_complete();
alter table ledger.block enable always trigger check_block_complete;

-- The default partitions, this month and the next three. PostgreSQL copies triggers
-- per row from the tables above to every partition; prepare_part makes the triggers
-- per statement.
call app.make_part('default', null);
select app.make_months();
