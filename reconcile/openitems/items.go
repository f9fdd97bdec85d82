package openitems

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/merchants"
	"github.com/doisoat/doisoat/reconcile/matching"
	"github.com/doisoat/doisoat/statements"
)

type captureRow struct {
	ID            uuid.UUID     `db:"id"`
	Payment       uuid.UUID     `db:"payment"`
	Dossier       uuid.UUID     `db:"dossier"`
	Provider      string        `db:"provider"`
	Date          calendar.Date `db:"date"`
	Amount        int64         `db:"amount"`
	TransactionID string        `db:"transaction_id"`
	Original      string        `db:"original"`
	Reference     string        `db:"reference"`
	BankReference string        `db:"bank_reference"`
	Matched       bool          `db:"matched"`
	Due           bool          `db:"due"`
	NoCallback    bool          `db:"no_callback"`
}

func (r captureRow) item(kind matching.ItemKind) matching.Item {
	return matching.Item{
		Kind: kind, ID: r.ID, Payment: r.Payment, Dossier: r.Dossier, Provider: r.Provider, Date: r.Date, Amount: r.Amount,
		TransactionID: r.TransactionID, Original: r.Original, Reference: r.Reference, BankReference: r.BankReference,
		Matched: r.Matched, Due: r.Due, NoCallback: r.NoCallback,
	}
}

func collectItems(rows pgx.Rows, kind matching.ItemKind) ([]matching.Item, error) {
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[captureRow])
	if err != nil {
		return nil, err
	}
	items := make([]matching.Item, len(list))
	for i, r := range list {
		items[i] = r.item(kind)
	}
	return items, nil
}

// loadCaptures reads the captures that are not settled up to date, and the
// captures that lines name. With a matched capture the matcher finds duplicates,
// with a later capture it finds an early settlement.
func loadCaptures(ctx context.Context, tx pgx.Tx, merchants []merchants.ID, date calendar.Date, k keys) ([]matching.Item, error) {
	rows, err := tx.Query(ctx, `
		with wanted as (
			select c.id from payments.capture c
			where c.authority = (select app.authority()) and c.merchant_account_id = any(@merchants::uuid[])
				and c.settled_at is null and c.business_date <= @date
			union
			select c.id from payments.capture c
			where c.merchant_account_id = any(@merchants::uuid[]) and c.transaction_id = any(@transactions::text[])
			union
			select c.id from payments.capture c
			where c.authority = (select app.authority()) and c.bank_reference <> '' and c.bank_reference = any(@bank_refs::text[])
				and c.merchant_account_id = any(@merchants::uuid[])
			union
			select c.id from payments.payment p join payments.capture c on c.payment_id = p.id
			where p.reference = any(@references::text[]) and c.merchant_account_id = any(@merchants::uuid[])
		)
		select c.id, c.payment_id as payment, c.dossier_id as dossier, c.provider, c.business_date as date, c.amount,
			c.transaction_id, '' as original, p.reference, c.bank_reference,
			exists (select from reconcile.match_item i where i.capture_id = c.id and i.live) as matched,
			c.business_date <= @date as due, c.evidence <> 'callback' as no_callback
		from wanted w join payments.capture c on c.id = w.id join payments.payment p on p.id = c.payment_id`,
		pgx.StrictNamedArgs{
			"merchants": merchants, "date": date, "transactions": k.transactions, "bank_refs": k.bankRefs, "references": k.references,
		})
	if err != nil {
		return nil, err
	}
	return collectItems(rows, matching.Capture)
}

// loadRefunds reads the refunds that the provider may have and no row has shown, and those that the rows name.
func loadRefunds(ctx context.Context, tx pgx.Tx, merchants []merchants.ID, date calendar.Date, k keys) ([]matching.Item, error) {
	rows, err := tx.Query(ctx, `
		with wanted as (
			select r.id from refunds.refund r
			where r.authority = (select app.authority()) and r.merchant_account_id = any(@merchants::uuid[]) and r.route = 'provider'
				and r.settled_at is null and r.status in ('sending', 'sent', 'unknown', 'done') and r.decided_at < @end
			union
			select r.id from refunds.refund r
			where r.merchant_account_id = any(@merchants::uuid[]) and r.route = 'provider' and r.provider_transaction <> ''
				and r.status in ('sending', 'sent', 'unknown', 'done') and r.provider_transaction = any(@transactions::text[])
		)
		select r.id, r.payment_id as payment, r.dossier_id as dossier, r.provider,
			(r.decided_at at time zone 'Asia/Ho_Chi_Minh')::date as date, -r.amount as amount, r.provider_transaction as transaction_id,
			c.transaction_id as original, p.reference, '' as bank_reference,
			exists (select from reconcile.match_item i where i.refund_id = r.id and i.live) as matched,
			r.decided_at < @end as due, false as no_callback
		from wanted w join refunds.refund r on r.id = w.id join payments.capture c on c.id = r.capture_id
			join payments.payment p on p.id = r.payment_id`,
		pgx.StrictNamedArgs{"merchants": merchants, "end": date.AddDays(1).Start(), "transactions": k.refunds})
	if err != nil {
		return nil, err
	}
	return collectItems(rows, matching.Refund)
}

