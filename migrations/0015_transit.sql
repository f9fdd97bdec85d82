-- Money in transit ends at the bank's statement, and a suspended credit finds
-- its owner: two persons say which dossier it pays.

-- +goose Up

-- Money in transit is known by the entry that put it on A-TRANSIT: the document
-- of a refund or an approved voucher. A bank line ends it, once.
alter table reconcile.book_item
	add column transit_id uuid constraint book_item_transit references ledger.entry (id),
	drop constraint book_item_one,
	add constraint book_item_one check (
		num_nonnulls(capture_id, refund_id, transit_id) = 1 and id = coalesce(capture_id, refund_id, transit_id));
create index book_item_by_transit on reconcile.book_item (transit_id) where transit_id is not null;

alter table reconcile.match_item
	add column transit_id uuid constraint match_item_transit references ledger.entry (id),
	drop constraint match_item_one,
	add constraint match_item_one check (
		num_nonnulls(capture_id, refund_id, line_id, transit_id) = 1 and (side = 'book' or line_id is not null));
create index match_item_by_transit on reconcile.match_item (transit_id) where transit_id is not null;
create unique index match_item_transit_once on reconcile.match_item (transit_id) where live and transit_id is not null;

alter table reconcile.break
	add column transit_id uuid constraint break_transit references ledger.entry (id);
create index break_by_transit on reconcile.break (transit_id) where transit_id is not null;
create unique index break_one_per_transit on reconcile.break (transit_id, kind) where state <> 'resolved' and transit_id is not null;
create unique index break_holds_transit_once on reconcile.break (transit_id) where state <> 'resolved' and holds and transit_id is not null;

alter table reconcile.match
	drop constraint match_lane,
	add constraint match_lane check (lane in ('settlement', 'refund', 'payout', 'transfer', 'transit', 'identified'));

create index document_by_account on refunds.document (authority, account, document_date);
create index voucher_by_account on remittance.voucher (authority, account, document_date);

-- Money that nobody was asked for came straight into a bank account: its
-- payment, capture and refunds have no merchant account, and no provider can
-- give it back.
alter table payments.payment
	alter column merchant_account_id drop not null,
	add constraint payment_without_merchant check ((merchant_account_id is null) = (provider = 'bank'));
alter table payments.capture
	alter column merchant_account_id drop not null,
	drop constraint capture_evidence,
	add constraint capture_evidence check (evidence in ('callback', 'inquiry', 'statement', 'identified')),
	add constraint capture_without_merchant check ((merchant_account_id is null) = (evidence = 'identified'));
-- its transaction is the statement line, which pays once
create unique index capture_identified_once on payments.capture (transaction_id) where merchant_account_id is null;
alter table refunds.refund
	alter column merchant_account_id drop not null,
	add constraint refund_without_merchant check (merchant_account_id is not null or route <> 'provider');

-- A maker says that a suspended credit pays a dossier, a checker decides.
create table reconcile.identification (
	id          uuid primary key,
	authority   text not null,
	line_id     uuid not null,
	dossier_id  uuid not null,
	amount      bigint not null check (amount > 0),
	currency    text not null check (currency ~ '^[A-Z]{3}$'),
	reason      text not null check (reason <> ''),
	state       text not null default 'proposed'
		constraint identification_state check (state in ('proposed', 'approved', 'rejected')),
	proposed_at timestamptz not null,
	proposed_by text not null check (proposed_by <> ''),
	decided_at  timestamptz,
	decided_by  text,
	note        text not null default '',
	capture_id  uuid,
	constraint identification_line foreign key (line_id, authority) references reconcile.statement_line (id, authority),
	constraint identification_dossier foreign key (dossier_id, authority) references dossiers.dossier (id, authority),
	constraint identification_capture foreign key (capture_id, authority) references payments.capture (id, authority),
	constraint identification_decided check
		((state = 'proposed') = (decided_by is null) and (decided_by is null) = (decided_at is null)),
	constraint identification_captured check ((state = 'approved') = (capture_id is not null)),
	constraint identification_rejected_with_reason check (state <> 'rejected' or note <> ''),
	constraint identification_maker_is_not_checker check (decided_by <> proposed_by)
);
-- a line waits for one decision at a time and is identified once, for good
create unique index identification_once on reconcile.identification (line_id) where state <> 'rejected';
create index identification_by_line on reconcile.identification (line_id);
create index identification_by_dossier on reconcile.identification (dossier_id);
create unique index identification_by_capture on reconcile.identification (capture_id) where capture_id is not null;
create index identification_listed on reconcile.identification (authority, id desc);
call app.protect('reconcile.identification');
grant select, insert on reconcile.identification to doisoat_app;
grant update (state, decided_at, decided_by, note, capture_id) on reconcile.identification to doisoat_app;

-- +goose StatementBegin
create function reconcile.guard_identification() returns trigger language plpgsql as $$
begin
	if tg_op <> 'UPDATE' or old.state <> 'proposed' then
		raise exception 'an identification is decided once and stays'
			using errcode = 'restrict_violation', constraint = 'identification_decided_once';
	end if;
	return new;
end
$$;
-- +goose StatementEnd
create trigger guard_identification before update or delete on reconcile.identification
	for each row execute function reconcile.guard_identification();
alter table reconcile.identification enable always trigger guard_identification;
create trigger append_only_truncate before truncate on reconcile.identification
	for each statement execute function app.refuse_change();
alter table reconcile.identification enable always trigger append_only_truncate;
