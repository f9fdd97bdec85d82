package main

import (
	"context"
	"fmt"

	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/config"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/migrations"
)

type migrateCommand struct {
	place
	JSON bool `help:"As JSON."`
}

// Run applies the migrations that the database lacks and records the
// authorities that this version knows. Running it again changes nothing.
func (c *migrateCommand) Run(ctx context.Context, p *program) error {
	settings, err := c.settings(p)
	if err != nil {
		return err
	}
	known, err := migrate(ctx, settings, 0)
	if err != nil {
		return err
	}
	if c.JSON {
		return p.writeJSON(map[string]any{"pending": 0, "authorities": known})
	}
	fmt.Fprintf(p.stdout, "the database is up to date; %d authorities are known\n", known)
	return nil
}

// migrate brings schema and authorities up to date as the owner. With daysBack
// the authorities take dossiers submitted so many days ago; 0 keeps their setting.
func migrate(ctx context.Context, c config.Config, daysBack int) (authorities int, err error) {
	if err := migrations.Apply(ctx, string(c.MigrateURL)); err != nil {
		return 0, err
	}
	owner, err := postgres.Open(ctx, postgres.Config{URL: string(c.MigrateURL), MaxConns: 2, ApplicationName: "doisoat migrate"})
	if err != nil {
		return 0, err
	}
	defer owner.Close()
	known, err := registry.KnownAuthorities()
	if err != nil {
		return 0, err
	}
	return len(known), registry.EnsureAuthorities(ctx, owner, registry.ReachingBack(known, daysBack))
}
