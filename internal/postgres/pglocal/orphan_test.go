package pglocal

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestOrphanOfKilledServerIsEnded: a process of a killed server that waits for
// another killed one never ends by itself, and no server starts beside it. A
// stopped process stands in for it.
func TestOrphanOfKilledServerIsEnded(t *testing.T) {
	t.Parallel()
	s := mustStart(t, Options{DataDir: openFolder(t)})
	defer mustStop(t, s)
	orphan, err := strconv.Atoi(ask(t, s.AdminDSN(), "select pid::text from pg_stat_activity where backend_type = 'checkpointer'"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(orphan, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	killed := s.PID()
	if err := syscall.Kill(killed, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	const within = 25 * time.Second
	for deadline := time.Now().Add(within); ; time.Sleep(100 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		conn, err := pgx.Connect(ctx, s.AdminDSN())
		cancel()
		if err == nil {
			_ = conn.Close(context.Background()) // it was only asked whether it opens
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server is not back within %s: %v, %v", within, err, s.Err())
		}
	}
	if pid := s.PID(); pid == killed || pid == 0 {
		t.Errorf("got process id %d, want a new one", pid)
	}
	// A process that has ended, and whose parent has not waited for it, has no command line.
	if title, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(orphan), "cmdline")); err == nil && len(title) > 0 {
		t.Errorf("process %d of the killed server is still there: %q", orphan, title)
	}
}
