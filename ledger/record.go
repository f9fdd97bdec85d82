package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/google/uuid"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/canonical"
)

// Record is an entry exactly as the book holds it: every column of its row and
// of its postings but the hashes of what these say.
type Record struct {
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
	Lines        int16         `json:"lines"`
	Digest       HexBytes      `json:"digest"`
	Tx           int64         `json:"tx"` // given by the database
	Postings     []Line        `json:"postings"`
}

// Line is a posting as the book holds it, with what its account says of itself.
type Line struct {
	Line         int16         `json:"line"`
	Authority    string        `json:"authority"`
	BusinessDate calendar.Date `json:"business_date"`
	Account      string        `json:"account"`
	Class        Class         `json:"class"`
	Normal       Side          `json:"normal"`
	Side         Side          `json:"side"`
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

// HexBytes is shown as hex digits.
type HexBytes []byte

// MarshalText implements encoding.TextMarshaler.
func (b HexBytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, b), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *HexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

// Versions of the canonical form of an entry (docs/sealing.md). None of them
// ever changes: hashes of them stand in books.
const (
	FormWithTx = 1 // the whole of it, hashed when it was sealed
	FormPosted = 2 // all but tx, hashed by Post: its hash is the entry's content
)

// MarkSize is how many bytes of its hash are the mark of a posting.
const MarkSize = 4

// Form appends the canonical form of a version: the fields of the entry, then
// those of its postings by line. There is no count of postings: the entry
// announces it in lines. The mark of each posting is appended to marks.
func (r *Record) Form(version int16, form canonical.Form, marks []byte) (canonical.Form, []byte) {
	r.head(version, &form)
	for i := range r.Postings {
		start := len(form)
		r.Postings[i].fields(&form)
		sum := sha256.Sum256(form[start:])
		marks = append(marks, sum[:MarkSize]...)
	}
	return form, marks
}

// head appends the fields of the entry itself, in the order of docs/sealing.md.
func (r *Record) head(version int16, f *canonical.Form) {
	if version == FormWithTx {
		f.Text("doisoat entry 1")
	} else {
		f.Text("doisoat entry 2")
	}
	id := r.ID.UUID()
	f.Bytes(id[:])
	f.Text(r.Authority)
	f.Date(r.BusinessDate)
	f.Instant(r.RecordedAt)
	f.Text(r.CauseKind)
	f.Text(r.CauseID)
	f.Text(r.CauseEvent)
	f.Text(r.Description)
	f.Text(r.Actor)
	f.ID((*uuid.UUID)(r.Reverses))
	f.ID((*uuid.UUID)(r.Corrects))
	f.Text(r.Reason)
	f.Number(int64(r.Lines))
	f.Bytes(r.Digest)
	if version == FormWithTx {
		f.Number(r.Tx)
	}
}

// fields appends the fields of a posting, in the order of docs/sealing.md.
func (l *Line) fields(f *canonical.Form) {
	f.Number(int64(l.Line))
	f.Text(l.Authority)
	f.Date(l.BusinessDate)
	f.Text(l.Account)
	f.Text(string(l.Class))
	f.Text(string(l.Normal))
	f.Text(string(l.Side))
	f.Number(l.Amount)
	f.Text(l.Currency)
	f.Flag(l.Memo)
	f.ID(l.Dossier)
	f.ID(l.Payment)
	f.ID(l.Refund)
	f.ID(l.Charge)
	f.Optional(l.FeeType)
	f.Optional(l.Policy)
}

// contentPrefix keeps contents apart from leaves, nodes and headers of a seal,
// which begin with 0, 1 and 2, so that none can be passed off as another
// (RFC 6962, section 2.1; those above 1 are ours).
const contentPrefix = 0x03

// Hasher hashes entry after entry in the same memory.
type Hasher struct{ form canonical.Form }

// Content returns the hash of what an entry says and the marks of its postings,
// as Post writes them beside it.
func (h *Hasher) Content(r *Record) (content [sha256.Size]byte, marks []byte) {
	h.form, marks = r.Form(FormPosted, append(h.form[:0], contentPrefix), make([]byte, 0, MarkSize*len(r.Postings)))
	return sha256.Sum256(h.form), marks
}

// WithTx returns the hash of a byte and the form of version 1.
func (h *Hasher) WithTx(prefix byte, r *Record) [sha256.Size]byte {
	h.form, _ = r.Form(FormWithTx, append(h.form[:0], prefix), nil)
	return sha256.Sum256(h.form)
}

// record is the entry as the database will hold it, but for tx.
func (e *Entry) record(digest []byte) Record {
	r := Record{
		ID: e.ID, Authority: e.Authority, BusinessDate: e.BusinessDate, RecordedAt: e.RecordedAt,
		CauseKind: e.Cause.Kind, CauseID: e.Cause.ID, CauseEvent: e.Cause.Event, Description: e.Description, Actor: e.Actor,
		Reverses: idOrNil(&e.Reverses), Corrects: idOrNil(&e.Corrects), Reason: e.Reason, Lines: linesOf(e), Digest: digest,
		Postings: make([]Line, len(e.Postings)),
	}
	for i := range e.Postings {
		p := &e.Postings[i]
		n, _ := natureOf(p.Account) // Validate has seen it
		r.Postings[i] = Line{
			Line: int16(i + 1), Authority: e.Authority, BusinessDate: e.BusinessDate,
			Account: p.Account, Class: n.class, Normal: n.normal,
			Side: p.Side, Amount: p.Amount.Minor, Currency: string(p.Amount.Currency), Memo: n.class == Memo,
			Dossier: uuidOrNil(&p.Dossier), Payment: uuidOrNil(&p.Payment), Refund: uuidOrNil(&p.Refund), Charge: uuidOrNil(&p.Charge),
			FeeType: textOrNil(&p.FeeType), Policy: textOrNil(&p.Policy),
		}
	}
	return r
}

func idOrNil(id *EntryID) *EntryID {
	if id.IsZero() {
		return nil
	}
	return id
}

func uuidOrNil(id *uuid.UUID) *uuid.UUID {
	if *id == uuid.Nil {
		return nil
	}
	return id
}

func textOrNil(s *string) *string {
	if *s == "" {
		return nil
	}
	return s
}
