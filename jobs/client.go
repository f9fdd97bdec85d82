package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"github.com/doisoat/doisoat/migrations"
	"github.com/doisoat/doisoat/providers"
)

// How long finished jobs are kept. People may ask about discarded and cancelled jobs, so River
// keeps them longer.
const (
	keepDone = 24 * time.Hour
	keepDead = 90 * 24 * time.Hour
)

// Options of the working client.
type Options struct {
	Log       *slog.Logger
	Workers   int           // jobs at once in each queue
	SoftStop  time.Duration // for running jobs at the end; then their contexts are cancelled
	SweepEach time.Duration // between two looks for due rows; 10 s when 0
	Test      bool          // no random waits at start
}

const defaultSweep = 10 * time.Second

// InsertOnly returns the client that rooms enqueue with, inside their own transactions.
func InsertOnly(pool *pgxpool.Pool) (*river.Client[pgx.Tx], error) {
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Schema:     migrations.RiverSchema,
		Middleware: []rivertype.Middleware{&planner{}},
		Logger:     slog.New(slog.DiscardHandler), // it only inserts: errors are returned
	})
	if err != nil {
		return nil, fmt.Errorf("make insert-only job client: %w", err)
	}
	return client, nil
}

// New returns the working client: every worker, every queue and the periodic
// jobs. Start begins; Stop lets running jobs finish for Options.SoftStop and
// cancels them then: they run again later. Every process that works jobs
// registers all workers, because River discards kinds that the leader does not know.
func New(pool *pgxpool.Pool, rooms Rooms, o Options) (*river.Client[pgx.Tx], error) {
	workers := river.NewWorkers()
	rooms.register(workers)
	queues := map[string]river.QueueConfig{}
	for _, name := range queueNames() {
		queues[name] = river.QueueConfig{MaxWorkers: max(o.Workers, 1)}
	}
	each := o.SweepEach
	if each == 0 {
		each = defaultSweep
	}
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Schema:       migrations.RiverSchema,
		Queues:       queues,
		Workers:      workers,
		PeriodicJobs: periodic(each),
		Middleware:   []rivertype.Middleware{&planner{}},
		ErrorHandler: errorHandler{o.Log},
		RetryPolicy:  retries{},
		// River logs every error too, in its own words; the line of errorHandler is the one for
		// operators.
		Logger: slog.New(atLeast{slog.LevelWarn, o.Log.Handler()}),

		JobTimeout:                  defaultTimeout,
		RescueStuckJobsAfter:        providers.RescueAfter,
		SoftStopTimeout:             o.SoftStop,
		CompletedJobRetentionPeriod: keepDone,
		CancelledJobRetentionPeriod: keepDead,
		DiscardedJobRetentionPeriod: keepDead,
		// Only the owner of an index may rebuild it, and the application owns no index.
		ReindexerIndexNames: []string{},
		TestOnly:            o.Test,
	})
	if err != nil {
		return nil, fmt.Errorf("make job client: %w", err)
	}
	return client, nil
}

// atLeast drops log lines below a level.
type atLeast struct {
	level slog.Level
	slog.Handler
}

// Enabled implements slog.Handler.
func (h atLeast) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= h.level && h.Handler.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (h atLeast) WithAttrs(list []slog.Attr) slog.Handler {
	return atLeast{h.level, h.Handler.WithAttrs(list)}
}

// WithGroup implements slog.Handler.
func (h atLeast) WithGroup(name string) slog.Handler {
	return atLeast{h.level, h.Handler.WithGroup(name)}
}
