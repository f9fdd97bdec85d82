package seal

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/google/uuid"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/ledger"
)

// version is that of the canonical forms below. Another form gets another
// number; blocks of the old one are checked by the old one for ever.
const version = 1

// entryForm and headerForm name the two forms inside what is hashed.
const (
	entryForm  = "doisoat entry 1"
	headerForm = "doisoat block 1"
)

// Record is an entry exactly as the book holds it: every column of its row and
// of its postings.
type Record struct {
	ID           ledger.EntryID  `json:"id"`
	Authority    string          `json:"authority"`
	BusinessDate calendar.Date   `json:"business_date"`
	RecordedAt   time.Time       `json:"recorded_at"` // microseconds count
	CauseKind    string          `json:"cause_kind"`
	CauseID      string          `json:"cause_id"`
	CauseEvent   string          `json:"cause_event"`
	Description  string          `json:"description"`
	Actor        string          `json:"actor"`
	Reverses     *ledger.EntryID `json:"reverses"`
	Corrects     *ledger.EntryID `json:"corrects"`
	Reason       string          `json:"reason"`
	Lines        int16           `json:"lines"`
	Digest       hexBytes        `json:"digest"`
	Tx           int64           `json:"tx"`
	Postings     []Line          `json:"postings"`
}

// Line is a posting as the book holds it, with what its account says of itself.
type Line struct {
	Line         int16         `json:"line"`
	Authority    string        `json:"authority"`
	BusinessDate calendar.Date `json:"business_date"`
	Account      string        `json:"account"`
	Class        ledger.Class  `json:"class"`
	Normal       ledger.Side   `json:"normal"`
	Side         ledger.Side   `json:"side"`
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

// hexBytes is shown as hex digits.
type hexBytes []byte

// MarshalText implements encoding.TextMarshaler.
func (b hexBytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, b), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

// absent stands for NULL where a field's length would stand; empty text has the length 0.
const absent = 0xFFFFFFFF

// canonical collects fields: four bytes of length, the largest first, and the
// field itself, so that no byte can move from one field into the next.
type canonical []byte

func (c *canonical) bytes(field []byte) {
	*c = binary.BigEndian.AppendUint32(*c, uint32(len(field))) //nolint:gosec // a field is far below 4 GiB
	*c = append(*c, field...)
}

func (c *canonical) text(field string) {
	*c = binary.BigEndian.AppendUint32(*c, uint32(len(field))) //nolint:gosec // a field is far below 4 GiB
	*c = append(*c, field...)
}

func (c *canonical) number(field int64) {
	*c = binary.BigEndian.AppendUint32(*c, 8)
	*c = binary.BigEndian.AppendUint64(*c, uint64(field)) //nolint:gosec // two's complement is what is promised
}

func (c *canonical) null() { *c = binary.BigEndian.AppendUint32(*c, absent) }

func (c *canonical) id(field *uuid.UUID) {
	if field == nil {
		c.null()
		return
	}
	c.bytes(field[:])
}

func (c *canonical) optional(field *string) {
	if field == nil {
		c.null()
		return
	}
	c.text(*field)
}

func (c *canonical) instant(t time.Time) { c.number(t.UnixMicro()) }

func (c *canonical) date(d calendar.Date) {
	var text [len("YYYY-MM-DD")]byte
	c.bytes(d.Append(text[:0]))
}

func (c *canonical) flag(on bool) {
	if on {
		c.number(1)
		return
	}
	c.number(0)
}

// head appends the fields of the entry itself, in the order of docs/sealing.md.
func (r *Record) head(c *canonical) {
	c.text(entryForm)
	id := r.ID.UUID()
	c.bytes(id[:])
	c.text(r.Authority)
	c.date(r.BusinessDate)
	c.instant(r.RecordedAt)
	c.text(r.CauseKind)
	c.text(r.CauseID)
	c.text(r.CauseEvent)
	c.text(r.Description)
	c.text(r.Actor)
	c.id((*uuid.UUID)(r.Reverses))
	c.id((*uuid.UUID)(r.Corrects))
	c.text(r.Reason)
	c.number(int64(r.Lines))
	c.bytes(r.Digest)
	c.number(r.Tx)
}

// fields appends the fields of a posting, in the order of docs/sealing.md.
func (l *Line) fields(c *canonical) {
	c.number(int64(l.Line))
	c.text(l.Authority)
	c.date(l.BusinessDate)
	c.text(l.Account)
	c.text(string(l.Class))
	c.text(string(l.Normal))
	c.text(string(l.Side))
	c.number(l.Amount)
	c.text(l.Currency)
	c.flag(l.Memo)
	c.id(l.Dossier)
	c.id(l.Payment)
	c.id(l.Refund)
	c.id(l.Charge)
	c.optional(l.FeeType)
	c.optional(l.Policy)
}

// Canonical returns the bytes whose hash stands in the Merkle tree: the entry's
// fields, then its postings by line, each with its fields. There is no count of
// postings: the entry announces it in lines.
func (r *Record) Canonical() []byte {
	var c canonical
	r.head(&c)
	for i := range r.Postings {
		r.Postings[i].fields(&c)
	}
	return c
}

// markSize is how many bytes of its hash name a posting.
const markSize = 4

// hasher hashes entry after entry in the same memory.
type hasher struct {
	scratch canonical
	marks   []byte // of all entries; an entry's own stay where they are
}

// hash returns the leaf of an entry and the marks of its postings.
func (h *hasher) hash(r *Record) (leaf Hash, marks []byte) {
	c := append(h.scratch[:0], leafPrefix)
	r.head(&c)
	from := len(h.marks)
	for i := range r.Postings {
		start := len(c)
		r.Postings[i].fields(&c)
		sum := sha256.Sum256(c[start:])
		h.marks = append(h.marks, sum[:markSize]...)
	}
	h.scratch = c
	return sha256.Sum256(c), h.marks[from:len(h.marks):len(h.marks)]
}
