package ledger

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
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/postgres"
)

// ErrCursor: a page cursor was not made by this API.
var ErrCursor = fault.New(fault.Invalid, "ledger.cursor", "cursor is not valid")

// MaxPage is the largest page of a list.
const MaxPage = 200

// AccountBalance is one account of a trial balance, in minor units of its currency.
type AccountBalance struct {
	Code     string
	Currency string
	Class    Class
	Normal   Side
	Debits   int64
	Credits  int64
}

// Balance is the sum on the normal side; it may be negative.
func (b AccountBalance) Balance() int64 {
	if b.Normal == Debit {
		return b.Debits - b.Credits
	}
	return b.Credits - b.Debits
}

// StatementLine is a posting with the running balance of its account within the statement.
type StatementLine struct {
	Posting
	Normal  Side
	Running int64 // minor units on the account's normal side, after this posting
}

// StatementEntry is an entry as a statement shows it.
type StatementEntry struct {
	Entry
	Lines []StatementLine
}

// FindEntry returns an entry with its postings in order, or ErrEntryNotFound.
func FindEntry(ctx context.Context, tx pgx.Tx, id EntryID) (Entry, error) {
	lines, err := selectEntryLines(ctx, tx, id)
	if err != nil {
		return Entry{}, err
	}
	if len(lines) == 0 {
		return Entry{}, ErrEntryNotFound
	}
	e := lines[0].entry()
	for _, l := range lines {
		e.Postings = append(e.Postings, l.posting())
	}
	return e, nil
}

// DossierStatement returns every entry that touches the dossier, oldest first,
// with running balances per account. Postings about other dossiers in the same
// entry (a settlement lump) are left out.
func DossierStatement(ctx context.Context, tx pgx.Tx, dossier uuid.UUID) ([]StatementEntry, error) {
	lines, err := selectDossierLines(ctx, tx, dossier)
	if err != nil {
		return nil, err
	}
	var (
		list    []StatementEntry
		running = map[string]int64{}
	)
	for _, l := range lines {
		if len(list) == 0 || list[len(list)-1].ID != l.EntryID {
			list = append(list, StatementEntry{Entry: l.entry()})
		}
		if other := orZero(l.DossierID); other != uuid.Nil && other != dossier {
			continue
		}
		last := &list[len(list)-1]
		last.Lines = append(last.Lines, runningLine(running, l))
	}
	return list, nil
}

func runningLine(running map[string]int64, l line) StatementLine {
	running[l.Account+l.Currency] += l.signed()
	return StatementLine{Posting: l.posting(), Normal: l.Normal, Running: running[l.Account+l.Currency]}
}

// Service answers questions about the book; each call is one read-only transaction.
type Service struct {
	DB *pgxpool.Pool
}

// AccountLine is one posting of an account ledger.
type AccountLine struct {
	Entry
	Posting
	Line    int16
	Running int64 // minor units on the account's normal side, after this posting
}

// PostingQuery asks for a page of an account's ledger. Zero dates bound nothing.
type PostingQuery struct {
	Account string
	From    calendar.Date
	To      calendar.Date
	Cursor  string // of the page before, "" for the first
	Limit   int    // at most MaxPage, which is also the default
}

// FindEntry returns one entry of the actor's authority, or ErrEntryNotFound.
func (s *Service) FindEntry(ctx context.Context, actor auth.Actor, id EntryID) (Entry, error) {
	return read(ctx, s.DB, actor, func(tx pgx.Tx) (Entry, error) { return FindEntry(ctx, tx, id) })
}

// ListPostings returns a page of an account's ledger in order of business date
// and the cursor of the next page ("" at the end). The running balance begins
// with everything before the page, per currency, also what lies before q.From.
// A page costs its own rows, those of its first day and the tail, never the book.
// A code outside the chart of accounts is ErrAccountNotFound.
func (s *Service) ListPostings(ctx context.Context, actor auth.Actor, q PostingQuery) ([]AccountLine, string, error) {
	if _, err := natureOf(q.Account); err != nil {
		return nil, "", ErrAccountNotFound
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
	if q.Limit < 1 || q.Limit > MaxPage {
		q.Limit = MaxPage
	}
	var opening map[string]int64
	lines, err := read(ctx, s.DB, actor, func(tx pgx.Tx) ([]line, error) {
		var err error
		if opening, err = findOpening(ctx, tx, q.Account, after); err != nil {
			return nil, err
		}
		return selectAccountLines(ctx, tx, q.Account, after, q.To, q.Limit+1)
	})
	if err != nil {
		return nil, "", err
	}
	next := ""
	if len(lines) > q.Limit {
		lines = lines[:q.Limit]
		last := lines[q.Limit-1]
		next = formatCursor(cursorPosition{last.BusinessDate, last.EntryID, last.Line})
	}
	list := make([]AccountLine, len(lines))
	for i, l := range lines {
		opening[l.Currency] += l.signed()
		list[i] = AccountLine{Entry: l.entry(), Posting: l.posting(), Line: l.Line, Running: opening[l.Currency]}
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
	if p.Entry, err = ident.Parse[entryKind](entry); err != nil {
		return p, ErrCursor
	}
	return p, nil
}
