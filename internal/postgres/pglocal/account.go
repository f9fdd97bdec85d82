package pglocal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// account is the operating system user that PostgreSQL programs run as.
// The zero value is ourselves.
type account struct {
	name       string
	credential *syscall.Credential // nil: ourselves
}

// serverAccount returns who runs a new cluster: ourselves, but under root,
// which PostgreSQL refuses, the user postgres, else nobody.
func serverAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		return accountOf(u)
	}
	return account{}, ErrFolder.With(
		"PostgreSQL does not run as root, and there is neither a user postgres nor nobody: start as an ordinary user",
	)
}

// ownerAccount returns who runs a cluster that exists: its owner, because
// PostgreSQL accepts nobody else.
func ownerAccount(dir string) (account, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return account{}, ErrFolder.With("the cluster %s cannot be read", dir).Because(err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return account{}, ErrFolder.With("the owner of %s is not known", dir)
	}
	uid := int(stat.Uid)
	switch {
	case uid == 0:
		return account{}, ErrFolder.With("the cluster %s belongs to root, whom PostgreSQL refuses: give it to the user postgres", dir)
	case uid == os.Geteuid():
		return account{}, nil
	case os.Geteuid() != 0:
		return account{}, ErrFolder.With(
			"the cluster %s belongs to another user: start as that user or as root, or choose another data folder",
			dir,
		)
	}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return accountOf(u)
	}
	return account{
		name:       strconv.Itoa(uid),
		credential: &syscall.Credential{Uid: stat.Uid, Gid: stat.Gid},
	}, nil
}

func accountOf(u *user.User) (account, error) {
	uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(errUID, errGID); err != nil {
		return account{}, fmt.Errorf("user %s: %w", u.Username, err)
	}
	return account{
		name:       u.Username,
		credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)},
	}, nil
}

// command prepares a PostgreSQL program to run in dir. It gets few variables:
// our own may hold secrets, and PG* or a foreign locale would change its ways.
// The death of the thread that starts it brings the signal; see run.
func (a account) command(ctx context.Context, death syscall.Signal, dir, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + dir, "LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH")}
	if libraries := os.Getenv("LD_LIBRARY_PATH"); libraries != "" {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+libraries)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:    true, // Ctrl-C at a terminal is for us: we stop the server after the pools
		Pdeathsig:  death,
		Credential: a.credential,
	}
	return cmd
}

// run runs a short program to its end and returns what it printed. The thread
// is kept meanwhile: Linux sends the parent-death signal when the *thread*
// ends that started the child.
func (a account) run(ctx context.Context, dir, program string, args ...string) (string, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err := a.command(ctx, syscall.SIGKILL, dir, program, args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// reaches says whether the account can stand in dir. Rights of every folder
// above count, so the only true test is to try.
func (a account) reaches(dir, bin string) bool {
	if a.credential == nil {
		return true
	}
	_, err := a.run(context.Background(), dir, filepath.Join(bin, "postgres"), "--version")
	return err == nil
}

// makeFolder makes a folder that only the account can enter.
func (a account) makeFolder(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return a.own(dir)
}

func (a account) own(dir string) error {
	if a.credential == nil {
		return nil
	}
	return os.Chown(dir, int(a.credential.Uid), int(a.credential.Gid))
}

const (
	socketPrefix = "doisoat-pg-"
	socketName   = ".s.PGSQL.5432"
	// socketLimit is what struct sockaddr_un holds, less the final zero.
	socketLimit = 107
)

// plainPath keeps an address free of escapes in URLs and in the server's settings.
var plainPath = regexp.MustCompile(`^[A-Za-z0-9/_.-]+$`)

// socketFolder makes a folder for the socket with a short path that only the
// account can enter: who can enter is trusted as superuser.
func (a account) socketFolder(bin string) (string, error) {
	var refused []error
	for _, parent := range []string{os.TempDir(), "/tmp", "/var/tmp"} {
		dir, err := os.MkdirTemp(parent, socketPrefix)
		if err != nil {
			refused = append(refused, err)
			continue
		}
		if err = a.own(dir); err == nil && len(dir)+1+len(socketName) <= socketLimit && plainPath.MatchString(dir) && a.reaches(dir, bin) {
			return dir, nil
		}
		refused = append(refused, err)
		removeSocketFolder(dir)
	}
	return "", ErrFolder.With("no folder for the socket: %s and /tmp cannot be used", os.TempDir()).Because(errors.Join(refused...))
}

// removeSocketFolder removes only what a server of ours leaves in there.
func removeSocketFolder(dir string) {
	if !strings.HasPrefix(filepath.Base(dir), socketPrefix) {
		return
	}
	for _, name := range []string{socketName, socketName + ".lock", ""} {
		_ = os.Remove(filepath.Join(dir, name)) // gone already, or not ours to remove
	}
}
