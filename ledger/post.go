package ledger

import (
	"bytes"
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/postgres"
)

// Post appends entries to the book, all or none, in one round trip, and
// returns their ids in order. An entry whose cause is in the book already is
// not written again: its first id is returned when the content is the same,
// ErrCauseReused when it differs. ErrDayClosed when a business date is closed.
// It takes no lock but a shared one on each business date.
func Post(ctx context.Context, tx pgx.Tx, entries ...Entry) ([]EntryID, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	for i := range entries {
		if err := entries[i].Validate(); err != nil {
			return nil, err
		}
		if entries[i].ID.IsZero() {
			entries[i].ID = ident.New[entryKind]()
		}
	}
	stored, err := write(ctx, tx, entries)
	if err != nil {
		return nil, postFault(err)
	}
	ids := make([]EntryID, len(entries))
	for i, e := range entries {
		found, ok := stored[e.Cause]
		if !ok {
			return nil, ErrMalformed.With("entry for %s %s was not written", e.Cause.Kind, e.Cause.ID)
		}
		if !bytes.Equal(found.Digest, e.digest()) {
			return nil, ErrCauseReused.With("cause %s %s %s has another entry", e.Cause.Kind, e.Cause.ID, e.Cause.Event)
		}
		ids[i] = found.ID
	}
	return ids, nil
}

func postFault(err error) error {
	switch postgres.Constraint(err) {
	case "entry_day_open":
		return ErrDayClosed.Because(err)
	case "posting_balanced":
		return ErrUnbalanced.Because(err)
	case "entry_reversed_once":
		return ErrReversed.Because(err)
	}
	return err
}

// Reverse appends the mirror of an entry, with a reason, on an open date. An
// entry has at most one reversal: the same cause again gives the first, any
// other attempt ErrReversed. A correction of a closed day is posted on an open
// one (Law on Accounting 88/2015 Art. 27(4): books are corrected by adding).
func Reverse(ctx context.Context, tx pgx.Tx, id EntryID, cause Cause, reason, actor string, date calendar.Date, now time.Time) (EntryID, error) {
	original, err := FindEntry(ctx, tx, id)
	if err != nil {
		return EntryID{}, err
	}
	mirror := Entry{
		Authority: original.Authority, BusinessDate: date, RecordedAt: now, Cause: cause,
		Description: "reversal: " + original.Description, Actor: actor, Reverses: id, Reason: reason,
	}
	for _, p := range original.Postings {
		opposite := Debit
		if p.Side == Debit {
			opposite = Credit
		}
		mirror.Postings = append(mirror.Postings, Posting{Account: p.Account, Side: opposite, Amount: p.Amount, Dimensions: p.Dimensions})
	}
	ids, err := Post(ctx, tx, mirror)
	if err != nil {
		return EntryID{}, err
	}
	return ids[0], nil
}

// OpenDate returns date, or the first date after it that is not closed.
func OpenDate(ctx context.Context, tx pgx.Tx, authority string, date calendar.Date) (calendar.Date, error) {
	rows, err := tx.Query(ctx, `
		select business_date from ledger.closed_day
		where authority = $1 and business_date >= $2
		order by business_date`, authority, date)
	if err != nil {
		return calendar.Date{}, err
	}
	closed, err := pgx.CollectRows(rows, pgx.RowTo[calendar.Date])
	if err != nil {
		return calendar.Date{}, err
	}
	for _, c := range closed {
		if c != date {
			break
		}
		date = date.AddDays(1)
	}
	return date, nil
}

// CloseDay refuses further entries on date. Closing a closed day changes nothing.
// It waits for running posters of that day and holds them off until tx ends.
func CloseDay(ctx context.Context, tx pgx.Tx, authority string, date calendar.Date, actor string, now time.Time) error {
	_, err := tx.Exec(ctx, `
		insert into ledger.closed_day (authority, business_date, closed_at, closed_by)
		values ($1, $2, $3, $4) on conflict do nothing`, authority, date, now, actor)
	return err
}

type storedEntry struct {
	ID     EntryID
	Digest []byte
}

