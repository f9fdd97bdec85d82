package cases

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/page"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/reconcile"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/statements"
)

// Match is lines and book items judged the same, and why.
type Match struct {
	ID           reconcile.MatchID
	Run          reconcile.RunID
	Lane         string
	Rule         string
	Version      int
	Kind         string // exact, rule, grouped, manual
	Score        int    // 0 to 100
	Inputs       map[string]string
	Amount       money.Amount
	Entry        ledger.EntryID // the entry that the match posted; zero when it posted none
	CreatedAt    time.Time
	CreatedBy    string
	RevokedAt    *time.Time
	RevokedBy    string
	RevokeReason string
	Lines        []statements.LineID
	Captures     []payments.CaptureID
	Refunds      []refunds.ID
	Transits     []ledger.EntryID    // entries that put money on its way out of the account, or back
	BookLines    []statements.LineID // settlement rows of a batch, at most page.Max of them
	BookRows     int                 // how many they are
}

type matchRow struct {
	ID           reconcile.MatchID    `db:"id"`
	RunID        reconcile.RunID      `db:"run_id"`
	Lane         string               `db:"lane"`
	Rule         string               `db:"rule"`
	Version      int                  `db:"version"`
	Kind         string               `db:"kind"`
	Score        int                  `db:"score"`
	Inputs       []byte               `db:"inputs"`
	Amount       int64                `db:"amount"`
	Currency     money.Currency       `db:"currency"`
	EntryID      ledger.EntryID       `db:"entry_id"`
	CreatedAt    time.Time            `db:"created_at"`
	CreatedBy    string               `db:"created_by"`
	RevokedAt    *time.Time           `db:"revoked_at"`
	RevokedBy    string               `db:"revoked_by"`
	RevokeReason string               `db:"revoke_reason"`
	Lines        []statements.LineID  `db:"lines"`
	Captures     []payments.CaptureID `db:"captures"`
	Refunds      []refunds.ID         `db:"refunds"`
	Transits     []ledger.EntryID     `db:"transits"`
	BookLines    []statements.LineID  `db:"book_lines"`
	BookRows     int                  `db:"book_rows"`
}

const selectMatch = `
	select m.id, m.run_id, m.lane, m.rule, m.version, m.kind, m.score, m.inputs, m.amount, m.currency, m.entry_id, m.created_at,
		m.created_by, m.revoked_at, coalesce(m.revoked_by, '') as revoked_by, m.revoke_reason,
		array(select i.line_id from reconcile.match_item i where i.match_id = m.id and i.side = 'line' order by i.line_id) as lines,
		array(select i.capture_id from reconcile.match_item i where i.match_id = m.id and i.capture_id is not null order by 1) as captures,
		array(select i.refund_id from reconcile.match_item i where i.match_id = m.id and i.refund_id is not null order by 1) as refunds,
		array(select i.transit_id from reconcile.match_item i where i.match_id = m.id and i.transit_id is not null order by 1) as transits,
		array(select i.line_id from reconcile.match_item i where i.match_id = m.id and i.side = 'book' and i.line_id is not null
			order by 1 limit 200) as book_lines,
		(select count(*) from reconcile.match_item i where i.match_id = m.id and i.side = 'book' and i.line_id is not null)::integer as book_rows
	from reconcile.match m where m.authority = (select app.authority())`

func selectMatches(ctx context.Context, tx pgx.Tx, and string, args ...any) ([]Match, error) {
	rows, err := tx.Query(ctx, selectMatch+and, args...)
	if err != nil {
		return nil, err
	}
	records, err := pgx.CollectRows(rows, pgx.RowToStructByName[matchRow])
	if err != nil {
		return nil, err
	}
	list := make([]Match, len(records))
	for i, r := range records {
		list[i] = Match{
			ID: r.ID, Run: r.RunID, Lane: r.Lane, Rule: r.Rule, Version: r.Version, Kind: r.Kind, Score: r.Score,
			Amount: money.Amount{Currency: r.Currency, Minor: r.Amount}, Entry: r.EntryID, CreatedAt: r.CreatedAt, CreatedBy: r.CreatedBy,
			RevokedAt: r.RevokedAt, RevokedBy: r.RevokedBy, RevokeReason: r.RevokeReason, Lines: r.Lines, Captures: r.Captures,
			Refunds: r.Refunds, Transits: r.Transits, BookLines: r.BookLines, BookRows: r.BookRows,
		}
		if err := json.Unmarshal(r.Inputs, &list[i].Inputs); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// MatchFilter narrows a list of matches; zero members do not filter.
type MatchFilter struct {
	Run     reconcile.RunID
	Payment payments.ID
	After   reconcile.MatchID // last id of the page before
	Limit   int
}

// ListMatches returns matches of the actor's authority, revoked ones included,
// newest first. next is zero at the end.
func (s *Service) ListMatches(ctx context.Context, actor auth.Actor, f MatchFilter) (list []Match, next reconcile.MatchID, err error) {
	if err := auth.Require(actor, auth.PermReconcileRead); err != nil {
		return nil, next, err
	}
	f.Limit = page.Limit(f.Limit)
	err = postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) error {
		list, err = selectMatches(ctx, tx, `
				and (@run::uuid is null or m.run_id = @run) and (@after::uuid is null or m.id < @after)
				and (@payment::uuid is null or m.id = any(array(
					select i.match_id from payments.capture c join reconcile.match_item i on i.capture_id = c.id where c.payment_id = @payment
					union
					select i.match_id from refunds.refund r join reconcile.match_item i on i.refund_id = r.id where r.payment_id = @payment
					union
					select i.match_id from ledger.posting p join reconcile.match_item i on i.transit_id = p.entry_id where p.payment_id = @payment)))
			order by m.id desc limit @limit`, pgx.StrictNamedArgs{"run": f.Run, "payment": f.Payment, "after": f.After, "limit": f.Limit + 1})
		return err
	})
	list, next = page.Cut(list, f.Limit, func(x Match) reconcile.MatchID { return x.ID })
	return list, next, err
}

func matchByID(ctx context.Context, tx pgx.Tx, id reconcile.MatchID) (Match, error) {
	list, err := selectMatches(ctx, tx, ` and m.id = $1`, id)
	if err != nil {
		return Match{}, err
	}
	if len(list) != 1 {
		return Match{}, ErrMatchNotFound
	}
	return list[0], nil
}
