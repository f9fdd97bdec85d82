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

// account is the operating system user that PostgreSQL programs run as. The zero value is the user of this
// program.
type account struct {
	name       string
	credential *syscall.Credential // nil: the user of this program
}

// serverAccount returns the account that runs a new cluster. It is the user of this program, except under
// root. PostgreSQL refuses root, so under root it is the user postgres; when there is no user postgres, it is
// the user nobody.
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

// ownerAccount returns the account that runs an existing cluster: the cluster's owner. PostgreSQL refuses
// every other user.
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

// command prepares a PostgreSQL program to run in dir. The program gets few of this program's variables: the
// others may hold secrets, and PG* or a foreign locale would change how PostgreSQL behaves. The program gets
// the signal death when the thread that started it ends; see run.
func (a account) command(ctx context.Context, death syscall.Signal, dir, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + dir, "LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH")}
	if libraries := os.Getenv("LD_LIBRARY_PATH"); libraries != "" {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+libraries)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:    true, // Ctrl-C at a terminal goes to this program, which closes the pools before it stops the server
		Pdeathsig:  death,
		Credential: a.credential,
	}
	return cmd
}

// run runs a short program to its end and returns the printed output. It keeps the thread meanwhile: Linux
// sends the parent-death signal when the *thread* ends that started the child.
func (a account) run(ctx context.Context, dir, program string, args ...string) (string, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err := a.command(ctx, syscall.SIGKILL, dir, program, args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// reaches reports whether the account can enter dir. The rights of every folder above count, so the only sure
// test is to start a program in dir.
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
	// socketLimit is the room for a path in struct sockaddr_un, less the final zero.
	socketLimit = 107
)

// plainPath keeps an address free of escapes in URLs and in the server's settings.
var plainPath = regexp.MustCompile(`^[A-Za-z0-9/_.-]+$`)

// socketFolder makes a folder for the socket. Its path is short, and only the account can enter: the server
// trusts each process that can enter the folder as superuser.
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

// removeSocketFolder removes the files that this package's server leaves in the folder, then the folder.
// Other files stay, and the folder with them.
func removeSocketFolder(dir string) {
	if !strings.HasPrefix(filepath.Base(dir), socketPrefix) {
		return
	}
	for _, name := range []string{socketName, socketName + ".lock", ""} {
		_ = os.Remove(filepath.Join(dir, name)) // an error means that the file is gone already, or belongs to another user
	}
}
