// Package ledgertest keeps the accounting manual equal to the code. It owns the part of docs/accounting.md between two
// marks per room. The tests of each room that posts call CheckManual with an example of every entry.
//
// Invariant: the part between two marks is printed from entries that pass ledger.Entry.Validate. With -update the test
// writes the part instead of comparing it.
package ledgertest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/doisoat/doisoat/ledger"
)

var update = flag.Bool("update", false, "write what the test would compare")

// Example is one entry of a room as the manual shows it.
type Example struct {
	Title string // the event, as a heading
	When  string // the event and its reason, in a sentence or two
	Entry ledger.Entry
}

// CheckManual compares the room's part of docs/accounting.md with its entries.
func CheckManual(t *testing.T, room string, examples []Example) {
	t.Helper()
	want := render(t, examples)
	path := find(t)
	f, err := os.OpenFile(path, os.O_RDWR, 0) //nolint:gosec // the page above the package under test
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // read, or written whole below
	// Rooms are tested at the same time and -update writes one page.
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path) //nolint:gosec // as above
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- entries of "+room+" -->\n", "<!-- end of "+room+" -->\n"
	before, rest, ok := strings.Cut(string(text), begin)
	got, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("docs/accounting.md has no marks %q and %q", strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	if got == want {
		return
	}
	if *update {
		text := []byte(before + begin + want + end + after)
		if err := os.WriteFile(path, text, 0o600); err != nil { //nolint:gosec // as above; an existing file keeps its mode
			t.Fatal(err)
		}
		return
	}
	t.Errorf(
		"docs/accounting.md and the entries of %s differ: go test ./%s -run Manual -update (-got +want):\n%s",
		room,
		room,
		cmp.Diff(got, want),
	)
}

func render(t *testing.T, examples []Example) string {
	t.Helper()
	var b strings.Builder
	for _, x := range examples {
		if err := x.Entry.Validate(); err != nil {
			t.Fatalf("%s: %v", x.Title, err)
		}
		fmt.Fprintf(&b, "\n#### %s\n\n%s Cause: `%s`, `%s`.\n\n", x.Title, x.When, x.Entry.Cause.Kind, x.Entry.Cause.Event)
		b.WriteString("| Debit | Credit | VND | By |\n| --- | --- | ---: | --- |\n")
		for _, p := range x.Entry.Postings {
			debit, credit := "`"+p.Account+"`", ""
			if p.Side == ledger.Credit {
				debit, credit = credit, debit
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", debit, credit, grouped(p.Amount.Minor), by(p.Dimensions))
		}
	}
	b.WriteString("\n")
	return b.String()
}

// by lists the dimensions of a posting.
func by(d ledger.Dimensions) string {
	var names []string
	for _, one := range []struct {
		name string
		set  bool
	}{
		{"dossier", d.Dossier != uuid.Nil},
		{"payment", d.Payment != uuid.Nil},
		{"refund", d.Refund != uuid.Nil},
		{"charge", d.Charge != uuid.Nil},
		{"fee type", d.FeeType != ""},
		{"policy", d.Policy != ""},
	} {
		if one.set {
			names = append(names, one.name)
		}
	}
	return strings.Join(names, ", ")
}

// grouped writes 1234567 as 1,234,567.
func grouped(n int64) string {
	digits := []byte(strconv.FormatInt(n, 10))
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = slices.Insert(digits, i, ',')
	}
	return string(digits)
}

// find looks for the page above the package under test.
func find(t *testing.T) string {
	t.Helper()
	for dir := ".."; len(dir) < 20; dir = filepath.Join(dir, "..") {
		path := filepath.Join(dir, "docs", "accounting.md")
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Fatal("docs/accounting.md is not above this package")
	return ""
}
