// Package pgtest gives each test its own PostgreSQL database, migrated and empty. It owns no schema; tests of every
// room call it.
//
// DOISOAT_TEST_DATABASE_URL names the server, by a superuser's address; "make test" sets the variable (see withserver).
// When it is not set, the package under test starts a server on first use, and the server ends with the process.
//
// Each database is a clone of a template. A template is migrated once per server and set of migration files; packages
// that run at the same time share it safely. When a test fails, its database stays and its address is printed. The next
// start of a server of this package drops such databases.
package pgtest

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx", which pgtestdb works with
	"github.com/peterldowns/pgtestdb"

	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/migrations"
)

// URLVariable names the environment variable with the superuser's address of
// the server to use.
const URLVariable = "DOISOAT_TEST_DATABASE_URL"

const (
	appConns   = 10
	ownerConns = 4
	closeLimit = 15 * time.Second // for a test to give back its connections
)

// DB is a database for one test. When the test ends, its pools are closed and the database is dropped. A
// server or worker that uses the database must have ended before: stop it in a t.Cleanup that is registered
// after New.
type DB struct {
	App   *pgxpool.Pool // logged in as doisoat_app, like the program
	Owner *pgxpool.Pool // superuser: sees and may do everything

	DSN    string // address for Owner
	AppDSN string // address for App
}

// New returns a fresh database, or ends the test. It is safe for parallel tests.
func New(t testing.TB) *DB {
	t.Helper()
	address, err := server()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	config, err := configOf(address)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	// pgtestdb registers its clean-up first, so it drops the database last, after the pools are closed.
	instance := pgtestdb.Custom(t, config, migrator{})
	db := &DB{DSN: addressOf(address, instance.Database, nil)}
	db.AppDSN = addressOf(address, instance.Database, url.User(postgres.AppRole))
	db.Owner = open(t, db.DSN, ownerConns)
	db.App = open(t, db.AppDSN, appConns)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the test's database is kept: %s", db.DSN)
		}
	})
	return db
}

// server returns the superuser's address of the server of this process.
var server = sync.OnceValues(func() (string, error) {
	if address := os.Getenv(URLVariable); address != "" {
		return address, nil
	}
	// No code stops the server: the parent-death signal ends it with the process.
	s, err := StartServer(context.Background())
	if err != nil {
		return "", err
	}
	return s.AdminDSN(), nil
})

// configOf reads an address as pgtestdb wants it.
func configOf(address string) (pgtestdb.Config, error) {
	u, err := url.Parse(address)
	if err != nil || !strings.HasPrefix(u.Scheme, "postgres") || u.User.Username() == "" {
		return pgtestdb.Config{}, fmt.Errorf("%s must be postgres://user@/database?host=folder of a superuser", URLVariable)
	}
	password, _ := u.User.Password()
	port := u.Port()
	if port == "" {
		port = "5432"
	}
	return pgtestdb.Config{
		DriverName: "pgx",
		Host:       u.Hostname(),
		Port:       port,
		User:       u.User.Username(),
		Password:   password,
		Database:   "postgres",
		Options:    u.RawQuery,
		// The superuser owns the test databases too: migrations make roles.
		TestRole: &pgtestdb.Role{Username: u.User.Username(), Password: password, Capabilities: "SUPERUSER"},
	}, nil
}

// addressOf names another database, and another user unless user is nil.
func addressOf(address, database string, user *url.Userinfo) string {
	u, err := url.Parse(address)
	if err != nil {
		panic(err) // configOf has read it
	}
	u.Path = "/" + database
	if user != nil {
		u.User = user
	}
	return u.String()
}

func open(t testing.TB, dsn string, conns int32) *pgxpool.Pool {
	t.Helper()
	pool, err := postgres.Open(context.Background(), postgres.Config{URL: dsn, MaxConns: conns, ApplicationName: "pgtest"})
	if err != nil {
		t.Fatalf("pgtest: open %s: %v", dsn, err)
	}
	t.Cleanup(func() { closePool(t, pool) })
	return pool
}

// closePool closes a pool, and reports a connection that the test never gave back. Close alone would wait for such a
// connection for ever and report nothing.
func closePool(t testing.TB, pool *pgxpool.Pool) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		pool.Close()
	}()
	select {
	case <-closed:
	case <-time.After(closeLimit):
		t.Errorf("pgtest: %d connections were not given back: close rows, transactions and clients before the test ends",
			pool.Stat().AcquiredConns())
	}
}

// migrator makes the template with the program's own migrations.
type migrator struct{}

// Hash names the template: other migration files make another template.
func (migrator) Hash() (string, error) {
	names, err := fs.Glob(migrations.Files, "*.sql")
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, name := range names {
		text, err := migrations.Files.ReadFile(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d\n%s", name, len(text), text)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// Migrate applies the migrations as the program does.
func (migrator) Migrate(ctx context.Context, _ *sql.DB, config pgtestdb.Config) error {
	return migrations.Apply(ctx, config.URL())
}
