package tidy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const maxLines = 500

func TestFilesAreShort(t *testing.T) {
	t.Parallel()
	for _, f := range files(t, ".go", ".sql", ".html", ".css", ".js", ".sh") {
		if f.testdata() || f.vendored() || f.generated() {
			continue
		}
		if n := strings.Count(f.text, "\n"); n > maxLines {
			t.Errorf("%s has %d lines, want at most %d: split it by noun", f.path, n, maxLines)
		}
	}
}

// floats lists the files that may name a float type, with the reason. No float
// touches money: amounts are money.Amount, rates are decimal.
var floats = map[string]string{
	"devtools/bench/callbacks.go": "callbacks per second",
	"devtools/bench/cpu.go":       "processor time per entry",
	"devtools/bench/loads.go":     "entries per second",
	"devtools/bench/rotate.go":    "ratios of rates",
	"devtools/bench/yardstick.go": "what pgbench prints",
	"web/middleware.go":           "seconds of a metric's buckets",
}

func TestNoFloats(t *testing.T) {
	t.Parallel()
	unused := maps.Clone(floats)
	for _, f := range files(t, ".go") {
		if f.testdata() || strings.HasSuffix(f.path, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		tree, err := parser.ParseFile(set, f.path, f.text, parser.SkipObjectResolution)
		if err != nil {
			t.Errorf("parse: %v", err)
			continue
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if !ok || (id.Name != "float64" && id.Name != "float32") {
				return true
			}
			delete(unused, f.path)
			if _, allowed := floats[f.path]; !allowed {
				t.Errorf(
					"%v: %s: amounts are int64 minor units and rates are decimal; elsewhere add the file and a reason to the list in devtools/tidy",
					set.Position(id.Pos()),
					id.Name,
				)
			}
			return true
		})
	}
	for p := range unused {
		t.Errorf("%s is on the list of files with floats and has none", p)
	}
}

// forbidden lists the words that no file may contain. The pieces are joined so that this file does not contain them.
var forbidden = []struct {
	name string
	find *regexp.Regexp
	why  string
}{
	{
		"machine path",
		regexp.MustCompile(`(^|[\s"'` + "`" + `(=:,])/(root|work|home/[a-z]+|Users/[A-Za-z]+|mnt/[a-z]+)/[A-Za-z0-9._]`),
		"a path of one machine means nothing on another",
	},
	{
		"open end",
		regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|HA` + `CK)\b`),
		"write TO" + "DO(#123) with the number of an issue, or do it now",
	},
	{
		"conflict marker",
		regexp.MustCompile(`^(<<<<<<<|>>>>>>>) `),
		"a merge was left unfinished",
	},
	{
		"private key",
		regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE ` + `KEY-----`),
		"secrets live outside the repository",
	},
}

var numbered = regexp.MustCompile(`\bTO` + `DO\(#\d+\)`)

func TestForbiddenWords(t *testing.T) {
	t.Parallel()
	for _, f := range files(t, "") {
		if f.vendored() || f.testdata() || path.Base(f.path) == "go.sum" {
			continue
		}
		for i, line := range strings.Split(f.text, "\n") {
			line = numbered.ReplaceAllString(line, "")
			for _, rule := range forbidden {
				if got := rule.find.FindString(line); got != "" {
					t.Errorf("%s:%d: %s %q: %s", f.path, i+1, rule.name, strings.TrimSpace(got), rule.why)
				}
			}
		}
	}
}

var nolint = regexp.MustCompile(`//nolint(:[a-z,]+)?(.*)`)

func TestSilencedLintersGiveAReason(t *testing.T) {
	t.Parallel()
	for _, f := range files(t, ".go") {
		if strings.HasPrefix(f.path, "devtools/tidy/") {
			continue
		}
		for i, line := range strings.Split(f.text, "\n") {
			m := nolint.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			_, reason, _ := strings.Cut(m[2], "//")
			if m[1] == "" || len(strings.TrimSpace(reason)) < 5 {
				t.Errorf("%s:%d: %s: want //nolint:name // reason", f.path, i+1, m[0])
			}
		}
	}
}

// target is a line of the Makefile that declares something to run.
var target = regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):([^=\n].*)$`)

func TestMakeTargetsHaveHelp(t *testing.T) {
	t.Parallel()
	mk := files(t, "Makefile")
	if len(mk) != 1 {
		t.Fatalf("got %d Makefiles, want 1", len(mk))
	}
	var got []string
	for _, m := range target.FindAllStringSubmatch(mk[0].text, -1) {
		got = append(got, m[1])
		if !strings.Contains(m[2], "## ") {
			t.Errorf("make %s has no help line (## after its name)", m[1])
		}
	}
	for _, want := range []string{
		"setup", "run", "dev", "build", "test", "race", "e2e", "fmt", "lint",
		"schema", "generate", "check", "bench", "release", "clean", "help",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("make %s is missing", want)
		}
	}
}
