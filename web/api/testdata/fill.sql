-- Fills a database with years of work in a minute, for TestPlans: a million
-- entries of three authorities over four months of business dates and, in
-- proportion, the other tables that grow. One procedure per room; they commit
-- in batches, as work does, and rely on nothing of each other but fill.case.
-- The rows are plausible to the planner (numbers, order, distribution), not
-- provable to the last đồng.

create schema fill;

-- A UUIDv7 of an instant: ids sort as their things were recorded.
create function fill.id(at timestamptz, kind integer, n bigint) returns uuid
	language sql stable parallel safe
	return (lpad(to_hex((date_part('epoch', at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(kind), 3, '0')
		|| '8' || lpad(to_hex(n), 15, '0'))::uuid;

-- 32 bytes that stand for a hash.
create function fill.hash(n bigint) returns bytea language sql immutable parallel safe
	return bytea '\x000000000000000000000000000000000000000000000000' || int8send(n);

create function fill.day(at timestamptz) returns date language sql immutable parallel safe
	return (at at time zone 'Asia/Ho_Chi_Minh')::date;

-- The months of the past, which app.make_months does not make.
create procedure fill.months() language plpgsql as $$
declare month date;
begin
	for month in select m::date from generate_series(timestamp '2023-11-01', now() at time zone 'Asia/Ho_Chi_Minh', interval '1 month') m loop
		if to_regclass('ledger.entry_' || to_char(month, 'YYYYMM')) is null then
			call app.make_part(to_char(month, 'YYYYMM'), month);
		end if;
	end loop;
end $$;

-- The rules that fire for every row stand aside while rows are made and are
-- put back before anybody asks. Foreign keys stand aside by
-- session_replication_role, which the caller sets. Indexes that promise nothing
-- stand aside too: they are built faster when all rows are there.
create table fill.trigger (relation regclass, name name);
create table fill.index (relation regclass, definition text);
create procedure fill.disarm() language plpgsql as $$
declare one record;
begin
	insert into fill.trigger
	select t.tgrelid, t.tgname from pg_trigger t
	where not t.tgisinternal and t.tgenabled = 'A' and t.tgparentid = 0;
	for one in select * from fill.trigger loop
		execute format('alter table %s disable trigger %I', one.relation, one.name);
	end loop;
	for one in
		select i.indrelid, i.indexrelid::regclass as index, replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ') as definition
		from pg_index i join pg_class c on c.oid = i.indrelid
		where not i.indisunique and not c.relispartition
			and c.relnamespace::regnamespace::text in ('ledger', 'audit', 'dossiers', 'merchants', 'payments', 'refunds', 'remittance', 'reconcile')
	loop
		insert into fill.index values (one.indrelid, one.definition);
		execute format('drop index %s', one.index);
	end loop;
end $$;
create procedure fill.arm() language plpgsql as $$
declare one record;
begin
	for one in select * from fill.trigger loop
		execute format('alter table %s enable always trigger %I', one.relation, one.name);
	end loop;
end $$;

-- Builds the indexes of some schemas.
create procedure fill.build(schemas text[]) language plpgsql as $$
declare one record;
begin
	for one in
		select i.definition from fill.index i join pg_class c on c.oid = i.relation where c.relnamespace::regnamespace::text = any(schemas)
	loop
		execute one.definition;
	end loop;
end $$;

-- Names the tables of some schemas.
create function fill.tables(schemas text[]) returns text language sql
	return (
		select string_agg(c.oid::regclass::text, ', ') from pg_class c
		where c.relkind in ('r', 'p') and not c.relispartition and c.relnamespace::regnamespace::text = any(schemas));

-- What the rooms are filled around: a dossier with two charges, a payment, a capture.
create unlogged table fill.case (
	n bigint primary key, authority text, at timestamptz, date date, open boolean,
	dossier uuid, first uuid, second uuid, payment uuid, capture uuid, merchant uuid, source uuid, run uuid, line uuid
);
create unlogged table fill.desk (authority text primary key, merchant uuid, source uuid, bank uuid);

-- Merchant accounts and sources: those that are there, else new ones.
create procedure fill.desks(names text[]) language sql
begin atomic
	insert into merchants.account (id, authority, provider, settings, secrets, created_at, created_by)
	select fill.id('2024-01-01', 1, place), holder, 'vnpay', '{"tmn_code": "DVCTEST1"}', '', '2024-01-01', 'fill'
	from unnest(names) with ordinality as u (holder, place)
	where not exists (select from merchants.account m where m.authority = holder and m.provider = 'vnpay');
	insert into reconcile.source (id, authority, code, kind, provider, account, profile, currency, created_at, created_by)
	select fill.id('2024-01-01', k.kind, place), holder, k.code || '-' || lower(holder), k.name, k.provider, k.account, k.profile, 'VND',
		'2024-01-01', 'fill'
	from unnest(names) with ordinality as u (holder, place)
	cross join (values (2, 'vnpay', 'settlement', 'vnpay', '', 'vnpay-settlement-v1'), (3, 'vcb', 'bank', '', '0011000000001', ''))
		as k (kind, code, name, provider, account, profile)
	where not exists (select from reconcile.source s where s.authority = holder and s.kind = k.name);
	insert into fill.desk
	select holder,
		(select id from merchants.account m where m.authority = holder and m.provider = 'vnpay'),
		(select id from reconcile.source s where s.authority = holder and s.kind = 'settlement'),
		(select id from reconcile.source s where s.authority = holder and s.kind = 'bank')
	from unnest(names) as u (holder);
end;

-- Two of three dossiers are of the first authority. The last two days are not settled yet.
create procedure fill.cases(names text[], cases bigint) language sql
begin atomic
	insert into fill.case
	select n, k.authority, t.at, fill.day(t.at), t.at >= '2024-04-28',
		fill.id(t.at, 16, n), fill.id(t.at, 17, n), fill.id(t.at, 18, n), fill.id(t.at, 19, n), fill.id(t.at, 20, n),
		k.merchant, k.source, fill.id(fill.day(t.at)::timestamptz, 32, ascii(k.authority) + k.place), fill.id(t.at, 33, n)
	from generate_series(1, cases) n
	cross join lateral (select timestamptz '2024-01-02 01:00Z' + (n::float8 / cases) * interval '118 days 3 hours' as at) t
	join (select d.*, array_position(names, d.authority) as place from fill.desk d) k
		on k.place = case n % 9 when 7 then 2 when 8 then 2 when 6 then 3 else 1 end;
end;

create procedure fill.dossiers() language plpgsql as $$
begin
	insert into dossiers.dossier (id, authority, code, agency, procedure, channel, service_level, submitted_at, pricing_date, currency,
		applicant, applicant_key, status, status_at, stage, request_hash, idempotency_key, created_at, created_by)
	select c.dossier, c.authority, c.authority || '.12-' || to_char(c.date, 'YYMMDD') || '-' || lpad((c.n + 10000)::text, 6, '0'),
		c.authority || '.' || c.n % 40, '1.00' || (1000 + c.n % 50), case c.n % 4 when 0 then 'direct' else 'online' end, 'toan_trinh',
		c.at, c.date, 'VND', '\x00', fill.hash(c.n / 2), 10, c.at, 'delivered', fill.hash(c.n), 'fill-' || c.n, c.at, 'fill'
	from fill.case c;
	commit;
	insert into dossiers.charge (id, authority, dossier_id, line, fee_type, kind, quantity, base, discount, subsidy, due, paid, currency,
		policy, explanation, idempotency_key, request_hash, created_at)
	select k.id, c.authority, c.dossier, k.line, k.fee_type, 'le_phi', 1, 100000, 40000, 0, 60000, 60000, 'VND',
		'NA-2023-60', '{"applied": [{"policy": "NA-2023-60"}]}', 'fill-' || c.n, fill.hash(c.n), c.at
	from fill.case c
	cross join lateral (values (c.first, 1, 'LP_DKKD'), (c.second, 2, 'LP_GPXD')) as k (id, line, fee_type);
	commit;
	insert into dossiers.status_event (id, authority, dossier_id, status, at, recorded_at, recorded_by)
	select fill.id(c.at, 21 + s.status, c.n), c.authority, c.dossier, s.status, c.at + s.status * interval '1 hour', c.at, 'fill'
	from fill.case c cross join (values (2), (10)) as s (status);
	commit;
	insert into dossiers.receipt (id, authority, dossier_id, kind, amount, currency, cause_kind, cause_id, issued_at)
	select fill.id(c.at, 31, c.n), c.authority, c.dossier, 'le_phi', 60000, 'VND', 'capture', c.capture, c.at from fill.case c;
	commit;
	insert into audit.event (id, at, authority, actor_role, actor_id, act, object_kind, object_id, after)
	select fill.id(c.at, 40 + k.number, c.n), c.at, c.authority, 'portal', 'fill', k.act, k.kind, k.kind || '_' || replace(k.id::text, '-', ''), '{}'
	from fill.case c
	cross join lateral (values (1, 'dossier.register', 'dossier', c.dossier), (2, 'payment.create', 'payment', c.payment))
		as k (number, act, kind, id);
	commit;
end $$;

create procedure fill.payments() language plpgsql as $$
begin
	insert into payments.payment (id, authority, dossier_id, merchant_account_id, provider, reference, amount, currency, status, captured,
		refund_reserved, created_at, created_by, expires_at, status_at, idempotency_key, request_hash)
	select c.payment, c.authority, c.dossier, c.merchant, 'vnpay', 'DS' || lpad(c.n::text, 10, '0'), 120000, 'VND',
		case when c.n % 50 = 0 then 'failed' when c.open then 'captured' else 'settled' end, 120000,
		case c.n % 5 when 1 then 60000 else 0 end, c.at, 'fill', c.at + interval '15 minutes', c.at, 'fill-' || c.n, fill.hash(c.n)
	from fill.case c;
	commit;
	insert into payments.payment_charge (payment_id, charge_id, authority, amount)
	select c.payment, k.id, c.authority, 60000 from fill.case c cross join lateral (values (c.first), (c.second)) as k (id);
	commit;
	insert into payments.attempt (id, authority, payment_id, number, status, created_at, status_at)
	select fill.id(c.at, 50, c.n), c.authority, c.payment, 1, 'captured', c.at, c.at from fill.case c;
	commit;
	insert into payments.capture (id, authority, payment_id, dossier_id, merchant_account_id, provider, transaction_id, bank_reference, amount,
		currency, excess, refund_reserved, occurred_at, business_date, evidence, recorded_at, settled_at)
	select c.capture, c.authority, c.payment, c.dossier, c.merchant, 'vnpay', (10000000 + c.n)::text, 'FT' || c.n, 120000,
		'VND', 0, case c.n % 5 when 1 then 60000 else 0 end, c.at, c.date, 'callback', c.at,
		case when not c.open then c.at + interval '1 day' end
	from fill.case c;
	commit;
	insert into payments.allocation (capture_id, charge_id, authority, amount, refund_reserved)
	select c.capture, k.id, c.authority, 60000, k.reserved
	from fill.case c cross join lateral (values (c.first, case c.n % 5 when 1 then 60000 else 0 end), (c.second, 0)) as k (id, reserved);
	commit;
	insert into payments.callback (id, authority, merchant_account_id, provider, received_at, message, event_id, payment_id, reply)
	select fill.id(c.at, 51, c.n), c.authority, c.merchant, 'vnpay', c.at, '\x00', 'fill-' || c.n, c.payment, 'stored' from fill.case c;
	commit;
end $$;

create procedure fill.refunds() language plpgsql as $$
begin
	insert into refunds.refund (id, authority, dossier_id, payment_id, capture_id, merchant_account_id, provider, reference, reason, origin,
		route, stage, status, amount, currency, deadline, requested_at, requested_by, decided_at, decided_by, sent_at, done_at, settled_at,
		status_at, provider_transaction, idempotency_key, request_hash)
	select fill.id(c.at, 60, c.n), c.authority, c.dossier, c.payment, c.capture, c.merchant, 'vnpay', 'DR' || lpad(c.n::text, 10, '0'),
		'SERVICE_IMPOSSIBLE', 'manual', r.route, 'M2', r.status, 60000, 'VND', c.date + 5,
		c.at, 'maker', case when r.status <> 'requested' then c.at end, case when r.status <> 'requested' then 'checker' end, c.at, c.at,
		case r.status when 'done' then c.at end, c.at, case r.status when 'done' then 'R' || c.n else '' end, 'fill-' || c.n, fill.hash(c.n)
	from fill.case c
	cross join lateral (select case when c.n % 2 = 0 then 'payment_order' else 'provider' end as route,
		case when not c.open then 'done' when c.n % 2 = 0 then 'reserved' else 'requested' end as status) r
	where c.n % 5 = 1;
	insert into refunds.item (refund_id, line, authority, charge_id, amount)
	select fill.id(c.at, 60, c.n), 1, c.authority, c.first, 60000 from fill.case c where c.n % 5 = 1;
	insert into refunds.document (refund_id, seq, authority, act, number, document_date, account, recorded_at, recorded_by)
	select fill.id(c.at, 60, c.n), 1, c.authority, 'paid', 'UNC-' || c.n, c.date, 'vcb', c.at, 'fill' from fill.case c
	where c.n % 5 = 1 and not c.open;
	commit;
	insert into repricing.repricing (id, authority, policy, period_from, period_to, reason, status, forecast, place_date, place_dossier,
		requested_at, requested_by, decided_at, decided_by, done_at)
	select fill.id(r.at, 61, r.batch), r.authority, 'NA-2023-60', '2024-01-01', '2024-04-30', 'fill', 'done', '{}', '2024-04-30', r.dossier,
		r.at, 'maker', r.at, 'checker', r.at
	from (select authority, n / 2000 as batch, max(at) as at, (array_agg(dossier))[1] as dossier from fill.case where n % 9 = 0 group by 1, 2) r;
	insert into repricing.item (repricing_id, charge_id, authority, dossier_id, assessed, lawful, outcome, refunded, waived, added, recorded_at)
	select r.id, c.first, c.authority, c.dossier, 60000, 50000, 'reduced', 10000, 0, 0, c.at
	from fill.case c join repricing.repricing r on r.id = fill.id(r.requested_at, 61, c.n / 2000) and r.authority = c.authority
	where c.n % 9 = 0;
	commit;
end $$;

-- A period of a week, up to the week before the last.
create procedure fill.remittance() language plpgsql as $$
begin
	insert into remittance.split (id, authority, currency, period_to, made_at, made_by, horizon, home)
	select distinct fill.id(week, 70, ascii(authority) + array_position(array(select d.authority from fill.desk d order by 1), authority)),
		authority, 'VND', fill.day(week) + 6, week + interval '7 days', 'fill', xid8 '0', ledger.home()
	from (select authority, date_trunc('week', at) as week from fill.case) w where week < '2024-04-22';
	insert into remittance.share (split_id, charge_id, authority, dossier_id, fee_type, kind, amount, retained, numerator, denominator, legal_basis)
	select s.id, k.id, c.authority, c.dossier, k.fee_type, 'le_phi', 60000, 0, 0, 1, ''
	from remittance.split s
	join fill.case c on c.authority = s.authority and c.date between s.period_to - 6 and s.period_to
	cross join lateral (values (c.first, 'LP_DKKD'), (c.second, 'LP_GPXD')) as k (id, fee_type);
	insert into remittance.part (split_id, fee_type, kind, authority, charges, amount, retained)
	select split_id, fee_type, kind, authority, count(*), sum(amount), sum(retained) from remittance.share group by 1, 2, 3, 4;
	commit;
	insert into remittance.taken (refund_id, split_id, charge_id, authority, budget, retained, waiting, taken_at)
	select i.refund_id, x.split_id, x.charge_id, x.authority, 60000, 0, false, s.made_at
	from refunds.item i join remittance.share x on x.charge_id = i.charge_id join remittance.split s on s.id = x.split_id;
	insert into remittance.voucher (id, authority, split_id, kind, amount, account, number, document_date, treasury, proposed_at, proposed_by)
	select fill.id(s.made_at, 71, ascii(s.authority) + row_number() over (order by s.id)), s.authority, s.id, 'budget_le_phi', 60000, 'vcb', 'GNT',
		s.period_to + 1, 'KBNN', s.made_at, 'maker'
	from remittance.split s;
	insert into remittance.decision (voucher_id, authority, split_id, kind, proposed_by, approved, reason, decided_at, decided_by)
	select v.id, v.authority, v.split_id, v.kind, v.proposed_by, true, '', v.proposed_at, 'checker' from remittance.voucher v;
	commit;
end $$;

-- A statement and a closed run per source and day; a row for every dossier, a
-- match for two of three, a break that was resolved for the others. Forty bank
-- accounts of agencies on which nothing happens have theirs too.
create procedure fill.reconcile() language plpgsql as $$
begin
	insert into reconcile.statement (id, authority, source_id, status, file_name, format, profile, sha256, size, file, period_from, period_to,
		rows_accepted, rows_known, rows_refused, totals, problems, received_at, received_by)
	select fill.id(d.date::timestamptz, 80, ascii(d.authority) + row_number() over (order by d.run)), d.authority, d.source, 'accepted',
		d.date || '.csv', 'settlement', 'vnpay-settlement-v1', fill.hash(row_number() over (order by d.run)), 100, '\x00', d.date, d.date,
		d.rows, 0, 0, '[]', '[]', d.date + interval '1 day', 'fill'
	from (select authority, source, run, date, count(*) as rows from fill.case group by 1, 2, 3, 4) d;
	insert into reconcile.run (id, authority, source_id, business_date, number, status, currency, created_at, created_by, matched_at, closed_at,
		closed_by, report)
	select distinct on (c.run) c.run, c.authority, c.source, c.date, 1, 'closed', 'VND', c.date + interval '1 day', 'fill', c.date + interval '1 day',
		c.date + interval '1 day', 'fill', '{}'::jsonb
	from fill.case c where not c.open;
	insert into reconcile.source (id, authority, code, kind, account, currency, created_at, created_by)
	select fill.id('2024-01-01', 4, row_number() over (order by d.authority, k)), d.authority, 'quiet-' || k, 'bank', k::text, 'VND', '2024-01-01', 'fill'
	from fill.desk d cross join generate_series(1, 40) as k;
	insert into reconcile.run (id, authority, source_id, business_date, number, status, currency, created_at, created_by, matched_at, closed_at,
		closed_by, report)
	select fill.id(day, 84, row_number() over (order by day, s.id)), s.authority, s.id, fill.day(day), 1, 'closed', 'VND', day, 'fill', day, day,
		'fill', '{}'
	from reconcile.source s cross join generate_series(timestamptz '2024-01-02', '2024-04-27', '1 day') as day where s.code like 'quiet-%';
	insert into reconcile.statement (id, authority, source_id, status, file_name, format, sha256, size, file, period_from, period_to,
		rows_accepted, rows_known, rows_refused, totals, problems, received_at, received_by)
	select r.id, r.authority, r.source_id, 'accepted', 'quiet.xml', 'camt053', fill.hash(1000000 + row_number() over (order by r.id)), 100, '\x00',
		r.business_date, r.business_date, 0, 0, 0, '[]', '[]', r.created_at, 'fill'
	from reconcile.run r join reconcile.source s on s.id = r.source_id where s.code like 'quiet-%';
	commit;
	insert into reconcile.statement_line (id, authority, source_id, statement_id, row, line_key, ordinal, business_date, occurred_at, kind, booked,
		amount, fee, net, currency, reference, transaction_id, batch_id, run_id, payout_run_id, matched, paid_out)
	select c.line, c.authority, c.source, s.id, row_number() over (partition by c.run order by c.n), fill.hash(c.n), 1, c.date, c.at, 'payment', true,
		120000, 1200, 118800, 'VND', 'DS' || lpad(c.n::text, 10, '0'), (10000000 + c.n)::text, 'B' || c.date,
		case when not c.open then c.run end, case when not c.open then c.run end, not c.open, not c.open
	from fill.case c join reconcile.statement s on s.source_id = c.source and s.period_to = c.date;
	commit;
	insert into reconcile.match (id, authority, run_id, lane, rule, version, kind, score, inputs, amount, currency, created_at, created_by)
	select fill.id(c.at, 81, c.n), c.authority, c.run, 'settlement', 'reference', 1, 'exact', 100, '{}', 120000, 'VND', c.at, 'fill'
	from fill.case c where not c.open and c.n % 3 > 0;
	insert into reconcile.match_item (match_id, authority, side, capture_id, line_id, amount)
	select fill.id(c.at, 81, c.n), c.authority, i.side, i.capture, i.line, 120000
	from fill.case c cross join lateral (values ('line', null, c.line), ('book', c.capture, null)) as i (side, capture, line)
	where not c.open and c.n % 3 > 0;
	insert into reconcile.book_item (id, authority, run_id, capture_id, amount)
	select c.capture, c.authority, c.run, c.capture, 120000 from fill.case c where not c.open;
	commit;
	insert into reconcile.break (id, authority, run_id, source_id, kind, status, holds, line_id, payment_id, amount, currency, detail, created_at,
		resolved_at, resolution)
	select fill.id(c.at, 82, c.n), c.authority, c.run, c.source, 'missing_in_book', case when c.at < '2024-04-27' then 'resolved' else 'carried' end,
		true, c.line, c.payment, 120000, 'VND', 'fill', c.at, case when c.at < '2024-04-27' then c.at end, 'repaired'
	from fill.case c where not c.open and c.n % 3 = 0;
	insert into reconcile.identification (id, authority, line_id, dossier_id, amount, currency, reason, status, proposed_at, proposed_by, decided_at,
		decided_by, capture_id)
	select fill.id(c.at, 85, c.n), c.authority, c.line, c.dossier, 120000, 'VND', 'fill', 'approved', c.at, 'maker', c.at, 'checker', c.capture
	from fill.case c where c.n % 9 = 4;
	insert into reconcile.repair (id, authority, run_id, line_id, payment_id, kind, amount, currency, asked_at, asked_on, outcome)
	select fill.id(c.at, 83, c.n), c.authority, c.run, c.line, c.payment, 'lost_notice', 120000, 'VND', c.at, c.date, 'recorded'
	from fill.case c where not c.open and c.n % 3 = 0;
	commit;
end $$;

-- Eight entries and twenty postings a dossier: per charge assessed, captured,
-- banked and divided.
create unlogged table fill.line (event integer, line integer, account text, side text, memo boolean);
insert into fill.line values
	(1, 1, 'M-RECEIVABLE', 'D', true), (1, 2, 'M-OBLIGATION', 'C', true),
	(2, 1, 'A-CLR-vnpay', 'D', false), (2, 2, 'L-TAMTHU-LEPHI', 'C', false), (2, 3, 'M-COLLECTED', 'D', true), (2, 4, 'M-RECEIVABLE', 'C', true),
	(3, 1, 'A-BANK-vcb', 'D', false), (3, 2, 'A-CLR-vnpay', 'C', false),
	(4, 1, 'L-TAMTHU-LEPHI', 'D', false), (4, 2, 'L-NSNN', 'C', false);

create procedure fill.ledger(batch bigint) language plpgsql as $$
declare
	low  bigint := 1;
	past bigint;
begin
	insert into ledger.account (authority, code, currency, class, normal)
	select d.authority, a.code, 'VND', a.class, a.normal
	from fill.desk d
	cross join (values ('M-RECEIVABLE', 'memo', 'D'), ('M-OBLIGATION', 'memo', 'C'), ('M-COLLECTED', 'memo', 'D'), ('A-CLR-vnpay', 'asset', 'D'),
		('L-TAMTHU-LEPHI', 'liability', 'C'), ('A-BANK-vcb', 'asset', 'D'), ('L-NSNN', 'liability', 'C'))
		as a (code, class, normal)
	on conflict do nothing;
	create temp table account as select id, authority, code from ledger.account;
	select max(n) + 1 into past from fill.case;
	while low < past loop
		create temp table fresh on commit drop as
		select fill.id(c.at + e.event * interval '1 hour', 90 + e.event, c.n * 2 + k.number) as id, c.authority,
			fill.day(c.at + e.event * interval '1 hour') as date, c.at + e.event * interval '1 hour' as at,
			e.event, k.fee_type, k.charge, c.dossier, c.payment, c.n
		from fill.case c
		cross join generate_series(1, 4) as e (event)
		cross join lateral (values (0, 'LP_DKKD', c.first), (1, 'LP_GPXD', c.second)) as k (number, fee_type, charge)
		where c.n >= low and c.n < low + batch and (e.event < 4 or c.at < '2024-04-22');
		insert into ledger.entry (id, authority, business_date, recorded_at, cause_kind, cause_id, cause_event, description, actor, postings, content, marks)
		select f.id, f.authority, f.date, f.at, 'fill', f.charge::text, f.event::text, 'fill', 'fill', case f.event when 2 then 4 else 2 end, fill.hash(f.n),
			decode(repeat('00', case f.event when 2 then 16 else 8 end), 'hex')
		from fresh f order by f.id;
		insert into ledger.cause (authority, kind, id, event, entry_id)
		select f.authority, 'fill', f.charge::text, f.event::text, f.id from fresh f;
		insert into ledger.posting (entry_id, line, postings, authority, business_date, account_id, side, amount, currency, memo, dossier_id, payment_id,
			charge_id, fee_type, policy)
		select f.id, l.line, case f.event when 2 then 4 else 2 end, f.authority, f.date, a.id, l.side, 60000, 'VND', l.memo, f.dossier, case f.event when 2 then f.payment end,
			f.charge, f.fee_type, 'NA-2023-60'
		from fresh f join fill.line l on l.event = f.event
		join account a on a.authority = f.authority and a.code = l.account
		order by f.id, l.line;
		commit;
		low := low + batch;
	end loop;
end $$;

-- Blocks of 10,000 entries over the whole book.
create procedure fill.seal() language plpgsql as $$
begin
	create temp table sealed as
	select e.authority, e.id, e.tx, e.recorded_at, row_number() over (partition by e.authority order by e.tx, e.id) - 1 as place from ledger.entry e;
	insert into ledger.block (authority, number, version, sealed_at, previous, root, first, entries, postings, totals, cluster, reached_tx, reached_id, hash)
	select s.authority, s.place / 10000 + 1, 1, max(s.recorded_at), fill.hash(s.place / 10000), fill.hash(s.place / 10000), min(s.place), count(*),
		count(*) * 2, '', ledger.home()::text, (array_agg(s.tx order by s.place desc))[1], (array_agg(s.id order by s.place desc))[1],
		fill.hash(s.place / 10000 + 1)
	from sealed s group by s.authority, s.place / 10000;
	insert into ledger.sealed_entry (authority, block, position, entry_id, leaf, marks)
	select s.authority, s.place / 10000 + 1, s.place % 10000, s.id, fill.hash(s.place), '\x0000000000000000'
	from sealed s order by s.authority, s.place;
	drop table sealed;
end $$;

-- What each split had seen of the book: the transactions before the first that brought something later.
create procedure fill.horizons() language sql
begin atomic
	with seen as materialized (select e.authority, e.tx, max(e.recorded_at) as upto from ledger.entry e group by 1, 2)
	update remittance.split s set home = ledger.home(),
		horizon = coalesce((select min(x.tx) from seen x where x.authority = s.authority and x.upto >= s.made_at),
			pg_snapshot_xmin(pg_current_snapshot()));
end;
