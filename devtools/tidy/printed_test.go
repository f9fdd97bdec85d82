package tidy

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the printed parts of the documents instead of comparing them")

// checkPrinted compares the part of a page between the two marks of a name with
// the text that the source gives. With -update it writes that part.
func checkPrinted(t *testing.T, page, name, want string) {
	t.Helper()
	path := filepath.Join(root, page)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- printed: "+name+" -->\n", "<!-- end: "+name+" -->\n"
	before, rest, opened := strings.Cut(string(text), begin)
	got, after, closed := strings.Cut(rest, end)
	if !opened || !closed {
		t.Fatalf("%s has no marks %q and %q", page, strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	want = "\n" + strings.TrimSpace(want) + "\n\n"
	if got == want {
		return
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s, part %s, differs from the source: go test ./devtools/tidy -run %s -update (-got +want):\n%s",
		page, name, t.Name(), cmp.Diff(got, want))
}
