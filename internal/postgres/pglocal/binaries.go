package pglocal

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// oldestMajor is the version our SQL is written for.
const oldestMajor = 15

// debianFolders is where Debian and Ubuntu keep one folder per major version.
const debianFolders = "/usr/lib/postgresql/*/bin"

// FindBinaries returns the folder that holds initdb, pg_ctl and postgres of version 15 or newer. It looks in
// this order:
//
//  1. DOISOAT_PG_BIN; when this variable is set, FindBinaries looks nowhere further;
//  2. the newest /usr/lib/postgresql/*/bin;
//  3. postgres on PATH, links resolved;
//  4. DOISOAT_PG_HOME, or ~/.cache/doisoat/pg when it is not set. There tools/install-postgres.sh
//     puts binaries for users without root rights.
//
// It returns ErrNoBinaries when no folder fits; the message gives the command that installs PostgreSQL.
func FindBinaries(getenv func(string) string) (dir string, err error) {
	return findBinaries(getenv, debianFolders)
}

func findBinaries(getenv func(string) string, system string) (string, error) {
	if dir := getenv("DOISOAT_PG_BIN"); dir != "" {
		if _, err := majorOf(dir); err != nil {
			return "", ErrNoBinaries.With("DOISOAT_PG_BIN is %s: %v", dir, err).Because(err)
		}
		return dir, nil
	}
	var refused []error
	for _, dir := range candidates(getenv, system) {
		_, err := majorOf(dir)
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			refused = append(refused, err)
		}
	}
	command := "apt-get install -y postgresql"
	if os.Geteuid() != 0 {
		command = "sudo " + command
	}
	return "", ErrNoBinaries.With("PostgreSQL %d or newer was not found. Install the Debian package postgresql: %s "+
		"(without root rights: tools/install-postgres.sh in the source, or name a folder in DOISOAT_PG_BIN, or a server in DOISOAT_DATABASE_URL)",
		oldestMajor, command).Because(errors.Join(refused...))
}

// candidates lists folders in the order of FindBinaries; they need not exist.
func candidates(getenv func(string) string, system string) []string {
	dirs, _ := filepath.Glob(system) // the pattern is ours and well-formed
	slices.SortFunc(dirs, func(a, b string) int { return folderMajor(b) - folderMajor(a) })
	for _, dir := range filepath.SplitList(getenv("PATH")) {
		if !filepath.IsAbs(dir) {
			continue // a relative PATH entry depends on the current folder, which may hold a stranger's program
		}
		if program, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres")); err == nil {
			dirs = append(dirs, filepath.Dir(program))
		}
	}
	home := getenv("DOISOAT_PG_HOME")
	if home == "" && getenv("HOME") != "" {
		home = filepath.Join(getenv("HOME"), ".cache", "doisoat", "pg")
	}
	if home != "" {
		dirs = append(dirs, filepath.Join(home, "native", "bin"))
	}
	return dirs
}

// folderMajor reads 15 from /usr/lib/postgresql/15/bin; 0 when it says nothing.
func folderMajor(dir string) int {
	major, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	return major
}

// majorOf returns the major version of the programs in dir, and an error when
// one is missing (os.ErrNotExist), does not run, or is too old.
func majorOf(dir string) (int, error) {
	for _, name := range []string{"initdb", "pg_ctl", "postgres"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return 0, fmt.Errorf("no program %s: %w", name, err)
		}
	}
	out, err := exec.Command(filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return 0, fmt.Errorf("%s does not run: %w", filepath.Join(dir, "postgres"), err)
	}
	major, err := parseMajor(string(out))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", dir, err)
	}
	if major < oldestMajor {
		return 0, fmt.Errorf("%s is PostgreSQL %d, too old", dir, major)
	}
	return major, nil
}

// parseMajor reads "postgres (PostgreSQL) 15.14 (Debian …)", also "18beta1".
func parseMajor(version string) (int, error) {
	_, rest, ok := strings.Cut(version, "(PostgreSQL) ")
	if !ok {
		return 0, fmt.Errorf("version %q is not understood", strings.TrimSpace(version))
	}
	digits := rest
	if i := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		digits = rest[:i]
	}
	major, err := strconv.Atoi(digits)
	if err != nil {
		return 0, fmt.Errorf("version %q is not understood", strings.TrimSpace(version))
	}
	return major, nil
}
