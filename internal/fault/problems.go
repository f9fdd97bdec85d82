package fault

import (
	"fmt"
	"slices"
	"strings"
)

// MaxProblems is how many faults of one document are reported. A reader mends
// these first and sends the document again.
const MaxProblems = 100

// Problems collects the faults of one document, each with its JSON pointer.
// The zero value is ready. Faults beyond MaxProblems are dropped.
type Problems []Field

// Add notes a fault at a pointer.
func (p *Problems) Add(at, format string, args ...any) {
	if len(*p) == MaxProblems {
		return
	}
	*p = append(*p, Field{Pointer: at, Detail: fmt.Sprintf(format, args...)})
}

// Require notes a fault unless ok.
func (p *Problems) Require(ok bool, at, format string, args ...any) {
	if !ok {
		p.Add(at, format, args...)
	}
}

// OneOf notes a fault unless value is one of the allowed ones.
func (p *Problems) OneOf(value, at string, allowed ...string) {
	p.Require(slices.Contains(allowed, value), at, "must be one of %s, not %q", strings.Join(allowed, ", "), value)
}

// Sort orders the faults by pointer. Faults found while ranging over a map need it.
func (p Problems) Sort() {
	slices.SortFunc(p, func(a, b Field) int { return strings.Compare(a.Pointer, b.Pointer) })
}

// As returns sentinel with every fault as a field and the first one in its
// message. It returns nil when there is no fault.
func (p Problems) As(sentinel *Error) error {
	if len(p) == 0 {
		return nil
	}
	e := sentinel.With("%s: %s %s", sentinel.Message, p[0].Pointer, p[0].Detail)
	e.Fields = p
	return e
}

// Element appends a list index to a JSON pointer.
func Element(at string, index int) string { return fmt.Sprintf("%s/%d", at, index) }
