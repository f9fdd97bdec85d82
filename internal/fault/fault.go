// Package fault is the one vocabulary of errors of every room.
//
// A fault has a kind (how callers behave), a stable code such as
// "ledger.unbalanced" (for machines) and a message that is safe to
// show to the caller: it never carries secrets or personal data. web turns
// kinds into HTTP problem documents and jobs turns them into retry, snooze or
// cancel; no other package interprets them.
package fault

import (
	"errors"
	"fmt"
)

// Kind says how a caller must behave. The list is closed.
type Kind string

// The kinds. A cause that no kind describes is Internal.
const (
	Invalid         Kind = "invalid"         // the input is wrong, and a repeat fails too
	Unauthenticated Kind = "unauthenticated" // the caller has not proved an identity
	Forbidden       Kind = "forbidden"       // the actor has no right to this act
	NotFound        Kind = "not_found"       // the object does not exist, or belongs to another authority
	Conflict        Kind = "conflict"        // the object exists already with other content
	Precondition    Kind = "precondition"    // the present status of the object does not allow the act
	Unavailable     Kind = "unavailable"     // nothing happened: try again later
	OutcomeUnknown  Kind = "outcome_unknown" // the act may or may not have happened: inquire, never repeat
	Internal        Kind = "internal"        // a fault of this program
)

// Field is one wrong member of an input; Pointer is an RFC 6901 JSON pointer.
type Field struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

// Error is a fault. Two faults are the same for errors.Is when their codes are equal.
type Error struct {
	Kind    Kind
	Code    string
	Message string
	Fields  []Field
	cause   error
}

// New makes a sentinel: declare it once in the room it belongs to.
func New(kind Kind, code, message string) *Error {
	return &Error{Kind: kind, Code: code, Message: message}
}

// Error returns code and message, then the cause if there is one.
func (e *Error) Error() string {
	if e.cause != nil {
		return e.Code + ": " + e.Message + ": " + e.cause.Error()
	}
	return e.Code + ": " + e.Message
}

// Is compares by code, so that a fault with more detail still is its sentinel.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Code == e.Code
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// With returns a copy with another message; kind and code stay.
func (e *Error) With(format string, args ...any) *Error {
	c := *e
	c.Message = fmt.Sprintf(format, args...)
	return &c
}

// At returns a copy that also points at a wrong field.
func (e *Error) At(pointer, detail string) *Error {
	c := *e
	c.Fields = append(append([]Field(nil), e.Fields...), Field{Pointer: pointer, Detail: detail})
	return &c
}

// Because returns a copy that wraps cause. The cause is for the log, never for the caller.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// KindOf returns the kind of the first fault in err's chain, Internal when there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Of returns the first fault in err's chain; ok is false when there is none.
func Of(err error) (e *Error, ok bool) {
	ok = errors.As(err, &e)
	return e, ok
}
