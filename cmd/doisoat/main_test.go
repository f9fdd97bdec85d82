package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain removes the program that tests built.
func TestMain(m *testing.M) { os.Exit(tests{m}.Run()) }

// TestScripts runs the commands that need no database, as a person would. The samples are files of
// the packages that read them.
func TestScripts(t *testing.T) {
	t.Parallel()
	program := binary(t)
	samples, err := filepath.Abs("../../providers")
	if err != nil {
		t.Fatal(err)
	}
	policies, err := filepath.Abs("../../fees/schedule/demo/policies.json")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", filepath.Dir(program)+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv("PROVIDERS", samples)
			env.Setenv("POLICIES", policies)
			return nil
		},
	})
}

// TestHelpOfEveryCommand: help needs no argument, no setting and no database.
func TestHelpOfEveryCommand(t *testing.T) {
	t.Parallel()
	for _, command := range []string{
		"", "dev", "serve", "work", "migrate", "import", "reconcile", "close", "check", "keys", "keys create", "keys list", "keys revoke",
		"policy", "policy check", "signature", "version",
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			args := append(strings.Fields(command), "--help")
			if got := run(t.Context(), args, noEnvironment, &out, &errs); got != exitOK {
				t.Errorf("doisoat %s: got exit code %d, want %d: %s", strings.Join(args, " "), got, exitOK, errs.String())
			}
			if want := "Usage: doisoat " + command; !strings.Contains(out.String(), want) {
				t.Errorf("doisoat %s: got %q, want it to contain %q", strings.Join(args, " "), out.String(), want)
			}
		})
	}
}

func TestDatabaseCommandsSayWhatIsMissing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		args string
		want string
	}{
		{"check --data-dir nowhere", "set DOISOAT_DATABASE_URL"},
		{"migrate --data-dir nowhere", "set DOISOAT_DATABASE_URL"},
		{"keys list --authority H41 --data-dir nowhere", "set DOISOAT_DATABASE_URL"},
		{"serve", "DOISOAT_SECRET_KEYS must be set"},
		{"work", "DOISOAT_DATABASE_URL must be set"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			if got := run(t.Context(), strings.Fields(tt.args), noEnvironment, &out, &errs); got != exitFailed {
				t.Errorf("got exit code %d, want %d", got, exitFailed)
			}
			if !strings.Contains(errs.String(), tt.want) {
				t.Errorf("got %q, want it to contain %q", errs.String(), tt.want)
			}
		})
	}
}

func noEnvironment(string) string { return "" }

// TestFirstCause: a signal is no error, a dead database is.
func TestFirstCause(t *testing.T) {
	t.Parallel()
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if got := firstCause(stopped, context.Canceled); got != nil {
		t.Errorf("after a signal: got %v, want nil", got)
	}
	dead, kill := context.WithCancelCause(t.Context())
	kill(errDatabaseEnded)
	if got := firstCause(dead, nil); !errDatabaseEnded.Is(got) {
		t.Errorf("after the database ended: got %v, want %v", got, errDatabaseEnded)
	}
	if got := firstCause(t.Context(), errNotWell); !errors.Is(got, errNotWell) {
		t.Errorf("got %v, want %v", got, errNotWell)
	}
}
