package pglocal

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	restartPause = 300 * time.Millisecond
	restartLimit = 10               // restarts in a row
	steadyAfter  = time.Minute      // a server that ran so long counts as steady: the next kill is the first of a new row
	orphanGrace  = 3 * time.Second  // for processes of a killed server to end by themselves
	orphanLimit  = 30 * time.Second // for all of them to be gone
)

// keep runs the server until Stop, and starts it again when it was killed. The parent-death signal belongs to the
// thread that started the server. So this goroutine keeps its thread as long as the server lives.
func (s *Server) keep() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(s.done)
	restarts, orphansSince := 0, time.Now()
	for {
		began := time.Now()
		output, err := s.serve()
		select {
		case <-s.quit:
			return
		default:
		}
		if time.Since(began) > steadyAfter {
			restarts = 0
		}
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled() && restarts < restartLimit:
			restarts++
			orphansSince = time.Now()
			s.log.Warn("local PostgreSQL was killed, starting it again", "error", err)
		case strings.Contains(output, "is still in use") && time.Since(orphansSince) < orphanLimit:
			// Processes of a killed server first finish their work; then a new server can start. An orphan
			// that waits for a lock of another killed process would wait forever, so orphans are killed after
			// a while.
			if time.Since(orphansSince) > orphanGrace {
				s.cluster.killOrphans(s.log)
			}
		default:
			s.giveUp(output, err)
			return
		}
		select {
		case <-s.quit:
			return
		case <-time.After(restartPause):
		}
	}
}

// serve runs one server process to its end and returns the end of its log.
func (s *Server) serve() (output string, err error) {
	logs, err := openLog(s.cluster.logFile())
	if err != nil {
		return "", err
	}
	defer logs.Close() //nolint:errcheck // the server has its own copy; nothing of ours waits to be written
	begin, err := logs.Seek(0, io.SeekEnd)
	if err != nil {
		return "", err
	}
	cmd := s.cluster.account.command(context.Background(), syscall.SIGINT, s.cluster.dir, s.cluster.program("postgres"), s.args...)
	// The output goes to a file, not to a pipe: the server outlives this program for a moment, and "go test" waits for
	// every process that holds its output.
	cmd.Stdout, cmd.Stderr = logs, logs
	if err := s.begin(cmd); err != nil {
		return "", err
	}
	err = cmd.Wait()
	s.mu.Lock()
	s.process = nil
	s.mu.Unlock()
	return tail(logs, begin), err
}

// begin starts the process unless Stop was called. The mutex orders the two: a server that starts after Stop has looked
// for one would never be stopped.
func (s *Server) begin(cmd *exec.Cmd) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.quit:
		return context.Canceled
	default:
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.process = cmd.Process
	return nil
}

func (s *Server) giveUp(output string, cause error) {
	if cause == nil {
		cause = errors.New("it was stopped from outside")
	}
	s.log.Error("local PostgreSQL ended", "error", cause)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = ErrFailed.With("the local PostgreSQL server ended; its log %s says:\n%s", s.cluster.logFile(), output).Because(cause)
}

// logLimit is the size at which the next start renames the log and begins a new one.
const logLimit = 1 << 20

// openLog opens the log for appending and keeps one older one.
func openLog(name string) (*os.File, error) {
	if info, err := os.Stat(name); err == nil && info.Size() > logLimit {
		if err := os.Rename(name, name+".old"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
}

// tail returns at most the last 2 KiB that were written since begin.
func tail(logs *os.File, begin int64) string {
	const limit = 2048
	end, err := logs.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	begin = max(begin, end-limit)
	content := make([]byte, end-begin)
	n, _ := logs.ReadAt(content, begin) // a partial tail is enough for a message
	return strings.TrimSpace(string(content[:n]))
}
