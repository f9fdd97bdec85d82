// Command withserver runs a command beside a PostgreSQL server for tests:
//
//	go run ./internal/postgres/pgtest/withserver -- go test ./...
//
// The command finds the superuser's address in DOISOAT_TEST_DATABASE_URL. When this variable is already set, withserver
// starts no server. It passes signals on to the command and exits with the command's exit code. The server ends with
// withserver in any case.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/doisoat/doisoat/internal/postgres/pgtest"
)

func main() {
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "usage: withserver -- command [argument …]")
		os.Exit(2)
	}
	// The kernel signals the command when this thread ends, so the thread must stay.
	runtime.LockOSThread()
	code, err := run(context.Background(), args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "withserver:", err)
	}
	os.Exit(code)
}

// run returns the exit code of the command, 1 when it could not be run.
func run(ctx context.Context, args []string) (code int, err error) {
	// Signals are caught from the start: a signal before the command starts then ends withserver in order.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	env := os.Environ()
	if os.Getenv(pgtest.URLVariable) == "" {
		s, err := pgtest.StartServer(ctx)
		if err != nil {
			return 1, err
		}
		defer func() { err = errors.Join(err, s.Stop(ctx)) }()
		env = append(env, pgtest.URLVariable+"="+s.AdminDSN())
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	ended := make(chan struct{})
	go pass(signals, ended, cmd.Process)
	err = cmd.Wait()
	close(ended)
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return cmd.ProcessState.ExitCode(), err
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil // as a shell reports it
	}
	return exit.ExitCode(), nil
}

// pass hands signals on until the command has ended.
func pass(signals <-chan os.Signal, ended <-chan struct{}, process *os.Process) {
	for {
		select {
		case s := <-signals:
			_ = process.Signal(s) // an error means that the command has ended meanwhile
		case <-ended:
			return
		}
	}
}
