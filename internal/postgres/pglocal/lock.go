package pglocal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// lock keeps two programs from using one folder. The kernel releases the lock when the program ends, even when the
// program is killed. The file stays. Its two lines (process id, socket folder) inform people, and let the next start
// remove the socket of a killed program.
type lock struct{ file *os.File }

// takeLock does not wait. ErrInUse when another program, or another Server of this program, holds the folder.
func takeLock(dir string) (*lock, error) {
	name := filepath.Join(dir, "postgres.lock")
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, ErrFolder.With("the data folder %s cannot be used by this user", dir).Because(err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer file.Close() //nolint:errcheck // only read
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
		holder := "another program"
		if pid, _ := (&lock{file}).read(); pid != "" {
			holder = "the program with process id " + pid
		}
		return nil, ErrInUse.With("the data folder %s is in use by %s: stop it, or choose another data folder", dir, holder)
	}
	return &lock{file}, nil
}

// read returns the two lines of the last holder. Both are empty when the holder died before it wrote them.
func (l *lock) read() (pid, socket string) {
	content := make([]byte, 4096)
	n, err := l.file.ReadAt(content, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", ""
	}
	pid, rest, _ := strings.Cut(string(content[:n]), "\n")
	socket, _, _ = strings.Cut(rest, "\n")
	return pid, socket
}

func (l *lock) write(socket string) error {
	if err := l.file.Truncate(0); err != nil {
		return fmt.Errorf("write lock: %w", err)
	}
	if _, err := l.file.WriteAt(fmt.Appendf(nil, "%d\n%s\n", os.Getpid(), socket), 0); err != nil {
		return fmt.Errorf("write lock: %w", err)
	}
	return nil
}

// removeOldSocket removes the socket folder of a program that was killed.
func (l *lock) removeOldSocket() {
	if _, socket := l.read(); socket != "" {
		removeSocketFolder(socket)
	}
}

// release unlocks explicitly, because closing the file is not enough: a child process that is just being started holds
// a copy of the file until it runs its program.
func (l *lock) release() {
	_ = l.file.Truncate(0) // so that readers do not see the lines of an ended program
	_ = syscall.Flock(int(l.file.Fd()), syscall.LOCK_UN)
	_ = l.file.Close()
}
