// Package balances computes balances at any date, the trial balance, and the ledger of an account or of a dossier.
//
// It owns the tables ledger.account_day, ledger.dimension_day and ledger.roll_up. They hold sums per business date (day
// rows), which RollUp updates outside of the posting transactions. Every answer is the sum of the postings at its
// moment: day rows below the horizon, and the postings from the horizon on (the tail).
//
// Callers: web/api and reports read; a job calls RollUp.
package balances

import (
	"context"
	"encoding/base64"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/page"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/proof"
)

// ErrCursor: this API did not make the page cursor.
var ErrCursor = fault.New(fault.Invalid, "ledger.cursor", "cursor is not valid")

// AccountBalance is one account of a trial balance, in minor units of its currency.
type AccountBalance struct {
	Code     string
	Currency string
	Class    ledger.Class
	Normal   ledger.Side
	Debits   int64
	Credits  int64
}

// Balance is the sum on the normal side; it may be negative.
func (b AccountBalance) Balance() int64 {
	if b.Normal == ledger.Debit {
		return b.Debits - b.Credits
	}
	return b.Credits - b.Debits
}

// RunningPosting is a posting with the running balance of its account within the ledger of a dossier.
type RunningPosting struct {
	ledger.Posting
	Normal  ledger.Side
	Running int64 // minor units on the account's normal side, after this posting
}

// RunningEntry is an entry as the ledger of a dossier shows it.
type RunningEntry struct {
	ledger.Entry
	Postings []RunningPosting // shadows the entry's own
}

// DossierLedger returns every entry that touches the dossier, oldest first,
// with running balances per account. Postings about other dossiers in the same
// entry (a settlement lump) are left out.
func DossierLedger(ctx context.Context, tx pgx.Tx, dossier uuid.UUID) ([]RunningEntry, error) {
	found, err := selectDossierPostings(ctx, tx, dossier)
	if err != nil {
		return nil, err
	}
	var (
		list    []RunningEntry
		running = map[string]int64{}
	)
	for _, p := range found {
		if len(list) == 0 || list[len(list)-1].ID != p.EntryID {
			list = append(list, RunningEntry{Entry: p.Entry()})
		}
		if other := p.Posting().Dossier; other != uuid.Nil && other != dossier {
			continue
		}
		last := &list[len(list)-1]
		last.Postings = append(last.Postings, runningPosting(running, p))
	}
	return list, nil
}

func runningPosting(running map[string]int64, p ledger.Posted) RunningPosting {
	running[p.Account+p.Currency] += p.Signed()
	return RunningPosting{Posting: p.Posting(), Normal: p.Normal, Running: running[p.Account+p.Currency]}
}

// Service answers questions about the book; each call is one read-only transaction.
type Service struct {
	DB *pgxpool.Pool
}

// AccountPosting is one posting of an account ledger.
type AccountPosting struct {
	ledger.Entry
	ledger.Posting
	Line    int16
	Running int64 // minor units on the account's normal side, after this posting
}

// PostingQuery asks for a page of an account's ledger. Zero dates bound nothing.
type PostingQuery struct {
	Account string
	From    calendar.Date
	To      calendar.Date
	Cursor  string // of the page before, "" for the first
	Limit   int    // at most page.Max, which is also the default
}

// FindEntry returns one entry of the actor's authority, or ErrEntryNotFound.
func (s *Service) FindEntry(ctx context.Context, actor auth.Actor, id ledger.EntryID) (ledger.Entry, error) {
	return read(ctx, s.DB, actor, func(tx pgx.Tx) (ledger.Entry, error) { return ledger.FindEntry(ctx, tx, id) })
}

// ListPostings returns a page of an account's ledger in order of business date, and the cursor of the next page ("" at
// the end). The running balance begins with the sum of all postings before the page, per currency, also of those before
// q.From. A page reads its own rows, the rows of its first day and the tail, never the whole book. A code outside the
// chart of accounts is ErrAccountNotFound.
func (s *Service) ListPostings(ctx context.Context, actor auth.Actor, q PostingQuery) ([]AccountPosting, string, error) {
	if known := ledger.KnownAccount(q.Account); !known {
		return nil, "", ledger.ErrAccountNotFound
	}
	after, err := parseCursor(q.Cursor)
	if err != nil {
		return nil, "", err
	}
	if after.Date.Before(q.From) {
		after = cursorPosition{Date: q.From}
	}
	if q.To.IsZero() {
		q.To = endOfTime
	}
	q.Limit = page.Limit(q.Limit)
	var opening map[string]int64
	lines, err := read(ctx, s.DB, actor, func(tx pgx.Tx) ([]ledger.Posted, error) {
		var err error
		if opening, err = findOpening(ctx, tx, q.Account, after); err != nil {
			return nil, err
		}
		return selectAccountPostings(ctx, tx, q.Account, after, q.To, q.Limit+1)
	})
	if err != nil {
		return nil, "", err
	}
	lines, next := page.Cut(lines, q.Limit, func(p ledger.Posted) string {
		return formatCursor(cursorPosition{p.BusinessDate, p.EntryID, p.Line})
	})
	list := make([]AccountPosting, len(lines))
	for i, l := range lines {
		opening[l.Currency] += l.Signed()
		list[i] = AccountPosting{Entry: l.Entry(), Posting: l.Posting(), Line: l.Line, Running: opening[l.Currency]}
	}
	return list, next, nil
}

func read[T any](ctx context.Context, db *pgxpool.Pool, actor auth.Actor, query func(tx pgx.Tx) (T, error)) (T, error) {
	var found T
	if err := auth.Require(actor, auth.PermLedgerRead); err != nil {
		return found, err
	}
	err := postgres.ReadTx(ctx, db, actor.Authority, func(tx pgx.Tx) (err error) {
		found, err = query(tx)
		return err
	})
	return found, err
}

func formatCursor(p cursorPosition) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%s %s %d", p.Date, p.Entry, p.Line))
}

func parseCursor(s string) (cursorPosition, error) {
	var p cursorPosition
	if s == "" {
		return p, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return p, ErrCursor
	}
	var date, entry string
	if _, err := fmt.Sscanf(string(raw), "%s %s %d", &date, &entry, &p.Line); err != nil {
		return p, ErrCursor
	}
	if p.Date, err = calendar.Parse(date); err != nil {
		return p, ErrCursor
	}
	if p.Entry, err = proof.ParseEntryID(entry); err != nil {
		return p, ErrCursor
	}
	return p, nil
}
