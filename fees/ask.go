package fees

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
)

// Quote prices a request by the schedule recorded for its authority and keeps
// nothing. Needs auth.PermQuote. Faults: those of Price and auth.ErrSubmittedAt.
func (s Service) Quote(ctx context.Context, actor auth.Actor, r Request) (Quote, error) {
	if err := auth.Require(actor, auth.PermQuote); err != nil {
		return Quote{}, err
	}
	var schedule Schedule
	err := postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) (err error) {
		if err := r.validate(); err != nil {
			return err
		}
		if err := registry.CheckSubmitted(ctx, tx, r.Authority, r.SubmittedAt, s.DB.Now()); err != nil {
			return err
		}
		schedule, err = s.Schedule(ctx, tx, r.Authority, calendar.On(r.SubmittedAt))
		return err
	})
	if err != nil {
		return Quote{}, err
	}
	return Price(r, schedule)
}
