// Command mutate breaks the posting rules of the rooms, one at a time, and runs
// tests, which must fail. It owns no schema; make mutants calls it.
//
//	go run ./devtools/mutate ./refunds          # the room's tests, then those of all rooms together
//	go run ./devtools/mutate -tests Sequences   # which rules does this test alone guard?
//
// Every broken rule is compiled into one test binary beside the true one, and a
// variable of the environment chooses it: go test -overlay puts files of a
// temporary folder in the place of the true ones, and the working tree is never
// written. Text that does not compile is no mutant. A mutant that no test notices is
// a survivor, and one survivor is enough for exit code 1.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
)

// rooms are the packages that post; the last has the tests of all rooms together.
var rooms = []string{"ledger", "dossiers", "payments", "remittance", "refunds", "reconcile/entries", "reconcile"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has run
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	tests := flags.String("tests", "", "only tests whose name matches, of the room and of all rooms together")
	if err := flags.Parse(args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	chosen := rooms
	if flags.NArg() > 0 {
		chosen = nil
		for _, room := range flags.Args() {
			chosen = append(chosen, filepath.ToSlash(filepath.Clean(room)))
		}
	}
	b := build{dir: dir, files: map[string]string{}}
	for _, room := range chosen {
		if err := b.mutate(room); err != nil {
			return err
		}
	}
	if err := b.compile(ctx); err != nil {
		return err
	}
	survived := 0
	for _, room := range chosen {
		kinds := map[string]int{} // of those that compile
		killed, lived, skipped := 0, 0, 0
		for i, m := range b.mutants {
			if m.room != room {
				continue
			}
			verdict := "does not compile"
			switch by, err := b.try(ctx, i, *tests); {
			case err != nil:
				return err
			case m.broken:
				skipped++
			case by == "":
				verdict = "SURVIVED"
				lived++
			default:
				verdict = by
				killed++
			}
			if !m.broken {
				kinds[m.kind]++
			}
			fmt.Fprintf(out, "%-40s %s\n", verdict, m)
		}
		fmt.Fprintf(out, "%s: %d killed, %d survived, %d do not compile; %v\n", room, killed, lived, skipped, kinds)
		survived += lived
	}
	if survived > 0 {
		return fmt.Errorf("%d mutants survived", survived)
	}
	return nil
}

// try runs tests against a mutant until one fails, quick ones first, and
// returns its name: the accounting manual, the room, all rooms together.
func (b *build) try(ctx context.Context, number int, tests string) (string, error) {
	m := b.mutants[number]
	quick := "Manual"
	if m.room == "ledger" { // it has no entries of its own, only reversals of the entries of other rooms
		quick = "Differ|Revers|Correct|Cause|Post|Find|Pages"
	}
	last := rooms[len(rooms)-1]
	stages := [][]string{{m.room, quick}, {m.room, "."}}
	if parent := path.Dir(m.room); parent != "." { // the tests of the whole room stand one folder above
		stages = append(stages, []string{parent, "."})
	}
	// The smallest failing example of a property does not matter here.
	stages = append(stages, []string{last, "^TestSequences$", "-rapid.shrinktime=0s", "-rapid.nofailfile"})
	if tests != "" {
		stages = [][]string{{m.room, tests}, {last, tests, "-rapid.shrinktime=0s", "-rapid.nofailfile"}}
	}
	for _, stage := range stages {
		if m.broken {
			break
		}
		arguments := append([]string{"-test.failfast", "-test.timeout", "5m", "-test.run"}, stage[1:]...)
		cmd := exec.CommandContext(ctx, b.binary(stage[0]), arguments...) //nolint:gosec // a binary of the program
		cmd.Dir = stage[0]
		cmd.Env = append(cmd.Environ(), variable+"="+strconv.Itoa(number))
		output, err := cmd.CombinedOutput()
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if err != nil {
			return killer(output), nil
		}
	}
	return "", nil
}

var failed = regexp.MustCompile(`--- FAIL: (\S+)`)

// killer names the first test that failed, or how the process ended.
func killer(output []byte) string {
	if name := failed.FindSubmatch(output); name != nil {
		return string(name[1])
	}
	if at := bytes.Index(output, []byte("panic: ")); at >= 0 {
		line, _, _ := bytes.Cut(output[at:], []byte("\n"))
		return string(line)
	}
	return "the test binary failed"
}
