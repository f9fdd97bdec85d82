-- Messages of strangers apart from messages of providers. payments.callback is
-- append-only and keeps verified messages only. A message whose signature is
-- missing or wrong goes to a table with a bound for each account and day.

-- +goose Up
alter table payments.callback drop column verified;
alter table payments.callback drop constraint callback_reply;
alter table payments.callback add constraint callback_reply check (reply in
	('stored', 'already_stored', 'unknown_order', 'wrong_amount', 'bad_message', 'our_error'));
-- an event that waits for its job waits once, however often its sender repeats it
create unique index callback_kept on payments.callback (merchant_account_id, event_id) where reply = 'our_error';
create index callback_without_payment on payments.callback (merchant_account_id, event_id) where payment_id is null;

-- The first refused messages of an account on each day, for the person who looks
-- for the cause: a rotated secret, a wrong clock, an attack. Eight parts take the
-- days in turn, and a job truncates the part of a day that is a week old.
create table payments.refused_callback (
	part                smallint not null,
	day                 date not null, -- of receipt, in Viet Nam
	merchant_account_id uuid not null,
	number              smallint not null constraint refused_callback_bound check (number between 0 and 49),
	authority           text not null,
	id                  uuid not null,
	provider            text not null,
	received_at         timestamptz not null,
	reason              text not null check (length(reason) <= 200),
	length              integer not null check (length >= 0), -- bytes of query and body
	hash                bytea not null check (length(hash) = 32), -- SHA-256 of query and body
	head                bytea not null check (length(head) <= 2200), -- ciphertext of the first 2 kB
	primary key (part, day, merchant_account_id, number),
	constraint refused_callback_part check (part = (day - date '2000-01-01') % 8),
	constraint refused_callback_merchant foreign key (merchant_account_id, authority) references payments.merchant_account (id, authority)
) partition by list (part);
call app.protect('payments.refused_callback');
grant select, insert on payments.refused_callback to doisoat_app;

-- +goose StatementBegin
do $$
begin
	for n in 0..7 loop
		execute format('create table payments.refused_callback_%s partition of payments.refused_callback for values in (%s)', n, n);
		call app.protect(format('payments.refused_callback_%s', n)::regclass);
	end loop;
end
$$;
-- +goose StatementEnd

-- drop_refused_callbacks empties each part whose newest day is before the given
-- one, and returns how many parts held something. It never empties the last week.
-- +goose StatementBegin
create function payments.drop_refused_callbacks(before date) returns integer
	language plpgsql security definer set search_path = pg_catalog set lock_timeout = '2s' as $$
declare
	old     boolean;
	emptied integer := 0;
begin
	before := least(before, (now() at time zone 'Asia/Ho_Chi_Minh')::date - 6);
	for n in 0..7 loop
		execute format('select max(day) < $1 from payments.refused_callback_%s', n) into old using before;
		if old then
			execute format('truncate payments.refused_callback_%s', n);
			emptied := emptied + 1;
		end if;
	end loop;
	return emptied;
end
$$;
-- +goose StatementEnd
revoke all on function payments.drop_refused_callbacks(date) from public;
grant execute on function payments.drop_refused_callbacks(date) to doisoat_app;
