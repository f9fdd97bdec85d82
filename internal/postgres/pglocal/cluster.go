package pglocal

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// rescueRoot holds clusters whose data folder the server's user cannot reach.
const rescueRoot = "/var/lib/doisoat"

// cluster is a PostgreSQL data directory with its programs and the account that runs them.
type cluster struct {
	dir     string // the cluster itself, links resolved
	logs    string // the server's log, in the data folder
	bin     string
	account account
}

func (c cluster) program(name string) string { return filepath.Join(c.bin, name) }

func (c cluster) logFile() string { return c.logs }

// openCluster finds the cluster of a data folder, or makes one. The caller holds the folder's lock.
func openCluster(ctx context.Context, dataDir string, opt Options, log *slog.Logger) (cluster, error) {
	bin, major, err := chooseBinaries(dataDir, opt.BinDir, os.Getenv)
	if err != nil {
		return cluster{}, err
	}
	link := filepath.Join(dataDir, folderName(major))
	c := cluster{bin: bin, logs: link + ".log"}
	empty, err := isEmpty(link)
	if err != nil {
		return cluster{}, err
	}
	if empty {
		return c.create(ctx, link, opt.Durable, log)
	}
	if c.dir, err = filepath.EvalSymlinks(link); err != nil {
		return cluster{}, ErrFolder.With("%s cannot be followed to its cluster: bring the cluster back, or move the link away to begin anew",
			link).Because(err)
	}
	if c.account, err = ownerAccount(c.dir); err != nil {
		return cluster{}, err
	}
	if err := checkVersion(c.dir, major); err != nil {
		return cluster{}, err
	}
	if !c.account.reaches(c.dir, bin) {
		return cluster{}, ErrFolder.With("the user %s, who runs PostgreSQL because root cannot, does not reach %s or %s: "+
			"let others pass through the folders above (chmod o+x), or choose another data folder", c.account.name, c.dir, bin)
	}
	return c, nil
}

func folderName(major int) string { return "postgres-" + strconv.Itoa(major) }

