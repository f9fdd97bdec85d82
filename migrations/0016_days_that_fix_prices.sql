-- Some policies count the day of acceptance or of the result. A dossier is
-- assessed before that day is known; once it is, its charges are priced again,
-- once per dossier and day, with the consequences that a repricing has.

-- +goose Up
create table refunds.day_repriced (
	dossier_id  uuid not null,
	day         text not null constraint day_repriced_day check (day in ('acceptance', 'issue')),
	authority   text not null,
	recorded_at timestamptz not null,
	constraint day_repriced_once primary key (dossier_id, day),
	constraint day_repriced_dossier foreign key (dossier_id, authority) references dossiers.dossier (id, authority)
);
call app.protect('refunds.day_repriced');
call app.append_only('refunds.day_repriced');
grant select, insert on refunds.day_repriced to doisoat_app;

-- What was done about a charge belongs to a repricing or to a day.
alter table refunds.repricing_item
	drop constraint repricing_item_key,
	alter column repricing_id drop not null,
	add column day text,
	add constraint repricing_item_key unique (repricing_id, charge_id),
	add constraint repricing_item_day_once unique (charge_id, day),
	add constraint repricing_item_cause check (num_nonnulls(repricing_id, day) = 1),
	add constraint repricing_item_of_day foreign key (dossier_id, day) references refunds.day_repriced (dossier_id, day);
create index repricing_item_by_day on refunds.repricing_item (dossier_id, day) where day is not null;
drop index refunds.repricing_item_by_charge; -- repricing_item_day_once begins with the charge
