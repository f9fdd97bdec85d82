-- Remittance: provisional collection divided at the end of a period, and the
-- vouchers that bring it to the treasury.

-- +goose Up
create schema remittance;
grant usage on schema remittance to doisoat_app;

-- One division of all money collected up to a date and not divided before. Every
-- transaction below horizon was over when the split read the book, so the next
-- split reads only the entries since. The number means something only in the
-- cluster that gave it (home). The application appends.
create table remittance.split (
	id        uuid primary key,
	authority text not null references auth.authority (code),
	currency  text not null check (currency ~ '^[A-Z]{3}$'),
	period_to date not null,
	made_at   timestamptz not null,
	made_by   text not null check (made_by <> ''),
	horizon   xid8 not null,
	home      bigint not null,
	constraint split_once_per_period unique (authority, currency, period_to),
	constraint split_identity unique (id, authority)
);
call app.protect('remittance.split');
call app.append_only('remittance.split');
grant select, insert on remittance.split to doisoat_app;

-- The share of one charge: floor(amount × numerator / denominator) stays with the
-- agency. The application appends.
create table remittance.share (
	split_id    uuid not null,
	charge_id   uuid not null,
	authority   text not null,
	dossier_id  uuid not null,
	fee_type    text not null check (fee_type <> ''),
	kind        text not null constraint share_kind check (kind in ('phi', 'le_phi')),
	amount      bigint not null check (amount > 0),
	retained    bigint not null,
	numerator   bigint not null check (numerator >= 0),
	denominator bigint not null check (denominator >= numerator and denominator between 1 and 1000000),
	legal_basis text not null,
	primary key (split_id, charge_id),
	constraint share_split foreign key (split_id, authority) references remittance.split (id, authority),
	constraint share_charge foreign key (charge_id, authority) references dossiers.charge (id, authority),
	constraint share_dossier foreign key (dossier_id, authority) references dossiers.dossier (id, authority),
	constraint share_retained check (retained = div(amount::numeric * numerator, denominator)),
	constraint share_le_phi_is_the_budgets check (kind = 'phi' or retained = 0),
	constraint share_has_legal_basis check (retained = 0 or legal_basis <> '')
);
create index share_by_charge on remittance.share (charge_id);
create index share_by_dossier on remittance.share (dossier_id);
call app.protect('remittance.share');
call app.append_only('remittance.share');
grant select, insert on remittance.share to doisoat_app;

-- The money that a refund took back out of a share, and where it was then. The
-- application appends.
create table remittance.taken (
	refund_id uuid not null,
	split_id  uuid not null,
	charge_id uuid not null,
	authority text not null,
	budget    bigint not null check (budget >= 0),
	retained  bigint not null check (retained >= 0),
	waiting   boolean not null,  -- the phí had left for the waiting account
	remitted  date,              -- the day of the voucher by which the budget has it
	taken_at  timestamptz not null,
	primary key (refund_id, split_id, charge_id),
	constraint taken_share foreign key (split_id, charge_id) references remittance.share (split_id, charge_id),
	constraint taken_refund foreign key (refund_id, authority) references refunds.refund (id, authority),
	constraint taken_something check (budget + retained > 0)
);
create index taken_by_share on remittance.taken (split_id, charge_id);
call app.protect('remittance.taken');
call app.append_only('remittance.taken');
grant select, insert on remittance.taken to doisoat_app;

-- A proposal to move the money of a split: phí to the waiting account, or to the
-- budget. The application appends.
create table remittance.voucher (
	id            uuid primary key,
	authority     text not null,
	split_id      uuid not null,
	kind          text not null constraint voucher_kind check (kind in ('waiting', 'budget_phi', 'budget_le_phi')),
	amount        bigint not null check (amount > 0),
	account       text not null, -- the bank account that pays; empty: the waiting account pays
	number        text not null check (number <> ''),
	document_date date not null,
	treasury      text not null check (treasury <> ''),
	proposed_at   timestamptz not null,
	proposed_by   text not null check (proposed_by <> ''),
	constraint voucher_split foreign key (split_id, authority) references remittance.split (id, authority),
	constraint voucher_number unique (split_id, kind, number),
	constraint voucher_payer check (kind = 'budget_phi' or account <> ''),
	constraint voucher_identity unique (id, authority, split_id, kind, proposed_by)
);
create index voucher_by_account on remittance.voucher (authority, account, document_date);
call app.protect('remittance.voucher');
call app.append_only('remittance.voucher');
grant select, insert on remittance.voucher to doisoat_app;

