package tidy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var migration = regexp.MustCompile(`^migrations/(\d{2})_[a-z0-9_]+\.sql$`)

// migrationFiles returns the migrations in order.
func migrationFiles(t *testing.T) []file {
	t.Helper()
	var list []file
	for _, f := range files(t, ".sql") {
		if path.Dir(f.path) != "migrations" || f.path == "migrations/schema.sql" {
			continue
		}
		list = append(list, f)
	}
	return list
}

func TestMigrationsAreNumberedWithoutGaps(t *testing.T) {
	t.Parallel()
	for i, f := range migrationFiles(t) {
		m := migration.FindStringSubmatch(f.path)
		if m == nil {
			t.Errorf("%s: want NN_name.sql in small letters", f.path)
			continue
		}
		if want := fmt.Sprintf("%02d", i+1); m[1] != want {
			t.Errorf("%s: got number %s, want %s", f.path, m[1], want)
		}
		if !strings.Contains(f.text, "-- +goose Up") {
			t.Errorf("%s: no line -- +goose Up", f.path)
		}
		if strings.Contains(f.text, "-- +goose Down") {
			t.Errorf("%s: migrations go forward only; undo with a new one", f.path)
		}
	}
}

// A migration that has landed in a release has run on real money, so its bytes never change. make land adds new
// migrations to the list.
func TestLandedMigrationsNeverChange(t *testing.T) {
	t.Parallel()
	const name = "migrations/landed.sha256"
	list, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	have := migrationFiles(t)
	n := 0
	for line := range strings.Lines(string(list)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		want, base, ok := strings.Cut(line, "  ")
		if !ok || n >= len(have) {
			t.Errorf("%s: line %q names no migration", name, line)
			continue
		}
		f := have[n]
		n++
		if path.Base(f.path) != base {
			t.Errorf("%s: got %s at place %d, want %s: landed migrations come first, in order", name, base, n, path.Base(f.path))
			continue
		}
		sum := sha256.Sum256([]byte(f.text))
		if got := hex.EncodeToString(sum[:]); got != want {
			t.Errorf("%s has landed and was changed: got %s, want %s; write a new migration instead", f.path, got, want)
		}
	}
}

var headings = regexp.MustCompile(`(?m)^### (.+)$`)

func TestChangelogHasItsHeads(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "\n## [Unreleased]\n")
	if !ok {
		t.Fatal("CHANGELOG.md has no line ## [Unreleased]")
	}
	section, _, _ := strings.Cut(rest, "\n## [")
	got := map[string]bool{}
	for _, m := range headings.FindAllStringSubmatch(section, -1) {
		got[m[1]] = true
	}
	// An operator reads these two before every upgrade, so they stand even when they say "none".
	for _, want := range []string{"Migrations", "Operator action"} {
		if !got[want] {
			t.Errorf("Unreleased has no head %q", want)
		}
	}
	known := map[string]bool{
		"Added": true, "Changed": true, "Deprecated": true, "Removed": true, "Fixed": true, "Security": true,
		"Migrations": true, "Operator action": true,
	}
	for h := range got {
		if !known[h] {
			t.Errorf("Unreleased has the unknown head %q", h)
		}
	}
}

// link finds [text](target) outside of code spans.
var (
	link = regexp.MustCompile(`\[[^\]\n]*\]\(([^)\s]+)\)`)
	code = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
)

func TestLinksOfDocumentsResolve(t *testing.T) {
	t.Parallel()
	for _, f := range files(t, ".md") {
		if f.testdata() || f.vendored() {
			continue
		}
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(f.text, ""), -1) {
			u, err := url.Parse(m[1])
			if err != nil {
				t.Errorf("%s: link %s: %v", f.path, m[1], err)
				continue
			}
			if u.Scheme != "" || u.Path == "" {
				continue // another site, or a place in the same document
			}
			if _, err := os.Stat(filepath.Join(root, path.Dir(f.path), u.Path)); err != nil {
				t.Errorf("%s: link %s leads nowhere", f.path, m[1])
			}
		}
	}
}

var decision = regexp.MustCompile(`^docs/adr/(\d{4})-[a-z0-9-]+\.md$`)

func TestDecisionsAreNumberedAndIndexed(t *testing.T) {
	t.Parallel()
	index, err := os.ReadFile(filepath.Join(root, "docs/adr/README.md"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range files(t, ".md") {
		base := path.Base(f.path)
		if path.Dir(f.path) != "docs/adr" || base == "README.md" || base == "template.md" {
			continue
		}
		m := decision.FindStringSubmatch(f.path)
		if m == nil {
			t.Errorf("%s: want NNNN-name.md", f.path)
			continue
		}
		n++
		if want := fmt.Sprintf("%04d", n); m[1] != want {
			t.Errorf("%s: got number %s, want %s", f.path, m[1], want)
		}
		if !strings.Contains(string(index), "]("+base+")") {
			t.Errorf("%s is not in docs/adr/README.md", f.path)
		}
		for _, head := range []string{"# " + m[1] + " ", "\nStatus: ", "\n## Context\n", "\n## Decision\n", "\n## Consequences\n"} {
			if !strings.Contains(f.text, head) {
				t.Errorf("%s: no %q", f.path, strings.TrimSpace(head))
			}
		}
	}
}

// modfile is the part of go mod edit -json that the rules read.
type modfile struct {
	Toolchain string
	Require   []struct {
		Path, Version string
		Indirect      bool
	}
	Replace []struct{ Old struct{ Path string } }
}

// dependencyRow finds the module path that a row of the table begins with.
var dependencyRow = regexp.MustCompile(`(?m)^\| ([a-z][^ |]*\.[a-z]+/?[^ |]*) \|`)

func TestDependenciesAreExactAndExplained(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod modfile
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile(filepath.Join(root, "docs/adr/0003-dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range mod.Replace {
		t.Errorf("go.mod replaces %s: what others build must be what we build", r.Old.Path)
	}
	exact := regexp.MustCompile(`^v\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$`)
	direct := map[string]bool{}
	for _, r := range mod.Require {
		if !exact.MatchString(r.Version) {
			t.Errorf("%s: version %q is not exact", r.Path, r.Version)
		}
		if !r.Indirect && !strings.Contains(string(table), "| "+r.Path+" |") {
			t.Errorf("%s has no line in docs/adr/0003-dependencies.md: what it saves and why", r.Path)
		}
		if !r.Indirect {
			direct[r.Path] = true
		}
	}
	for _, m := range dependencyRow.FindAllStringSubmatch(string(table), -1) {
		if !direct[m[1]] {
			t.Errorf("docs/adr/0003-dependencies.md explains %s, which go.mod does not require directly", m[1])
		}
	}
}
