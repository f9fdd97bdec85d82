package tidy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/doisoat/doisoat"

// root is the module's folder, seen from this package's.
const root = "../.."

// file is one source file; path is relative to root, with slashes.
type file struct {
	path string
	text string
}

// skipped folders hold files that a build, a download or a run made.
var skipped = map[string]bool{".git": true, ".doisoat": true, "bin": true, "dist": true, "node_modules": true}

// files returns every text file of the repository whose name ends with one of the suffixes.
func files(t *testing.T, suffixes ...string) []file {
	t.Helper()
	all, err := readAll()
	if err != nil {
		t.Fatal(err)
	}
	var list []file
	for _, f := range all {
		for _, s := range suffixes {
			if strings.HasSuffix(f.path, s) {
				list = append(list, f)
				break
			}
		}
	}
	return list
}

// readAll reads through package os, so that go test knows which files a cached answer depends on.
var readAll = sync.OnceValues(func() ([]file, error) {
	var list []file
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if skipped[d.Name()] {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) { // an editor's temporary file, gone since the folder was read
			return nil
		}
		if err != nil {
			return err
		}
		if bytes.IndexByte(b, 0) >= 0 { // not text
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		list = append(list, file{filepath.ToSlash(rel), string(b)})
		return nil
	})
	return list, err
})

// testdata says that a path holds samples, which follow their own rules.
func (f file) testdata() bool {
	return strings.Contains("/"+f.path, "/testdata/")
}

// vendored says that a file was made elsewhere and is only kept here.
func (f file) vendored() bool {
	return strings.Contains(f.path, "/assets/vendor/")
}

// generated says that a program wrote the file.
func (f file) generated() bool {
	head, _, _ := strings.Cut(f.text, "\npackage ")
	return strings.Contains(head, "Code generated ") || f.path == "migrations/schema.sql"
}

// pkg is the part of go list's answer that the rules read.
type pkg struct {
	ImportPath string
	Name       string
	Doc        string
	GoFiles    []string
	Imports    []string
}

// room is the package's path below the module; "." for the module itself.
func (p pkg) room() string {
	if p.ImportPath == module {
		return "."
	}
	return strings.TrimPrefix(p.ImportPath, module+"/")
}

func packages(t *testing.T) []pkg {
	t.Helper()
	list, err := listPackages()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

var listPackages = sync.OnceValues(func() ([]pkg, error) {
	// -e: a package that does not build is the compiler's to report.
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Name,Doc,GoFiles,Imports", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return nil, errors.New("go list: " + string(exit.Stderr))
		}
		return nil, err
	}
	var list []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
})

// at names a line of the file.
func (f file) at(line int) string { return fmt.Sprintf("%s:%d", f.path, line) }
