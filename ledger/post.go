package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger/proof"
)

// Post appends entries of one authority to the book, all or none, in one statement, and returns their ids in order. It
// does not write an entry again whose cause is already in the book. Then it returns the first entry's id when the
// content is the same, and ErrCauseReused when the content differs. ErrDayClosed when a business date is closed.
//
// When one of several entries is bad, the fault points at this entry ("/entries/3", counted from 0) and names its
// cause. Post takes only a shared lock on each business date.
func Post(ctx context.Context, tx pgx.Tx, entries ...Entry) ([]EntryID, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	var (
		first = make(map[Cause]int, len(entries)) // the first entry of each cause is written
		fresh = make([]Entry, 0, len(entries))
	)
	for i := range entries {
		if err := entries[i].Validate(); err != nil {
			return nil, blame(err, entries, i)
		}
		if entries[i].Authority != entries[0].Authority {
			return nil, blame(ErrMalformed.With("entries of one call are of one authority"), entries, i)
		}
		if at, twice := first[entries[i].Cause]; twice {
			if !entries[i].repeats(&entries[at]) {
				return nil, blame(causeReused(entries[i].Cause), entries, i)
			}
			continue
		}
		first[entries[i].Cause] = i
		if entries[i].ID.IsZero() {
			entries[i].ID = proof.NewEntryID()
		}
		fresh = append(fresh, entries[i])
	}
	before, err := write(ctx, tx, fresh)
	if err != nil {
		return nil, postFault(err, entries)
	}
	ids := make([]EntryID, len(entries))
	for i := range entries {
		id := entries[first[entries[i].Cause]].ID
		if known, ok := before[id]; ok {
			id = known
		}
		ids[i] = id
	}
	if len(before) > 0 {
		err = sameAsBefore(ctx, tx, entries, ids, before)
	}
	return ids, err
}

// sameAsBefore compares entries with the entries of the same causes in the book. before maps the id of an entry that
// was not written to the id in the book.
func sameAsBefore(ctx context.Context, tx pgx.Tx, entries []Entry, ids []EntryID, before map[EntryID]EntryID) error {
	written, err := findEntries(ctx, tx, slices.Collect(maps.Values(before)))
	if err != nil {
		return err
	}
	for i, id := range ids {
		if known, ok := written[id]; ok && !entries[i].repeats(&known) {
			return blame(causeReused(entries[i].Cause), entries, i)
		}
	}
	return nil
}

func causeReused(c Cause) error {
	return ErrCauseReused.With("cause %s %s %s has another entry", c.Kind, c.ID, c.Event)
}

// postFault turns a refusal of the database into a fault.
func postFault(err error, entries []Entry) error {
	var refusal *fault.Error
	switch postgres.Constraint(err) {
	case "entry_day_open":
		refusal = ErrDayClosed
	case "posting_balanced":
		refusal = ErrUnbalanced
	case "entry_reversed_once":
		refusal = ErrReversed
	default:
		return err
	}
	return blame(refusal.Because(err), entries, refused(err, entries))
}

// refused finds the entry that the database refused, -1 when the database does not name it. Row-level security keeps
// keys out of the database's messages, so the entry of a second reversal is known only when the call has one reversal.
func refused(err error, entries []Entry) int {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return -1
	}
	if pg.ConstraintName == "entry_reversed_once" {
		reverses := func(e Entry) bool { return !e.Reverses.IsZero() }
		i := slices.IndexFunc(entries, reverses)
		if i < 0 || slices.ContainsFunc(entries[i+1:], reverses) {
			return -1
		}
		return i
	}
	return slices.IndexFunc(entries, func(e Entry) bool {
		return strings.Contains(pg.Message, e.ID.UUID().String()) ||
			strings.Contains(pg.Message, "business date "+e.BusinessDate.String()+" of "+e.Authority)
	})
}

// blame makes the fault point at one of several entries.
func blame(err error, entries []Entry, i int) error {
	f, ok := fault.Of(err)
	if !ok || i < 0 || len(entries) < 2 {
		return err
	}
	c := entries[i].Cause
	return f.At(fmt.Sprintf("/entries/%d", i), fmt.Sprintf("entry for %s %s %s", c.Kind, c.ID, c.Event))
}

// Reverse appends the mirror of an entry, with a reason, on an open date. An entry has at most one reversal: the same
// cause again returns the first reversal, every other attempt is ErrReversed. The mirror of an entry on a closed day is
// posted on an open day (Law on Accounting 88/2015 Art. 27(4): books are corrected by adding).
func Reverse(
	ctx context.Context,
	tx pgx.Tx,
	id EntryID,
	cause Cause,
	reason, actor string,
	date calendar.Date,
	now time.Time,
) (EntryID, error) {
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
