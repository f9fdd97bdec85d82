// Package postgres opens the pool and the transactions of every room.
//
// A use case opens exactly one transaction with InTx or ReadTx and hands the transaction to the functions
// below it. A transaction is bound to one authority: row-level security shows only this authority's rows.
// This package names no table of a room.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/fault"
)

// AppRole is the restricted role that the program works as.
const AppRole = "doisoat_app"

// Config describes the one pool of a process.
type Config struct {
	URL             string
	Role            string // switch to this role at connect; empty stays the login role
	MaxConns        int32  // 0 leaves pgx's default
	ApplicationName string
}

// Limits of one statement, lock wait and idle transaction: a stuck query must not hold the book.
const (
	statementTimeout = 60 * time.Second
	lockTimeout      = 10 * time.Second
	idleTimeout      = 60 * time.Second
)

// maxTries bounds how often InTx runs a body that lost a race.
const maxTries = 4

// Faults that the database reports through this package.
var (
	ErrUnavailable = fault.New(fault.Unavailable, "postgres.unavailable", "the database cannot be reached now")
	ErrBusy        = fault.New(fault.Unavailable, "postgres.busy", "too many changes of the same thing at once, try again")
)

// Open opens the pool and pings the server.
func Open(ctx context.Context, c Config) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("read database address: %w", withoutSecrets(err))
	}
	params := config.ConnConfig.RuntimeParams
	if c.Role != "" && config.ConnConfig.User != c.Role {
		params["role"] = c.Role
	}
	if c.ApplicationName != "" {
		params["application_name"] = c.ApplicationName
	}
	params["timezone"] = "UTC"
	// The planner's cost of a query over all months of the book grows with the number of tables, not of rows. So
	// PostgreSQL would compile the plan, which takes seconds, while running it takes milliseconds.
	params["jit"] = "off"
	params["statement_timeout"] = milliseconds(statementTimeout)
	params["lock_timeout"] = milliseconds(lockTimeout)
	params["idle_in_transaction_session_timeout"] = milliseconds(idleTimeout)
	if c.MaxConns > 0 {
		config.MaxConns = c.MaxConns
	}
	config.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		conn.TypeMap().RegisterType(&pgtype.Type{
			Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
		})
		return nil
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, ErrUnavailable.Because(err)
	}
	return pool, nil
}

// withoutSecrets drops the text of a configuration error, which may quote the password.
func withoutSecrets(err error) error {
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) {
		return errors.New("the address is malformed")
	}
	return err
}

func milliseconds(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

// DB is the pool and the one clock of the rooms.
type DB struct {
	*pgxpool.Pool

	Now func() time.Time
}

// Act is one transaction, who acts in it, and its one instant. A function that
// takes an Act never begins, commits or reads a clock.
type Act struct {
	pgx.Tx

	Actor auth.Actor
	Now   time.Time // UTC, in whole microseconds as PostgreSQL keeps them
}

// As returns the same transaction and instant with another actor, for a step that the program itself takes inside a
// person's act.
func (a Act) As(actor auth.Actor) Act {
	a.Actor = actor
	return a
}

// Instant reads the clock: UTC, in whole microseconds as PostgreSQL keeps them.
func (db DB) Instant() time.Time { return db.Now().UTC().Truncate(time.Microsecond) }

// InTx runs body in one READ COMMITTED transaction of actor, bound to the
// actor's authority, and commits when body returns nil. After a serialization
// failure or a deadlock body runs again, at most three more times, each time
// with an Act of its own: body must have no effects outside the database. An
// actor without an authority sees no authority-bound row.
func InTx(ctx context.Context, db DB, actor auth.Actor, body func(act Act) error) error {
	return transact(ctx, db, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, actor, body)
}

// ReadTx runs body in one REPEATABLE READ READ ONLY transaction bound to
// authority: a report sees one moment.
func ReadTx(ctx context.Context, pool *pgxpool.Pool, authority string, body func(tx pgx.Tx) error) error {
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return transact(ctx, DB{pool, noClock}, options, auth.Actor{Authority: authority}, func(act Act) error { return body(act.Tx) })
}

// WriteTx is InTx for work without an actor and an instant: the upkeep of tables. A room's use case opens its
// transaction with InTx.
func WriteTx(ctx context.Context, pool *pgxpool.Pool, authority string, body func(tx pgx.Tx) error) error {
	return InTx(ctx, DB{pool, noClock}, auth.Actor{Authority: authority}, func(act Act) error { return body(act.Tx) })
}

// noClock is for transactions whose body gets no instant.
func noClock() time.Time { return time.Time{} }

// transact begins, runs body and commits, and repeats all three after a lost race.
func transact(ctx context.Context, db DB, options pgx.TxOptions, actor auth.Actor, body func(act Act) error) error {
	var tx pgx.Tx
	defer func() { // after a panic of body; in all other cases the transaction is over and Rollback does nothing
		if tx != nil {
			_ = tx.Rollback(ctx)
		}
	}()
	for try := 1; ; try++ {
		var err error
		if tx, err = begin(ctx, db.Pool, options, actor.Authority); err == nil {
			err = body(Act{Tx: tx, Actor: actor, Now: db.Instant()})
		}
		if err == nil {
			err = tx.Commit(ctx)
		} else if tx != nil {
			_ = tx.Rollback(ctx) // a fault of Rollback would only hide the fault of body
		}
		if err == nil || !lostRace(err) {
			return translate(err)
		}
		if try == maxTries || ctx.Err() != nil {
			return ErrBusy.Because(err)
		}
	}
}

// begin opens a transaction and binds it to authority, in one round trip.
func begin(ctx context.Context, pool *pgxpool.Pool, options pgx.TxOptions, authority string) (pgx.Tx, error) {
	b := &pgx.Batch{}
	b.BeginTx(options)
	b.Queue(`select set_config('app.authority', $1, true)`, authority)
	results := pool.SendBatch(ctx, b)
	tx := results.Tx()
	if err := results.Close(); err != nil {
		tx.Rollback(context.WithoutCancel(ctx))
		return nil, err
	}
	return tx, nil
}

func lostRace(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) &&
		(pg.Code == pgerrcode.SerializationFailure || pg.Code == pgerrcode.DeadlockDetected)
}

// translate turns a lost connection and a lock time-out into a fault, and returns every other error
// unchanged.
func translate(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := fault.Of(err); ok {
		return err
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch {
		case pg.Code == pgerrcode.LockNotAvailable:
			return ErrBusy.Because(err)
		case pgerrcode.IsConnectionException(pg.Code), pgerrcode.IsOperatorIntervention(pg.Code), pg.Code == pgerrcode.TooManyConnections:
			return ErrUnavailable.Because(err)
		}
		return err
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) || pgconn.SafeToRetry(err) || errors.Is(err, context.DeadlineExceeded) {
		return ErrUnavailable.Because(err)
	}
	return err
}

// Constraint returns the name of the constraint that err violated, or nothing.
func Constraint(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pgerrcode.IsIntegrityConstraintViolation(pg.Code) {
		return pg.ConstraintName
	}
	return ""
}
