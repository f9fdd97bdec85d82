// Package pglocal runs a PostgreSQL server beside the program, for "doisoat dev" and for tests. It owns no
// schema.
//
// A server lives in a data folder. The cluster is <DataDir>/postgres-<major>, its log is
// <DataDir>/postgres-<major>.log. One program uses the folder at a time and holds <DataDir>/postgres.lock.
// The server listens only on a unix socket, in a folder that only the server's user can enter. It trusts each
// process that can enter that folder.
//
// Promises:
//   - No data is ever deleted. A cluster of another major version, or a folder
//     that is not a cluster, is refused with instructions.
//   - The server ends when the program ends, even when the program is killed. The next
//     Start stops a server that a killed program left, and recovers its data.
//   - A server that is killed is started again on the same socket.
//   - PostgreSQL refuses root. Under root every PostgreSQL program runs as the user
//     postgres, or as the user nobody when there is no user postgres. A folder that this
//     user cannot reach keeps its rights: the cluster then lives under /var/lib/doisoat
//     and <DataDir>/postgres-<major> is a link to it.
//
// Linux only: it needs /proc, flock and the parent-death signal.
package pglocal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/fault"
)

const (
	// Superuser owns every database of the cluster and applies migrations.
	Superuser = "postgres"
	// Database is created by Start when it is missing.
	Database = "doisoat"

	startTimeout = 2 * time.Minute  // crash recovery of a large cluster included
	stopTimeout  = 20 * time.Second // for a fast shutdown; then the immediate one
	quitTimeout  = 10 * time.Second // for an immediate shutdown; then SIGKILL
)

// The faults of Start. Each message says how to go on.
var (
	ErrNoBinaries = fault.New(fault.Precondition, "pglocal.no_binaries", "PostgreSQL is not installed")
	ErrInUse      = fault.New(fault.Precondition, "pglocal.in_use", "the data folder is in use by another program")
	ErrVersion    = fault.New(fault.Precondition, "pglocal.version", "the data folder belongs to another PostgreSQL version")
	ErrFolder     = fault.New(fault.Precondition, "pglocal.folder", "the data folder cannot be used")
	ErrFailed     = fault.New(fault.Unavailable, "pglocal.failed", "the local PostgreSQL server does not run")
)

// Options say where and how a server runs.
type Options struct {
	// DataDir is the data folder; it is made when missing. Required.
	DataDir string
	// Log records recoveries, restarts and a cluster outside the data folder. Nil is silent.
	Log *slog.Logger
	// Durable keeps commits safe against loss of power. Tests leave Durable off.
	Durable bool
	// Args are further arguments of postgres, such as "-c", "max_connections=200".
	Args []string
	// BinDir holds initdb, pg_ctl and postgres. Empty: FindBinaries decides.
	BinDir string
}

// Server is a running local server. Its methods may be called from any goroutine.
type Server struct {
	log     *slog.Logger
	cluster cluster
	socket  string // folder of the unix socket
	args    []string
	locks   []*lock

	quit chan struct{} // closed by Stop, so that keep does not start the server again
	done chan struct{} // closed when the server has ended for good

	mu      sync.Mutex
	process *os.Process
	err     error // the reason why keep gave up; set before done closes

	stopOnce sync.Once
	stopErr  error
}

