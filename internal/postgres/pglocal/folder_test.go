package pglocal

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// installedMajor is the version that Start will take.
func installedMajor(t *testing.T) int {
	t.Helper()
	dir, err := FindBinaries(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	major, err := majorOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	return major
}

func TestClosedFolder(t *testing.T) {
	t.Parallel()
	parent := filepath.Dir(openFolder(t))
	if err := os.Chmod(parent, 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(parent, "data")
	first := mustStart(t, Options{DataDir: dir})
	home := first.Folder()
	if os.Geteuid() == 0 && !strings.HasPrefix(home, rescueRoot+"/") {
		t.Errorf("cluster under root: got %s, want it under %s", home, rescueRoot)
	}
	if info, err := os.Stat(parent); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("closed folder: got %v, %v, want its rights unchanged", info, err)
	}
	do(t, first.AdminDSN(), "create table kept as select 'yes'::text as v")
	mustStop(t, first)

	// Whether it opens or not: the same data.
	if err := os.Chmod(parent, 0o711); err != nil {
		t.Fatal(err)
	}
	second := mustStart(t, Options{DataDir: dir})
	if got, want := ask(t, second.AdminDSN(), "select v from kept"), "yes"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if second.Folder() != home {
		t.Errorf("cluster: got %s, want %s", second.Folder(), home)
	}
}

func TestFolderClosedLaterIsRefused(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root starts the server as somebody else")
	}
	dir := openFolder(t)
	mustStop(t, mustStart(t, Options{DataDir: dir}))
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), Options{DataDir: dir}); !errors.Is(err, ErrFolder) {
		t.Errorf("got %v, want %v: an empty cluster elsewhere would look like a loss", err, ErrFolder)
	}
}

func TestCopiedFolderDoesNotShareTheServer(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only under root is the cluster behind a link")
	}
	one, two := openFolder(t), openFolder(t)
	if err := os.Mkdir(one, 0o700); err != nil {
		t.Fatal(err)
	}
	first := mustStart(t, Options{DataDir: one})
	if err := os.Mkdir(two, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(first.Folder(), filepath.Join(two, filepath.Base(first.Folder()))); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), Options{DataDir: two}); !errors.Is(err, ErrInUse) {
		t.Errorf("got %v, want %v", err, ErrInUse)
	}
}

func TestOtherVersionIsRefused(t *testing.T) {
	t.Parallel()
	t.Run("another folder", func(t *testing.T) {
		t.Parallel()
		dir := openFolder(t)
		old := filepath.Join(dir, "postgres-14")
		if err := os.MkdirAll(old, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(old, "PG_VERSION"), []byte("14\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Start(t.Context(), Options{DataDir: dir})
		if !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), "PostgreSQL 14") {
			t.Errorf("got %v, want %v that names version 14", err, ErrVersion)
		}
		if _, err := os.Stat(filepath.Join(old, "PG_VERSION")); err != nil {
			t.Errorf("the old cluster: got %v, want it untouched", err)
		}
	})
	t.Run("the same folder", func(t *testing.T) {
		t.Parallel()
		dir := openFolder(t)
		first := mustStart(t, Options{DataDir: dir})
		mustStop(t, first)
		file := filepath.Join(first.Folder(), "PG_VERSION")
		if err := os.WriteFile(file, []byte("14\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Start(t.Context(), Options{DataDir: dir}); !errors.Is(err, ErrVersion) {
			t.Errorf("got %v, want %v", err, ErrVersion)
		}
		got, err := os.ReadFile(file)
		if err != nil || string(got) != "14\n" {
			t.Errorf("PG_VERSION: got %q, %v, want it untouched", got, err)
		}
	})
}

func TestForeignContentIsRefused(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	folder := filepath.Join(dir, folderName(installedMajor(t)))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(folder, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(folder, "thesis.txt")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), Options{DataDir: dir}); !errors.Is(err, ErrFolder) {
		t.Errorf("got %v, want %v", err, ErrFolder)
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("foreign file: got %v, want it untouched", err)
	}
}

