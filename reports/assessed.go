package reports

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/postgres"
)

// AssessedCharge is a charge whose base an agency assessed, on a ground that it
// named. Amounts are in minor units.
type AssessedCharge struct {
	RecordedAt time.Time `json:"recorded_at"`
	Dossier    string    `json:"dossier"`
	Agency     string    `json:"agency"`
	Line       int       `json:"line"`
	FeeType    string    `json:"fee_type"`
	Quantity   int       `json:"quantity"`
	Currency   string    `json:"currency"`
	Base       int64     `json:"base"`
	Due        int64     `json:"due"`
	Ground     string    `json:"ground"`
}

// AssessedCharges lists the charges with an assessed amount that were recorded
// in a period, oldest first. Needs auth.PermReportRead. Faults: ErrPeriod,
// ErrTooMany.
func (s *Service) AssessedCharges(ctx context.Context, actor auth.Actor, p Period) (list []AssessedCharge, err error) {
	if err := auth.Require(actor, auth.PermReportRead); err != nil {
		return nil, err
	}
	if err := p.validate(); err != nil {
		return nil, err
	}
	err = postgres.ReadTx(ctx, s.DB, actor.Authority, func(tx pgx.Tx) (err error) {
		list, err = selectAssessedCharges(ctx, tx, actor.Authority, p)
		return err
	})
	return list, err
}

func selectAssessedCharges(ctx context.Context, tx pgx.Tx, authority string, p Period) ([]AssessedCharge, error) {
	rows, err := tx.Query(ctx, `
		select c.created_at as recorded_at, d.code as dossier, d.agency, c.line, c.fee_type, c.quantity, c.currency, c.base, c.due,
			c.assessed_ground as ground
		from dossiers.charge c
		join dossiers.dossier d on d.id = c.dossier_id
		where c.authority = @authority and c.assessed_ground <> '' and c.created_at >= @first and c.created_at < @after
		order by c.id
		limit @limit`,
		pgx.StrictNamedArgs{"authority": authority, "first": p.From.Start(), "after": p.To.AddDays(1).Start(), "limit": MaxRows + 1})
	if err != nil {
		return nil, fmt.Errorf("read assessed charges: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[AssessedCharge])
	if err != nil {
		return nil, fmt.Errorf("read assessed charges: %w", err)
	}
	if len(list) > MaxRows {
		return nil, ErrTooMany
	}
	return list, nil
}
