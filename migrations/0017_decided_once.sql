-- What was decided stays decided.

-- +goose Up

-- A paper carries a refund out, or brings it back, once. The request that
-- recorded it may come again late, after the refund bounced and was paid anew:
-- then it must not move the money a second time.
alter table refunds.document add constraint document_once unique (refund_id, act, number, document_date);

-- A policy that two people act about takes no other version until it is
-- rejected: a new version would stand without their acts, and undo a repeal.
-- +goose StatementBegin
create function fees.follow_acts() returns trigger language plpgsql as $$
declare
	status text;
begin
	select a.to_status into status from fees.policy_act a
	where a.policy = new.policy order by a.version desc, a.seq desc limit 1;
	if status <> 'rejected' then
		raise exception 'policy % is % and takes no other version', new.policy, status
			using errcode = 'check_violation', constraint = 'policy_version_follows', schema = 'fees', table = 'policy_version';
	end if;
	return new;
end
$$;
-- +goose StatementEnd
create trigger policy_version_follows before insert on fees.policy_version for each row execute function fees.follow_acts();
alter table fees.policy_version enable always trigger policy_version_follows;
