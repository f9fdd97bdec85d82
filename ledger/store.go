package ledger

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
)

const insertAccounts = `
	insert into ledger.account (authority, code, currency, class, normal)
	select n.authority, n.code, n.currency, n.class, n.normal
	from unnest(@authorities::text[], @codes::text[], @currencies::text[], @classes::text[], @normals::text[])
		as n (authority, code, currency, class, normal)
	where not exists (
		select from ledger.account a
		where a.authority = n.authority and a.code = n.code and a.currency = n.currency)
	order by n.authority, n.code, n.currency
	on conflict on constraint account_code do nothing`

// Entries known by cause are left out before the insert, so that repeating an
// entry of a closed day is answered and not refused; the conflict clause is for
// two writers at once.
const insertEntries = `
	with e as (
		insert into ledger.entry (id, authority, business_date, recorded_at, cause_kind, cause_id, cause_event,
			description, actor, reverses, reason, lines, digest)
		select n.id, n.authority, n.business_date, n.recorded_at, n.cause_kind, n.cause_id, n.cause_event,
			n.description, n.actor, n.reverses, n.reason, n.lines, n.digest
		from unnest(@ids::uuid[], @authorities::text[], @dates::date[], @recorded::timestamptz[], @kinds::text[],
				@cause_ids::text[], @events::text[], @descriptions::text[], @actors::text[], @reverses::uuid[],
				@reasons::text[], @lines::smallint[], @digests::bytea[])
			as n (id, authority, business_date, recorded_at, cause_kind, cause_id, cause_event,
				description, actor, reverses, reason, lines, digest)
		where not exists (
			select from ledger.entry old
			where old.authority = n.authority and old.cause_kind = n.cause_kind
				and old.cause_id = n.cause_id and old.cause_event = n.cause_event)
		on conflict on constraint entry_cause do nothing
		returning id, authority, business_date
	)
	insert into ledger.posting (entry_id, line, authority, business_date, account_id, side, amount, currency, memo,
		dossier_id, payment_id, refund_id, charge_id, fee_type, policy)
	select e.id, p.line, e.authority, e.business_date, a.id, p.side, p.amount, p.currency, a.memo,
		p.dossier_id, p.payment_id, p.refund_id, p.charge_id, p.fee_type, p.policy
	from unnest(@p_entries::uuid[], @p_lines::smallint[], @p_accounts::text[], @p_sides::text[], @p_amounts::bigint[],
			@p_currencies::text[], @p_dossiers::uuid[], @p_payments::uuid[], @p_refunds::uuid[], @p_charges::uuid[],
			@p_fee_types::text[], @p_policies::text[])
		as p (entry_id, line, account, side, amount, currency, dossier_id, payment_id, refund_id, charge_id, fee_type, policy)
	join e on e.id = p.entry_id
	join ledger.account a on a.authority = e.authority and a.code = p.account and a.currency = p.currency`

const selectStored = `
	select e.cause_kind, e.cause_id, e.cause_event, e.id, e.digest
	from unnest(@authorities::text[], @kinds::text[], @cause_ids::text[], @events::text[]) as n (authority, kind, id, event)
	join ledger.entry e on e.authority = n.authority and e.cause_kind = n.kind and e.cause_id = n.id and e.cause_event = n.event`

// line is one posting joined with its entry, as every report reads it.
type line struct {
	EntryID      EntryID       `db:"entry_id"`
	BusinessDate calendar.Date `db:"business_date"`
	RecordedAt   time.Time     `db:"recorded_at"`
	CauseKind    string        `db:"cause_kind"`
	CauseID      string        `db:"cause_id"`
	CauseEvent   string        `db:"cause_event"`
	Description  string        `db:"description"`
	Actor        string        `db:"actor"`
	Reverses     EntryID       `db:"reverses"`
	Reason       string        `db:"reason"`
	Authority    string        `db:"authority"`
	Line         int16         `db:"line"`
	Account      string        `db:"account"`
	Normal       Side          `db:"normal"`
	Side         Side          `db:"side"`
	Amount       int64         `db:"amount"`
	Currency     string        `db:"currency"`
	DossierID    *uuid.UUID    `db:"dossier_id"`
	PaymentID    *uuid.UUID    `db:"payment_id"`
	RefundID     *uuid.UUID    `db:"refund_id"`
	ChargeID     *uuid.UUID    `db:"charge_id"`
	FeeType      string        `db:"fee_type"`
	Policy       string        `db:"policy"`
}