// write sends three statements in one round trip: accounts that are new,
// entries with their postings, and the look-up of what is in the book now.
func write(ctx context.Context, tx pgx.Tx, entries []Entry) (map[Cause]storedEntry, error) {
	a := columns(entries)
	batch := &pgx.Batch{}
	batch.Queue(insertAccounts, pgx.StrictNamedArgs{
		"authorities": a.accAuthority, "codes": a.accCode, "currencies": a.accCurrency, "classes": a.accClass, "normals": a.accNormal,
	})
	batch.Queue(insertEntries, pgx.StrictNamedArgs{
		"ids": a.id, "authorities": a.authority, "dates": a.date, "recorded": a.recorded, "kinds": a.kind, "cause_ids": a.causeID,
		"events": a.event, "descriptions": a.description, "actors": a.actor, "reverses": a.reverses, "reasons": a.reason,
		"lines": a.lines, "digests": a.digest,
		"p_entries": a.pEntry, "p_lines": a.pLine, "p_accounts": a.pAccount, "p_sides": a.pSide, "p_amounts": a.pAmount,
		"p_currencies": a.pCurrency, "p_dossiers": a.pDossier, "p_payments": a.pPayment, "p_refunds": a.pRefund,
		"p_charges": a.pCharge, "p_fee_types": a.pFeeType, "p_policies": a.pPolicy,
	})
	batch.Queue(selectStored, pgx.StrictNamedArgs{
		"authorities": a.authority, "kinds": a.kind, "cause_ids": a.causeID, "events": a.event,
	})
	results := tx.SendBatch(ctx, batch)
	defer results.Close() //nolint:errcheck // the first error below is the one that counts
	for range 2 {
		if _, err := results.Exec(); err != nil {
			return nil, err
		}
	}
	rows, err := results.Query() //nolint:rowserrcheck // ForEachRow checks it
	if err != nil {
		return nil, err
	}
	stored := map[Cause]storedEntry{}
	var (
		c Cause
		s storedEntry
	)
	_, err = pgx.ForEachRow(rows, []any{&c.Kind, &c.ID, &c.Event, &s.ID, &s.Digest}, func() error {
		stored[c] = storedEntry{s.ID, bytes.Clone(s.Digest)}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return stored, results.Close()
}

// columnar holds entries and postings as columns for unnest.
type columnar struct {
	accAuthority, accCode, accCurrency, accClass, accNormal []string

	id                                                          []EntryID
	authority, kind, causeID, event, description, actor, reason []string
	date                                                        []calendar.Date
	recorded                                                    []time.Time
	reverses                                                    []EntryID
	lines                                                       []int16
	digest                                                      [][]byte
	pEntry                                                      []EntryID
	pLine                                                       []int16
	pAccount, pSide, pCurrency                                  []string
	pAmount                                                     []int64
	pDossier, pPayment, pRefund, pCharge                        []*uuid.UUID
	pFeeType, pPolicy                                           []*string
}

func columns(entries []Entry) *columnar {
	a := &columnar{}
	type accountKey struct{ authority, code, currency string }
	seen := map[accountKey]bool{}
	for i := range entries {
		e := &entries[i]
		a.id = append(a.id, e.ID)
		a.authority = append(a.authority, e.Authority)
		a.date = append(a.date, e.BusinessDate)
		a.recorded = append(a.recorded, e.RecordedAt)
		a.kind = append(a.kind, e.Cause.Kind)
		a.causeID = append(a.causeID, e.Cause.ID)
		a.event = append(a.event, e.Cause.Event)
		a.description = append(a.description, e.Description)
		a.actor = append(a.actor, e.Actor)
		a.reverses = append(a.reverses, e.Reverses)
		a.reason = append(a.reason, e.Reason)
		a.lines = append(a.lines, int16(len(e.Postings))) //nolint:gosec // maxPostings bounds it
		a.digest = append(a.digest, e.digest())
		for line, p := range e.Postings {
			currency := string(p.Amount.Currency)
			if key := (accountKey{e.Authority, p.Account, currency}); !seen[key] {
				seen[key] = true
				n, _ := natureOf(p.Account) // Validate has seen it
				a.accAuthority = append(a.accAuthority, e.Authority)
				a.accCode = append(a.accCode, p.Account)
				a.accCurrency = append(a.accCurrency, currency)
				a.accClass = append(a.accClass, string(n.class))
				a.accNormal = append(a.accNormal, string(n.normal))
			}
			a.pEntry = append(a.pEntry, e.ID)
			a.pLine = append(a.pLine, int16(line+1))
			a.pAccount = append(a.pAccount, p.Account)
			a.pSide = append(a.pSide, string(p.Side))
			a.pAmount = append(a.pAmount, p.Amount.Minor)
			a.pCurrency = append(a.pCurrency, currency)
			a.pDossier = append(a.pDossier, orNull(p.Dossier))
			a.pPayment = append(a.pPayment, orNull(p.Payment))
			a.pRefund = append(a.pRefund, orNull(p.Refund))
			a.pCharge = append(a.pCharge, orNull(p.Charge))
			a.pFeeType = append(a.pFeeType, orNull(p.FeeType))
			a.pPolicy = append(a.pPolicy, orNull(p.Policy))
		}
	}
	return a
}

func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
