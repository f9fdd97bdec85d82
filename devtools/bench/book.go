package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
)

// largeDays is the number of business dates of the large book, up to now.
const largeDays = 365

// chunk is the number of entries per statement of fillBook.
const chunk = 20_000

// fillBook writes a year's book of entries with two postings each, in the order of time. It writes in SQL and switches
// the triggers of the book off meanwhile, because the bench measures afterwards how fast the book is read.
func (s *stage) fillBook(ctx context.Context, entries int, out io.Writer) error {
	if err := s.walls(ctx, "disable"); err != nil {
		return err
	}
	_, err := s.owner.Exec(ctx, `
		do $$
		begin
			for n in 1..12 loop
				call app.make_part(to_char(now() at time zone 'Asia/Ho_Chi_Minh' - n * interval '1 month', 'YYYYMM'),
					(now() at time zone 'Asia/Ho_Chi_Minh' - n * interval '1 month')::date);
			end loop;
		end
		$$`)
	if err != nil {
		return err
	}
	if err := s.walls(ctx, "disable"); err != nil { // of the months just made
		return err
	}
	begin := time.Now()
	for done := 0; done < entries; done += chunk {
		if _, err := s.owner.Exec(ctx, fillChunk, pgx.StrictNamedArgs{
			"from":      done,
			"until":     min(done+chunk, entries),
			"entries":   entries,
			"accounts":  accounts,
			"days":      largeDays,
			"authority": authority,
		}); err != nil {
			return err
		}
		if tenth := entries / 10; done/tenth != (done+chunk)/tenth {
			_, _ = fmt.Fprintf(out, "%d of %d postings after %s\n", 2*min(done+chunk, entries), 2*entries,
				time.Since(begin).Round(time.Second))
		}
	}
	return s.walls(ctx, "enable")
}

// walls switches the triggers of the book on or off, those of its months included.
func (s *stage) walls(ctx context.Context, to string) error {
	_, err := s.owner.Exec(ctx, `
		do $$
		declare target record;
		begin
			for target in
				select t.oid::regclass as name, g.tgname, g.tgenabled, g.tgisinternal
				from pg_class t join pg_trigger g on g.tgrelid = t.oid
				where t.relnamespace = 'ledger'::regnamespace and t.relkind in ('r', 'p') and g.tgparentid = 0
			loop
				execute format('alter table %s %s trigger %I', target.name,
					case when '`+to+`' = 'disable' then 'disable' when target.tgisinternal then 'enable' else 'enable always' end, target.tgname);
			end loop;
		end
		$$`)
	return err
}

const fillChunk = `
	with n as materialized (
		select g.i, overlay(gen_random_uuid()::text placing left(app.first_id(g.at)::text, 13) from 1 for 13)::uuid as id,
			g.at, (g.at at time zone 'Asia/Ho_Chi_Minh')::date as date, 1 + g.i * 7919 % @accounts as debit,
			1 + (g.i * 7919 + 1 + g.i % (@accounts - 1)) % @accounts as credit, 1000 + g.i % 999000 as amount,
			gen_random_uuid() as dossier, gen_random_uuid() as payment
		from (select i::bigint, now() - (1 - i::numeric / @entries) * @days * interval '1 day' as at
			from generate_series(@from::integer, @until::integer - 1) i) g
	), c as (
		insert into ledger.cause (authority, kind, id, event, entry_id)
		select @authority, 'bench', replace(n.payment::text, '-', ''), 'filled', n.id from n
	), e as (
		insert into ledger.entry (id, authority, business_date, recorded_at, cause_kind, cause_id, cause_event, description,
			actor, postings, content, marks)
		select n.id, @authority, n.date, n.at, 'bench', replace(n.payment::text, '-', ''), 'filled', 'filled by bench', 'system', 2,
			sha256(uuid_send(n.id)), decode(repeat('00', 8), 'hex')
		from n
	)
	insert into ledger.posting (entry_id, line, postings, authority, business_date, account_id, side, amount, currency, memo,
		dossier_id, payment_id, fee_type, policy)
	select n.id, l.line, 2, @authority, n.date, case l.line when 1 then n.debit else n.credit end, l.side, n.amount, 'VND', false,
		n.dossier, n.payment, 'PHI-' || n.i % 20, 'NQ-' || n.i % 7
	from n cross join (values (1::smallint, 'D'), (2::smallint, 'C')) l (line, side)`
