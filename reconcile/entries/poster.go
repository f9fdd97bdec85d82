// Package entries posts the entries of matching and of cases: settlements,
// transfers and money in transit that a bank's statement shows, and bank lines
// in suspense. reconcile calls it when it saves a pass, cases when a person
// revokes a match. Both bring their transaction and hold the turn of the
// authority (statements.TakeTurn). It writes two columns of the PostgreSQL
// schema reconcile, suspense_entry and suspensions of a statement line.
//
// Invariants: a bank account in the book (A-BANK-<source>) moves with each
// booked line once; suspense_entry names the entry that holds a line's money.
package entries

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/reconcile/matching"
	"github.com/doisoat/doisoat/statements"
)

// atOnce bounds the entries of one round trip to the ledger.
const atOnce = 1000

// Poster posts the entries of one bank account on open dates, for one actor at
// one instant. It serves one transaction.
type Poster struct {
	authority string
	bank      string // account of the bank in the book
	transit   string // account of money that is leaving the bank account, or coming back
	currency  money.Currency
	now       time.Time
	actor     string
	dates     map[calendar.Date]calendar.Date // date of a line → open date of its entry
}

// NewPoster returns the poster of a bank account; actor is the id of the actor.
func NewPoster(actor string, src statements.Source, now time.Time) *Poster {
	return &Poster{
		authority: src.Authority, bank: ledger.Bank(src.Code), transit: ledger.Transit(src.Code), currency: src.Currency, now: now, actor: actor,
		dates: map[calendar.Date]calendar.Date{},
	}
}

// Date returns the date on which an entry about d is posted: d itself, or the
// next open date when d is closed. It asks the ledger once per date.
func (p *Poster) Date(ctx context.Context, tx pgx.Tx, d calendar.Date) (calendar.Date, error) {
	if open, known := p.dates[d]; known {
		return open, nil
	}
	open, err := ledger.OpenDate(ctx, tx, p.authority, d)
	p.dates[d] = open
	return open, err
}

// Identify takes the money of a line out of suspense: it reverses the entry
// that holds the money. times is the number of that suspension. The caller
// clears suspense_entry of the line.
func (p *Poster) Identify(
	ctx context.Context, tx pgx.Tx, line statements.LineID, held ledger.EntryID, times int, date calendar.Date,
) error {
	cause := suspenseCause(line, "identified", times)
	_, err := ledger.Reverse(ctx, tx, held, cause, "the bank line is identified", p.actor, date, p.now)
	return err
}

// Suspend puts the money of bank lines into suspense and notes the entry at
// each line. times returns the number of the suspension of a line: 1, then one
// more for each suspension after a revoked match.
func (p *Poster) Suspend(ctx context.Context, tx pgx.Tx, lines []matching.Line, times func(uuid.UUID) int) error {
	list := make([]ledger.Entry, 0, len(lines))
	for _, l := range lines {
		date, err := p.Date(ctx, tx, l.Date)
		if err != nil {
			return err
		}
		list = append(list, p.suspended(statements.LineID(l.ID), l.Amount, times(l.ID), date))
	}
	posted, err := Post(ctx, tx, list)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		update reconcile.statement_line l set suspense_entry = n.entry, suspensions = l.suspensions + 1
		from unnest($1::uuid[], $2::uuid[]) as n (line, entry) where l.id = n.line and l.id = any($1::uuid[])`,
		postgres.Column(lines, func(l *matching.Line) statements.LineID { return statements.LineID(l.ID) }), posted)
	return err
}

// Revoke reverses the entry of a match that a person revoked and returns the
// date of the reversal: today, or the next open date. match is the shown id of
// the match.
func (p *Poster) Revoke(ctx context.Context, tx pgx.Tx, entry ledger.EntryID, match, reason string) (calendar.Date, error) {
	date, err := p.Date(ctx, tx, calendar.On(p.now))
	if err != nil {
		return date, err
	}
	cause := ledger.Cause{Kind: "match", ID: match, Event: "revoked"}
	_, err = ledger.Reverse(ctx, tx, entry, cause, reason, p.actor, date, p.now)
	return date, err
}

// Post posts entries in bounded parts and returns their ids in the same order.
// The errors and the locks are those of ledger.Post.
func Post(ctx context.Context, tx pgx.Tx, list []ledger.Entry) ([]ledger.EntryID, error) {
	ids := make([]ledger.EntryID, 0, len(list))
	for part := range slices.Chunk(list, atOnce) {
		posted, err := ledger.Post(ctx, tx, part...)
		if err != nil {
			return nil, err
		}
		ids = append(ids, posted...)
	}
	return ids, nil
}
