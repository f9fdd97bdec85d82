package demo

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/doisoat/doisoat/internal/config"
	"github.com/doisoat/doisoat/internal/postgres/pgtest"
)

// TestClaim: dev marks an empty database, knows its mark again, and refuses two databases.
func TestClaim(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	one, two := config.Address(db.Empty(t)), config.Address(db.Empty(t))
	for range 2 {
		m, err := Claim(t.Context(), config.Config{DatabaseURL: one, MigrateURL: one}, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := m.record(t.Context(), "H41/vnpay/DOISOH41"); err != nil {
			t.Error(err)
		}
		m.Close()
	}
	m, err := Claim(t.Context(), config.Config{DatabaseURL: one, MigrateURL: one}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if want := []string{"H41/vnpay/DOISOH41"}; !slices.Equal(m.planted, want) {
		t.Errorf("got %v, want %v", m.planted, want)
	}
	for _, c := range []config.Config{{DatabaseURL: one, MigrateURL: two}, {DatabaseURL: two, MigrateURL: one}} {
		if _, err := Claim(t.Context(), c, ""); !errors.Is(err, ErrForeign) {
			t.Errorf("got %v, want %v", err, ErrForeign)
		}
	}
}

// TestResetWithoutFolder: there is nothing to move, and nothing is made.
func TestResetWithoutFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	if aside, err := MoveAside(dir, time.Now()); aside != "" || err != nil {
		t.Errorf("got %q, %v, want nothing", aside, err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("data folder: got %v, want none", err)
	}
}

// TestResetOfForeignFolder: a folder in which no dev ever ran stays where it is.
func TestResetOfForeignFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	photo := filepath.Join(dir, "photo")
	if err := os.WriteFile(photo, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if aside, err := MoveAside(dir, time.Now()); aside != "" || !errors.Is(err, ErrFolderForeign) {
		t.Errorf("got %q, %v, want %v", aside, err, ErrFolderForeign)
	}
	inside, err := os.ReadDir(dir)
	if err != nil || len(inside) != 1 {
		t.Errorf("folder holds %v, %v, want one file", inside, err)
	}
}

// TestManifest: a written manifest is read again, and only its user can read it.
func TestManifest(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), ManifestFile)
	for _, api := range []string{"http://127.0.0.1:1", "http://127.0.0.1:2"} {
		if err := WriteManifest(path, Manifest{API: api, Logins: []any{}}); err != nil {
			t.Fatal(err)
		}
		got, err := ReadManifest(path)
		if err != nil || got.API != api {
			t.Errorf("got %q, %v, want %q", got.API, err, api)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := info.Mode().Perm(), os.FileMode(0o600); got != want {
		t.Errorf("got mode %v, want %v", got, want)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".dev-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("got left over files %v, %v, want none", left, err)
	}
}