// sentOut selects the money on the transit account of a bank account up to a
// date: documents of refunds and approved vouchers, with the cause of their
// entries. The statement that uses it passes @code and @date.
const sentOut = `
	sent as (
		select 'refund' as kind, 'ref_' || replace(d.refund_id::text, '-', '') as cause,
			case when d.act = 'paid' and d.seq = 1 then 'done' else d.act || '-' || d.seq end as event,
			d.document_date as date, d.number, d.act, d.refund_id, d.seq
		from refunds.document d
		where d.authority = (select app.authority()) and d.account = @code and d.document_date <= @date
		union all
		select 'voucher', 'vch_' || replace(v.id::text, '-', ''), 'approved', v.document_date, v.number, 'paid', null, null
		from remittance.voucher v join remittance.decision x on x.voucher_id = v.id and x.approved
		where v.authority = (select app.authority()) and v.account = @code and v.document_date <= @date)`

// loadTransit reads the money in transit of an account that no line has shown.
// A bounce is known by the number of the order that it brings back, too.
func loadTransit(ctx context.Context, tx pgx.Tx, src statements.Source, date calendar.Date) ([]matching.Item, error) {
	rows, err := tx.Query(ctx, `
		with `+sentOut+`
		select e.id, r.payment_id, r.dossier_id, n.refund_id, n.date, coalesce(r.reference, n.cause),
			array_prepend(n.number, array(
				select p.number from refunds.document p
				where p.refund_id = n.refund_id and p.seq < n.seq and p.act = 'paid' and n.act = 'returned')),
			(select sum(case p.side when 'D' then p.amount else -p.amount end)::bigint
				from ledger.posting p join ledger.account a on a.id = p.account_id where p.entry_id = e.id and a.code = @transit)
		from sent n
		join ledger.cause c on c.authority = (select app.authority()) and c.kind = n.kind and c.id = n.cause and c.event = n.event
		join ledger.entry e on e.id = c.entry_id
		left join refunds.refund r on r.id = n.refund_id
		where not exists (select from reconcile.match_item i where i.transit_id = e.id and i.live)`,
		pgx.StrictNamedArgs{"code": src.Code, "date": date, "transit": ledger.Transit(src.Code)})
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (matching.Item, error) {
		var (
			item                     = matching.Item{Kind: matching.Transit, Due: true}
			payment, dossier, refund uuid.NullUUID
			code                     string
			numbers                  []string
		)
		err := row.Scan(&item.ID, &payment, &dossier, &refund, &item.Date, &code, &numbers, &item.Amount)
		item.Payment, item.Dossier, item.Refund = payment.UUID, dossier.UUID, refund.UUID
		item.Codes = []string{matching.Squeeze(code)}
		for _, number := range numbers {
			item.Numbers = append(item.Numbers, matching.Squeeze(number))
		}
		return item, err
	})
}

func loadPayments(ctx context.Context, tx pgx.Tx, merchants []merchants.ID, references []string) (map[string]matching.Payment, error) {
	rows, err := tx.Query(ctx, `
		select reference, id, amount from payments.payment where reference = any($1::text[]) and merchant_account_id = any($2::uuid[])`,
		references, merchants)
	if err != nil {
		return nil, err
	}
	type payment struct {
		Reference string
		ID        uuid.UUID
		Amount    int64
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[payment])
	known := make(map[string]matching.Payment, len(list))
	for _, p := range list {
		known[p.Reference] = matching.Payment{ID: p.ID, Amount: p.Amount}
	}
	return known, err
}

// loadRefused reads the pairs whose match a person revoked.
func loadRefused(ctx context.Context, tx pgx.Tx, lines []uuid.UUID) (map[matching.Pair]bool, error) {
	rows, err := tx.Query(ctx, `
		select l.line_id, coalesce(b.capture_id, b.refund_id, b.transit_id, b.line_id)
		from reconcile.match_item l join reconcile.match_item b on b.match_id = l.match_id and b.side = 'book'
		where l.side = 'line' and not l.live and l.line_id = any($1::uuid[])`, lines)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[matching.Pair])
	refused := make(map[matching.Pair]bool, len(list))
	for _, p := range list {
		refused[p] = true
	}
	return refused, err
}

// loadBatches adds up the settlement rows of every provider that no bank line
// has paid yet. Any bank account may pay a batch. When a break of another account
// holds the batch already, Held is set.
func loadBatches(ctx context.Context, tx pgx.Tx, src statements.Source, date calendar.Date) ([]matching.Batch, error) {
	rows, err := tx.Query(ctx, `
		select l.source_id, l.account, l.batch_id, s.provider, max(l.business_date), sum(l.amount)::bigint, sum(l.fee + l.fee_vat)::bigint,
			sum(l.net)::bigint, array_agg(l.id order by l.id), array_agg(l.net order by l.id), exists (
				select from reconcile.break b
				where b.batch_source_id = l.source_id and b.batch_account = l.account and b.batch_id = l.batch_id
					and b.holds and b.status <> 'resolved' and b.source_id <> $2)
		from reconcile.statement_line l join reconcile.source s on s.id = l.source_id
		where s.authority = (select app.authority()) and s.kind = 'settlement' and not l.paid_out and l.booked
			and l.batch_id <> '' and l.business_date <= $1
		group by l.source_id, l.account, l.batch_id, s.provider`, date, src.ID)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (b matching.Batch, err error) {
		err = row.Scan(&b.Source, &b.Account, &b.ID, &b.Provider, &b.Date, &b.Gross, &b.Fee, &b.Net, &b.Lines, &b.Nets, &b.Held)
		return b, err
	})
}
