// Command english counts the sentences in comments that a tired reader must read twice.
//
// It reads the Go files that are neither tests nor generated, and prints per
// package and in total the share of sentences with a word of the list. The
// words stand for a thing instead of naming the thing. The test beside it holds
// the total under a bound.
package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// vague finds the words of the list.
var vague = regexp.MustCompile(`(?i)\b(what|whatever|whoever|nobody|somebody|that one|of ours|anew|else|by now|any more)\b`)

// full finds the end of a sentence.
var full = regexp.MustCompile(`[.!?](\s+|$)|\n\n`)

// share is how many of a number of sentences are vague.
type share struct{ vague, sentences int }

func (s share) String() string {
	// Tenths of a percent, rounded up: a bound must not hide a sentence.
	tenths := (1000*s.vague + max(s.sentences, 1) - 1) / max(s.sentences, 1)
	return fmt.Sprintf("%3d.%d %%  %4d of %4d", tenths/10, tenths%10, s.vague, s.sentences)
}

// of counts the sentences of one comment.
func of(text string) share {
	var s share
	for _, sentence := range full.Split(text, -1) {
		if strings.TrimSpace(sentence) == "" {
			continue
		}
		s.sentences++
		if vague.MatchString(sentence) {
			s.vague++
		}
	}
	return s
}

// count reads every package below root.
func count(root string) (map[string]share, error) {
	found := map[string]share{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		tree, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil || ast.IsGenerated(tree) {
			return err
		}
		pkg, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, g := range tree.Comments {
			s := of(g.Text())
			total := found[filepath.ToSlash(pkg)]
			found[filepath.ToSlash(pkg)] = share{total.vague + s.vague, total.sentences + s.sentences}
		}
		return nil
	})
	return found, err
}

// total adds all packages.
func total(found map[string]share) share {
	var sum share
	for _, s := range found {
		sum.vague += s.vague
		sum.sentences += s.sentences
	}
	return sum
}

// report prints the packages with the most vague sentences first, then the total.
func report(out io.Writer, found map[string]share) {
	names := slices.SortedFunc(maps.Keys(found), func(a, b string) int {
		return cmp.Or(found[b].vague-found[a].vague, strings.Compare(a, b))
	})
	for _, name := range names {
		fmt.Fprintf(out, "%s  %s\n", found[name], name)
	}
	fmt.Fprintf(out, "%s  in total\n", total(found))
}

func main() {
	found, err := count(".")
	if err != nil {
		fmt.Fprintln(os.Stderr, "english:", err)
		os.Exit(1)
	}
	report(os.Stdout, found)
}
