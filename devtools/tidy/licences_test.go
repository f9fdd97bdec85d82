package tidy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// licences lists the texts that we recognise: each contains all its phrases
// and none of the others'. A licence that is not here needs a decision first.
var licences = []struct {
	name    string
	phrases []string
	without string
}{
	{"Apache-2.0", []string{"Apache License Version 2.0, January 2004"}, ""},
	{"BSD-2-Clause", []string{"Redistribution and use in source and binary forms"}, "Neither the name"},
	{"BSD-3-Clause", []string{"Redistribution and use in source and binary forms", "Neither the name"}, ""},
	{"ISC", []string{"Permission to use, copy, modify, and/or distribute this software"}, ""},
	{"MIT", []string{"Permission is hereby granted, free of charge, to any person obtaining a copy"}, ""},
	{"MPL-2.0", []string{"Mozilla Public License Version 2.0"}, ""},
}

// licencesOf names the licences whose text stands in a file.
func licencesOf(text string) []string {
	text = strings.Join(strings.Fields(text), " ")
	var names []string
	for _, l := range licences {
		missing := slices.ContainsFunc(l.phrases, func(p string) bool { return !strings.Contains(text, p) })
		if !missing && (l.without == "" || !strings.Contains(text, l.without)) {
			names = append(names, l.name)
		}
	}
	return names
}

// TestLicencesOfDependencies prints docs/licences.md from the licence file of
// every module in go.mod. A new module, or a module that changed its licence,
// therefore shows in the page.
func TestLicencesOfDependencies(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("| Module | Licence | File |\n| --- | --- | --- |\n")
	for _, m := range downloaded(t) {
		name, text := licenceFile(t, m.Path, m.Dir)
		found := licencesOf(text)
		if len(found) == 0 {
			t.Errorf(
				"%s: %s holds no licence that we know: decide in docs/adr/0003-dependencies.md, then add its phrase here",
				m.Path,
				name,
			)
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", m.Path, strings.Join(found, ", "), name)
	}
	checkPrinted(t, "docs/licences.md", "licences", b.String())
}

var licenceName = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)(\.txt|\.md)?$`)

// licenceFile returns the one licence file of a module.
func licenceFile(t *testing.T, module, dir string) (name, text string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !licenceName.MatchString(e.Name()) {
			continue
		}
		if name != "" {
			t.Errorf("%s has two licence files, %s and %s: a person must read both", module, name, e.Name())
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		name, text = e.Name(), string(b)
	}
	if name == "" {
		t.Errorf("%s has no licence file, so this program may not use it", module)
	}
	return name, text
}

// cached is the part of the answer of go mod download -json that the rule reads.
type cached struct{ Path, Dir, Error string }

// downloaded returns the modules that go.mod names, with their folders in the module cache.
func downloaded(t *testing.T) []cached {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go mod download: %v\n%s", err, out)
	}
	var list []cached
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var m cached
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if m.Error != "" {
			t.Fatalf("%s: %s", m.Path, m.Error)
		}
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b cached) int { return strings.Compare(a.Path, b.Path) })
	return list
}

func TestLicencesAreTold(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Apache License\n   Version 2.0, January 2004":                                  "Apache-2.0",
		"Redistribution and use in source and binary forms, with":                       "BSD-2-Clause",
		"Redistribution and use in source and binary forms, with … Neither the name of": "BSD-3-Clause",
		"Permission is hereby granted, free of charge, to any person obtaining a copy … " +
			"Apache License Version 2.0, January 2004": "Apache-2.0, MIT",
		"GNU GENERAL PUBLIC LICENSE Version 3": "",
		"":                                     "",
	} {
		if got := strings.Join(licencesOf(text), ", "); got != want {
			t.Errorf("%.30q: got %q, want %q", text, got, want)
		}
	}
}

func TestOwnLicence(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join(root, "LICENSE"))
	if err != nil {
		t.Fatal(err)
	}
	if got := licencesOf(string(b)); !slices.Equal(got, []string{"Apache-2.0"}) {
		t.Errorf("LICENSE: got %v, want the text of Apache-2.0", got)
	}
}
