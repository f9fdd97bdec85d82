package proof

import (
	"crypto/sha256"
	"time"

	"github.com/google/uuid"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/canonical"
	"github.com/doisoat/doisoat/internal/ident"
)

type entryKind struct{}

// Prefix implements ident.Kind.
func (entryKind) Prefix() string { return "ent" }

// EntryID names an entry.
type EntryID = ident.ID[entryKind]

// NewEntryID makes the id of an entry.
func NewEntryID() EntryID { return ident.New[entryKind]() }

// ParseEntryID reads the outside form of an entry's id.
func ParseEntryID(text string) (EntryID, error) { return ident.Parse[entryKind](text) }

// Entry is an entry with all columns of its row and of its postings, apart from
// the hashes in these rows.
type Entry struct {
	ID           EntryID       `json:"id"`
	Authority    string        `json:"authority"`
	BusinessDate calendar.Date `json:"business_date"`
	RecordedAt   time.Time     `json:"recorded_at"` // microseconds count
	CauseKind    string        `json:"cause_kind"`
	CauseID      string        `json:"cause_id"`
	CauseEvent   string        `json:"cause_event"`
	Description  string        `json:"description"`
	Actor        string        `json:"actor"`
	Reverses     *EntryID      `json:"reverses"`
	Corrects     *EntryID      `json:"corrects"`
	Reason       string        `json:"reason"`
	Count        int16         `json:"count"` // of postings
	Tx           int64         `json:"tx"`    // the database assigns the number after the entry is hashed
	Postings     []Posting     `json:"postings"`
}

// Posting is one posting of an entry, with class and normal side of its account.
type Posting struct {
	Line         int16         `json:"line"` // from 1, without gaps
	Authority    string        `json:"authority"`
	BusinessDate calendar.Date `json:"business_date"`
	Account      string        `json:"account"`
	Class        string        `json:"class"`
	Normal       string        `json:"normal"`
	Side         string        `json:"side"`   // debit or credit
	Amount       int64         `json:"amount"` // minor units
	Currency     string        `json:"currency"`
	Memo         bool          `json:"memo"`
	Dossier      *uuid.UUID    `json:"dossier"`
	Payment      *uuid.UUID    `json:"payment"`
	Refund       *uuid.UUID    `json:"refund"`
	Charge       *uuid.UUID    `json:"charge"`
	FeeType      *string       `json:"fee_type"`
	Policy       *string       `json:"policy"`
}

// The sides of a posting.
const (
	debit  = "D"
	credit = "C"
)

const entryForm = "doisoat entry 1"

// MarkSize is how many bytes of its hash are the mark of a posting.
const MarkSize = 4

// form appends the canonical form of all fields but Tx, which is unknown until
// the entry is written. It appends the mark of each posting to marks.
func (e *Entry) form(f canonical.Form, marks []byte) (canonical.Form, []byte) {
	f.Text(entryForm)
	id := e.ID.UUID()
	f.Bytes(id[:])
	f.Text(e.Authority)
	f.Date(e.BusinessDate)
	f.Instant(e.RecordedAt)
	f.Text(e.CauseKind)
	f.Text(e.CauseID)
	f.Text(e.CauseEvent)
	f.Text(e.Description)
	f.Text(e.Actor)
	f.ID((*uuid.UUID)(e.Reverses))
	f.ID((*uuid.UUID)(e.Corrects))
	f.Text(e.Reason)
	f.Number(int64(e.Count))
	for i := range e.Postings {
		start := len(f)
		e.Postings[i].form(&f)
		sum := sha256.Sum256(f[start:])
		marks = append(marks, sum[:MarkSize]...)
	}
	return f, marks
}

func (p *Posting) form(f *canonical.Form) {
	f.Number(int64(p.Line))
	f.Text(p.Authority)
	f.Date(p.BusinessDate)
	f.Text(p.Account)
	f.Text(p.Class)
	f.Text(p.Normal)
	f.Text(p.Side)
	f.Number(p.Amount)
	f.Text(p.Currency)
	f.Flag(p.Memo)
	f.ID(p.Dossier)
	f.ID(p.Payment)
	f.ID(p.Refund)
	f.ID(p.Charge)
	f.Optional(p.FeeType)
	f.Optional(p.Policy)
}

// Hasher hashes entry after entry in the same memory.
type Hasher struct{ form canonical.Form }

// Content returns the content hash of an entry and the marks of its postings.
// Both stand in the row of the entry.
func (h *Hasher) Content(e *Entry) (content Hash, marks []byte) {
	h.form, marks = e.form(append(h.form[:0], contentPrefix), make([]byte, 0, MarkSize*len(e.Postings)))
	return sha256.Sum256(h.form), marks
}

// Leaf is the leaf of an entry in the Merkle tree of its block, by content hash and Tx.
func Leaf(content []byte, tx int64) Hash {
	form := append(make(canonical.Form, 0, 64), leafPrefix)
	form.Bytes(content)
	form.Number(tx)
	return sha256.Sum256(form)
}

// leaf computes the leaf of an entry from all its fields.
func (h *Hasher) leaf(e *Entry) Hash {
	content, _ := h.Content(e)
	return Leaf(content[:], e.Tx)
}