// chooseBinaries takes the newest installed version. But when the folder holds only data of another version, it takes
// that version: after an upgrade of the system an empty database would look like lost data.
func chooseBinaries(dataDir, bin string, getenv func(string) string) (string, int, error) {
	fixed := bin != "" || getenv("DOISOAT_PG_BIN") != ""
	if bin == "" {
		var err error
		if bin, err = FindBinaries(getenv); err != nil {
			return "", 0, err
		}
	}
	major, err := majorOf(bin)
	if err != nil {
		return "", 0, ErrNoBinaries.With("no PostgreSQL programs in %s", bin).Because(err)
	}
	if _, err := os.Lstat(filepath.Join(dataDir, folderName(major))); err == nil {
		return bin, major, nil
	}
	others, _ := filepath.Glob(filepath.Join(escapeGlob(dataDir), "postgres-[0-9][0-9]"))
	if len(others) == 0 {
		return bin, major, nil
	}
	other := others[len(others)-1]
	old, _ := strconv.Atoi(strings.TrimPrefix(filepath.Base(other), "postgres-"))
	if !fixed {
		dir := strings.Replace(debianFolders, "*", strconv.Itoa(old), 1)
		if found, err := majorOf(dir); err == nil && found == old {
			return dir, old, nil
		}
	}
	return "", 0, versionFault(other, strconv.Itoa(old), major)
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// checkVersion refuses a cluster of another version before anything touches it.
func checkVersion(dir string, major int) error {
	content, err := os.ReadFile(filepath.Join(dir, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		return ErrFolder.With("%s is not a PostgreSQL cluster, and nothing was changed in it: move it away", dir)
	}
	if err != nil {
		return ErrFolder.With("the version of %s cannot be read", dir).Because(err)
	}
	if version := strings.TrimSpace(string(content)); version != strconv.Itoa(major) {
		return versionFault(dir, version, major)
	}
	return nil
}

func versionFault(dir, version string, major int) error {
	return ErrVersion.With("%s holds data of PostgreSQL %s, but the programs found are PostgreSQL %d; nothing was changed. "+
		"Install PostgreSQL %s again and name its programs in DOISOAT_PG_BIN, "+
		"or carry the data over with pg_dump and pg_restore, or choose another data folder",
		dir, version, major, version)
}

// isEmpty is true for an empty folder and for a missing one. A link is never empty: it points to a cluster in another
// folder.
func isEmpty(dir string) (bool, error) {
	info, err := os.Lstat(dir)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, ErrFolder.With("%s cannot be read", dir).Because(err)
	}
	if info.Mode()&os.ModeSymlink != 0 {
		return false, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false, ErrFolder.With("%s cannot be read by this user: start as the user who made it, or choose another data folder",
			dir).Because(err)
	}
	return len(entries) == 0, nil
}

// create makes a cluster under another name and renames it when it is complete. A killed initdb leaves a cluster that
// looks complete but does not start.
func (c cluster) create(ctx context.Context, link string, durable bool, log *slog.Logger) (cluster, error) {
	var err error
	if c.account, err = serverAccount(); err != nil {
		return cluster{}, err
	}
	if !c.account.reaches("/", c.bin) {
		return cluster{}, ErrNoBinaries.With("the user %s, who runs PostgreSQL because root cannot, does not reach %s: "+
			"install the Debian package postgresql: apt-get install -y postgresql", c.account.name, c.bin)
	}
	home := filepath.Dir(link)
	draft := filepath.Join(home, filepath.Base(link)+".initdb")
	if err := c.makeDraft(draft); err != nil {
		return cluster{}, err
	}
	if !c.account.reaches(draft, c.bin) {
		if err := os.Remove(draft); err != nil {
			return cluster{}, ErrFolder.Because(err)
		}
		if home, err = rescueFolder(home); err != nil {
			return cluster{}, err
		}
		log.Warn("the data folder is closed to the user who runs PostgreSQL, the cluster lives elsewhere",
			"user", c.account.name, "cluster", home)
		draft = filepath.Join(home, filepath.Base(draft))
		if err := c.makeDraft(draft); err != nil {
			return cluster{}, err
		}
	}
	if err := c.initdb(ctx, draft, durable); err != nil {
		return cluster{}, err
	}
	c.dir = filepath.Join(home, filepath.Base(link))
	if err := os.Rename(draft, c.dir); err != nil { // replaces an empty folder
		return cluster{}, ErrFolder.Because(err)
	}
	if home != filepath.Dir(link) {
		_ = os.Remove(link) // removes an empty folder only; Symlink refuses when the folder stays
		if err := os.Symlink(c.dir, link); err != nil {
			return cluster{}, ErrFolder.Because(err)
		}
	}
	return c, errors.Join(syncFolder(home), syncFolder(filepath.Dir(link)))
}

// makeDraft makes the folder for initdb. It first removes the rest of an earlier start that was killed; no
// server ever used that rest.
func (c cluster) makeDraft(draft string) error {
	if err := os.RemoveAll(draft); err != nil {
		return ErrFolder.Because(err)
	}
	if err := c.account.makeFolder(draft); err != nil {
		return ErrFolder.With("%s cannot be made", draft).Because(err)
	}
	return nil
}

// rescueFolder makes a folder that every user can pass through. Its name begins with a hash of the data
// folder's path and ends with a random part. So a data folder that a person removed by hand starts with a new
// cluster.
func rescueFolder(dataDir string) (string, error) {
	if err := os.MkdirAll(rescueRoot, 0o755); err != nil {
		return "", ErrFolder.Because(err)
	}
	hash := sha256.Sum256([]byte(dataDir))
	dir, err := os.MkdirTemp(rescueRoot, fmt.Sprintf("%x-", hash[:6]))
	if err != nil {
		return "", ErrFolder.Because(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		return "", ErrFolder.Because(err)
	}
	return dir, nil
}

func (c cluster) initdb(ctx context.Context, dir string, durable bool) error {
	args := []string{
		"--pgdata=" + dir, "--username=" + Superuser, "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8",
		"--data-checksums", "--no-instructions",
	}
	if !durable {
		args = append(args, "--no-sync")
	}
	if out, err := c.account.run(ctx, dir, c.program("initdb"), args...); err != nil {
		return ErrFailed.With("initdb failed in %s: %s", dir, out).Because(err)
	}
	return nil
}

// syncFolder makes a rename durable.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return ErrFolder.Because(err)
	}
	return errors.Join(f.Sync(), f.Close())
}

