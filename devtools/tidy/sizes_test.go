package tidy

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// Limits of one package, without tests and generated code.
const (
	maxPackageLines = 1500
	maxPackageFiles = 15
	maxLineLength   = 140
)

// large lists the packages that exceed a limit today: how far they may go, and
// the rooms that will take a part. A package leaves the list when it fits.
var large = map[string]struct {
	lines, files int
	reason       string
}{
	"cmd/doisoat": {1890, 19, "one file per command"},
	"web/api":     {2893, 25, "one small file per noun of the API"},
}

func TestPackagesAreSmall(t *testing.T) {
	t.Parallel()
	type size struct{ lines, files int }
	sizes := map[string]size{}
	for _, f := range files(t, ".go") {
		if f.testdata() || f.generated() || strings.HasSuffix(f.path, "_test.go") {
			continue
		}
		s := sizes[path.Dir(f.path)]
		s.lines += strings.Count(f.text, "\n")
		s.files++
		sizes[path.Dir(f.path)] = s
	}
	unused := maps.Clone(large)
	for room, s := range sizes {
		if s.lines <= maxPackageLines && s.files <= maxPackageFiles {
			continue
		}
		delete(unused, room)
		switch x, listed := large[room]; {
		case !listed:
			t.Errorf("%s has %d lines in %d files, want at most %d in %d: split it by noun", room, s.lines, s.files, maxPackageLines,
				maxPackageFiles)
		case s.lines > x.lines || s.files > x.files:
			t.Errorf("%s grew to %d lines in %d files, from %d in %d: it must shrink (%s)", room, s.lines, s.files, x.lines, x.files, x.reason)
		}
	}
	for room := range unused {
		t.Errorf("%s fits the limits: delete its line from the list of large packages", room)
	}
}

// Lines that may be longer than maxLineLength today, in code and in tests. Lower both with every line that goes; wanted is 0.
const (
	longLines     = 0
	longTestLines = 1
)

func TestLinesAreShort(t *testing.T) {
	t.Parallel()
	var code, tests []string
	for _, f := range files(t, ".go", ".sql") {
		if f.testdata() || f.generated() {
			continue
		}
		list := &code
		if strings.HasSuffix(f.path, "_test.go") {
			list = &tests
		}
		for i, line := range strings.Split(f.text, "\n") {
			if utf8.RuneCountInString(line) > maxLineLength {
				*list = append(*list, f.at(i+1))
			}
		}
	}
	for _, x := range []struct {
		name  string
		where []string
		most  int
	}{{"longLines", code, longLines}, {"longTestLines", tests, longTestLines}} {
		if n := len(x.where); n > x.most {
			t.Errorf("%d lines are longer than %d characters, %d may be (%s): %s", n, maxLineLength, x.most, x.name, strings.Join(x.where, " "))
		} else if n < x.most {
			t.Logf("%d lines are too long: lower %s from %d", n, x.name, x.most)
		}
	}
}

// reference finds the names of files in a comment: dir/file.go, docs/page.md, or the bare name of a page.
var reference = regexp.MustCompile(`(^|[\s("'` + "`" + `])((?:[\w.-]+/)+[\w.-]+\.(?:go|sql|md|yaml|yml|sh|mod|css|html)|[\w-]+\.md)\b`)

func TestFilesInCommentsExist(t *testing.T) {
	t.Parallel()
	pages := map[string]bool{}
	for _, f := range files(t, ".md") {
		pages[path.Base(f.path)] = true
	}
	for _, f := range trees(t) {
		for _, group := range f.tree.Comments {
			for _, m := range reference.FindAllStringSubmatch(group.Text(), -1) {
				if name := m[2]; !pages[name] && !f.names(name) {
					t.Errorf("%v: the comment names %s, which does not exist", set.Position(group.Pos()), name)
				}
			}
		}
	}
}

// names reports whether a file exists under a folder above the source file.
func (p parsed) names(name string) bool {
	for dir := path.Dir(p.path); ; dir = path.Dir(dir) {
		if _, err := os.Stat(filepath.Join(root, dir, name)); err == nil {
			return true
		}
		if dir == "." {
			return false
		}
	}
}
