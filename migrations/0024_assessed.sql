-- +goose Up
-- The schedule and the clock belong to the authority: how far the submission of
-- a dossier may lie from now, and the ground of an amount assessed by an agency.

alter table auth.authority
	add column days_back     integer not null default 400 constraint authority_days_back check (days_back between 1 and 36500),
	add column minutes_ahead integer not null default 5 constraint authority_minutes_ahead check (minutes_ahead between 1 and 1440);

alter table dossiers.charge
	add column assessed_ground text not null default ''
		constraint charge_assessed_ground check (char_length(assessed_ground) <= 500);
create index charge_by_ground on dossiers.charge (authority, id) where assessed_ground <> '';
