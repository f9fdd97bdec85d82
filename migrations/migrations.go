// Package migrations holds the schema as files, one or more per PostgreSQL
// schema, and applies them, then River's migrations. Until the first release a
// file is changed in place; a file that has landed in a release never changes.
//
// dev and migrate apply; serve and work only compare (Pending) and refuse to
// start on a schema older than themselves. The database keeps the hash of every
// applied file, and both refuse a database that other bytes have made.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/doisoat/doisoat/internal/fault"
)

// Files are the migrations, named in their order.
//
//go:embed [0-9]*.sql
var Files embed.FS

// RiverSchema is the PostgreSQL schema of River's tables.
const RiverSchema = "river"

const (
	versionTable = "schema_version"
	fileTable    = "schema_file" // name and hash of each applied file
)

// ErrPending: the database lacks files that this program knows.
var ErrPending = fault.New(fault.Precondition, "start.pending_migrations", "the database is older than this program: run doisoat migrate")

// ErrOther: the database was made by files with the same numbers and other bytes.
var ErrOther = fault.New(fault.Precondition, "start.other_schema",
	"the database was made by another version of the schema: run doisoat dev --reset or use a new database")

// Apply brings the database at dsn up to date. The login must own the schema
// and be able to create the application role. Several starters may run it at
// once: one works, the others wait up to two minutes. A second run changes
// nothing. ErrOther, before any change, when other files made the database.
func Apply(ctx context.Context, dsn string) error {
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return fmt.Errorf("open for migration: %w", err)
	}
	defer pool.Close()
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close() //nolint:errcheck // the pool below it is closed anyway
	provider, err := newProvider(db)
	if err != nil {
		return err
	}
	if err := recordFiles(ctx, pool); err != nil {
		return fmt.Errorf("compare migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("apply migrations: %w", err)
	}
	return applyRiver(ctx, pool)
}

// Current fails with ErrPending or ErrOther unless the schema is that of this program.
func Current(ctx context.Context, pool *pgxpool.Pool) error {
	pending, err := Pending(ctx, pool)
	switch {
	case ErrOther.Is(err):
		return err
	case err != nil:
		return ErrPending.Because(err)
	case pending > 0:
		return ErrPending.With("%d migrations are pending: run doisoat migrate", pending)
	}
	return nil
}

// Pending counts the files that the database still lacks; ErrOther when other
// files made it.
func Pending(ctx context.Context, pool *pgxpool.Pool) (int, error) {
	known, err := hashes()
	if err != nil {
		return 0, err
	}
	if err := compareFiles(ctx, pool, known); err != nil {
		return 0, err
	}
	var applied int
	err = pool.QueryRow(ctx, `select count(*) from public.`+versionTable+` where version_id > 0 and is_applied`).Scan(&applied)
	if err != nil {
		return 0, fmt.Errorf("read schema version: %w", err)
	}
	return len(known) - applied, nil
}

func newProvider(db *sql.DB) (*goose.Provider, error) {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 120))
	if err != nil {
		return nil, err
	}
	store, err := database.NewStore(database.DialectPostgres, versionTable)
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectCustom, db, Files, goose.WithSessionLocker(locker), goose.WithStore(store))
}

// applyRiver runs River's migrations, each in a transaction of its own, under a
// session lock: River's migrator does not lock out a second starter.
func applyRiver(ctx context.Context, pool *pgxpool.Pool) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, `select pg_advisory_lock(hashtext('doisoat river migration'))`); err != nil {
		return err
	}
	//nolint:errcheck // the lock ends with the session at the latest
	defer conn.Exec(ctx, `select pg_advisory_unlock(hashtext('doisoat river migration'))`)
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: RiverSchema})
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("apply River's migrations: %w", err)
	}
	_, err = conn.Exec(ctx, `grant select on public.`+versionTable+`, public.`+fileTable+` to doisoat_app`)
	return err
}