func TestHalfMadeClusterIsMadeAnew(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	draft := filepath.Join(dir, folderName(installedMajor(t))+".initdb")
	if err := os.MkdirAll(draft, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(draft, "PG_VERSION"), []byte("15\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustStart(t, Options{DataDir: dir})
	if _, err := os.Stat(draft); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("draft: got %v, want it gone", err)
	}
}

func TestLostClusterBehindALinkIsRefused(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	if err := os.MkdirAll(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nowhere/postgres", filepath.Join(dir, folderName(installedMajor(t)))); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), Options{DataDir: dir}); !errors.Is(err, ErrFolder) {
		t.Errorf("got %v, want %v", err, ErrFolder)
	}
}

// program writes a stand-in for the PostgreSQL programs of a version.
func programs(t *testing.T, dir string, major int) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\necho 'postgres (PostgreSQL) " + strconv.Itoa(major) + ".4 (Debian)'\n"
	for _, name := range []string{"initdb", "pg_ctl", "postgres"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFindBinaries(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, major := range []int{9, 14, 15, 17} {
		programs(t, filepath.Join(root, "system", strconv.Itoa(major), "bin"), major)
	}
	programs(t, filepath.Join(root, "old", "14", "bin"), 14)
	set := programs(t, filepath.Join(root, "set"), 16)
	private := programs(t, filepath.Join(root, "home", ".cache", "doisoat", "pg", "native", "bin"), 18)
	moved := programs(t, filepath.Join(root, "moved", "native", "bin"), 18)
	onPath := programs(t, filepath.Join(root, "elsewhere"), 16)
	links := filepath.Join(root, "links")
	if err := os.Mkdir(links, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(onPath, "postgres"), filepath.Join(links, "postgres")); err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(root, "home")
	for _, tt := range []struct {
		name   string
		env    map[string]string
		system string
		want   string
		err    error
	}{
		{name: "named folder first", env: map[string]string{"DOISOAT_PG_BIN": set, "PATH": links}, system: "system", want: set},
		{name: "named folder without programs", env: map[string]string{"DOISOAT_PG_BIN": root}, system: "system", err: ErrNoBinaries},
		{name: "newest of the system", env: map[string]string{"PATH": links}, system: "system", want: filepath.Join(root, "system", "17", "bin")},
		{name: "path, link resolved", env: map[string]string{"PATH": "/none:" + links, "HOME": home}, system: "none", want: onPath},
		{name: "too old in the system", env: map[string]string{"PATH": links}, system: "old", want: onPath},
		{name: "folder of the user", env: map[string]string{"HOME": home}, system: "none", want: private},
		{
			name: "folder of the user, moved", env: map[string]string{"HOME": home, "DOISOAT_PG_HOME": filepath.Join(root, "moved")}, system: "none",
			want: moved,
		},
		{name: "relative path is not ours", env: map[string]string{"PATH": "."}, system: "none", err: ErrNoBinaries},
		{name: "nothing", system: "none", err: ErrNoBinaries},
		{name: "only too old", system: "old", err: ErrNoBinaries},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			getenv := func(name string) string { return tt.env[name] }
			got, err := findBinaries(getenv, filepath.Join(root, tt.system, "*", "bin"))
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %q, %v, want %q, %v", got, err, tt.want, tt.err)
			}
		})
	}
	_, err := findBinaries(func(string) string { return "" }, filepath.Join(root, "none", "*"))
	if err == nil || !strings.Contains(err.Error(), "apt-get install -y postgresql") {
		t.Errorf("got %v, want the command that helps", err)
	}
}

func TestParseMajor(t *testing.T) {
	t.Parallel()
	got := map[string]int{}
	for _, version := range []string{
		"postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n", "postgres (PostgreSQL) 18beta1\n", "postgres (PostgreSQL) 17\n",
		"postgres (PostgreSQL) x", "mysqld 8", "",
	} {
		major, err := parseMajor(version)
		if err != nil {
			major = -1
		}
		got[version] = major
	}
	want := map[string]int{
		"postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n": 15, "postgres (PostgreSQL) 18beta1\n": 18, "postgres (PostgreSQL) 17\n": 17,
		"postgres (PostgreSQL) x": -1, "mysqld 8": -1, "": -1,
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("majors (-got +want):\n%s", diff)
	}
}
