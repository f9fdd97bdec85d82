package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/cmd/doisoat/demo"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/page"
	"github.com/doisoat/doisoat/internal/world"
	"github.com/doisoat/doisoat/reconcile"
	"github.com/doisoat/doisoat/reconcile/report"
)

type reconcileCommand struct {
	place
	Authority string `required:"" help:"Code of the authority."`
	Source    string `required:"" help:"Code of the source."`
	Date      string `required:"" help:"Business date, YYYY-MM-DD."`
	JSON      bool   `help:"As JSON."`
}

// Run reconciles a source for a date. It fails when the total in is not matched + breaks. It also
// fails when there are breaks, because people must look at them.
func (c *reconcileCommand) Run(ctx context.Context, p *program) error {
	date, err := calendar.Parse(c.Date)
	if err != nil {
		return err
	}
	return withRoomsOf(ctx, p, c.place, func(all world.World) error {
		run, _, err := all.Reconcile.StartRun(ctx, auth.Operator(c.Authority), c.Source, date)
		if err != nil {
			return err
		}
		if c.JSON {
			err = p.writeJSON(viewRun(run))
		} else {
			printRun(p, run)
		}
		if err == nil && (!run.Holds() || len(run.Breaks) > 0) {
			return errNotWell
		}
		return err
	})
}

// runView is a run as reports show it.
type runView struct {
	ID           reconcile.RunID     `json:"id"`
	Source       string              `json:"source"`
	BusinessDate calendar.Date       `json:"business_date"`
	Number       int                 `json:"number"`
	Status       reconcile.RunStatus `json:"status"`
	Holds        bool                `json:"holds"`
	ClosedAt     *time.Time          `json:"closed_at"`
	report.Report
}

func viewRun(r reconcile.Run) runView {
	return runView{r.ID, r.Source, r.BusinessDate, r.Number, r.Status, r.Holds(), r.ClosedAt, r.Report}
}

func printRun(p *program, r reconcile.Run) {
	fmt.Fprintf(p.stdout, "%s %s %s, run %d: %s\n", r.ID, r.Source, r.BusinessDate, r.Number, r.Status)
	fmt.Fprintf(p.stdout, "in %d = matched %d + breaks %d; book %d = matched %d + breaks %d\n",
		r.SourceSide.Total, r.SourceSide.Matched, r.SourceSide.Breaks, r.BookSide.Total, r.BookSide.Matched, r.BookSide.Breaks)
	for _, t := range r.Lanes {
		fmt.Fprintf(p.stdout, "  matched %-20s %6d lines %d, %d items %d\n", t.Lane, t.Lines, t.Amount, t.Items, t.Book)
	}
	for _, t := range r.Breaks {
		fmt.Fprintf(p.stdout, "  BREAK   %-20s %6d lines %d, %d items %d\n", t.Kind, t.Lines, t.Amount, t.Items, t.Book)
	}
}

type closeCommand struct {
	place
	Authority string `required:"" help:"Code of the authority."`
	Date      string `required:"" help:"Business date, YYYY-MM-DD; a day that is over."`
	JSON      bool   `help:"As JSON."`
}

// apiKey names the variable with the key of a person: closing is a checker's
// act, and access to the server alone does not give the right.
const apiKey = "DOISOAT_API_KEY" //nolint:gosec // the name of a variable

// Run closes every run of the date and then the day itself: from then on it
// takes no entry. The chief accountant's key comes from DOISOAT_API_KEY, or
// from the data folder of doisoat dev.
func (c *closeCommand) Run(ctx context.Context, p *program) error {
	date, err := calendar.Parse(c.Date)
	if err != nil {
		return err
	}
	text := p.getenv(apiKey)
	if text == "" {
		m, err := demo.ReadManifest(filepath.Join(c.DataDir, demo.ManifestFile))
		if err != nil {
			return errors.New("closing is the chief accountant's act: set " + apiKey)
		}
		text = m.Authorities[c.Authority].Keys[auth.RoleChiefAccountant]
	}
	return withRoomsOf(ctx, p, c.place, func(all world.World) error {
		actor, err := all.Auth.Authenticate(ctx, text)
		if err != nil {
			return err
		}
		if actor.Authority != c.Authority {
			return auth.ErrForbidden.With("the key is of %s, not of %s", actor.Authority, c.Authority)
		}
		runs, err := closeRuns(ctx, all, actor, date)
		if err != nil {
			return err
		}
		if err := all.Reconcile.CloseDay(ctx, actor, date); err != nil {
			return err
		}
		if c.JSON {
			return p.writeJSON(map[string]any{"authority": c.Authority, "date": date, "closed": true, "runs": runs})
		}
		fmt.Fprintf(p.stdout, "%s of %s is closed, with %d runs\n", date, c.Authority, len(runs))
		return nil
	})
}

// closeRuns closes the open runs of a date and returns all runs of the date.
func closeRuns(ctx context.Context, all world.World, actor auth.Actor, date calendar.Date) ([]runView, error) {
	closed := []runView{}
	var after reconcile.RunID
	for {
		list, next, err := all.Reconcile.ListRuns(ctx, actor, "", after, page.Max)
		if err != nil {
			return nil, err
		}
		for _, run := range list {
			if run.BusinessDate != date {
				continue
			}
			if run, err = all.Reconcile.CloseRun(ctx, actor, run.ID); err != nil {
				return nil, fmt.Errorf("close the run of %s: %w", run.Source, err)
			}
			closed = append(closed, viewRun(run))
		}
		if next.IsZero() {
			return closed, nil
		}
		after = next
	}
}

// withRoomsOf wires the rooms on the database of a place, for one command.
func withRoomsOf(ctx context.Context, p *program, at place, body func(all world.World) error) error {
	settings, err := at.settings(p)
	if err != nil {
		return err
	}
	ring, err := openKeys(settings.SecretKeys, false)
	if err != nil {
		return err
	}
	return withPool(ctx, p, at, func(pool *pgxpool.Pool) error {
		all, err := newWorld(p, settings, pool, ring)
		if err != nil {
			return err
		}
		defer all.Close()
		return body(all)
	})
}
