// Command doisoat is the whole system in one program: API, workers, migrations
// and the tools for the desk. This package wires; rules live in the rooms.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/lmittmann/tint"

	"github.com/doisoat/doisoat/internal/config"
	"github.com/doisoat/doisoat/internal/fault"
)

// Exit codes. Scripts rely on 0 meaning that all is well.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// errNotWell ends a command that has already printed the problems.
var errNotWell = errors.New("not all is well")

// errHelp ends parsing after a help text.
var errHelp = errors.New("help was shown")

// commands is the command line. Each command has its file and its Run method.
type commands struct {
	Help helpFlag `help:"Show the purpose and the options of a command." short:"h"`

	Dev       devCommand       `cmd:"" help:"Run everything on this machine: database, API, workers, provider simulator, demo provinces."`
	Serve     serveCommand     `cmd:"" help:"Serve the HTTP API and the callbacks of providers."`
	Work      workCommand      `cmd:"" help:"Run the jobs: inquiries, kept callbacks, refunds, repricings, sums and seals of the book."`
	Migrate   migrateCommand   `cmd:"" help:"Create or update the database schema and the list of authorities."`
	Import    importCommand    `cmd:"" help:"Bring in a statement or settlement file; with --dry-run only parse it."`
	Reconcile reconcileCommand `cmd:"" help:"Match the statement lines of a source and a day with the book."`
	Close     closeCommand     `cmd:"" help:"Close every run of a day, and the day."`
	Check     checkCommand     `cmd:"" help:"Recompute every sum of the book and of all rooms; report differences and overdue work."`
	Seal      sealCommand      `cmd:"" help:"Seal finished entries; export a sealed book."`
	Verify    verifyCommand    `cmd:"" help:"Verify an exported book or a proof; needs no database."`
	Keys      keysCommand      `cmd:"" help:"Create, list and revoke API keys."`
	Authority authorityCommand `cmd:"" help:"List authorities; set how far the submission of a dossier may lie from now."`
	Fees      feesCommand      `cmd:"" help:"List the charges whose amount an agency assessed."`
	Policy    policyCommand    `cmd:"" help:"Check discount policies; needs no database."`
	Signature signatureCommand `cmd:"" help:"Judge the signature of provider messages; needs no database."`
	Version   versionCommand   `cmd:"" help:"Show the version."`
}

// helpFlag shows the help of the command before it.
type helpFlag bool

// IgnoreDefault lets a command that has a default show its help too.
func (helpFlag) IgnoreDefault() {}

// BeforeReset runs before anything is checked, so that help needs no arguments.
func (helpFlag) BeforeReset(c *kong.Context) error {
	if err := c.PrintUsage(false); err != nil {
		return err
	}
	return errHelp
}

// program holds the surroundings of every command.
type program struct {
	getenv func(string) string
	stdout io.Writer
	stderr io.Writer
	now    func() time.Time
	random io.Reader
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends a program that does not stop
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// run is the program without its process. ctx ends it like a signal. It returns the exit code;
// reports go to stdout, logs and errors to stderr.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	p := &program{getenv: getenv, stdout: stdout, stderr: stderr, now: time.Now, random: rand.Reader}
	var c commands
	parser, err := kong.New(&c,
		kong.Name("doisoat"),
		kong.Description("Doisoat collects fees for public services and proves where every đồng is."),
		kong.NoDefaultHelp(),
		kong.Writers(stdout, stderr),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(p))
	if err != nil {
		fmt.Fprintln(stderr, "doisoat:", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	switch {
	case errors.Is(err, errHelp):
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "doisoat: %v\ndoisoat --help lists the commands\n", err)
		return exitUsage
	}
	if err := parsed.Run(); err != nil {
		explain(stderr, err)
		return exitFailed
	}
	return exitOK
}

// explain writes an error for the person at the terminal, with every field.
func explain(w io.Writer, err error) {
	if errors.Is(err, errNotWell) {
		return
	}
	fmt.Fprintln(w, "doisoat:", err)
	if f, ok := fault.Of(err); ok {
		for _, field := range f.Fields {
			fmt.Fprintf(w, "  %s: %s\n", field.Pointer, field.Detail)
		}
	}
}

// logger writes log lines to stderr, as the settings ask.
func (p *program) logger(c config.Config) *slog.Logger {
	if c.LogFormat == config.FormatText {
		return slog.New(tint.NewTextHandler(p.stderr, &tint.Options{Level: c.LogLevel, TimeFormat: time.TimeOnly, NoColor: !terminal(p.stderr)}))
	}
	return slog.New(slog.NewJSONHandler(p.stderr, &slog.HandlerOptions{Level: c.LogLevel}))
}

// terminal reports whether w is a screen.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
