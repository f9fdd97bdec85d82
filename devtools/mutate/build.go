package main

import (
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// variable of the environment that chooses a mutant by its number.
const variable = "DOISOAT_MUTANT"

// build is the source with all mutants in it, and the test binaries of it.
type build struct {
	dir     string
	mutants []*mutant
	files   map[string]string // overlay: path in the tree to path in dir
}

func (b *build) overlay() (string, error) {
	path := filepath.Join(b.dir, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": b.files})
	if err != nil {
		return "", err
	}
	return path, os.WriteFile(path, text, 0o600)
}

// put gives a file of the tree another text.
func (b *build) put(file, text string) error {
	path, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	to := filepath.Join(b.dir, strings.ReplaceAll(filepath.ToSlash(file), "/", "_"))
	b.files[path] = to
	return os.WriteFile(to, []byte(text), 0o600) //nolint:gosec // in a temporary folder of the program
}

// place is where the compiler found a mistake.
var place = regexp.MustCompile(`(?m)^\S*?mutant_(\d+)_rule\.go:\d+`)

// compile leaves out the mutants that do not compile, until the rest compiles.
func (b *build) compile(ctx context.Context) error {
	for {
		overlay, err := b.overlay()
		if err != nil {
			return err
		}
		arguments := append([]string{"build", "-gcflags=-e", "-overlay", overlay}, packages()...)
		output, err := exec.CommandContext(ctx, "go", arguments...).CombinedOutput() //nolint:gosec // a path of the program
		if err == nil {
			break
		}
		found := place.FindAllSubmatch(output, -1)
		if len(found) == 0 {
			return fmt.Errorf("go build: %w\n%s", err, output)
		}
		for _, f := range found {
			number, err := strconv.Atoi(string(f[1]))
			if err != nil {
				return err
			}
			if err := b.drop(number); err != nil {
				return err
			}
		}
	}
	overlay := filepath.Join(b.dir, "overlay.json")
	for _, room := range rooms {
		arguments := []string{"test", "-c", "-vet=off", "-overlay", overlay, "-o", b.binary(room), "./" + room}
		output, err := exec.CommandContext(ctx, "go", arguments...).CombinedOutput() //nolint:gosec // as above
		if err != nil {
			return fmt.Errorf("go test -c ./%s: %w\n%s", room, err, output)
		}
	}
	return nil
}

func packages() []string {
	list := make([]string, len(rooms))
	for i, room := range rooms {
		list[i] = "./" + room
	}
	return list
}

func (b *build) binary(room string) string {
	return filepath.Join(b.dir, strings.ReplaceAll(room, "/", "-")+".test")
}

// mutate adds the mutants of a room: of every function in postings.go, and of functions in other files that name Dr or
// Cr. Each mutant is a function in a separate file. The original function first asks which mutant is chosen.
func (b *build) mutate(room string) error {
	files, err := filepath.Glob(filepath.Join(room, "*.go"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file) //nolint:gosec // a file of the tree
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		tree, err := parser.ParseFile(set, file, source, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range tree.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil || (filepath.Base(file) != "postings.go" && !posts(f)) {
				continue
			}
			s := finder{room: room, file: file, set: set, tree: tree, function: f, first: len(b.mutants)}
			if err := s.look(); err != nil {
				return err
			}
			b.mutants = append(b.mutants, s.found...)
		}
		if err := b.render(file, source); err != nil {
			return err
		}
	}
	return b.put(filepath.Join(room, "chosen_mutant.go"),
		"package "+path.Base(room)+"\n\nimport \"os\"\n\nvar chosenMutant = os.Getenv(\""+variable+"\")\n")
}

// render writes the original file, whose functions first ask which mutant is chosen, and the files of the mutants. The
// lines keep their numbers.
func (b *build) render(file string, source []byte) error {
	choices := map[int]string{}
	for number, m := range b.mutants {
		if m.file != file || m.broken {
			continue
		}
		choices[m.body] += fmt.Sprintf("case \"%d\": %s; ", number, m.call)
		if err := b.put(m.place(number), m.text); err != nil {
			return err
		}
	}
	text, last := "", 0
	for _, at := range slices.Sorted(maps.Keys(choices)) {
		text += string(source[last:at]) + " switch chosenMutant { " + choices[at] + "};"
		last = at
	}
	if last == 0 {
		return nil
	}
	return b.put(file, text+string(source[last:]))
}

// drop leaves out a mutant that does not compile.
func (b *build) drop(number int) error {
	m := b.mutants[number]
	m.broken = true
	path, err := filepath.Abs(m.place(number))
	if err != nil {
		return err
	}
	delete(b.files, path)
	source, err := os.ReadFile(m.file)
	if err != nil {
		return err
	}
	return b.render(m.file, source)
}
