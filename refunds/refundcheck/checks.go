// Package refundcheck recomputes the refunds of an authority from their items,
// captures and the book, and finds refunds that are late. It reads and changes
// nothing; doisoat check calls it.
package refundcheck

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/refunds"
)

// Check recomputes the refunds of the transaction's authority and describes each
// breach in one line, none when all is well:
//   - reservations of payments, captures and allocations equal the refunds that still hold them;
//   - a refund is the sum of its items, and the checker is not the maker;
//   - in the book each refund has moved exactly the amounts of its status, and the
//     payer of a payment is owed exactly the balance of L-REFUND, never below zero;
//   - the refunded sum of a charge is the sum of the done refunds that name it;
//   - L-TAMTHU per fee type is the captures and subsidies, less the money that refunds took and the money that was
//     divided, and below zero by no more than the subsidies that were taken back;
//   - a refund that was paid by order, or bounced, has its documents;
//   - the sweep forgets no refund under way.
//
// It returns at most mostBreaches of each kind. Lines hold references, ids and
// amounts, no personal data.
func Check(ctx context.Context, tx pgx.Tx) ([]string, error) {
	var breaches []string
	for _, check := range checks {
		found, err := sentences(ctx, tx, withHeld+check+` limit @most`, pgx.StrictNamedArgs{
			"payable": ledger.RefundPayable, "phi": ledger.ProvisionalPhi, "le_phi": ledger.ProvisionalLePhi, "most": mostBreaches,
		})
		if err != nil {
			return nil, fmt.Errorf("check refunds: %w", err)
		}
		breaches = append(breaches, found...)
	}
	return breaches, nil
}

// mostBreaches bounds the lines of one check.
const mostBreaches = 50

// overdue is how late work may be before a person should look at it; doubtful
// how long an outcome may stay open.
const (
	overdue  = time.Hour
	doubtful = 24 * time.Hour
)

// Stuck returns late work of the transaction's authority: refunds without a
// decision in time, approved refunds that never left, refunds without their
// inquiry, and refunds whose outcome is open for long. It is a warning: nothing
// is lost, and the sweeps go on trying.
func Stuck(ctx context.Context, tx pgx.Tx, now time.Time) ([]string, error) {
	return sentences(ctx, tx, `
		select format('refund %s is %s since %s%s', r.reference, r.status,
			to_char(r.status_at at time zone 'Asia/Ho_Chi_Minh', 'YYYY-MM-DD HH24:MI'),
			case when r.next_inquiry_at < @overdue then ' and was not asked about' else '' end)
		from refunds.refund r
		where r.authority = (select app.authority()) and (r.next_inquiry_at < @overdue
			or r.status = 'requested' and r.deadline < @today
			or r.status = 'reserved' and r.route = 'provider' and r.status_at < @unsent
			or r.status in ('reserved', 'returned') and r.route <> 'provider' and r.deadline < @today
			or r.status in ('sending', 'sent', 'unknown') and r.status_at < @doubtful)
		order by r.status_at, r.id limit @most`, pgx.StrictNamedArgs{
		"overdue": now.Add(-overdue), "unsent": now.Add(-refunds.UnsentAfter - overdue), "doubtful": now.Add(-doubtful),
		"today": calendar.On(now), "most": mostBreaches,
	})
}

