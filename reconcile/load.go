package reconcile

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/merchants"
	parsed "github.com/doisoat/doisoat/providers/statements"
	"github.com/doisoat/doisoat/reconcile/matching"
	"github.com/doisoat/doisoat/statements"
)

// work is what a pass looks at: the matcher's input, and what saving needs besides.
type work struct {
	matching.Input
	suspense map[uuid.UUID]suspense
	occurred map[uuid.UUID]time.Time
}

// orders are the squeezed names of money on its way out of an account, and back.
func (w work) orders() (out, back map[string]bool) {
	out, back = map[string]bool{}, map[string]bool{}
	for _, item := range w.Items {
		names := out
		if item.Amount > 0 {
			names = back
		}
		for _, name := range slices.Concat(item.Codes, item.Numbers) {
			names[name] = true
		}
	}
	return out, back
}

// suspense is how often a bank line was put on a suspense account, and the entry that holds it now.
type suspense struct {
	entry ledger.EntryID
	times int
}

// recentDays is how far back rows are looked at that were not booked.
const recentDays = 31

// claimLines makes the run account for the lines up to its date that no run
// has accounted for; at a bank, also for the rows of batches.
func claimLines(ctx context.Context, tx pgx.Tx, src statements.Source, run Run) error {
	_, err := tx.Exec(ctx, `
		update reconcile.statement_line set run_id = $2
		where source_id = $1 and run_id is null and business_date <= $3`, src.ID, run.ID, run.BusinessDate)
	if err != nil || src.Kind != statements.BankSource {
		return err
	}
	_, err = tx.Exec(ctx, `
		update reconcile.statement_line set payout_run_id = $1
		where source_id in (select id from reconcile.source where authority = (select app.authority()) and kind = 'settlement')
			and not paid_out and booked and batch_id <> '' and payout_run_id is null and business_date <= $2`, run.ID, run.BusinessDate)
	return err
}

// somethingNew reports whether anything up to date waits for a first look.
func (s *Service) somethingNew(ctx context.Context, tx pgx.Tx, src statements.Source, date calendar.Date) (found bool, err error) {
	err = tx.QueryRow(ctx, `
		select exists (
				select from reconcile.statement_line where source_id = $1 and run_id is null and business_date <= $2)
			or ($3 = 'bank' and exists (
				select from reconcile.statement_line l join reconcile.source s on s.id = l.source_id
				where s.authority = (select app.authority()) and s.kind = 'settlement' and not l.paid_out and l.booked
					and l.batch_id <> '' and l.payout_run_id is null and l.business_date <= $2))`, src.ID, date, src.Kind).Scan(&found)
	if err != nil || found {
		return found, err
	}
	merchants, err := merchantsOf(ctx, tx, src)
	if err != nil {
		return false, err
	}
	if src.Kind == statements.BankSource {
		err = tx.QueryRow(ctx, `
			with `+sentOut+`
			select exists (
				select from sent n join ledger.cause c
					on c.authority = (select app.authority()) and c.kind = n.kind and c.id = n.cause and c.event = n.event
				where not exists (select from reconcile.book_item t where t.id = c.entry_id))`,
			pgx.StrictNamedArgs{"code": src.Code, "date": date}).Scan(&found)
		if err != nil || found {
			return found, err
		}
	}
	err = tx.QueryRow(ctx, `
		select exists (
			select from payments.capture c
			where c.authority = (select app.authority()) and c.merchant_account_id = any($1::uuid[]) and c.settled_at is null
				and c.business_date <= $2 and not exists (select from reconcile.book_item t where t.id = c.id))`, merchants, date).Scan(&found)
	return found, err
}

// merchantsOf finds whose money a source shows: of a settlement, the accounts
// at its provider (at its terminal, where it names one); of a bank, those that
// collect straight into the account.
func merchantsOf(ctx context.Context, tx pgx.Tx, src statements.Source) ([]merchants.ID, error) {
	rows, err := tx.Query(ctx, `
		select m.id from payments.merchant_account m
		where m.authority = (select app.authority()) and (@kind = 'bank' or m.provider = @provider)
			and case @kind when 'bank' then m.settings->>'account' = @account
				else @account = '' or exists (select from jsonb_each_text(m.settings) v where v.value = @account) end
		order by m.id`, pgx.StrictNamedArgs{"kind": src.Kind, "provider": src.Provider, "account": src.Account})
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[merchants.ID])
}

