package repricing

import (
	"context"

	"github.com/google/uuid"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/postgres"
)

// PriceAgain prices the charges of a dossier by the day of its acceptance or of its result. A job
// calls it when the day is reported. Per charge it acts like a repricing: it waives unpaid money,
// proposes a refund OVERPAID for paid money, or adds a charge with the difference. A charge that a
// person gave back or waived is left to people. It acts once per dossier and day, so a second run
// or a second report of the day changes nothing.
func (s *Service) PriceAgain(ctx context.Context, authority string, id dossiers.ID, day schedule.Basis) error {
	return postgres.InTx(ctx, s.DB, auth.System(authority), func(act postgres.Act) error {
		d, err := dossiers.LockByID(ctx, act, id)
		if err != nil {
			return err
		}
		first, err := insertDay(ctx, act, d, day)
		if err != nil || !first {
			return err
		}
		list, err := s.Replay.DifferencesByDay(ctx, act, d, day)
		if err != nil || len(list) == 0 {
			return err
		}
		steps, err := s.adjust(ctx, act, d, list, grounds{
			day: day, seed: uuid.NewSHA1(d.ID.UUID(), []byte(day)), note: "priced by the day of " + string(day),
		})
		if err != nil || len(steps) == 0 {
			return err
		}
		charges := make(map[string]any, len(steps))
		for _, st := range steps {
			charges[st.charge.String()] = map[string]any{"outcome": st.outcome, "assessed": st.assessed, "lawful": st.lawful}
		}
		return audit.Record(ctx, act, audit.Event{
			Actor: act.Actor, At: act.Now, Act: "dossier.price_again", ObjectKind: "dossier", ObjectID: d.ID.String(), Reason: string(day),
			After: map[string]any{"charges": charges},
		})
	})
}
