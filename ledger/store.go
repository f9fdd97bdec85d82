package ledger

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
)

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
	Corrects     EntryID       `db:"corrects"`
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
		e.reverses, e.corrects, e.reason, e.authority, p.line, a.code as account, a.normal, p.side, p.amount, p.currency,
		p.dossier_id, p.payment_id, p.refund_id, p.charge_id, coalesce(p.fee_type, '') as fee_type, coalesce(p.policy, '') as policy`

const selectLines = lineColumns + `
	from ledger.posting p
	join ledger.entry e on e.id = p.entry_id
	join ledger.account a on a.id = p.account_id`

// signed is the amount as it moves the balance on the account's normal side.
func (l line) signed() int64 {
	if l.Side == l.Normal {
		return l.Amount
	}
	return -l.Amount
}

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
		Description: l.Description, Actor: l.Actor, Reverses: l.Reverses, Corrects: l.Corrects, Reason: l.Reason,
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

// Entries and their postings are asked for by key, one by one (offset 0): the
// planner does not know that each lies in one month, and would rather read the
// whole book than look for each in all of them.
const selectDossier = lineColumns + `
	from (select distinct d.entry_id from ledger.posting d where d.dossier_id = $1 offset 0) d
	cross join lateral (
		select n.recorded_at, n.cause_kind, n.cause_id, n.cause_event, n.description, n.actor, n.reverses, n.corrects, n.reason, n.authority
		from ledger.entry n where n.id = d.entry_id offset 0) e
	cross join lateral (
		select m.entry_id, m.business_date, m.line, m.account_id, m.side, m.amount, m.currency, m.dossier_id, m.payment_id, m.refund_id,
			m.charge_id, m.fee_type, m.policy
		from ledger.posting m where m.entry_id = d.entry_id offset 0) p
	join ledger.account a on a.id = p.account_id
	order by e.recorded_at, p.entry_id, p.line`

func selectDossierLines(ctx context.Context, tx pgx.Tx, dossier uuid.UUID) ([]line, error) {
	rows, err := tx.Query(ctx, selectDossier, dossier)
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
			and q.business_date <= @until
		order by q.business_date, q.entry_id, q.line
		limit @limit) p
	join ledger.entry e on e.id = p.entry_id
	where a.authority = (select app.authority()) and a.code = @code
	order by p.business_date, p.entry_id, p.line
	limit @limit`

func selectAccountLines(ctx context.Context, tx pgx.Tx, code string, after cursorPosition, until calendar.Date, limit int) ([]line, error) {
	rows, err := tx.Query(ctx, selectAccount, pgx.StrictNamedArgs{
		"code": code, "after_date": after.Date, "after_entry": after.Entry, "after_line": after.Line, "until": until, "limit": limit,
	})
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[line])
}
