package ident

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"
	"pgregory.net/rapid"
)

type noun struct{}

func (noun) Prefix() string { return "pay" }

const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ*abcxyz-"

func reference(t rapid.TB, seed []byte) string {
	t.Helper()
	r, err := NewReference(io.MultiReader(strings.NewReader(string(seed)), rand.Reader))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// One wrong character, and two neighbours swapped, are the mistakes of people who type: all are caught.
func TestMistakesInReferencesAreCaught(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		good := reference(t, rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "random"))
		if !IsReference(good) {
			t.Fatalf("%s is not its own reference", good)
		}
		for i := range good {
			for _, c := range []byte(letters) {
				if bad := good[:i] + string(c) + good[i+1:]; bad != good && IsReference(bad) {
					t.Fatalf("%s passes for %s", bad, good)
				}
			}
			if i > 0 {
				if bad := good[:i-1] + good[i:i+1] + good[i-1:i] + good[i+1:]; bad != good && IsReference(bad) {
					t.Fatalf("%s passes for %s", bad, good)
				}
			}
		}
	})
}

func TestReferencesAreUniqueAndReadable(t *testing.T) {
	t.Parallel()
	const many = 20_000
	seen := make(map[string]bool, many)
	count := map[byte]int{}
	for range many {
		r := reference(t, nil)
		if len(r) != ReferenceLength || !strings.HasPrefix(r, "DS") || strings.ContainsAny(r[2:], "0158BIOS") || seen[r] {
			t.Fatalf("%s: wrong length, seen before, or confusing characters", r)
		}
		seen[r] = true
		for i := 2; i < len(r)-1; i++ {
			count[r[i]]++
		}
	}
	for i := range len(alphabet) { // 9 characters of 28: about 6,430 each
		if n := count[alphabet[i]]; n < 5_800 || n > 7_100 {
			t.Errorf("%c was drawn %d times of %d: not even", alphabet[i], n, 9*many)
		}
	}
}

func TestNewReferenceNeedsRandomness(t *testing.T) {
	t.Parallel()
	if r, err := NewReference(strings.NewReader("short")); err == nil {
		t.Errorf("got %s, want an error", r)
	}
	for _, s := range []string{"", "DS", "DS234679ACDEF", "ds234679acde", "XX234679ACDE", "DS 34679ACDE"} {
		if IsReference(s) {
			t.Errorf("%q passes for a reference", s)
		}
	}
}

func TestID(t *testing.T) {
	t.Parallel()
	id := New[noun]()
	text := id.String()
	if got, err := Parse[noun](text); err != nil || got != id || len(text) != 36 || id.UUID().Version() != 7 {
		t.Errorf("%s: got %v, %v, version %d", text, got, err, id.UUID().Version())
	}
	var back ID[noun]
	if raw, err := json.Marshal(id); err != nil || json.Unmarshal(raw, &back) != nil || back != id {
		t.Errorf("JSON: got %v, %v, want %v", back, err, id)
	}
	for _, bad := range []string{
		"", "pay_", text[:35], text + "0", "dos" + text[3:], text[4:],
		"pay_" + strings.Repeat("g", 32), "pay_" + strings.Repeat("0", 32), "pay-" + text[4:],
	} {
		if got, err := Parse[noun](bad); !errors.Is(err, ErrID) || !got.IsZero() {
			t.Errorf("%q: got %v, %v, want ErrID", bad, got, err)
		}
	}
	for _, want := range []ID[noun]{id, {}} {
		value, err := want.UUIDValue()
		if err != nil || value.Valid == want.IsZero() || back.ScanUUID(value) != nil || back != want {
			t.Errorf("%v through a uuid column: got %v, %v", want, back, err)
		}
	}
	if err := back.ScanUUID(pgtype.UUID{}); err != nil || !back.IsZero() {
		t.Errorf("NULL: got %v, %v, want no id", back, err)
	}
}

// Ids of one process grow, so that lists by id are lists by time.
func TestIDsGrow(t *testing.T) {
	t.Parallel()
	last := New[noun]()
	for range 10_000 {
		next := New[noun]()
		if next.String() <= last.String() {
			t.Fatalf("%s came after %s", next, last)
		}
		last = next
	}
}