func sentences(ctx context.Context, tx pgx.Tx, query string, args pgx.StrictNamedArgs) ([]string, error) {
	rows, err := tx.Query(ctx, query, args)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// withHeld starts every check: each refund with the parts of its items; held is
// whether its reservation stands, decided whether it was ever posted as owed,
// owed whether it still is to be taken out of L-REFUND or was.
const withHeld = `
	with refund as (
		select r.id, r.reference, r.payment_id, r.capture_id, r.status, r.amount, r.requested_by, r.decided_by, r.next_inquiry_at,
			coalesce(i.of_charges, 0) as of_charges, coalesce(i.of_excess, 0) as of_excess,
			r.status not in ('rejected', 'declined') as held,
			r.status in ('approved', 'reserved', 'sending', 'sent', 'unknown', 'done', 'returned') as owed
		from refunds.refund r
		left join (
			select refund_id, sum(amount) filter (where charge_id is not null) as of_charges,
				sum(amount) filter (where charge_id is null) as of_excess
			from refunds.item group by refund_id) i on i.refund_id = r.id
		where r.authority = (select app.authority())),
	payable as (
		select p.payment_id, p.refund_id, sum(case p.side when 'C' then p.amount else -p.amount end) as balance
		from ledger.posting p
		join ledger.account a on a.id = p.account_id
		where a.authority = (select app.authority()) and a.code = @payable and p.payment_id is not null
		group by p.payment_id, p.refund_id),
	tamthu (kind, code) as (values ('phi', @phi::text), ('le_phi', @le_phi::text))`

var checks = []string{
	`select format('payment %s has reserved %s for refunds that hold %s', p.reference, p.refund_reserved, coalesce(h.amount, 0))
	from payments.payment p
	left join (select payment_id, sum(amount) as amount from refund where held group by payment_id) h on h.payment_id = p.id
	where p.refund_reserved <> coalesce(h.amount, 0) order by p.id`,

	`select format('capture cap_%s has reserved %s (excess %s) for refunds that hold %s (excess %s)',
		replace(c.id::text, '-', ''), c.refund_reserved, c.excess_reserved, coalesce(h.amount, 0), coalesce(h.excess, 0))
	from payments.capture c
	left join (select capture_id, sum(amount) as amount, sum(of_excess) as excess from refund where held group by capture_id) h
		on h.capture_id = c.id
	where (c.refund_reserved, c.excess_reserved) <> (coalesce(h.amount, 0), coalesce(h.excess, 0)) order by c.id`,

	`select format('allocation of capture cap_%s to charge chg_%s has reserved %s for refunds that hold %s',
		replace(coalesce(a.capture_id, h.capture_id)::text, '-', ''), replace(coalesce(a.charge_id, h.charge_id)::text, '-', ''),
		coalesce(a.refund_reserved, 0), coalesce(h.amount, 0))
	from payments.allocation a
	full join (
		select r.capture_id, i.charge_id, sum(i.amount) as amount
		from refund r join refunds.item i on i.refund_id = r.id
		where r.held and i.charge_id is not null group by r.capture_id, i.charge_id) h
		on h.capture_id = a.capture_id and h.charge_id = a.charge_id
	where coalesce(a.refund_reserved, 0) <> coalesce(h.amount, 0) order by 1`,

	`select format('refund %s is over %s and its items over %s', reference, amount, of_charges + of_excess)
	from refund where amount <> of_charges + of_excess order by id`,

	`select format('refund %s was decided by %s who asked for it', reference, decided_by)
	from refund where decided_by = requested_by order by id`,

	`select format('refund %s is %s and nobody decided', reference, status)
	from refund where decided_by is null and status <> 'requested' order by id`,

	`select format('refund %s is %s and no sweep will ask about it', reference, status)
	from refund where status in ('sending', 'sent', 'unknown') and next_inquiry_at is null order by id`,

	// One refund in the book: approved adds the money collected for charges, done takes out the whole refund.
	`select format('refund %s is %s and has moved %s by %s in the book, not %s', r.reference, r.status, @payable::text,
		coalesce(p.balance, 0), e.balance)
	from refund r
	cross join lateral (select case when r.owed then r.of_charges else 0 end - case r.status when 'done' then r.amount else 0 end as balance) e
	left join payable p on p.refund_id = r.id
	where coalesce(p.balance, 0) <> e.balance order by r.id`,

	`select format('refund %s is %s and its entry of event %s is %s', r.reference, r.status, n.event,
		case when n.wanted then 'missing' else 'there' end)
	from refund r
	cross join lateral (values
		('approved', r.of_charges > 0 and (r.owed or r.status = 'declined')),
		('declined', r.of_charges > 0 and r.status = 'declined'),
		('done', r.status in ('done', 'returned'))) n (event, wanted)
	left join ledger.cause e on e.authority = (select app.authority()) and e.kind = 'refund'
		and e.id = 'ref_' || replace(r.id::text, '-', '') and e.event = n.event
	where n.wanted <> (e.entry_id is not null) order by r.id`,

	// A payer is owed the excess of captures and the approved refunds, less the done refunds.
	`select format('payment %s owes %s on %s, not %s', p.reference, coalesce(b.balance, 0), @payable::text, e.balance)
	from payments.payment p
	left join (select payment_id, sum(balance) as balance from payable group by payment_id) b on b.payment_id = p.id
	left join (select payment_id, sum(excess) as excess from payments.capture group by payment_id) c on c.payment_id = p.id
	left join (
		select payment_id, sum(case when owed then of_charges else 0 end - case status when 'done' then amount else 0 end) as open
		from refund group by payment_id) r on r.payment_id = p.id
	cross join lateral (select coalesce(c.excess, 0) + coalesce(r.open, 0) as balance) e
	where coalesce(b.balance, 0) <> e.balance or coalesce(b.balance, 0) < 0 order by p.id`,

	`select format('charge chg_%s was given back %s and done refunds name %s', replace(c.id::text, '-', ''), c.refunded, coalesce(g.amount, 0))
	from dossiers.charge c
	left join (
		select i.charge_id, sum(i.amount) as amount
		from refund r join refunds.item i on i.refund_id = r.id
		where r.status in ('done', 'returned') and i.charge_id is not null group by i.charge_id) g on g.charge_id = c.id
	where c.refunded <> coalesce(g.amount, 0) order by c.id`,

	// Provisional collection is the captures and subsidies, less the money that refunds took and the money that was divided.
	`select format('%s of %s is %s, not %s', t.code, t.fee_type, coalesce(b.balance, 0), t.balance)
	from (
		select h.code, c.fee_type, c.currency,
			sum(coalesce(a.amount, 0) + c.subsidy - coalesce(g.amount, 0) + coalesce(k.amount, 0) - coalesce(x.amount, 0)) as balance,
			sum(greatest(-c.subsidy, 0)) as back
		from dossiers.charge c
		join tamthu h on h.kind = c.kind
		left join (select charge_id, sum(amount) as amount from payments.allocation group by charge_id) a on a.charge_id = c.id
		left join (
			select i.charge_id, sum(i.amount) as amount
			from refund r join refunds.item i on i.refund_id = r.id
			where r.owed and i.charge_id is not null group by i.charge_id) g on g.charge_id = c.id
		left join (select charge_id, sum(budget + retained) as amount from remittance.taken group by charge_id) k on k.charge_id = c.id
		left join (select charge_id, sum(amount) as amount from remittance.share group by charge_id) x on x.charge_id = c.id
		where c.authority = (select app.authority())
		group by h.code, c.fee_type, c.currency) t
	left join (
		select a.code, p.fee_type, p.currency, sum(case p.side when 'C' then p.amount else -p.amount end) as balance
		from ledger.posting p join ledger.account a on a.id = p.account_id join ledger.entry e on e.id = p.entry_id
		where a.authority = (select app.authority()) and a.code in (select code from tamthu) and e.corrects is null
		group by a.code, p.fee_type, p.currency) b on b.code = t.code and b.fee_type = t.fee_type and b.currency = t.currency
	where coalesce(b.balance, 0) <> t.balance or t.balance < -t.back order by t.code, t.fee_type`,

	// A refund by order is paid and comes back in turns, each time with a document.
	`select format('refund %s is %s with %s documents of payment and %s of return', r.reference, r.status, d.paid, d.returned)
	from refund r
	join (
		select refund_id, count(*) filter (where act = 'paid') as paid, count(*) filter (where act = 'returned') as returned
		from refunds.document group by refund_id) d on d.refund_id = r.id
	where r.status not in ('done', 'returned')
		or d.paid - d.returned not between case r.status when 'done' then 0 else -1 end and case r.status when 'done' then 1 else 0 end
	order by r.id`,
}
