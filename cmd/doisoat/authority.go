package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/postgres"
)

type authorityCommand struct {
	List authorityListCommand `cmd:"" help:"List the authorities and their bounds."`
	Set  authoritySetCommand  `cmd:"" help:"Set how far the submission of a dossier may lie from now. Needs DOISOAT_MIGRATE_URL, the owner."`
}

type authorityListCommand struct {
	place
	JSON bool `help:"As JSON."`
}

// Run lists the authorities by code.
func (c *authorityListCommand) Run(ctx context.Context, p *program) error {
	return withPool(ctx, p, c.place, func(pool *pgxpool.Pool) error {
		list, err := registry.Service{DB: pool, Now: p.now}.ListAuthorities(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return p.writeJSON(list)
		}
		for _, a := range list {
			fmt.Fprintf(p.stdout, "%-5s  %-8s  %5d days back  %4d minutes ahead  %s\n", a.Code, a.Level, a.DaysBack, a.MinutesAhead, a.Name)
		}
		return nil
	})
}

type authoritySetCommand struct {
	place
	Authority    string `required:"" help:"Code of the authority, for example H41."`
	DaysBack     int    `help:"Most days between submission and registration, 1 to 36500. Without the flag the setting stays."`
	MinutesAhead int    `help:"Most minutes that a submission may lie in the future, 1 to 1440. Without the flag the setting stays."`
	Reason       string `required:"" help:"Reason, for the audit trail; no personal data."`
	JSON         bool   `help:"As JSON."`
}

// Run changes the bounds with the login of the owner, as doisoat migrate does.
func (c *authoritySetCommand) Run(ctx context.Context, p *program) error {
	settings, err := c.settings(p)
	if err != nil {
		return err
	}
	owner, err := postgres.Open(ctx, postgres.Config{URL: string(settings.MigrateURL), MaxConns: 1, ApplicationName: "doisoat authority"})
	if err != nil {
		return err
	}
	defer owner.Close()
	a, err := registry.SetBounds(ctx, postgres.DB{Pool: owner, Now: p.now}, c.Authority,
		registry.Bounds{DaysBack: c.DaysBack, MinutesAhead: c.MinutesAhead}, c.Reason)
	if err != nil {
		return err
	}
	if c.JSON {
		return p.writeJSON(a)
	}
	fmt.Fprintf(
		p.stdout,
		"%s takes dossiers submitted up to %d days ago and up to %d minutes from now\n",
		a.Code,
		a.DaysBack,
		a.MinutesAhead,
	)
	return nil
}
