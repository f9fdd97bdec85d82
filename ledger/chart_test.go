package ledger

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The manual lists the accounts of the code, and no other.
func TestManualListsTheChart(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/accounting.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "<!-- chart -->")
	table, _, closed := strings.Cut(rest, "<!-- end of chart -->")
	if !ok || !closed {
		t.Fatal("docs/accounting.md has no marks of the chart")
	}
	var got []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(table, -1) {
		got = append(got, m[1])
	}
	want := append(slices.Collect(maps.Keys(chart)), clearingPrefix+"<provider>", bankPrefix+"<source>", transitPrefix+"<source>")
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("accounts of the manual (-got +want):\n%s", diff)
	}
}

// The letter of a code is its class.
func TestCodesTellTheirClass(t *testing.T) {
	t.Parallel()
	classes := map[byte]Class{'A': Asset, 'L': Liability, 'E': Expense, 'M': Memo}
	for _, code := range append(slices.Sorted(maps.Keys(chart)), Clearing("vnpay"), Bank("vcb")) {
		n, err := natureOf(code)
		if err != nil || n.class != classes[code[0]] {
			t.Errorf("%s: got %s, %v, want %s", code, n.class, err, classes[code[0]])
		}
	}
	for _, code := range []string{"", "A-CLR-", "A-BANK-", "A-TRANSIT-", "A-CASH", "a-clr-vnpay"} {
		if _, err := natureOf(code); !ErrOutsideChart.Is(err) {
			t.Errorf("%q: got %v, want ErrOutsideChart", code, err)
		}
	}
}
