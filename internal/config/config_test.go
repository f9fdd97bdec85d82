package config

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func environment(set map[string]string) func(string) string {
	return func(name string) string { return set[name] }
}

func TestLoadDefaults(t *testing.T) {
	t.Parallel()
	got, err := Load(environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		PublicURL: "http://127.0.0.1:8080", Listen: "127.0.0.1:8080", LogFormat: FormatJSON,
		MaxConns: 16, Workers: max(2, runtime.GOMAXPROCS(0)),
		RequestsPerSecond: 1000, ShutdownGrace: 20 * time.Second,
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("settings (-got +want):\n%s", diff)
	}
}

func TestLoadEverything(t *testing.T) {
	t.Parallel()
	got, err := Load(environment(map[string]string{
		DatabaseURL: "postgres://app:pw@db:5432/doisoat", MigrateURL: "host=/run/postgresql dbname=doisoat password=pw",
		PGBin: "/usr/lib/postgresql/15/bin", SecretKeys: "/etc/doisoat/keys.json", PublicURL: "https://pay.example.vn/phi/",
		Listen: "0.0.0.0:80", LogLevel: "WARN", LogFormat: "text", MaxConns: "40", Workers: "8",
		RequestsPerSecond: "60", ShutdownGrace: "0s",
	}), DatabaseURL, SecretKeys, PublicURL)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		DatabaseURL: "postgres://app:pw@db:5432/doisoat", MigrateURL: "host=/run/postgresql dbname=doisoat password=pw",
		PGBin: "/usr/lib/postgresql/15/bin", SecretKeys: "/etc/doisoat/keys.json", PublicURL: "https://pay.example.vn/phi",
		Listen: "0.0.0.0:80", LogLevel: slog.LevelWarn, LogFormat: FormatText, MaxConns: 40, Workers: 8,
		RequestsPerSecond: 60,
	}
	if got != want { // cmp would print addresses masked
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestMigrateAddressFollowsDatabase(t *testing.T) {
	t.Parallel()
	got, err := Load(environment(map[string]string{DatabaseURL: "postgresql:///doisoat?host=/tmp/pg"}))
	if err != nil {
		t.Fatal(err)
	}
	if got.MigrateURL != got.DatabaseURL {
		t.Errorf("got %s, want %s", string(got.MigrateURL), string(got.DatabaseURL))
	}
}

func TestAllFaultsAreReportedTogether(t *testing.T) {
	t.Parallel()
	_, err := Load(environment(map[string]string{
		DatabaseURL: "mysql://app:hunter2@db/doisoat", PublicURL: "http://pay.example.vn", Listen: "8080", LogLevel: "loud",
		LogFormat: "xml", MaxConns: "1", Workers: "many", RequestsPerSecond: "0", ShutdownGrace: "-1s",
	}), DatabaseURL, SecretKeys)
	var got *Error
	if !errors.As(err, &got) {
		t.Fatalf("got %v, want a *config.Error", err)
	}
	want := []string{
		"DOISOAT_DATABASE_URL must be an address like postgres://user:password@host:5432/database",
		"DOISOAT_LISTEN must be host:port, for example 127.0.0.1:8080",
		"DOISOAT_LOG_FORMAT must be json or text",
		"DOISOAT_LOG_LEVEL must be debug, info, warn or error",
		"DOISOAT_MAX_CONNS must be a whole number from 2 to 1000",
		"DOISOAT_PUBLIC_URL must begin with https:// unless it names this machine",
		"DOISOAT_REQUESTS_PER_SECOND must be a whole number from 1 to 1000000",
		"DOISOAT_SECRET_KEYS must be set",
		"DOISOAT_SHUTDOWN_GRACE must be a duration from 0s to 10m0s, for example 20s",
		"DOISOAT_WORKERS must be a whole number from 1 to 1000",
	}
	if diff := cmp.Diff(got.Faults, want); diff != "" {
		t.Errorf("faults (-got +want):\n%s", diff)
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error tells the password: %v", err)
	}
}

func TestPublicURL(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"https://pay.example.vn":         "https://pay.example.vn",
		"https://pay.example.vn//":       "https://pay.example.vn",
		"http://localhost:8080/":         "http://localhost:8080",
		"http://[::1]:8080":              "http://[::1]:8080",
		"http://127.0.0.1:8080/phi":      "http://127.0.0.1:8080/phi",
		"http://10.0.0.1":                "",
		"ftp://pay.example.vn":           "",
		"pay.example.vn":                 "",
		"https://user:pw@pay.example.vn": "",
		"https://pay.example.vn?a=b":     "",
		"https://pay.example.vn#a":       "",
		"https:///path":                  "",
		"https://%zz":                    "",
	} {
		got, err := Load(environment(map[string]string{PublicURL: in}))
		if got.PublicURL != want || (err != nil) != (want == "") {
			t.Errorf("%q: got %q, %v; want %q", in, got.PublicURL, err, want)
		}
	}
}

func TestPrintedSettingsHidePasswords(t *testing.T) {
	t.Parallel()
	c, err := Load(environment(map[string]string{
		DatabaseURL: "postgres://app:hunter2@db:5432/doisoat?sslmode=require&password=hunter2",
		MigrateURL:  "host=db user=owner password=hunter2 dbname=doisoat",
	}))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("started", "config", c)
	printed := log.String() + fmt.Sprintf("%v %+v %#v", c, c, c)
	if strings.Contains(printed, "hunter2") {
		t.Errorf("the password shows: %s", printed)
	}
	for _, want := range []string{`"database_url":"postgres://app@db:5432/doisoat"`, `"migrate_url":"[secret]"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log: got %s, want %s in it", log.String(), want)
		}
	}
}

func TestAddressShowsHostAndDatabaseOnly(t *testing.T) {
	t.Parallel()
	for in, want := range map[Address]string{
		"":                                   "",
		"postgres:///d1?host=/tmp/pgs":       "postgres:///d1?host=/tmp/pgs",
		"postgresql://u:p@h/d?sslpassword=p": "postgresql://u@h/d",
		"postgres://u:p%zz@h/d":              "[secret]",
		"password=p host=h":                  "[secret]",
	} {
		if got := in.String(); got != want {
			t.Errorf("%q: got %q, want %q", string(in), got, want)
		}
	}
}
