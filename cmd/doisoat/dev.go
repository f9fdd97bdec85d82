package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/cmd/doisoat/demo"
	"github.com/doisoat/doisoat/internal/config"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/postgres/pglocal"
	"github.com/doisoat/doisoat/internal/world"
	"github.com/doisoat/doisoat/jobs"
	"github.com/doisoat/doisoat/providers/simulator/farsides"
	"github.com/doisoat/doisoat/web"
)

type devCommand struct {
	DataDir         string `help:"Folder of database, keys and simulator; made when missing." default:".doisoat" type:"path"`
	Listen          string `help:"Address of API and callbacks; port 0 takes a free one." default:"127.0.0.1:8080"`
	SimulatorListen string `help:"Address of the provider simulator; every caller of the address commands it." default:"127.0.0.1:8090"`
	Reset           bool   `help:"Move the data folder aside, delete nothing, and start with a fresh one."`
}

// devSweep is short: a person who tries things out waits for the results of jobs.
const devSweep = 2 * time.Second

// errResetNamed: a database that the environment names is not in the data folder.
var errResetNamed = fault.New(fault.Precondition, "dev.reset_named_database",
	"--reset works on a data folder, not on a named database: unset DOISOAT_DATABASE_URL, or leave out --reset")

// errDatabaseEnded: the local PostgreSQL gave up while the program was running.
var errDatabaseEnded = fault.New(fault.Unavailable, "dev.database_ended", "the local PostgreSQL has ended")

// Run starts everything in one process and runs until ctx ends. The data
// folder keeps everything that Run makes: a second start, also after a kill,
// continues with the same data, keys and simulator. A database that is neither
// empty nor marked by dev is refused before anything is written.
func (c *devCommand) Run(ctx context.Context, p *program) error {
	settings, err := config.Load(c.environment(p))
	if err != nil {
		return err
	}
	remedy := "start with doisoat dev --reset, which moves the data folder aside"
	if settings.DatabaseURL != "" {
		if c.Reset {
			return errResetNamed
		}
		remedy = "unset " + config.DatabaseURL + ", or let it name an empty database"
		if err := demo.MayUse(ctx, settings, remedy); err != nil {
			return err
		}
	}
	if c.Reset {
		aside, err := demo.MoveAside(c.DataDir, p.now())
		if err != nil {
			return err
		}
		if aside != "" {
			fmt.Fprintf(p.stdout, "the data folder is now %s\n", aside)
		}
	}
	data, err := demo.OpenFolder(c.DataDir)
	if err != nil {
		return err
	}
	defer data.Close()
	return c.runIn(ctx, p, settings, remedy)
}

// runIn does the work of Run after the data folder was locked.
func (c *devCommand) runIn(ctx context.Context, p *program, settings config.Config, remedy string) error {
	log := p.logger(settings)
	apiListener, simulatorListener, err := c.listen()
	if err != nil {
		return err
	}
	defer apiListener.Close()       //nolint:errcheck // closed by its server already, unless the start failed
	defer simulatorListener.Close() //nolint:errcheck // as above
	settings.PublicURL = "http://" + apiListener.Addr().String()

	database, err := c.startDatabase(ctx, &settings, log)
	if err != nil {
		return err
	}
	defer database.stop(log)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go database.watch(ctx, cancel)

	marked, err := demo.Claim(ctx, settings, remedy)
	if err != nil {
		return firstCause(ctx, err)
	}
	defer marked.Close()
	if _, err := migrate(ctx, settings, demo.DaysBack(p.now())); err != nil {
		return firstCause(ctx, err)
	}
	return firstCause(ctx, c.runOn(ctx, p, settings, log, marked, apiListener, simulatorListener))
}

// environment makes the log readable for people unless the environment names another format.
func (c *devCommand) environment(p *program) func(string) string {
	return func(name string) string {
		v := p.getenv(name)
		if v == "" && name == config.LogFormat {
			return string(config.FormatText)
		}
		return v
	}
}

// listen takes both addresses first, because a busy port is the most common fault.
func (c *devCommand) listen() (forAPI, forSimulator net.Listener, err error) {
	if forAPI, err = net.Listen("tcp", c.Listen); err != nil {
		return nil, nil, fmt.Errorf("listen for the API (choose another address with --listen): %w", err)
	}
	if forSimulator, err = net.Listen("tcp", c.SimulatorListen); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("listen for the simulator (choose another address with --simulator-listen): %w", err),
			forAPI.Close())
	}
	return forAPI, forSimulator, nil
}

