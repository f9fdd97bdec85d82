// Package openitems reads the lines of a source that no live match holds, and
// the open items that the book expects its statement to show: captures, refunds,
// settlement batches and money in transit. reconcile calls it in each pass, in
// the transaction of the run and under the turn of the authority
// (statements.TakeTurn), so that the lists stay true until the pass is saved. It
// reads the PostgreSQL schemas reconcile, payments, refunds, remittance and
// ledger, and writes nothing.
//
// Invariant: an item that a live match holds comes only when a line names it,
// and then with Matched set, so that the matcher finds duplicates.
package openitems

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

// Open is everything of a source that is open up to a date: the input of the
// matcher, and for each line the facts that saving needs. The maps have an entry
// for every line of Lines.
type Open struct {
	matching.Input
	Suspense map[uuid.UUID]Suspense
	Occurred map[uuid.UUID]time.Time
}

// orders returns the squeezed names of money that is leaving an account, and of money that is coming back.
func (o Open) orders() (out, back map[string]bool) {
	out, back = map[string]bool{}, map[string]bool{}
	for _, item := range o.Items {
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

// Suspense tells the entry that holds the money of a bank line now, zero when
// the line is not suspended, and how often the line was suspended.
type Suspense struct {
	Entry ledger.EntryID
	Times int
}

// RecentDays bounds how many days before the date of a run it looks at pending
// lines and at balances of statements.
const RecentDays = 31

// AnyNew reports whether a line or an open item up to date waits for its first
// run. It reads only and locks nothing.
func AnyNew(ctx context.Context, tx pgx.Tx, src statements.Source, date calendar.Date) (is bool, err error) {
	err = tx.QueryRow(ctx, `
		select exists (
				select from reconcile.statement_line where source_id = $1 and run_id is null and business_date <= $2)
			or ($3 = 'bank' and exists (
				select from reconcile.statement_line l join reconcile.source s on s.id = l.source_id
				where s.authority = (select app.authority()) and s.kind = 'settlement' and not l.paid_out and l.booked
					and l.batch_id <> '' and l.payout_run_id is null and l.business_date <= $2))`, src.ID, date, src.Kind).Scan(&is)
	if err != nil || is {
		return is, err
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
			pgx.StrictNamedArgs{"code": src.Code, "date": date}).Scan(&is)
		if err != nil || is {
			return is, err
		}
	}
	err = tx.QueryRow(ctx, `
		select exists (
			select from payments.capture c
			where c.authority = (select app.authority()) and c.merchant_account_id = any($1::uuid[]) and c.settled_at is null
				and c.business_date <= $2 and not exists (select from reconcile.book_item t where t.id = c.id))`, merchants, date).Scan(&is)
	return is, err
}

// merchantsOf finds the merchant accounts whose money a source shows.
func merchantsOf(ctx context.Context, tx pgx.Tx, src statements.Source) ([]merchants.ID, error) {
	if src.Kind == statements.BankSource {
		return merchants.CollectingInto(ctx, tx, src.Account)
	}
	return merchants.SettledBy(ctx, tx, src.Provider, src.Account)
}

// Load reads the open lines and items of a source up to date. It locks
// nothing: the caller holds the turn of the authority. The texts of bank lines
// are encrypted, and files opens the texts that may name an order or a batch; a
// text that does not open fails the whole load.
func Load(ctx context.Context, tx pgx.Tx, files *statements.Service, src statements.Source, date calendar.Date) (o Open, err error) {
	if src.Kind == statements.BankSource {
		if o.Batches, err = loadBatches(ctx, tx, src, date); err != nil {
			return o, err
		}
		if o.Items, err = loadTransit(ctx, tx, src, date); err != nil {
			return o, err
		}
	}
	if err = o.loadLines(ctx, tx, files, src, date); err != nil {
		return o, err
	}
	var k keys
	for i := range o.Lines {
		k.add(&o.Lines[i])
	}
	merchants, err := merchantsOf(ctx, tx, src)
	if err != nil {
		return o, err
	}
	captures, err := loadCaptures(ctx, tx, merchants, date, k)
	if err != nil {
		return o, err
	}
	o.Items = append(o.Items, captures...)
	if src.Kind == statements.SettlementSource {
		back, err := loadRefunds(ctx, tx, merchants, date, k)
		if err != nil {
			return o, err
		}
		o.Items = append(o.Items, back...)
	}
	if o.Payments, err = loadPayments(ctx, tx, merchants, k.references); err != nil {
		return o, err
	}
	o.Refused, err = loadRefused(ctx, tx, k.lines)
	return o, err
}

// keys are the ids and references that lines name, to find items of the book by.
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
func (o *Open) loadLines(ctx context.Context, tx pgx.Tx, files *statements.Service, src statements.Source, date calendar.Date) error {
	rows, err := tx.Query(ctx, `
		select l.id, l.business_date, l.occurred_at, l.row, l.kind, l.booked, l.amount, l.fee, l.fee_vat, l.net, l.reference,
			l.transaction_id, l.original_id, l.bank_ref, l.codes, l.content, l.suspense_entry, l.suspensions,
			coalesce((select true from reconcile.repair r where r.line_id = l.id), false) as asked
		from reconcile.statement_line l
		where l.source_id = $1 and not l.matched and l.business_date <= $2 and (l.booked or l.business_date > $3)`,
		src.ID, date, date.AddDays(-RecentDays))
	if err != nil {
		return err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[openLine])
	if err != nil {
		return err
	}
	names, issuers := map[string][]matching.BatchKey{}, map[string]string{}
	for _, b := range o.Batches {
		names[matching.Squeeze(b.ID)] = append(names[matching.Squeeze(b.ID)], b.BatchKey)
		issuers[matching.Squeeze(b.Provider)] = b.Provider
	}
	out, back := o.orders()
	o.Suspense, o.Occurred = map[uuid.UUID]Suspense{}, map[uuid.UUID]time.Time{}
	for _, r := range list {
		l := matching.Line{
			ID: r.ID.UUID(), Date: r.BusinessDate, Row: r.Row, Kind: r.Kind, Booked: r.Booked, Amount: r.Amount,
			Fee: r.Fee, VAT: r.FeeVAT, Net: r.Net,
			Reference: r.Reference, TransactionID: r.TransactionID, OriginalID: r.OriginalID, BankRef: r.BankRef, Codes: r.Codes, Asked: r.Asked,
		}
		orders := out
		if l.Amount > 0 {
			orders = back
		}
		if l.Booked && (len(orders) > 0 || len(names) > 0 && l.Amount > 0) {
			t, err := files.OpenText(r.ID, r.Content)
			if err != nil {
				return err
			}
			text := t.Content + "\n" + t.Joined
			if l.Amount > 0 {
				l.Batches, l.Providers = matching.NamesIn(text, names, issuers)
			}
			l.Orders = matching.NamedIn(text+"\n"+l.BankRef+"\n"+l.Reference, orders)
		}
		o.Lines = append(o.Lines, l)
		o.Suspense[l.ID] = Suspense{r.SuspenseEntry, r.Suspensions}
		o.Occurred[l.ID] = OccurredAt(r.BusinessDate, r.OccurredAt)
	}
	return nil
}

// noon is the time of a line of which only the day is known.
const noon = 12 * time.Hour

// OccurredAt returns the time at which the money of a line moved: the time that
// the statement tells, or noon of the line's business date.
func OccurredAt(date calendar.Date, told *time.Time) time.Time {
	if told != nil {
		return *told
	}
	return date.Start().Add(noon)
}
