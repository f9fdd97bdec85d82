package ledger

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/money"
)

// Faults of corrections.
var (
	ErrNothingToCorrect = fault.New(fault.Precondition, "ledger.nothing_to_correct", "the book says so already")
	ErrCorrected        = fault.New(fault.Conflict, "ledger.corrected", "the entry has corrections: reverse them first")
)

// Correction says what an entry should have said, and who says so.
type Correction struct {
	Of     EntryID   // a first entry: neither a correction nor a reversal
	Should []Posting // the whole of it; none when the entry should not be there
	Cause  Cause
	Reason string
	Actor  string
	Date   calendar.Date // business date that the difference counts for: an open one
	Now    time.Time
}

// Correct appends an adjustment: an entry with the difference between what the
// book says of an earlier entry, corrections so far included, and what it
// should say. It names the entry that it corrects; that one stays as it is
// (Law on Accounting 88/2015 Art. 27(4)). ErrNothingToCorrect when there is no
// difference, ErrReversed when the entry is reversed, ErrEntryNotFound when
// there is none in the authority. The same cause again gives the first answer,
// whatever the book says by now. Corrections and the reversal of one entry wait
// for each other.
func Correct(ctx context.Context, tx pgx.Tx, c Correction) (EntryID, error) {
	if c.Reason == "" {
		return EntryID{}, ErrMalformed.With("a correction needs a reason")
	}
	if err := lockCorrections(ctx, tx, c.Of); err != nil {
		return EntryID{}, err
	}
	known, err := selectCorrection(ctx, tx, c)
	if err != nil || !known.IsZero() {
		return known, err
	}
	lines, err := selectEffect(ctx, tx, c.Of)
	if err != nil {
		return EntryID{}, err
	}
	var (
		first *line
		is    []Posting
	)
	for _, l := range lines {
		if l.EntryID == c.Of {
			first = &l
		}
		if l.Reverses == c.Of {
			return EntryID{}, ErrReversed
		}
		is = append(is, l.posting())
	}
	if first == nil {
		return EntryID{}, ErrEntryNotFound
	}
	if !first.Reverses.IsZero() || !first.Corrects.IsZero() {
		return EntryID{}, ErrMalformed.With("a correction is of a first entry, not of a reversal or another correction")
	}
	difference, err := Difference(is, c.Should)
	if err != nil {
		return EntryID{}, err
	}
	if len(difference) == 0 {
		return EntryID{}, ErrNothingToCorrect
	}
	ids, err := Post(ctx, tx, Entry{
		Authority: first.Authority, BusinessDate: c.Date, RecordedAt: c.Now, Cause: c.Cause, Description: "correction: " + first.Description,
		Actor: c.Actor, Corrects: c.Of, Reason: c.Reason, Postings: difference,
	})
	if err != nil {
		return EntryID{}, err
	}
	return ids[0], nil
}

// Difference returns the postings that turn is into should: one per account,
// currency and dimensions whose sum changes, in order of first appearance.
func Difference(is, should []Posting) ([]Posting, error) {
	type key struct {
		account  string
		currency money.Currency
		about    Dimensions
	}
	var (
		order []key
		sums  = map[key]money.Amount{}
	)
	add := func(p Posting, raises bool) (err error) {
		k := key{p.Account, p.Amount.Currency, p.Dimensions}
		sum, known := sums[k]
		if !known {
			sum = money.Zero(k.currency)
			order = append(order, k)
		}
		if raises {
			sum, err = sum.Add(p.Amount)
		} else {
			sum, err = sum.Sub(p.Amount)
		}
		sums[k] = sum
		return err
	}
	for _, p := range is {
		if err := add(p, p.Side == Credit); err != nil {
			return nil, err
		}
	}
	for _, p := range should {
		if err := add(p, p.Side == Debit); err != nil {
			return nil, err
		}
	}
	var list []Posting
	for _, k := range order {
		switch sum := sums[k]; {
		case sum.IsPositive():
			list = append(list, Dr(k.account, sum, k.about))
		case !sum.IsZero():
			list = append(list, Cr(k.account, money.Amount{Currency: k.currency, Minor: -sum.Minor}, k.about))
		}
	}
	return list, nil
}

// lockCorrections makes corrections and the reversal of an entry wait for each
// other until tx ends. The entry itself cannot be locked: nobody may change it.
func lockCorrections(ctx context.Context, tx pgx.Tx, id EntryID) error {
	_, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended($1::uuid::text, 20261121))`, id)
	return err
}

// selectCorrection finds the correction that was written for the same cause, or zero.
func selectCorrection(ctx context.Context, tx pgx.Tx, c Correction) (EntryID, error) {
	rows, err := tx.Query(ctx, `
		select e.id, e.corrects from ledger.cause c
		join ledger.entry e on e.id = c.entry_id
		where c.authority = (select app.authority()) and c.kind = $1 and c.id = $2 and c.event = $3`,
		c.Cause.Kind, c.Cause.ID, c.Cause.Event)
	if err != nil {
		return EntryID{}, err
	}
	type written struct{ ID, Corrects EntryID }
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[written])
	if err != nil || len(list) == 0 {
		return EntryID{}, err
	}
	if list[0].Corrects != c.Of {
		return EntryID{}, ErrCauseReused.With("cause %s %s %s has another entry", c.Cause.Kind, c.Cause.ID, c.Cause.Event)
	}
	return list[0].ID, nil
}

// selectEffect reads everything that makes up an entry by now: itself, its
// corrections, and what reverses any of them.
func selectEffect(ctx context.Context, tx pgx.Tx, id EntryID) ([]line, error) {
	rows, err := tx.Query(ctx, selectLines+`
		where p.entry_id in (
			with of as (
				select $1::uuid as id
				union all select c.id from ledger.entry c where c.corrects = $1)
			select of.id from of
			union all select r.reversal from ledger.reversal r where r.entry_id in (select of.id from of))
		order by e.recorded_at, p.entry_id, p.line`, id)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[line])
}

// refuseCorrected returns ErrCorrected when corrections of the entry are in
// force: its mirror alone would leave them standing.
func refuseCorrected(ctx context.Context, tx pgx.Tx, id EntryID) error {
	var corrected bool
	err := tx.QueryRow(ctx, `
		select exists (
			select from ledger.entry c
			where c.corrects = $1 and not exists (select from ledger.reversal r where r.entry_id = c.id))`, id).Scan(&corrected)
	if err == nil && corrected {
		return ErrCorrected
	}
	return err
}
