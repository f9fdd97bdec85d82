-- Merchants: an authority's contracts with providers. Payments, callbacks and
-- refunds name a merchant account; secrets are ciphertext.

-- +goose Up
create schema merchants;
grant usage on schema merchants to doisoat_app;

-- An authority's account with a provider. The application changes settings and
-- secrets, and disables the account.
create table merchants.account (
	id          uuid primary key,
	authority   text not null references auth.authority (code),
	provider    text not null check (provider ~ '^[a-z0-9]{2,20}$'),
	settings    jsonb not null,
	secrets     bytea not null, -- ciphertext: name to one or two live values
	created_at  timestamptz not null,
	created_by  text not null,
	disabled_at timestamptz,
	constraint merchant_account_identity unique (id, authority)
);
create unique index merchant_account_one_live on merchants.account (authority, provider) where disabled_at is null;
call app.protect('merchants.account');
grant select, insert on merchants.account to doisoat_app;
grant update (settings, secrets, disabled_at) on merchants.account to doisoat_app;

-- A callback names a merchant account before its authority is known. A disabled
-- account takes no new payments, but callbacks for earlier ones are still accepted.
-- +goose StatementBegin
create function merchants.authority_of(merchant uuid) returns text
	language sql stable security definer set search_path = pg_catalog
	begin atomic
		select m.authority from merchants.account m where m.id = merchant;
	end;
-- +goose StatementEnd
revoke all on function merchants.authority_of(uuid) from public;
grant execute on function merchants.authority_of(uuid) to doisoat_app;
