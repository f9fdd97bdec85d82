package ledger

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/ledger/proof"
)

// EntryID names an entry.
type EntryID = proof.EntryID

// Faults of the book.
var (
	ErrUnbalanced    = fault.New(fault.Internal, "ledger.unbalanced", "debits and credits of the entry differ")
	ErrMalformed     = fault.New(fault.Internal, "ledger.malformed", "entry is incomplete")
	ErrCauseReused   = fault.New(fault.Conflict, "ledger.cause_reused", "another entry with other content has this cause")
	ErrDayClosed     = fault.New(fault.Precondition, "ledger.day_closed", "the business date is closed")
	ErrEntryNotFound = fault.New(fault.NotFound, "ledger.entry_not_found", "no such entry")
	ErrReversed      = fault.New(fault.Conflict, "ledger.already_reversed", "the entry is reversed already")
)

// Cause is the business event behind an entry. There is one entry per cause
// and authority, which makes posting safe to repeat.
type Cause struct {
	Kind  string // noun: "capture"
	ID    string // its id
	Event string // verb in the past: "captured"
}

// Entry is a balanced set of postings for one business event.
type Entry struct {
	ID           EntryID // made by Post when zero
	Authority    string
	BusinessDate calendar.Date
	RecordedAt   time.Time
	Cause        Cause
	Description  string // shown to staff: no personal data
	Actor        string
	Postings     []Posting
	Reverses     EntryID // set by Reverse only
	Corrects     EntryID // set by Correct only: the entry whose difference this one carries
	Reason       string  // why it reverses or corrects
}

// Posting is one debit or credit of an entry. Zero dimensions are "none".
type Posting struct {
	Account string
	Side    Side
	Amount  money.Amount // above zero
	Dimensions
}

// Dimensions name the things that a posting is about. Rooms above the ledger own these ids.
type Dimensions struct {
	Dossier uuid.UUID
	Payment uuid.UUID
	Refund  uuid.UUID
	Charge  uuid.UUID
	FeeType string
	Policy  string
}

// Dr makes a debit posting.
func Dr(account string, amount money.Amount, about Dimensions) Posting {
	return Posting{Account: account, Side: Debit, Amount: amount, Dimensions: about}
}

// Cr makes a credit posting.
func Cr(account string, amount money.Amount, about Dimensions) Posting {
	return Posting{Account: account, Side: Credit, Amount: amount, Dimensions: about}
}

// maxPostings bounds the postings of one entry: far above any settlement, and within the table's smallint.
const maxPostings = 10_000

// Validate checks the rules of an entry and names a broken rule better than the database can.
func (e Entry) Validate() error {
	if e.Authority == "" || e.BusinessDate.IsZero() || e.RecordedAt.IsZero() || e.Actor == "" ||
		e.Cause.Kind == "" || e.Cause.ID == "" || e.Cause.Event == "" || len(e.Postings) < 2 {
		return ErrMalformed.With("entry for %s %s lacks a member", e.Cause.Kind, e.Cause.ID)
	}
	if len(e.Postings) > maxPostings {
		return ErrMalformed.With("entry for %s %s has more than %d postings", e.Cause.Kind, e.Cause.ID, maxPostings)
	}
	type group struct {
		currency money.Currency
		memo     bool
	}
	sums := map[group]money.Amount{}
	for _, p := range e.Postings {
		n, err := natureOf(p.Account)
		if err != nil {
			return err
		}
		if !p.Amount.IsPositive() || (p.Side != Debit && p.Side != Credit) {
			return ErrMalformed.With("posting to %s needs a side and an amount above zero", p.Account)
		}
		g := group{p.Amount.Currency, n.class == Memo}
		sum, known := sums[g]
		if !known {
			sum = money.Zero(g.currency)
		}
		if p.Side == Debit {
			sum, err = sum.Add(p.Amount)
		} else {
			sum, err = sum.Sub(p.Amount)
		}
		if err != nil {
			return err
		}
		sums[g] = sum
	}
	for g, sum := range sums {
		if !sum.IsZero() {
			return ErrUnbalanced.With("entry for %s %s is off by %s (memo: %t)", e.Cause.Kind, e.Cause.ID, sum, g.memo)
		}
	}
	return nil
}

// repeats reports whether e has the same content as before, an entry of the same cause. Dates and texts may differ
// between two tries.
func (e *Entry) repeats(before *Entry) bool {
	return e.Reverses == before.Reverses && e.Corrects == before.Corrects && slices.Equal(e.Postings, before.Postings)
}
