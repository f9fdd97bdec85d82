package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/cmd/doisoat/demo"
	"github.com/doisoat/doisoat/internal/config"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/secret"
	"github.com/doisoat/doisoat/internal/world"
	"github.com/doisoat/doisoat/migrations"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/providers/sepay"
	"github.com/doisoat/doisoat/providers/vietqr"
	"github.com/doisoat/doisoat/providers/vnpay"
)

// Faults of starting.
var (
	errNoDatabase = fault.New(fault.Precondition, "start.no_database",
		"no database: set DOISOAT_DATABASE_URL, or start doisoat dev and name its --data-dir")
)

// newWorld wires the rooms with the providers that the program knows.
func newWorld(p *program, c config.Config, pool *pgxpool.Pool, ring *secret.Keyring) (world.World, error) {
	return world.New(world.Ground{
		Pool: pool, Secret: ring, Providers: providers.NewRegistry(vnpay.New(providerClient()), vietqr.New(), sepay.New()),
		PublicURL: c.PublicURL, Now: p.now, Random: p.random,
	})
}

// providerClient returns a client with its own transport, so that a provider that hangs blocks no other connection.
func providerClient() *http.Client {
	return &http.Client{
		Timeout: providers.ClientTimeout,
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: providers.ConnectTimeout}).DialContext,
			TLSHandshakeTimeout:   providers.ConnectTimeout,
			ResponseHeaderTimeout: providers.ClientTimeout,
			MaxIdleConnsPerHost:   8,
			IdleConnTimeout:       providers.IdleTimeout,
			ForceAttemptHTTP2:     true,
		},
	}
}

// place tells where a command finds database and keys: the environment, or the data folder of doisoat dev.
type place struct {
	DataDir string `help:"Data folder of doisoat dev; used when DOISOAT_DATABASE_URL is not set." default:".doisoat" type:"path"`
}

// settings reads the environment and fills the gaps from the data folder.
func (l place) settings(p *program) (config.Config, error) {
	c, err := config.Load(p.getenv)
	if err != nil {
		return config.Config{}, err
	}
	if c.DatabaseURL == "" {
		manifest, err := demo.ReadManifest(filepath.Join(l.DataDir, demo.ManifestFile))
		if errors.Is(err, fs.ErrNotExist) {
			return config.Config{}, errNoDatabase
		}
		if err != nil {
			return config.Config{}, err
		}
		c.DatabaseURL = config.Address(manifest.DatabaseURL)
		c.MigrateURL = c.DatabaseURL
		if c.SecretKeys == "" {
			c.SecretKeys = filepath.Join(l.DataDir, demo.KeysFile)
		}
	}
	return c, nil
}

// openPool opens the application's pool, as the restricted role under any login.
func openPool(ctx context.Context, c config.Config, name string) (*pgxpool.Pool, error) {
	return postgres.Open(ctx, postgres.Config{
		URL: string(c.DatabaseURL), Role: postgres.AppRole, MaxConns: c.MaxConns, ApplicationName: "doisoat " + name,
	})
}

// openCurrent is openPool for programs that must not work on an older schema.
func openCurrent(ctx context.Context, c config.Config, name string) (*pgxpool.Pool, error) {
	pool, err := openPool(ctx, c, name)
	if err != nil {
		return nil, err
	}
	if err := migrations.Current(ctx, pool); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}

// openKeys reads the key file; create makes it when it is not there.
func openKeys(path string, create bool) (*secret.Keyring, error) {
	if path == "" {
		return nil, fmt.Errorf("%s must name the key file", config.SecretKeys)
	}
	ring, err := secret.Open(path)
	if create && errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, fmt.Errorf("make folder of key file: %w", err)
		}
		ring, err = secret.Create(path)
	}
	return ring, err
}
