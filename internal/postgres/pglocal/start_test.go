package pglocal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// helperEnv makes the test binary a program that starts a server in the named
// folder, prints its address and waits: the parent that gets killed.
const helperEnv = "PGLOCAL_TEST_HELPER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperEnv); dir != "" {
		os.Exit(helper(dir))
	}
	os.Exit(m.Run())
}

func helper(dir string) int {
	s, err := Start(context.Background(), Options{DataDir: dir})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(s.AdminDSN())
	select {}
}

// openFolder makes a data folder that the server's user can reach also under
// root: a folder made by t.TempDir is closed to it.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "pglocal-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeData(t, dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "data")
}

func removeData(t *testing.T, dir string) {
	links, err := filepath.Glob(filepath.Join(dir, "data", "postgres-*"))
	if err != nil {
		t.Error(err)
	}
	for _, link := range links {
		if real, err := filepath.EvalSymlinks(link); err == nil && strings.HasPrefix(real, rescueRoot+"/") {
			if err := os.RemoveAll(filepath.Dir(real)); err != nil {
				t.Error(err)
			}
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}

func mustStart(t *testing.T, opt Options) *Server {
	t.Helper()
	s, err := Start(t.Context(), opt)
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() { mustStop(t, s) })
	return s
}

func mustStop(t *testing.T, s *Server) {
	t.Helper()
	if err := s.Stop(context.Background()); err != nil {
		t.Errorf("Stop: %v", err)
	}
}

// ask runs a query that gives one text.
func ask(t *testing.T, dsn, query string) string {
	t.Helper()
	var answer string
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), query).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return answer
}

func do(t *testing.T, dsn, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func TestStartKeepsDataAndSettings(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	first := mustStart(t, Options{DataDir: dir, Durable: true, Args: []string{"-c", "max_connections=33"}})
	socket := first.socket

	got := map[string]string{}
	for _, name := range []string{
		"fsync", "synchronous_commit", "full_page_writes", "data_checksums", "timezone", "server_encoding",
		"lc_collate", "listen_addresses", "max_connections",
	} {
		got[name] = ask(t, first.AdminDSN(), "select current_setting('"+name+"')")
	}
	want := map[string]string{
		"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "data_checksums": "on", "timezone": "UTC",
		"server_encoding": "UTF8", "lc_collate": "C.UTF-8", "listen_addresses": "", "max_connections": "33",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("settings (-got +want):\n%s", diff)
	}
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("socket folder: got %v, %v, want rights 0700", info, err)
	}
	do(t, first.AdminDSN(), "create table kept (v text)")
	do(t, first.AdminDSN(), "insert into kept values ('đối soát')")
	mustStop(t, first)
	mustStop(t, first) // again is harmless
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("socket folder after Stop: got %v, want it gone", err)
	}
	select {
	case <-first.Done():
	default:
		t.Error("Done is open after Stop")
	}
	if err := first.Err(); err != nil {
		t.Errorf("Err after Stop: got %v, want nil", err)
	}

	second := mustStart(t, Options{DataDir: dir, Durable: true})
	if got, want := ask(t, second.AdminDSN(), "select v from kept"), "đối soát"; got != want {
		t.Errorf("after a restart: got %q, want %q", got, want)
	}
}

func TestPsqlTakesTheAddress(t *testing.T) {
	t.Parallel()
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Skip("psql is not installed")
	}
	s := mustStart(t, Options{DataDir: openFolder(t)})
	out, err := exec.Command(psql, "-XAt", s.AdminDSN(), "-c", "select current_user, current_database()").CombinedOutput()
	if got, want := strings.TrimSpace(string(out)), "postgres|doisoat"; err != nil || got != want {
		t.Errorf("psql: got %q, %v, want %q", got, err, want)
	}
}

func TestOneProgramPerFolder(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	servers := make([]*Server, 4)
	faults := make([]error, len(servers))
	var wg sync.WaitGroup
	for i := range servers {
		wg.Go(func() { servers[i], faults[i] = Start(t.Context(), Options{DataDir: dir}) })
	}
	wg.Wait()
	started := 0
	for i, s := range servers {
		switch {
		case s != nil:
			started++
			defer mustStop(t, s)
		case !errors.Is(faults[i], ErrInUse):
			t.Errorf("start %d: got %v, want %v", i, faults[i], ErrInUse)
		}
	}
	if started != 1 {
		t.Fatalf("servers started at once on one folder: got %d, want 1", started)
	}
	_, err := Start(t.Context(), Options{DataDir: dir})
	if want := fmt.Sprintf("process id %d", os.Getpid()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("second start: got %v, want it to name %q", err, want)
	}
}

func TestParentIsKilled(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), helperEnv+"="+dir)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = parent.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	dsn := strings.TrimSpace(line)
	if err != nil || !strings.HasPrefix(dsn, "postgres://") {
		t.Fatalf("the parent: %q, %v", line, err)
	}
	do(t, dsn, "create table kept as select 'committed'::text as v")
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // an error is expected: the test killed the process

	// At once: the old server may still be shutting down.
	s := mustStart(t, Options{DataDir: dir})
	if got, want := ask(t, s.AdminDSN(), "select v from kept"), "committed"; got != want {
		t.Errorf("after the kill: got %q, want %q", got, want)
	}
	_, socket, _ := strings.Cut(dsn, "host=")
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("socket folder of the killed program: got %v, want it gone", err)
	}
}

