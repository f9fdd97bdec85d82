-- Seals: finished entries are hashed into Merkle blocks off the write path, and
-- each block carries the hash of the one before it. Whoever keeps the hash of a
-- day can prove later that the book of that day was not rewritten.

-- +goose Up

-- The sealer walks the entries of an authority in the order of their transactions.
create index entry_sealing on ledger.entry (authority, tx, id);

-- Transaction numbers mean something in one cluster only. A book that was
-- dumped and restored elsewhere is known by another number here.
-- +goose StatementBegin
create function ledger.cluster() returns text
	language sql stable parallel safe
	return (select s.system_identifier::text from pg_catalog.pg_control_system() s);
-- +goose StatementEnd

-- One sealer at a time per authority.
-- +goose StatementBegin
create function ledger.seal_lock(authority text) returns bigint
	language sql immutable
	return hashtextextended(authority, 20231108);
-- +goose StatementEnd

-- A block of the chain of one authority. hash is that of the header, which is
-- every other column in canonical form (ledger/seal).
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

-- Which entry stands where. leaf is the hash of its canonical bytes; marks are
-- four bytes of hash per posting, which only serve to name a posting that changed.
-- No foreign key: sealing must cost little, and a check names what is missing.
create table ledger.sealed_entry (
	authority text not null,
	block     bigint not null,
	position  integer not null check (position >= 0),
	entry_id  uuid not null,
	leaf      bytea not null check (length(leaf) = 32),
	marks     bytea not null check (length(marks) % 4 = 0),
	primary key (authority, block, position),
	constraint sealed_entry_once unique (entry_id)
);
call app.protect('ledger.sealed_entry');
call app.append_only('ledger.sealed_entry');
grant select, insert on ledger.sealed_entry to doisoat_app;

-- A block follows the last one, and its header names that one's hash. After the
-- insert, so that row-level security has its say first.
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

-- The entries of a block come in one statement, all of them, after its header.
-- A statement that brings entries for a block that has its own already finds
-- more than the header says. One set-based look per statement.
-- +goose StatementBegin
create function ledger.check_sealed() returns trigger language plpgsql as $$
declare
	bad bigint;
begin
	select n.block into bad
	from (select n.authority, n.block, count(*) as entries, min(n.position) as low, max(n.position) as high
	      from new_entries n group by n.authority, n.block) n
	left join ledger.block b on b.authority = n.authority and b.number = n.block
	where b.number is null or n.entries <> b.entries or n.low <> 0 or n.high <> b.entries - 1
	limit 1;
	if found then
		raise exception 'block % is not sealed with exactly the entries that it names', bad
			using errcode = 'check_violation', constraint = 'sealed_entry_block';
	end if;
	return null;
end
$$;
-- +goose StatementEnd
create trigger check_sealed after insert on ledger.sealed_entry
	referencing new table as new_entries
	for each statement execute function ledger.check_sealed();
alter table ledger.sealed_entry enable always trigger check_sealed;