-- The decision of a second person about a voucher. The application appends.
create table remittance.decision (
	voucher_id  uuid primary key,
	authority   text not null,
	split_id    uuid not null,
	kind        text not null,
	proposed_by text not null,
	approved    boolean not null,
	reason      text not null,
	decided_at  timestamptz not null,
	decided_by  text not null check (decided_by <> ''),
	constraint decision_voucher foreign key (voucher_id, authority, split_id, kind, proposed_by)
		references remittance.voucher (id, authority, split_id, kind, proposed_by),
	-- two persons where money leaves
	constraint decision_maker_is_not_checker check (decided_by <> proposed_by),
	constraint decision_says_why check (approved or reason <> '')
);
-- the money of a split moves each way once
create unique index decision_once on remittance.decision (split_id, kind) where approved;
call app.protect('remittance.decision');
call app.append_only('remittance.decision');
grant select, insert on remittance.decision to doisoat_app;

-- The sums of a split per fee type: its shares, and the money that refunds took
-- of them. A list of splits reads these rows instead of millions of shares. Only
-- the triggers below write.
create table remittance.part (
	split_id       uuid not null,
	fee_type       text not null,
	kind           text not null,
	authority      text not null,
	charges        bigint not null check (charges > 0),
	amount         bigint not null check (amount > 0),
	retained       bigint not null check (retained between 0 and amount),
	taken_budget   bigint not null default 0,
	taken_retained bigint not null default 0,
	constraint part_taken check (taken_budget between 0 and amount - retained and taken_retained between 0 and retained),
	primary key (split_id, fee_type, kind),
	constraint part_split foreign key (split_id, authority) references remittance.split (id, authority)
);
call app.protect('remittance.part');
grant select on remittance.part to doisoat_app;

-- +goose StatementBegin
create function remittance.sum_shares() returns trigger
	language plpgsql security definer set search_path = pg_catalog as $$
begin
	insert into remittance.part as p (split_id, fee_type, kind, authority, charges, amount, retained)
	select n.split_id, n.fee_type, n.kind, n.authority, count(*), sum(n.amount), sum(n.retained)
	from new_shares n group by n.split_id, n.fee_type, n.kind, n.authority
	on conflict (split_id, fee_type, kind) do update
	set charges = p.charges + excluded.charges, amount = p.amount + excluded.amount, retained = p.retained + excluded.retained;
	return null;
end
$$;
-- +goose StatementEnd
revoke all on function remittance.sum_shares() from public;
create trigger sum_shares after insert on remittance.share
	referencing new table as new_shares for each statement execute function remittance.sum_shares();
alter table remittance.share enable always trigger sum_shares;

-- A refund takes of several parts. The trigger locks them in one order first, so
-- refunds decided at once do not deadlock.
-- +goose StatementBegin
create function remittance.sum_taken() returns trigger
	language plpgsql security definer set search_path = pg_catalog as $$
begin
	perform from remittance.part p
	where exists (
		select from new_taken n join remittance.share x on x.split_id = n.split_id and x.charge_id = n.charge_id
		where x.split_id = p.split_id and x.fee_type = p.fee_type and x.kind = p.kind)
	order by p.split_id, p.fee_type, p.kind for update;
	update remittance.part p
	set taken_budget = p.taken_budget + t.budget, taken_retained = p.taken_retained + t.retained
	from (
		select x.split_id, x.fee_type, x.kind, sum(n.budget) as budget, sum(n.retained) as retained
		from new_taken n join remittance.share x on x.split_id = n.split_id and x.charge_id = n.charge_id
		group by x.split_id, x.fee_type, x.kind) t
	where p.split_id = t.split_id and p.fee_type = t.fee_type and p.kind = t.kind;
	return null;
end
$$;
-- +goose StatementEnd
revoke all on function remittance.sum_taken() from public;
create trigger sum_taken after insert on remittance.taken
	referencing new table as new_taken for each statement execute function remittance.sum_taken();
alter table remittance.taken enable always trigger sum_taken;