func TestServerEndsWithItsParent(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), helperEnv+"="+dir)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the parent: %q, %v", line, err)
	}
	running, err := filepath.Glob(filepath.Join(dir, "postgres-*", "postmaster.pid"))
	if err != nil || len(running) != 1 {
		t.Fatalf("process files: got %v, %v, want one", running, err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // an error is expected: the test killed the process
	eventually(t, "the server ends by itself", func() bool {
		_, err := os.Stat(running[0])
		return errors.Is(err, os.ErrNotExist)
	})
	mustStart(t, Options{DataDir: dir}) // and tidies up the socket folder
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 seconds: %s", what)
		}
	}
}

func TestLeftOverServerIsStopped(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	first := mustStart(t, Options{DataDir: dir})
	c, args := first.cluster, first.args
	mustStop(t, first)
	// A server without a parent-death signal, as when the signal was lost.
	socket, err := c.account.socketFolder(c.bin)
	if err != nil {
		t.Fatal(err)
	}
	args = append(append([]string(nil), args...), "-c", "unix_socket_directories="+socket)
	left := c.account.command(context.Background(), 0, c.dir, c.program("postgres"), args...)
	if err := left.Start(); err != nil {
		t.Fatal(err)
	}
	dsn := "postgres://postgres@/doisoat?host=" + socket
	eventually(t, "the left-over server answers", func() bool {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			return false
		}
		return conn.Close(t.Context()) == nil
	})

	second := mustStart(t, Options{DataDir: dir})
	if err := left.Wait(); err != nil {
		t.Errorf("the left-over server: got %v, want a clean stop", err)
	}
	if got, want := ask(t, second.AdminDSN(), "select 'up'"), "up"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("socket folder of the left-over server: got %v, want it gone", err)
	}
}

func TestStrangerWithTheSameProcessIDIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	first := mustStart(t, Options{DataDir: dir})
	c := first.cluster
	mustStop(t, first)
	// "postgres" of another folder, with an id that the process file names.
	stranger := exec.Command("sleep", "300")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stranger.Process.Kill()
		_ = stranger.Wait()
	})
	file := filepath.Join(c.dir, "postmaster.pid")
	content := fmt.Sprintf("%d\n%s\n1\n5432\n/tmp/none\n", stranger.Process.Pid, c.dir)
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := c.stopLeftOver(t.Context(), first.log); err != nil {
		t.Errorf("stopLeftOver: got %v, want nil", err)
	}
	if err := stranger.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the stranger: got %v, want it alive", err)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != content {
		t.Errorf("process file: got %q, %v, want it untouched", got, err)
	}
}

func TestKilledServerIsStartedAgain(t *testing.T) {
	t.Parallel()
	s := mustStart(t, Options{DataDir: openFolder(t), Durable: true})
	do(t, s.AdminDSN(), "create table kept as select 'committed'::text as v")
	pid := s.PID()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server runs again", func() bool {
		conn, err := pgx.Connect(t.Context(), s.AdminDSN())
		if err != nil {
			return false
		}
		return conn.Close(t.Context()) == nil
	})
	if got, want := ask(t, s.AdminDSN(), "select v from kept"), "committed"; got != want {
		t.Errorf("after the kill: got %q, want %q", got, want)
	}
	if s.PID() == pid {
		t.Errorf("process id: got %d again, want another", pid)
	}
}

func TestServerStoppedFromOutsideIsGivenUp(t *testing.T) {
	t.Parallel()
	s := mustStart(t, Options{DataDir: openFolder(t)})
	if err := syscall.Kill(s.PID(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	if !errors.Is(s.Err(), ErrFailed) {
		t.Errorf("Err: got %v, want %v", s.Err(), ErrFailed)
	}
	if s.PID() != 0 {
		t.Errorf("PID: got %d, want 0", s.PID())
	}
}

func TestStopBreaksOffWhatRuns(t *testing.T) {
	t.Parallel()
	s := mustStart(t, Options{DataDir: openFolder(t)})
	conn, err := pgx.Connect(t.Context(), s.AdminDSN())
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan error, 1)
	go func() {
		_, err := conn.Exec(t.Context(), "select pg_sleep(600)")
		asked <- err
	}()
	time.Sleep(200 * time.Millisecond)
	began := time.Now()
	mustStop(t, s)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("Stop took %v, want a fast shutdown", took)
	}
	if err := <-asked; err == nil {
		t.Error("the query went on, want it broken off")
	}
}

func TestWrongArgumentShowsTheLog(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	_, err := Start(t.Context(), Options{DataDir: dir, Args: []string{"-c", "max_connections=many"}})
	if !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), `invalid value for parameter "max_connections"`) {
		t.Errorf("got %v, want %v with the server's own words", err, ErrFailed)
	}
	mustStart(t, Options{DataDir: dir}) // nothing is broken or locked by that
}
