// Package canonical writes fields one after the other so that equal bytes mean
// equal fields. Every hash is taken over this form (docs/sealing.md).
package canonical

import (
	"encoding/binary"
	"time"

	"github.com/google/uuid"

	"github.com/doisoat/doisoat/internal/calendar"
)

// absent stands for NULL where a field's length would stand; empty text has the length 0.
const absent = 0xFFFFFFFF

// Form collects fields: four bytes of length, the largest first, and the
// field itself, so that no byte can move from one field into the next.
type Form []byte

// Bytes appends a field as it is.
func (f *Form) Bytes(field []byte) {
	*f = binary.BigEndian.AppendUint32(*f, uint32(len(field))) //nolint:gosec // a field is far below 4 GiB
	*f = append(*f, field...)
}

// Text appends a text in UTF-8.
func (f *Form) Text(field string) {
	*f = binary.BigEndian.AppendUint32(*f, uint32(len(field))) //nolint:gosec // a field is far below 4 GiB
	*f = append(*f, field...)
}

// Number appends 8 bytes, the largest first, two's complement.
func (f *Form) Number(field int64) {
	*f = binary.BigEndian.AppendUint32(*f, 8)
	*f = binary.BigEndian.AppendUint64(*f, uint64(field)) //nolint:gosec // the form promises two's complement
}

// Null appends a field that is absent.
func (f *Form) Null() { *f = binary.BigEndian.AppendUint32(*f, absent) }

// ID appends the 16 bytes of an id, or an absent field for nil.
func (f *Form) ID(field *uuid.UUID) {
	if field == nil {
		f.Null()
		return
	}
	f.Bytes(field[:])
}

// Optional appends a text, or an absent field for nil.
func (f *Form) Optional(field *string) {
	if field == nil {
		f.Null()
		return
	}
	f.Text(*field)
}

// Instant appends the microseconds since 1970-01-01 00:00 UTC.
func (f *Form) Instant(t time.Time) { f.Number(t.UnixMicro()) }

// Date appends the text YYYY-MM-DD.
func (f *Form) Date(d calendar.Date) {
	var text [len("YYYY-MM-DD")]byte
	f.Bytes(d.Append(text[:0]))
}

// Flag appends 1 or 0.
func (f *Form) Flag(on bool) {
	if on {
		f.Number(1)
		return
	}
	f.Number(0)
}
