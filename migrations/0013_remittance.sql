-- Remittance: provisional collection divided at the end of a period, and the
-- vouchers that bring it to the treasury. Refunds learn where their money is
-- from it and may be paid by order, with the number of the document.

-- +goose Up
create schema remittance;
grant usage on schema remittance to doisoat_app;

-- One division of everything collected up to a date and not divided before.
create table remittance.split (
	id        uuid primary key,
	authority text not null references auth.authority (code),
	currency  text not null check (currency ~ '^[A-Z]{3}$'),
	period_to date not null,
	made_at   timestamptz not null,
	made_by   text not null check (made_by <> ''),
	constraint split_once_per_period unique (authority, currency, period_to),
	constraint split_identity unique (id, authority)
);
call app.protect('remittance.split');
call app.append_only('remittance.split');
grant select, insert on remittance.split to doisoat_app;

-- What one charge brought: floor(amount × numerator / denominator) stays with the agency.
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

-- What a refund took back out of a share, and where the money was by then.
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

-- A proposal to move the money of a split: phí to the waiting account, or to the budget.
create table remittance.voucher (
	id            uuid primary key,
	authority     text not null,
	split_id      uuid not null,
	kind          text not null constraint voucher_kind check (kind in ('waiting', 'budget_phi', 'budget_le_phi')),
	amount        bigint not null check (amount > 0),
	account       text not null, -- the bank account that pays; nothing: the waiting account pays
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
call app.protect('remittance.voucher');
call app.append_only('remittance.voucher');
grant select, insert on remittance.voucher to doisoat_app;

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

-- Where the money of a refund was when it was decided, M1 to M5; empty before.
alter table refunds.refund add column stage text not null default ''
	constraint refund_stage check (stage in ('', 'M1', 'M2', 'M3', 'M4', 'M5'));
grant update (stage, route) on refunds.refund to doisoat_app;

-- The documents by which a refund was paid, or came back.
create table refunds.document (
	refund_id     uuid not null,
	seq           smallint not null check (seq >= 1),
	authority     text not null,
	act           text not null constraint document_act check (act in ('paid', 'returned')),
	number        text not null check (number <> ''),
	document_date date not null,
	account       text not null, -- the bank account that paid or received; nothing: all of it at the treasury
	recorded_at   timestamptz not null,
	recorded_by   text not null check (recorded_by <> ''),
	primary key (refund_id, seq),
	constraint document_refund foreign key (refund_id, authority) references refunds.refund (id, authority)
);
call app.protect('refunds.document');
call app.append_only('refunds.document');
grant select, insert on refunds.document to doisoat_app;