// Start starts the server of a data folder and returns when the server answers. It makes the cluster and the database
// doisoat when they are missing. ctx bounds the start only; Stop ends the server.
func Start(ctx context.Context, opt Options) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	s := &Server{
		log:  opt.Log,
		quit: make(chan struct{}),
		done: make(chan struct{}),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.start(ctx, opt); err != nil {
		s.release()
		return nil, err
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, opt Options) error {
	dir, err := dataFolder(opt.DataDir)
	if err != nil {
		return err
	}
	if err := s.lock(dir); err != nil {
		return err
	}
	if s.cluster, err = openCluster(ctx, dir, opt, s.log); err != nil {
		return err
	}
	// After a copy of the data folder two folders link to one cluster. A lock beside the cluster keeps their programs
	// from using it at the same time.
	if home := filepath.Dir(s.cluster.dir); home != dir {
		if err := s.lock(home); err != nil {
			return err
		}
	}
	if err := s.cluster.stopLeftOver(ctx, s.log); err != nil {
		return err
	}
	s.locks[0].removeOldSocket()
	if s.socket, err = s.cluster.account.socketFolder(s.cluster.bin); err != nil {
		return err
	}
	if err := s.locks[0].write(s.socket); err != nil {
		return err
	}
	s.args = s.cluster.arguments(s.socket, opt)
	go s.keep()
	if err := s.ready(ctx); err != nil {
		return errors.Join(err, s.Stop(ctx))
	}
	return nil
}

// dataFolder makes the folder and resolves the links in its path, so that each folder has one name.
func dataFolder(dir string) (string, error) {
	if dir == "" {
		return "", ErrFolder.With("no data folder was given")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", ErrFolder.Because(err)
	}
	// Other users may pass through the folder, because under root the server is another user. They cannot list the
	// folder, and every file inside has its own rights.
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return "", ErrFolder.With("the data folder %s cannot be made", dir).Because(err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", ErrFolder.Because(err)
	}
	return dir, nil
}

func (s *Server) lock(dir string) error {
	l, err := takeLock(dir)
	if err != nil {
		return err
	}
	s.locks = append(s.locks, l)
	return nil
}

// ready returns when the server answers and the database exists.
func (s *Server) ready(ctx context.Context) error {
	var last error
	for {
		conn, err := s.connect(ctx)
		if err == nil {
			defer conn.Close(ctx)
			return createDatabase(ctx, conn)
		}
		last = err
		select {
		case <-s.done:
			return s.Err()
		case <-ctx.Done():
			return ErrFailed.With("the local PostgreSQL server did not answer in time; its log is %s", s.cluster.logFile()).
				Because(errors.Join(ctx.Err(), last))
		case <-time.After(25 * time.Millisecond):
		}
	}
}

func (s *Server) connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(s.DSN(Superuser, "postgres"))
	if err != nil {
		return nil, err
	}
	config.ConnectTimeout = 5 * time.Second
	return pgx.ConnectConfig(ctx, config)
}

func createDatabase(ctx context.Context, conn *pgx.Conn) error {
	var exists bool
	const query = `select exists (select from pg_catalog.pg_database where datname = $1)`
	if err := conn.QueryRow(ctx, query, Database).Scan(&exists); err != nil {
		return fmt.Errorf("look for the database: %w", err)
	}
	if exists {
		return nil
	}
	if _, err := conn.Exec(ctx, "create database "+pgx.Identifier{Database}.Sanitize()); err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	return nil
}

// DSN returns the address of a database for a user, good for psql and for pgx.
// Both names must be plain (letters, digits, underscore).
func (s *Server) DSN(user, database string) string {
	return "postgres://" + user + "@/" + database + "?host=" + s.socket
}

// AdminDSN returns the superuser's address of the database doisoat.
func (s *Server) AdminDSN() string { return s.DSN(Superuser, Database) }

// Folder returns the folder that holds the cluster, links resolved.
func (s *Server) Folder() string { return s.cluster.dir }

// PID returns the process id of the server, 0 while no server runs. A restart after a kill changes the id.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return 0
	}
	return s.process.Pid
}

// Done is closed when the server has ended for good: after Stop, or after too many failures. In the second
// case Err returns the reason.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err returns the reason why the server was given up; nil while it runs and after Stop.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Stop ends the server and returns when it has ended. It first asks for a fast shutdown, which breaks off
// running statements. After 20 seconds, or when ctx ends, it asks for an immediate shutdown; the next start
// then recovers the data. Close the pools before Stop. Later calls return the first answer.
func (s *Server) Stop(ctx context.Context) error {
	s.stopOnce.Do(func() {
		s.stopErr = s.stop(ctx)
		s.release()
	})
	return s.stopErr
}

func (s *Server) stop(ctx context.Context) error {
	close(s.quit)
	s.signal(syscall.SIGINT)
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
	}
	s.log.Warn("local PostgreSQL does not stop, ending it at once")
	s.signal(syscall.SIGQUIT)
	select {
	case <-s.done:
	case <-time.After(quitTimeout):
		s.signal(syscall.SIGKILL)
		<-s.done
	}
	return nil
}

// signal is safe at any time: it does not signal a process that has already been waited for.
func (s *Server) signal(sig os.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		_ = s.process.Signal(sig) // an error means that the process has ended already
	}
}

// release removes the socket folder and gives up the locks of Start. The server must have ended.
func (s *Server) release() {
	removeSocketFolder(s.socket)
	for _, l := range s.locks {
		l.release()
	}
	s.locks = nil
}