// arguments returns the arguments of the server. The log holds neither statements nor key values, because both carry
// personal data.
func (c cluster) arguments(socket string, opt Options) []string {
	settings := []string{
		"listen_addresses=", "port=5432", "unix_socket_directories=" + socket, "unix_socket_permissions=0700",
		"timezone=UTC", "log_timezone=UTC", "cluster_name=doisoat",
		"log_destination=stderr", "logging_collector=off", "log_min_error_statement=panic", "log_error_verbosity=terse",
	}
	state := "=off"
	if opt.Durable {
		state = "=on"
	}
	settings = append(settings, "fsync"+state, "synchronous_commit"+state, "full_page_writes"+state)
	args := []string{"-D", c.dir}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	return append(args, opt.Args...)
}

// stopLeftOver stops a server that a killed program left. It never changes PostgreSQL's own process file: the file
// keeps a second server from starting while processes of the first still use the data.
func (c cluster) stopLeftOver(ctx context.Context, log *slog.Logger) error {
	content, err := os.ReadFile(filepath.Join(c.dir, "postmaster.pid"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return ErrFolder.Because(err)
	}
	lines := strings.Split(string(content), "\n")
	if !c.serves(lines[0]) {
		return nil // the server has ended; the next server recovers by itself
	}
	log.Warn("stopping the PostgreSQL server that a killed program left", "pid", lines[0])
	out, err := c.account.run(ctx, c.dir, c.program("pg_ctl"), "-D", c.dir, "-m", "fast", "-w", "-t", "60", "stop")
	// The server may have ended just before pg_ctl ran.
	for i := 0; err != nil && i < 50 && c.serves(lines[0]); i++ {
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil && c.serves(lines[0]) {
		return ErrFailed.With("the PostgreSQL server that a killed program left (process id %s) does not stop: %s", lines[0], out).Because(err)
	}
	if len(lines) > 4 {
		removeSocketFolder(lines[4])
	}
	return nil
}

// serves reports whether a process is a server of this cluster. The kernel uses process ids again, in containers soon,
// and a signal to a foreign process could end it.
func (c cluster) serves(pid string) bool {
	if _, err := strconv.Atoi(pid); err != nil {
		return false
	}
	content, err := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
	if err != nil {
		return false
	}
	words := strings.Split(string(content), "\x00")
	if filepath.Base(words[0]) != "postgres" {
		return false
	}
	for i, word := range words[1:] {
		if word == "-D" && i+2 < len(words) && words[i+2] == c.dir {
			return true
		}
	}
	return false
}

// killOrphans ends the processes that a killed server of this cluster left. The caller has made sure that no
// server runs. Each PostgreSQL process runs in the cluster's folder under the title "postgres: …", and no
// other program does. Killing them loses no data: after the server's death crash recovery is needed anyway.
func (c cluster) killOrphans(log *slog.Logger) {
	folders, _ := filepath.Glob("/proc/[0-9]*/cwd") // the pattern is constant and well-formed
	for _, folder := range folders {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(folder)))
		if err != nil {
			continue
		}
		if dir, err := os.Readlink(folder); err != nil || dir != c.dir {
			continue // a process of another program, or it has ended
		}
		title, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		if err != nil || !strings.HasPrefix(string(title), "postgres: ") {
			continue
		}
		log.Warn("ending a process that a killed PostgreSQL server left", "pid", pid)
		_ = syscall.Kill(pid, syscall.SIGKILL) // an error means that the process has ended already
	}
}
