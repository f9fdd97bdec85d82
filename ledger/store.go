package ledger

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
)

// Posted is one posting joined with its entry, as every report reads it.
type Posted struct {
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

// PostedColumns selects a Posted of the aliases p (posting), e (entry) and a (account).
const PostedColumns = `
	select p.entry_id, p.business_date, e.recorded_at, e.cause_kind, e.cause_id, e.cause_event, e.description, e.actor,
		e.reverses, e.corrects, e.reason, e.authority, p.line, a.code as account, a.normal, p.side, p.amount, p.currency,
		p.dossier_id, p.payment_id, p.refund_id, p.charge_id, coalesce(p.fee_type, '') as fee_type, coalesce(p.policy, '') as policy`

const selectPosted = PostedColumns + `
	from ledger.posting p
	join ledger.entry e on e.id = p.entry_id
	join ledger.account a on a.id = p.account_id`

// Signed is the amount with the sign of its effect on the balance: positive on the account's normal side.
func (p Posted) Signed() int64 {
	if p.Side == p.Normal {
		return p.Amount
	}
	return -p.Amount
}

// Posting is the posting alone.
func (p Posted) Posting() Posting {
	return Posting{
		Account: p.Account, Side: p.Side, Amount: money.Amount{Currency: money.Currency(p.Currency), Minor: p.Amount},
		Dimensions: Dimensions{
			Dossier: orZero(p.DossierID), Payment: orZero(p.PaymentID), Refund: orZero(p.RefundID), Charge: orZero(p.ChargeID),
			FeeType: p.FeeType, Policy: p.Policy,
		},
	}
}

// Entry is the entry without its postings.
func (p Posted) Entry() Entry {
	return Entry{
		ID: p.EntryID, Authority: p.Authority, BusinessDate: p.BusinessDate, RecordedAt: p.RecordedAt,
		Cause:       Cause{Kind: p.CauseKind, ID: p.CauseID, Event: p.CauseEvent},
		Description: p.Description, Actor: p.Actor, Reverses: p.Reverses, Corrects: p.Corrects, Reason: p.Reason,
	}
}

func orZero[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// findEntries returns entries with their postings in order.
func findEntries(ctx context.Context, tx pgx.Tx, ids []EntryID) (map[EntryID]Entry, error) {
	rows, err := tx.Query(ctx, selectPosted+` where p.entry_id = any($1) order by p.entry_id, p.line`, ids)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Posted])
	found := make(map[EntryID]Entry, len(ids))
	for _, p := range list {
		e, known := found[p.EntryID]
		if !known {
			e = p.Entry()
		}
		e.Postings = append(e.Postings, p.Posting())
		found[p.EntryID] = e
	}
	return found, err
}

// FindEntry returns an entry with its postings in order, or ErrEntryNotFound.
func FindEntry(ctx context.Context, tx pgx.Tx, id EntryID) (Entry, error) {
	found, err := findEntries(ctx, tx, []EntryID{id})
	if err != nil {
		return Entry{}, err
	}
	e, known := found[id]
	if !known {
		return Entry{}, ErrEntryNotFound
	}
	return e, nil
}