// runOn starts everything above the database.
func (c *devCommand) runOn(
	ctx context.Context, p *program, settings config.Config, log *slog.Logger, marked *demo.Mark, forAPI, forSimulator net.Listener,
) error {
	ring, err := openKeys(settings.SecretKeys, true)
	if err != nil {
		return err
	}
	pool, err := openCurrent(ctx, settings, "dev")
	if err != nil {
		return err
	}
	defer pool.Close()
	all, err := newWorld(p, settings, pool, ring)
	if err != nil {
		return err
	}
	defer all.Close() // answers the callbacks under way, before the pool closes
	far := farsides.New(farsides.Options{Log: log, StateFile: filepath.Join(c.DataDir, demo.SimulatorFile)})
	defer far.Close()
	if err := far.Err(); err != nil {
		return fmt.Errorf("start the simulator: %w", err)
	}
	m := demo.Manifest{
		API: settings.PublicURL, Console: settings.PublicURL + "/console", Simulator: "http://" + forSimulator.Addr().String(),
		DatabaseURL: string(settings.MigrateURL), Logins: []any{}, Authority: demo.FirstAuthority,
	}
	notes, err := c.plant(ctx, p, all, pool, marked, far, &m)
	if err != nil {
		return err
	}
	work, err := jobs.New(pool, all.Jobs(), jobs.Options{
		Log: log, Workers: settings.Workers, SoftStop: settings.ShutdownGrace, SweepEach: devSweep,
	})
	if err != nil {
		return err
	}
	// It stops in order: the API takes no more requests, jobs finish, then the simulator, because
	// jobs may be asking it, then the pool.
	if err := work.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("start jobs: %w", err)
	}
	servers, farServer := newServers(ctx), newServers(context.WithoutCancel(ctx))
	servers.start("api", func(ctx context.Context) error {
		return web.Serve(ctx, forAPI, apiOf(all, settings, log, p.now, pool), log)
	})
	farServer.start("simulator", func(ctx context.Context) error { return web.Serve(ctx, forSimulator, far.Handler(), log) })
	if err = demo.WriteManifest(c.manifestPath(), m); err == nil {
		c.announce(p, m, notes)
		servers.wait(farServer.failed)
	}
	return errors.Join(err, servers.stop(), stopJobs(work, settings.ShutdownGrace), farServer.stop())
}

func (c *devCommand) manifestPath() string { return filepath.Join(c.DataDir, demo.ManifestFile) }

// plant loads the demo and writes into m where everything is. The notes name
// the existing rows that differ from the demo and stay as they are.
func (c *devCommand) plant(
	ctx context.Context, p *program, all world.World, pool *pgxpool.Pool, marked *demo.Mark, far *farsides.Simulator, m *demo.Manifest,
) (notes []string, err error) {
	previous, err := demo.ReadManifest(c.manifestPath())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	seeds := demo.Seeds{
		Rooms: all, Pool: pool, Mark: marked, Random: p.random, API: m.API, Simulator: m.Simulator, Previous: previous.Authorities,
	}
	if m.Authorities, err = seeds.Plant(ctx, far); err != nil {
		return nil, fmt.Errorf("load the demo: %w", err)
	}
	m.Keys = m.Authorities[demo.FirstAuthority].Keys
	return seeds.Notes, nil
}

// announce prints the addresses and the rows that differ from the demo.
func (c *devCommand) announce(p *program, m demo.Manifest, notes []string) {
	for _, note := range notes {
		fmt.Fprintf(p.stdout, "note: %s\n", note)
	}
	fmt.Fprintf(p.stdout, `doisoat is ready
  API        %s      (description at /docs)
  console    %s
  simulator  %s      (scripts at /control)
  keys       %s
  data       %s
first payment: examples/first-payment.sh %s
`, m.API, m.Console, m.Simulator, c.manifestPath(), c.DataDir, c.manifestPath())
}

// localDatabase is the database of dev: the local server, or nil for a database that the environment names.
type localDatabase struct{ server *pglocal.Server }

// startDatabase starts a local server unless the environment names a database,
// and writes into settings where it is.
func (c *devCommand) startDatabase(ctx context.Context, settings *config.Config, log *slog.Logger) (localDatabase, error) {
	if settings.SecretKeys == "" {
		settings.SecretKeys = filepath.Join(c.DataDir, demo.KeysFile)
	}
	if settings.DatabaseURL != "" {
		return localDatabase{}, nil
	}
	server, err := pglocal.Start(ctx, pglocal.Options{DataDir: c.DataDir, Log: log, Durable: true, BinDir: settings.PGBin})
	if err != nil {
		return localDatabase{}, err
	}
	settings.DatabaseURL = config.Address(server.AdminDSN())
	settings.MigrateURL = settings.DatabaseURL
	return localDatabase{server}, nil
}

// watch ends the program when its server has ended for good.
func (d localDatabase) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	if d.server == nil {
		return
	}
	select {
	case <-ctx.Done():
	case <-d.server.Done():
		cancel(errDatabaseEnded.Because(d.server.Err()))
	}
}

// databaseStop is longer than the time in which pglocal stops in order and then at once.
const databaseStop = 40 * time.Second

func (d localDatabase) stop(log *slog.Logger) {
	if d.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), databaseStop)
	defer cancel()
	if err := d.server.Stop(ctx); err != nil {
		log.Error("local PostgreSQL did not stop", "err", err)
	}
}

// firstCause prefers the cause of the end over the errors that follow from it.
// An end by a signal is no error.
func firstCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// servers run until they are stopped or one of them fails.
type servers struct {
	ctx    context.Context //nolint:containedctx // the life of the servers
	cancel context.CancelFunc
	failed chan struct{}
	group  sync.WaitGroup
	mu     sync.Mutex
	err    error
}

func newServers(ctx context.Context) *servers {
	s := &servers{failed: make(chan struct{}, 4)}
	s.ctx, s.cancel = context.WithCancel(ctx)
	return s
}

func (s *servers) start(name string, serve func(ctx context.Context) error) {
	s.group.Go(func() {
		if err := serve(s.ctx); err != nil {
			s.mu.Lock()
			s.err = errors.Join(s.err, fmt.Errorf("%s: %w", name, err))
			s.mu.Unlock()
			s.failed <- struct{}{}
		}
	})
}

// wait returns when the context ends, when one of the servers fails, or when others receives a
// failure.
func (s *servers) wait(others <-chan struct{}) {
	select {
	case <-s.ctx.Done():
	case <-s.failed:
	case <-others:
	}
}

// stop lets running requests finish and returns the errors.
func (s *servers) stop() error {
	s.cancel()
	s.group.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
