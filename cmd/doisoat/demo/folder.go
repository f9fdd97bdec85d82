package demo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/doisoat/doisoat/internal/fault"
)

// lockFile is locked by the one dev that uses a data folder. The kernel releases the lock when the
// program ends, also after a kill.
const lockFile = "dev.lock"

// Faults of the data folder.
var (
	ErrFolderInUse   = fault.New(fault.Precondition, "dev.folder_in_use", "another doisoat dev runs on the data folder")
	ErrFolderForeign = fault.New(fault.Precondition, "dev.folder_foreign", "the folder is no data folder of doisoat dev")
)

// Folder is a data folder that this program alone uses.
type Folder struct{ lock *os.File }

// OpenFolder makes the data folder when it is missing and locks it.
func OpenFolder(dir string) (Folder, error) {
	if err := os.MkdirAll(dir, 0o711); err != nil { //nolint:gosec // under root the server's user passes through
		return Folder{}, fmt.Errorf("make data folder: %w", err)
	}
	return lockFolder(dir)
}

// lockFolder never waits: ErrFolderInUse while another program holds the lock.
func lockFolder(dir string) (Folder, error) {
	name := filepath.Join(dir, lockFile)
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return Folder{}, fmt.Errorf("lock data folder: %w", err)
	}
	f := Folder{file}
	inUse := ErrFolderInUse.With("another doisoat dev runs on %s: stop it, or choose another --data-dir", dir)
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return Folder{}, inUse
		}
		return Folder{}, fmt.Errorf("lock data folder: %w", err)
	}
	// Between opening and locking, a reset may have moved the file aside.
	mine, err := file.Stat()
	if err == nil {
		var there os.FileInfo
		if there, err = os.Stat(name); err == nil && os.SameFile(mine, there) {
			return f, nil
		}
	}
	f.Close()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Folder{}, fmt.Errorf("lock data folder: %w", err)
	}
	return Folder{}, inUse
}

// Close unlocks before it closes: a child process that is being started holds a copy of the file
// until it runs its program.
func (f Folder) Close() {
	_ = syscall.Flock(int(f.lock.Fd()), syscall.LOCK_UN)
	_ = f.lock.Close()
}

// MoveAside renames the data folder to a name with the time beside it and
// returns the new name, empty when there was no folder. It deletes nothing. It
// refuses a folder on which another dev runs, and a folder with files in which no
// dev ever ran.
func MoveAside(dir string, now time.Time) (string, error) {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if _, err := os.Lstat(filepath.Join(dir, lockFile)); errors.Is(err, fs.ErrNotExist) {
		if inside, err := os.ReadDir(dir); err != nil || len(inside) > 0 {
			return "", ErrFolderForeign.With("%s holds files and is no data folder of doisoat dev: it stays where it is", dir)
		}
	}
	f, err := lockFolder(dir)
	if err != nil {
		return "", err
	}
	defer f.Close()
	aside := filepath.Clean(dir) + "." + now.UTC().Format("20060102-150405.000")
	if _, err := os.Lstat(aside); !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("move data folder aside: %s is there already", aside)
	}
	if err := os.Rename(dir, aside); err != nil {
		return "", fmt.Errorf("move data folder aside: %w", err)
	}
	return aside, nil
}
