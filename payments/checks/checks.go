// Package checks recomputes the payments of an authority from their captures,
// dossiers and the book, and finds work that is late. It reads and changes nothing.
package checks

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// mostProblems bounds the problems that a check reports.
const mostProblems = 50

var checks = []string{
	// The captured sum of a payment equals the sum of its captures.
	`select 'payment ' || p.reference || ' says captured ' || p.captured || ', its captures sum to ' || coalesce(c.amount, 0)
		from payments.payment p left join (
			select payment_id, sum(amount) as amount from payments.capture group by payment_id) c on c.payment_id = p.id
		where p.captured <> coalesce(c.amount, 0)`,
	// Every đồng of a capture is allocated or excess.
	`select 'capture cap_' || replace(c.id::text, '-', '') || ' of ' || c.amount || ' has ' || coalesce(a.amount, 0) ||
			' allocated and ' || c.excess || ' excess'
		from payments.capture c left join (
			select capture_id, sum(amount) as amount from payments.allocation group by capture_id) a on a.capture_id = c.id
		where c.amount <> c.excess + coalesce(a.amount, 0)`,
	// The paid sum of a charge equals the captures' allocations to it.
	`select 'charge chg_' || replace(c.id::text, '-', '') || ' says paid ' || c.paid || ', captures allocated ' || coalesce(a.amount, 0)
		from dossiers.charge c left join (
			select charge_id, sum(amount) as amount from payments.allocation group by charge_id) a on a.charge_id = c.id
		where c.paid <> coalesce(a.amount, 0)`,
	// Reserved refunds stay within the captured money, and are equal for payment, capture and
	// allocations.
	`select 'payment ' || p.reference || ' promises ' || p.refund_reserved || ' back of ' || p.captured ||
			', its captures promise ' || coalesce(c.reserved, 0)
		from payments.payment p left join (
			select payment_id, sum(refund_reserved) as reserved from payments.capture group by payment_id) c on c.payment_id = p.id
		where p.refund_reserved not between 0 and p.captured or p.refund_reserved <> coalesce(c.reserved, 0)`,
	`select 'capture cap_' || replace(c.id::text, '-', '') || ' promises ' || c.refund_reserved || ' back of ' || c.amount ||
			', its parts promise ' || (c.excess_reserved + coalesce(a.reserved, 0))
		from payments.capture c left join (
			select capture_id, sum(refund_reserved) as reserved, bool_or(refund_reserved not between 0 and amount) as beyond
			from payments.allocation group by capture_id) a on a.capture_id = c.id
		where c.refund_reserved not between 0 and c.amount or c.excess_reserved not between 0 and c.excess
			or c.refund_reserved <> c.excess_reserved + coalesce(a.reserved, 0) or coalesce(a.beyond, false)`,
	// The book holds every capture with its amount, and no other capture.
	`select 'capture cap_' || replace(c.id::text, '-', '') || ' of ' || c.amount || ' is in the book with ' || coalesce(b.amount, 0)
		from payments.capture c left join (
			select e.cause_id, a.code = 'L-SUSPENSE' as suspended, sum(p.amount) as amount
			from ledger.entry e
			join ledger.posting p on p.entry_id = e.id and p.side = 'D'
			join ledger.account a on a.id = p.account_id and (a.code like 'A-CLR-%' or a.code = 'L-SUSPENSE')
			where e.cause_kind = 'capture' and e.cause_event = 'captured'
			group by e.cause_id, 2) b
			on b.cause_id = 'cap_' || replace(c.id::text, '-', '') and b.suspended = (c.evidence = 'identified')
		where c.amount <> coalesce(b.amount, 0)`,
	`select 'the book has a capture ' || e.cause_id || ' that payments does not know'
		from ledger.entry e
		where e.cause_kind = 'capture' and e.cause_event = 'captured'
			and not exists (select from payments.capture c where 'cap_' || replace(c.id::text, '-', '') = e.cause_id)`,
	// The status of a payment says whether money was taken, and whether all of it was settled.
	`select 'payment ' || p.reference || ' is ' || p.status || ' with captures of ' || p.captured
		from payments.payment p
		where (p.status in ('captured', 'settled')) <> (p.captured > 0)`,
	`select 'payment ' || p.reference || ' is settled and a capture of it is not'
		from payments.payment p
		where p.status = 'settled' and exists (select from payments.capture c where c.payment_id = p.id and c.settled_at is null)`,
}

// Check recomputes the payments of the transaction's authority against their dossiers and the book.
// It returns one sentence per difference.
func Check(ctx context.Context, tx pgx.Tx) ([]string, error) {
	var problems []string
	for _, query := range checks {
		found, err := sentences(ctx, tx, query+` limit $1`, mostProblems)
		if err != nil {
			return nil, err
		}
		problems = append(problems, found...)
	}
	return problems, nil
}

// overdue is how late work may be before a person should look at it.
const overdue = time.Hour

// Stuck returns overdue work of the transaction's authority: inquiries that should have been made,
// and messages that were kept and never applied. The sentences are a warning: no money is lost, and
// the sweeps go on trying.
func Stuck(ctx context.Context, tx pgx.Tx, now time.Time) ([]string, error) {
	late, err := sentences(ctx, tx, `
		select 'payment ' || p.reference || ' should have been asked about since ' || to_char(p.next_inquiry_at, 'YYYY-MM-DD HH24:MI')
		from payments.payment p where p.next_inquiry_at < $2 order by p.next_inquiry_at limit $1`, mostProblems, now.Add(-overdue))
	if err != nil {
		return nil, err
	}
	// A message that is applied later gets a row of its own with the same time of receipt.
	kept, err := sentences(ctx, tx, `
		select 'message cbk_' || replace(c.id::text, '-', '') || ' of ' || c.provider || ' was kept and never applied'
		from payments.callback c
		where c.reply = 'our_error' and c.received_at < $2 and not exists (
			select from payments.callback d
			where d.merchant_account_id = c.merchant_account_id and d.received_at = c.received_at and d.reply <> 'our_error')
		order by c.received_at limit $1`, mostProblems, now.Add(-overdue))
	return append(late, kept...), err
}

func sentences(ctx context.Context, tx pgx.Tx, query string, args ...any) ([]string, error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
