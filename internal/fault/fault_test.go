package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/internal/fault"
)

var errTaken = fault.New(fault.Conflict, "room.taken", "it is taken")

func TestRefinedFaultsStayTheirSentinel(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"itself": errTaken, "with": errTaken.With("%s is taken", "x"), "at": errTaken.At("/name", "is taken"),
		"because": errTaken.Because(io.EOF), "wrapped": fmt.Errorf("register: %w", errTaken.With("x").At("/a", "b").Because(io.EOF)),
	} {
		if !errors.Is(err, errTaken) || fault.KindOf(err) != fault.Conflict {
			t.Errorf("%s: %v is not its sentinel of kind conflict", name, err)
		}
	}
	if errors.Is(errTaken, fault.New(fault.Conflict, "room.other", "it is taken")) || errors.Is(errTaken, io.EOF) {
		t.Error("another code passes for the same fault")
	}
}

// The sentinel is shared by everybody: refining copies.
func TestRefiningLeavesTheSentinel(t *testing.T) {
	t.Parallel()
	first := errTaken.At("/a", "one")
	second, third := first.At("/b", "two"), first.At("/c", "three")
	got := [][]fault.Field{errTaken.Fields, first.Fields, second.Fields, third.Fields}
	want := [][]fault.Field{
		nil,
		{{Pointer: "/a", Detail: "one"}},
		{{Pointer: "/a", Detail: "one"}, {Pointer: "/b", Detail: "two"}},
		{{Pointer: "/a", Detail: "one"}, {Pointer: "/c", Detail: "three"}},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("fields (-got +want):\n%s", diff)
	}
	_ = errTaken.With("changed").Because(io.EOF)
	if got, want := errTaken.Error(), "room.taken: it is taken"; got != want || errors.Unwrap(errTaken) != nil {
		t.Errorf("sentinel: got %q, want %q", got, want)
	}
}

func TestCauseIsForTheLog(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("post: %w", errTaken.Because(io.EOF))
	found, ok := fault.Of(err)
	if !ok || found.Message != "it is taken" || !errors.Is(err, io.EOF) || err.Error() != "post: room.taken: it is taken: EOF" {
		t.Errorf("got %v, message %q", err, found.Message)
	}
	if _, ok := fault.Of(io.EOF); ok || fault.KindOf(io.EOF) != fault.Internal || fault.KindOf(nil) != fault.Internal {
		t.Error("an error without a fault is internal")
	}
}
