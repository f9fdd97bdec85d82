package repricing

import (
	"context"

	"github.com/google/uuid"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/postgres"
)

// PriceAgain prices the charges of a dossier by the day of its acceptance or of
// its result, now that it was reported. Per charge it does what a repricing
// does: it waives what is unpaid, proposes OVERPAID for what is paid, or adds a
// charge with the difference; what people decided about it leaves to people.
// That is done once per dossier and day: running it again, or another report of
// the same day, changes nothing.
func (s *Service) PriceAgain(ctx context.Context, authority string, id dossiers.ID, day fees.Basis) error {
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
