package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/postgres/pglocal"
)

const (
	// slots bounds how many servers one user keeps for tests.
	slots = 64
	// templateLimit bounds the templates a slot keeps, one per set of migrations.
	templateLimit = 4
)

// StartServer starts a server for tests, not durable, with 200 connections. The server ends with the process
// at the latest.
//
// The user's cache folder has a few slots, each with a cluster. StartServer takes the first free slot, which
// saves initdb and the migrations. It drops the databases that an earlier run left in the cluster.
func StartServer(ctx context.Context) (*pglocal.Server, error) {
	home, err := cacheFolder()
	if err != nil {
		return nil, err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, fmt.Errorf("read the boot id: %w", err)
	}
	for n := range slots {
		dir := filepath.Join(home, strconv.Itoa(n))
		free, err := prepareSlot(dir, string(boot))
		if err != nil {
			return nil, err
		}
		if free == nil {
			continue
		}
		s, err := startIn(ctx, filepath.Join(dir, "data"))
		if err == nil {
			// The lock is kept until the process ends, though the server may stop earlier.
			held = append(held, free)
			return s, nil
		}
		giveBack(free)
		return nil, err
	}
	return nil, fmt.Errorf("all %d slots for test servers in %s are taken", slots, home)
}

// held keeps the garbage collector from closing the lock files of slots.
var held []*os.File

// cacheFolder returns the folder of the user's slots. Under root it is not root's own cache, because the user postgres
// runs the server and cannot enter that cache.
func cacheFolder() (string, error) {
	cache := "/var/cache"
	if os.Geteuid() != 0 {
		var err error
		if cache, err = os.UserCacheDir(); err != nil {
			cache = filepath.Join(os.TempDir(), "doisoat-"+strconv.Itoa(os.Geteuid()))
		}
	}
	dir := filepath.Join(cache, "doisoat", "pgtest")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the folder for test servers: %w", err)
	}
	return dir, nil
}

// giveBack unlocks explicitly. Closing the file is not enough: a child process that is just being started holds a copy
// of the file until it runs its program.
func giveBack(slot *os.File) {
	_ = syscall.Flock(int(slot.Fd()), syscall.LOCK_UN)
	_ = slot.Close()
}

// prepareSlot takes a slot, or returns nil when another process has taken it. Without fsync a crash of the machine may
// damage the data, so prepareSlot deletes data of an earlier boot.
func prepareSlot(dir, boot string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a slot: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "slot.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open a slot: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, nil //nolint:nilnil // a slot in use is an ordinary answer here
		}
		return nil, fmt.Errorf("lock a slot: %w", err)
	}
	marker := filepath.Join(dir, "boot")
	if last, err := os.ReadFile(marker); err == nil && string(last) == boot {
		return file, nil
	}
	if err = os.RemoveAll(filepath.Join(dir, "data")); err == nil {
		err = os.WriteFile(marker, []byte(boot), 0o600)
	}
	if err != nil {
		giveBack(file)
		return nil, fmt.Errorf("clear a slot: %w", err)
	}
	return file, nil
}

// startIn starts the server of a slot. When the start fails, it deletes the slot's data, which are only a
// cache, and tries once more.
func startIn(ctx context.Context, dir string) (*pglocal.Server, error) {
	s, err := startClean(ctx, dir)
	if err == nil || errors.Is(err, pglocal.ErrNoBinaries) || errors.Is(err, pglocal.ErrInUse) {
		return s, err
	}
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	return startClean(ctx, dir)
}

func startClean(ctx context.Context, dir string) (*pglocal.Server, error) {
	s, err := pglocal.Start(ctx, pglocal.Options{DataDir: dir, Args: []string{
		"-c", "max_connections=200",
		"-c", "autovacuum_naptime=1h", // autovacuum would visit every test database in turn
		"-c", "jit=off",
	}})
	if err != nil {
		return nil, err
	}
	if err := dropLeftOvers(ctx, s.AdminDSN()); err != nil {
		return nil, errors.Join(err, s.Stop(ctx))
	}
	return s, nil
}

// dropLeftOvers drops the databases that failed and killed tests left. It drops all templates when there are many,
// because only one of them belongs to the present migrations.
func dropLeftOvers(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `select datname::text from pg_catalog.pg_database where datname like 'testdb\_tpl\_%' order by datname`)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	var templates, doomed []string
	for _, name := range names {
		if strings.Contains(name, "_inst_") {
			doomed = append(doomed, name)
		} else {
			templates = append(templates, name)
		}
	}
	if len(templates) > templateLimit {
		doomed = append(doomed, templates...)
	}
	for _, name := range doomed {
		quoted := pgx.Identifier{name}.Sanitize()
		if _, err := conn.Exec(ctx, "alter database "+quoted+" is_template false"); err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, "drop database "+quoted); err != nil {
			return err
		}
	}
	return nil
}