func (s *Service) load(ctx context.Context, tx pgx.Tx, src statements.Source, run Run) (w work, err error) {
	if src.Kind == statements.BankSource {
		if w.Batches, err = loadBatches(ctx, tx, src, run.BusinessDate); err != nil {
			return w, err
		}
		if w.Items, err = loadTransit(ctx, tx, src, run.BusinessDate); err != nil {
			return w, err
		}
	}
	if err = s.loadLines(ctx, tx, src, run.BusinessDate, &w); err != nil {
		return w, err
	}
	var k keys
	for i := range w.Lines {
		k.add(&w.Lines[i])
	}
	merchants, err := merchantsOf(ctx, tx, src)
	if err != nil {
		return w, err
	}
	captures, err := loadCaptures(ctx, tx, merchants, run.BusinessDate, k)
	if err != nil {
		return w, err
	}
	w.Items = append(w.Items, captures...)
	if src.Kind == statements.SettlementSource {
		back, err := loadRefunds(ctx, tx, merchants, run.BusinessDate, k)
		if err != nil {
			return w, err
		}
		w.Items = append(w.Items, back...)
	}
	if w.Payments, err = loadPayments(ctx, tx, merchants, k.references); err != nil {
		return w, err
	}
	w.Refused, err = loadRefused(ctx, tx, k.lines)
	return w, err
}

// keys are what lines name, to find book items by.
type keys struct {
	lines                              []uuid.UUID
	transactions, references, bankRefs []string
	refunds                            []string // transactions of the rows that are refunds
}

func (k *keys) add(l *matching.Line) {
	k.lines = append(k.lines, l.ID)
	for _, named := range []struct {
		value string
		list  *[]string
	}{{l.TransactionID, &k.transactions}, {l.Reference, &k.references}, {l.BankRef, &k.bankRefs}} {
		if named.value != "" {
			*named.list = append(*named.list, named.value)
		}
	}
	k.references = append(k.references, l.Codes...)
	if l.Kind == parsed.Refund && l.TransactionID != "" {
		k.refunds = append(k.refunds, l.TransactionID)
	}
}

type openLine struct {
	ID            statements.LineID `db:"id"`
	BusinessDate  calendar.Date     `db:"business_date"`
	OccurredAt    *time.Time        `db:"occurred_at"`
	Row           int               `db:"row"`
	Kind          parsed.Kind       `db:"kind"`
	Booked        bool              `db:"booked"`
	Amount        int64             `db:"amount"`
	Fee           int64             `db:"fee"`
	FeeVAT        int64             `db:"fee_vat"`
	Net           int64             `db:"net"`
	Reference     string            `db:"reference"`
	TransactionID string            `db:"transaction_id"`
	OriginalID    string            `db:"original_id"`
	BankRef       string            `db:"bank_ref"`
	Codes         []string          `db:"codes"`
	Content       []byte            `db:"content"`
	SuspenseEntry ledger.EntryID    `db:"suspense_entry"`
	Suspensions   int               `db:"suspensions"`
	Asked         bool              `db:"asked"`
}