const lineColumns = `
	select p.entry_id, p.business_date, e.recorded_at, e.cause_kind, e.cause_id, e.cause_event, e.description, e.actor,
		e.reverses, e.reason, e.authority, p.line, a.code as account, a.normal, p.side, p.amount, p.currency,
		p.dossier_id, p.payment_id, p.refund_id, p.charge_id, coalesce(p.fee_type, '') as fee_type, coalesce(p.policy, '') as policy`

const selectLines = lineColumns + `
	from ledger.posting p
	join ledger.entry e on e.id = p.entry_id
	join ledger.account a on a.id = p.account_id`

func (l line) posting() Posting {
	return Posting{
		Account: l.Account, Side: l.Side, Amount: money.Amount{Currency: money.Currency(l.Currency), Minor: l.Amount},
		Dimensions: Dimensions{
			Dossier: orZero(l.DossierID), Payment: orZero(l.PaymentID), Refund: orZero(l.RefundID), Charge: orZero(l.ChargeID),
			FeeType: l.FeeType, Policy: l.Policy,
		},
	}
}

func (l line) entry() Entry {
	return Entry{
		ID: l.EntryID, Authority: l.Authority, BusinessDate: l.BusinessDate, RecordedAt: l.RecordedAt,
		Cause:       Cause{Kind: l.CauseKind, ID: l.CauseID, Event: l.CauseEvent},
		Description: l.Description, Actor: l.Actor, Reverses: l.Reverses, Reason: l.Reason,
	}
}

func orZero[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func selectEntryLines(ctx context.Context, tx pgx.Tx, id EntryID) ([]line, error) {
	rows, err := tx.Query(ctx, selectLines+` where p.entry_id = $1 order by p.line`, id)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[line])
}

func selectDossierLines(ctx context.Context, tx pgx.Tx, dossier uuid.UUID) ([]line, error) {
	rows, err := tx.Query(ctx, selectLines+`
		where p.entry_id in (select d.entry_id from ledger.posting d where d.dossier_id = $1)
		order by e.recorded_at, p.entry_id, p.line`, dossier)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[line])
}

// cursorPosition is where a page of an account ends.
type cursorPosition struct {
	Date  calendar.Date
	Entry EntryID
	Line  int16
}

// A page is read from where the last one ended, per account (one in each
// currency), so that a page of a hot account costs no more than one of a quiet account.
const selectAccount = lineColumns + `
	from ledger.account a
	cross join lateral (
		select q.entry_id, q.business_date, q.line, q.side, q.amount, q.currency, q.dossier_id, q.payment_id, q.refund_id,
			q.charge_id, q.fee_type, q.policy
		from ledger.posting q
		where q.account_id = a.id and (q.business_date, q.entry_id, q.line) >
			(coalesce(@after_date::date, '-infinity'), coalesce(@after_entry::uuid, '00000000-0000-0000-0000-000000000000'), @after_line::smallint)
		order by q.business_date, q.entry_id, q.line
		limit @limit) p
	join ledger.entry e on e.id = p.entry_id
	where a.authority = (select app.authority()) and a.code = @code
	order by p.business_date, p.entry_id, p.line
	limit @limit`

func selectAccountLines(ctx context.Context, tx pgx.Tx, code string, after cursorPosition, limit int) ([]line, error) {
	rows, err := tx.Query(ctx, selectAccount, pgx.StrictNamedArgs{
		"code": code, "after_date": after.Date, "after_entry": after.Entry, "after_line": after.Line, "limit": limit,
	})
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[line])
}

func selectTrialBalance(ctx context.Context, tx pgx.Tx, asOf calendar.Date) ([]AccountBalance, error) {
	rows, err := tx.Query(ctx, `
		select a.code, a.currency, a.class, a.normal,
			coalesce(sum(p.amount) filter (where p.side = 'D'), 0)::bigint as debits,
			coalesce(sum(p.amount) filter (where p.side = 'C'), 0)::bigint as credits
		from ledger.account a
		left join ledger.posting p on p.account_id = a.id and p.business_date <= $1
		group by a.id
		order by a.code, a.currency`, asOf)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[AccountBalance])
}
