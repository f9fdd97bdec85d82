package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asCommand makes the test binary the command itself.
const asCommand = "WITHSERVER_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func withserver(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "DOISOAT_TEST_DATABASE_URL=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, asCommand+"=1")
	return cmd
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		args []string
		want int
	}{
		{name: "success", args: []string{"--", "true"}, want: 0},
		{name: "failure", args: []string{"--", "sh", "-c", "exit 7"}, want: 7},
		{name: "killed", args: []string{"--", "sh", "-c", "kill -9 $$"}, want: 137},
		{name: "no such command", args: []string{"--", "/none/such"}, want: 1},
		{name: "no command", args: []string{"--"}, want: 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cmd := withserver(t, tt.args...)
			out, err := cmd.CombinedOutput()
			if got := cmd.ProcessState.ExitCode(); got != tt.want {
				t.Errorf("exit code: got %d, want %d (%v, %s)", got, tt.want, err, out)
			}
		})
	}
}

func TestCommandFindsTheServer(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("psql"); err != nil {
		t.Skip("psql is not installed")
	}
	cmd := withserver(
		t,
		"--",
		"sh",
		"-c",
		`psql -XAt "$DOISOAT_TEST_DATABASE_URL" -c 'show max_connections'; echo "$DOISOAT_TEST_DATABASE_URL"`,
	)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	connections, address, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if connections != "200" {
		t.Errorf("max_connections: got %q, want 200", connections)
	}
	_, socket, _ := strings.Cut(address, "host=")
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("socket folder %q afterwards: got %v, want it gone", socket, err)
	}
}

func TestGivenServerIsUsed(t *testing.T) {
	t.Parallel()
	const given = "postgres://postgres@/given?host=/none"
	cmd := withserver(t, "--", "sh", "-c", `echo "$DOISOAT_TEST_DATABASE_URL"`)
	cmd.Env = append(cmd.Env, "DOISOAT_TEST_DATABASE_URL="+given)
	out, err := cmd.Output()
	if got := strings.TrimSpace(string(out)); err != nil || got != given {
		t.Errorf("got %q, %v, want %q", got, err, given)
	}
}

func TestSignalsArePassedOn(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	cmd := withserver(t, "--", "sh", "-c", `trap 'echo term; exit 9' TERM; echo ready; while :; do sleep 0.1; done`)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 64)
	n, err := pipe.Read(buffer)
	if err != nil || string(buffer[:n]) != "ready\n" {
		t.Fatalf("got %q, %v, want ready", buffer[:n], err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, err := out.ReadFrom(pipe); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != 9 || out.String() != "term\n" {
		t.Errorf("got exit code %d, output %q, %v, want 9 and term", got, out.String(), err)
	}
}

func TestCommandEndsWhenWeAreKilled(t *testing.T) {
	t.Parallel()
	cmd := withserver(t, "--", "sh", "-c", "echo $$; exec sleep 300")
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 64)
	if _, err := pipe.Read(buffer); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = pipe.Read(buffer) // returns when the last holder, the command, has ended
	}()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("the command lives on")
	}
	_ = cmd.Wait() // an error is expected: the test killed the process
}
