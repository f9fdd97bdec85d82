package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/reports"
)

type feesCommand struct {
	Assessed feesAssessedCommand `cmd:"" help:"List the charges whose amount an agency assessed, with the ground of each amount."`
}

type feesAssessedCommand struct {
	place
	Authority string `required:"" help:"Code of the authority, for example H41."`
	From      string `required:"" help:"First day on which a charge was recorded, as YYYY-MM-DD."`
	To        string `required:"" help:"Last day, as YYYY-MM-DD."`
	JSON      bool   `help:"As JSON."`
}

// Run lists the charges in the order in which they were recorded.
func (c *feesAssessedCommand) Run(ctx context.Context, p *program) error {
	from, err := calendar.Parse(c.From)
	if err != nil {
		return err
	}
	to, err := calendar.Parse(c.To)
	if err != nil {
		return err
	}
	return withPool(ctx, p, c.place, func(pool *pgxpool.Pool) error {
		s := reports.Service{DB: pool}
		list, err := s.AssessedCharges(ctx, auth.System(c.Authority), reports.Period{From: from, To: to})
		if err != nil {
			return err
		}
		if c.JSON {
			return p.writeJSON(list)
		}
		for _, a := range list {
			fmt.Fprintf(p.stdout, "%s  %-20s  line %-3d  %-16s  %12d %s  %s\n",
				calendar.On(a.RecordedAt), a.Dossier, a.Line, a.FeeType, a.Base, a.Currency, a.Ground)
		}
		fmt.Fprintf(p.stdout, "%d assessed charges\n", len(list))
		return nil
	})
}
