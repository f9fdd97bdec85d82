package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/riverqueue/river"

	"github.com/doisoat/doisoat/internal/config"
	"github.com/doisoat/doisoat/internal/world"
	"github.com/doisoat/doisoat/jobs"
	"github.com/doisoat/doisoat/migrations"
	"github.com/doisoat/doisoat/web"
	"github.com/doisoat/doisoat/web/api"
	"github.com/doisoat/doisoat/web/pay"
)

type serveCommand struct {
	Listen string `help:"Address of API and callbacks; default is DOISOAT_LISTEN."`
}

// Run serves the API until ctx ends. It refuses a database with pending migrations.
func (c *serveCommand) Run(ctx context.Context, p *program) error {
	return withRooms(ctx, p, "serve", func(settings config.Config, log *slog.Logger, pool *pgxpool.Pool, all world.World) error {
		if c.Listen != "" {
			settings.Listen = c.Listen
		}
		l, err := net.Listen("tcp", settings.Listen)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		log.Info("serving", "address", l.Addr().String(), "version", version, "settings", settings)
		return web.Serve(ctx, l, apiOf(all, settings, log, p.now, pool), log)
	})
}

type workCommand struct{}

// Run works jobs until ctx ends. It refuses a database with pending migrations.
func (c *workCommand) Run(ctx context.Context, p *program) error {
	return withRooms(ctx, p, "work", func(settings config.Config, log *slog.Logger, pool *pgxpool.Pool, all world.World) error {
		work, err := jobs.New(pool, all.Jobs(), jobs.Options{Log: log, Workers: settings.Workers, SoftStop: settings.ShutdownGrace})
		if err != nil {
			return err
		}
		if err := work.Start(context.WithoutCancel(ctx)); err != nil {
			return fmt.Errorf("start jobs: %w", err)
		}
		log.Info("working", "version", version, "settings", settings)
		<-ctx.Done()
		return stopJobs(work, settings.ShutdownGrace)
	})
}

// withRooms wires the rooms on a current database named by the environment.
func withRooms(
	ctx context.Context,
	p *program,
	name string,
	body func(config.Config, *slog.Logger, *pgxpool.Pool, world.World) error,
) error {
	settings, err := config.Load(p.getenv, config.DatabaseURL, config.SecretKeys)
	if err != nil {
		return err
	}
	ring, err := openKeys(settings.SecretKeys, false)
	if err != nil {
		return err
	}
	pool, err := openCurrent(ctx, settings, name)
	if err != nil {
		return err
	}
	defer pool.Close()
	all, err := newWorld(p, settings, pool, ring)
	if err != nil {
		return err
	}
	defer all.Close() // answers the callbacks under way, before the pool closes
	return body(settings, p.logger(settings), pool, all)
}

// stopExtra is the time that River needs beyond the grace of running jobs.
const stopExtra = 10 * time.Second

// stopJobs lets running jobs finish. An unfinished job runs again later.
func stopJobs(work *river.Client[pgx.Tx], grace time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace+stopExtra)
	defer cancel()
	if err := work.Stop(ctx); err != nil {
		return fmt.Errorf("stop jobs: %w", err)
	}
	return nil
}

// apiOf is the HTTP surface over the rooms.
func apiOf(r world.World, settings config.Config, log *slog.Logger, now func() time.Time, pool *pgxpool.Pool) http.Handler {
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return api.New(api.Rooms{
		Auth: r.Auth, Fees: r.Fees, Dossiers: r.Dossiers, Merchants: r.Merchants, Payments: r.Payments, Callbacks: r.Callbacks,
		Refunds: r.Refunds, Routes: r.Routes, Repricing: r.Repricing, Remittance: r.Remittance, Statements: r.Statements,
		Reconcile: r.Reconcile, Cases: r.Cases, Ledger: r.Ledger, Seal: r.Seal, Reports: r.Reports,
	}, api.Options{
		Log: log, Metrics: metrics, Now: now, RequestsPerSecond: settings.RequestsPerSecond,
		Ready: func(ctx context.Context) error { return migrations.Current(ctx, pool) },
		Pay:   (&pay.Pages{Payments: r.Payments, Log: log}).Routes,
	})
}
