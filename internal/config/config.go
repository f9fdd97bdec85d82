// Package config reads the settings of the program, from the environment alone.
//
// Load reports every fault at once, so that a single start shows them
// all. A Config prints with its secrets masked. It owns nothing; cmd calls it.
package config

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Names of the variables.
const (
	DatabaseURL       = "DOISOAT_DATABASE_URL"
	MigrateURL        = "DOISOAT_MIGRATE_URL"
	PGBin             = "DOISOAT_PG_BIN"
	SecretKeys        = "DOISOAT_SECRET_KEYS"
	PublicURL         = "DOISOAT_PUBLIC_URL"
	Listen            = "DOISOAT_LISTEN"
	LogLevel          = "DOISOAT_LOG_LEVEL"
	LogFormat         = "DOISOAT_LOG_FORMAT"
	MaxConns          = "DOISOAT_MAX_CONNS"
	Workers           = "DOISOAT_WORKERS"
	RequestsPerSecond = "DOISOAT_REQUESTS_PER_SECOND"
	ShutdownGrace     = "DOISOAT_SHUTDOWN_GRACE"
)

// Format is how log lines are written.
type Format string

// The log formats.
const (
	FormatJSON Format = "json" // for machines
	FormatText Format = "text" // for a terminal
)

// Config is the settings of one process.
type Config struct {
	DatabaseURL Address    // PostgreSQL where the application works; empty: none given
	MigrateURL  Address    // where the owner migrates; the address of the application unless given
	PGBin       string     // folder of the PostgreSQL server's programs, for the local server; empty: look for it
	SecretKeys  string     // path of the key file; empty: none given
	PublicURL   string     // base of callback and return links, without a slash at the end
	Listen      string     // host:port of the API, the callbacks and the pages of payers
	LogLevel    slog.Level // debug, info, warn or error
	LogFormat   Format     // json or text
	MaxConns    int32      // connections in the pool of the process
	Workers     int        // jobs that the process works at the same time

	RequestsPerSecond int           // requests per key or address in a second
	ShutdownGrace     time.Duration // how long running requests and jobs may take after the signal to stop
}

// Error lists everything that is wrong with the environment. It quotes no
// value: a value in the wrong variable may be a secret.
type Error struct {
	Faults []string // one sentence each, beginning with the variable
}

// Error returns one line per fault.
func (e *Error) Error() string {
	return "settings from the environment are wrong:\n  " + strings.Join(e.Faults, "\n  ")
}

// Load reads the settings through getenv, which is os.Getenv outside tests. An
// empty variable counts as not set. required names the variables that must be
// set for the command at hand; all others have a default. Every
// fault is in the one *Error returned.
func Load(getenv func(string) string, required ...string) (Config, error) {
	r := reader{getenv: getenv}
	for _, name := range required {
		if getenv(name) == "" {
			r.fail(name, "must be set")
		}
	}
	c := Config{
		DatabaseURL: r.address(DatabaseURL),
		MigrateURL:  r.address(MigrateURL),
		PGBin:       getenv(PGBin),
		SecretKeys:  getenv(SecretKeys),
		Listen:      r.listen(Listen, "127.0.0.1:8080"),
		LogLevel:    r.level(LogLevel),
		LogFormat:   r.format(LogFormat),
		MaxConns:    int32(r.number(MaxConns, 16, 2, 1000)), //nolint:gosec // at most 1000
		Workers:     int(r.number(Workers, int64(max(2, runtime.GOMAXPROCS(0))), 1, 1000)),

		RequestsPerSecond: int(r.number(RequestsPerSecond, 1000, 1, 1_000_000)),
		ShutdownGrace:     r.duration(ShutdownGrace, 20*time.Second, 0, 10*time.Minute),
	}
	if c.MigrateURL == "" {
		c.MigrateURL = c.DatabaseURL
	}
	c.PublicURL = r.base(PublicURL, "http://"+c.Listen)
	if len(r.faults) > 0 {
		slices.Sort(r.faults)
		return Config{}, &Error{Faults: r.faults}
	}
	return c, nil
}

// LogValue prints the settings with secrets masked.
func (c Config) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("database_url", c.DatabaseURL.String()),
		slog.String("migrate_url", c.MigrateURL.String()),
		slog.String("pg_bin", c.PGBin),
		slog.String("secret_keys", c.SecretKeys), // a path
		slog.String("public_url", c.PublicURL),
		slog.String("listen", c.Listen),
		slog.String("log_level", c.LogLevel.String()),
		slog.String("log_format", string(c.LogFormat)),
		slog.Int64("max_conns", int64(c.MaxConns)),
		slog.Int("workers", c.Workers),
		slog.Int("requests_per_second", c.RequestsPerSecond),
		slog.Duration("shutdown_grace", c.ShutdownGrace),
	)
}

// reader collects faults while it reads.
type reader struct {
	getenv func(string) string
	faults []string
}

func (r *reader) fail(name, format string, args ...any) {
	r.faults = append(r.faults, name+" "+fmt.Sprintf(format, args...))
}

func (r *reader) address(name string) Address {
	a := Address(r.getenv(name))
	if a != "" && !a.valid() {
		r.fail(name, "must be an address like postgres://user:password@host:5432/database")
	}
	return a
}

func (r *reader) listen(name, standard string) string {
	v := r.getenv(name)
	if v == "" {
		return standard
	}
	_, port, err := net.SplitHostPort(v)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		r.fail(name, "must be host:port, for example %s", standard)
	}
	return v
}

// base reads the public address of this system. Payers and providers reach the address over the Internet, so plain http
// is allowed for this machine only.
func (r *reader) base(name, standard string) string {
	v := r.getenv(name)
	if v == "" {
		return standard
	}
	u, err := url.Parse(v)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		(u.Scheme != "https" && u.Scheme != "http"):
		r.fail(name, "must be an address like https://pay.example.vn, without user, query and fragment")
		return ""
	case u.Scheme == "http" && !loopback(u.Hostname()):
		r.fail(name, "must begin with https:// unless it names this machine")
		return ""
	}
	return strings.TrimRight(u.String(), "/")
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && ip.IsLoopback())
}

func (r *reader) level(name string) slog.Level {
	v := r.getenv(name)
	if v == "" {
		return slog.LevelInfo
	}
	i := slices.Index([]string{"debug", "info", "warn", "error"}, strings.ToLower(v))
	if i < 0 {
		r.fail(name, "must be debug, info, warn or error")
		return slog.LevelInfo
	}
	return []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}[i]
}

func (r *reader) format(name string) Format {
	switch f := Format(r.getenv(name)); f {
	case "":
		return FormatJSON
	case FormatJSON, FormatText:
		return f
	default:
		r.fail(name, "must be %s or %s", FormatJSON, FormatText)
		return ""
	}
}

func (r *reader) number(name string, standard, least, most int64) int64 {
	v := r.getenv(name)
	if v == "" {
		return standard
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < least || n > most {
		r.fail(name, "must be a whole number from %d to %d", least, most)
		return standard
	}
	return n
}

func (r *reader) duration(name string, standard, least, most time.Duration) time.Duration {
	v := r.getenv(name)
	if v == "" {
		return standard
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < least || d > most {
		r.fail(name, "must be a duration from %s to %s, for example %s", least, most, standard)
		return standard
	}
	return d
}