// loadLines reads every line of the source up to date that no live match holds.
// The repair is asked for as a value: "exists" may be answered by reading all of them.
func (s *Service) loadLines(ctx context.Context, tx pgx.Tx, src statements.Source, date calendar.Date, w *work) error {
	rows, err := tx.Query(ctx, `
		select l.id, l.business_date, l.occurred_at, l.row, l.kind, l.booked, l.amount, l.fee, l.fee_vat, l.net, l.reference,
			l.transaction_id, l.original_id, l.bank_ref, l.codes, l.content, l.suspense_entry, l.suspensions,
			coalesce((select true from reconcile.repair r where r.line_id = l.id), false) as asked
		from reconcile.statement_line l
		where l.source_id = $1 and not l.matched and l.business_date <= $2 and (l.booked or l.business_date > $3)`,
		src.ID, date, date.AddDays(-recentDays))
	if err != nil {
		return err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[openLine])
	if err != nil {
		return err
	}
	names, issuers := map[string][]matching.BatchKey{}, map[string]string{}
	for _, b := range w.Batches {
		names[matching.Squeeze(b.ID)] = append(names[matching.Squeeze(b.ID)], b.BatchKey)
		issuers[matching.Squeeze(b.Provider)] = b.Provider
	}
	out, back := w.orders()
	w.suspense, w.occurred = map[uuid.UUID]suspense{}, map[uuid.UUID]time.Time{}
	for _, r := range list {
		l := matching.Line{
			ID: r.ID.UUID(), Date: r.BusinessDate, Row: r.Row, Kind: r.Kind, Booked: r.Booked, Amount: r.Amount, Fee: r.Fee, VAT: r.FeeVAT, Net: r.Net,
			Reference: r.Reference, TransactionID: r.TransactionID, OriginalID: r.OriginalID, BankRef: r.BankRef, Codes: r.Codes, Asked: r.Asked,
		}
		orders := out
		if l.Amount > 0 {
			orders = back
		}
		if l.Booked && (len(orders) > 0 || len(names) > 0 && l.Amount > 0) {
			t, err := s.Statements.OpenText(r.ID, r.Content)
			if err != nil {
				return err
			}
			text := t.Content + "\n" + t.Joined
			if l.Amount > 0 {
				l.Batches, l.Providers = matching.NamesIn(text, names, issuers)
			}
			l.Orders = matching.NamedIn(text+"\n"+l.BankRef+"\n"+l.Reference, orders)
		}
		w.Lines = append(w.Lines, l)
		w.suspense[l.ID] = suspense{r.SuspenseEntry, r.Suspensions}
		w.occurred[l.ID] = r.BusinessDate.Start().Add(noon)
		if r.OccurredAt != nil {
			w.occurred[l.ID] = *r.OccurredAt
		}
	}
	return nil
}

// noon is when something happened of which only the day is known.
const noon = 12 * time.Hour

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
	Found         bool          `db:"found"`
}

func (r captureRow) item(kind matching.ItemKind) matching.Item {
	return matching.Item{
		Kind: kind, ID: r.ID, Payment: r.Payment, Dossier: r.Dossier, Provider: r.Provider, Date: r.Date, Amount: r.Amount,
		TransactionID: r.TransactionID, Original: r.Original, Reference: r.Reference, BankReference: r.BankReference,
		Matched: r.Matched, Due: r.Due, Found: r.Found,
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

// loadCaptures reads what is not settled up to date, and whatever else the
// lines name: matched captures tell duplicates, later ones an early settlement.
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
			c.business_date <= @date as due, c.evidence <> 'callback' as found
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
			exists (select from reconcile.match_item i where i.refund_id = r.id and i.live) as matched, r.decided_at < @end as due, false as found
		from wanted w join refunds.refund r on r.id = w.id join payments.capture c on c.id = r.capture_id
			join payments.payment p on p.id = r.payment_id`,
		pgx.StrictNamedArgs{"merchants": merchants, "end": date.AddDays(1).Start(), "transactions": k.refunds})
	if err != nil {
		return nil, err
	}
	return collectItems(rows, matching.Refund)
}

// sentOut is what stands on the transit account of a bank account's code up to
// a date: documents of refunds and approved vouchers, by the cause of their entry.
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

// loadBatches adds up the settlement rows, of every provider, that no bank line
// has paid yet. Any account may pay them; one of them lists what is missing.
func loadBatches(ctx context.Context, tx pgx.Tx, src statements.Source, date calendar.Date) ([]matching.Batch, error) {
	rows, err := tx.Query(ctx, `
		select l.source_id, l.account, l.batch_id, s.provider, max(l.business_date), sum(l.amount)::bigint, sum(l.fee + l.fee_vat)::bigint,
			sum(l.net)::bigint, array_agg(l.id order by l.id), array_agg(l.net order by l.id), exists (
				select from reconcile.break b
				where b.batch_source_id = l.source_id and b.batch_account = l.account and b.batch_id = l.batch_id
					and b.holds and b.state <> 'resolved' and b.source_id <> $2)
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
