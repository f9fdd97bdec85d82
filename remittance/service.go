package remittance

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/page"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
)

// entriesAtOnce bounds the entries of one call to the ledger.
const entriesAtOnce = 500

// Service holds the use cases of remittance.
type Service struct {
	DB   postgres.DB
	Fees *fees.Service
}

// Split divides the money that was collected up to a date and is not divided yet. Money that a refund has
// already taken is left out. The same request again returns the first split, and created is false. Splits and
// refunds of an authority wait for each other.
//
// ErrPeriodOrder when a later period is already divided. ErrNoRatio when the terms of a phí name no retained
// share on the last day of the period. ErrNothing when there is no money to divide.
func (s *Service) Split(ctx context.Context, actor auth.Actor, q SplitRequest) (split Split, created bool, err error) {
	if err := auth.Require(actor, auth.PermRemitPropose); err != nil {
		return Split{}, false, err
	}
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		created = false
		if err := q.validate(calendar.On(act.Now)); err != nil {
			return err
		}
		if err := lockAlone(ctx, act, actor.Authority); err != nil {
			return err
		}
		last, err := selectLast(ctx, act, q.Currency)
		switch {
		case err != nil:
			return err
		case last != nil && last.PeriodTo == q.PeriodTo:
			split, err = selectSplit(ctx, act, last.ID)
			return err
		case last != nil && last.PeriodTo.After(q.PeriodTo):
			return ErrPeriodOrder.With("%s is divided already", last.PeriodTo)
		}
		created = true
		split, err = s.divide(ctx, act, q, last)
		return err
	})
	return split, created, err
}

func (s *Service) divide(ctx context.Context, act postgres.Act, q SplitRequest, last *Split) (Split, error) {
	r, err := findReading(ctx, act, last)
	if err != nil {
		return Split{}, err
	}
	shares, err := selectCollected(ctx, act, q, r)
	if err != nil {
		return Split{}, err
	}
	if len(shares) == 0 {
		return Split{}, ErrNothing
	}
	if err := s.apply(ctx, act, act.Actor.Authority, q, shares); err != nil {
		return Split{}, err
	}
	split := Split{
		ID: ident.New[splitKind](), Authority: act.Actor.Authority, Currency: q.Currency, PeriodTo: q.PeriodTo,
		MadeAt: act.Now, MadeBy: act.Actor.ID,
	}
	if err := insertSplit(ctx, act, split, r.Horizon, shares); err != nil {
		return Split{}, err
	}
	date, err := ledger.OpenDate(ctx, act, act.Actor.Authority, q.PeriodTo)
	if err != nil {
		return Split{}, err
	}
	var entries []ledger.Entry
	for len(shares) > 0 {
		n := 1
		for n < len(shares) && shares[n].Dossier == shares[0].Dossier {
			n++
		}
		entries = append(entries, divided(split, shares[0].Dossier, shares[:n], date, act.Now, act.Actor.ID))
		shares = shares[n:]
	}
	for part := range slices.Chunk(entries, entriesAtOnce) {
		if _, err := ledger.Post(ctx, act, part...); err != nil {
			return Split{}, err
		}
	}
	if split, err = selectSplit(ctx, act, split.ID); err != nil {
		return Split{}, err
	}
	return split, audit.Record(ctx, act, audit.Event{
		Actor: act.Actor, At: act.Now, Act: "split.make", ObjectKind: "split", ObjectID: split.ID.String(),
		After: map[string]any{"period_to": split.PeriodTo, "currency": split.Currency, "parts": split.Parts},
	})
}

func (q SplitRequest) validate(today calendar.Date) error {
	if q.PeriodTo.IsZero() || !q.PeriodTo.Before(today) {
		return ErrInvalid.At("/period_to", "must be a day that is over")
	}
	return nil
}

// apply divides each share by its fee type's terms on the last day of the period.
func (s *Service) apply(ctx context.Context, tx pgx.Tx, authority string, q SplitRequest, shares []share) error {
	norms, err := s.Fees.Schedule(ctx, tx, authority, q.PeriodTo)
	if err != nil {
		return err
	}
	ratios := retentions(norms.FeeTypes, authority, q.PeriodTo)
	for i := range shares {
		x := &shares[i]
		x.Retention.share = schedule.Share{Denominator: 1} // lệ phí: nothing stays (Luật 97/2015/QH13)
		if x.Kind == schedule.Phi {
			known := false
			if x.Retention, known = ratios[x.FeeType]; !known {
				return ErrNoRatio.With("the terms of %s name no retained share on %s", x.FeeType, q.PeriodTo)
			}
		}
		retained, _, err := x.Retention.divide(money.Amount{Currency: q.Currency, Minor: x.Amount})
		if err != nil {
			return err
		}
		x.Retained = retained.Minor
	}
	return nil
}

// retentions finds the retained share of each fee type that has one in force;
// an authority's own fee type hides the national one.
func retentions(types []schedule.FeeType, authority string, on calendar.Date) map[string]retention {
	chosen := map[string]schedule.FeeType{}
	for _, f := range types {
		if earlier, known := chosen[f.Code]; !known || earlier.Territory != authority {
			chosen[f.Code] = f
		}
	}
	found := map[string]retention{}
	for code, f := range chosen {
		if terms, ok := f.TermsOn(on); ok && terms.Retained != nil {
			found[code] = retention{*terms.Retained, terms.LegalBasis}
		}
	}
	return found
}

// Find returns a split with its vouchers, or ErrNotFound.
func (s *Service) Find(ctx context.Context, actor auth.Actor, id SplitID) (split Split, err error) {
	if err := auth.Require(actor, auth.PermRemitRead); err != nil {
		return Split{}, err
	}
	err = postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) error {
		split, err = selectSplit(ctx, tx, id)
		return err
	})
	return split, err
}

// List returns splits of the actor's authority with their vouchers, newest first. next is zero at the end.
func (s *Service) List(ctx context.Context, actor auth.Actor, after SplitID, limit int) (list []Split, next SplitID, err error) {
	if err := auth.Require(actor, auth.PermRemitRead); err != nil {
		return nil, SplitID{}, err
	}
	limit = page.Limit(limit)
	err = postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) error {
		list, err = selectSplits(ctx, tx, `
			where s.authority = (select app.authority()) and ($1::uuid is null or s.id < $1) order by s.id desc limit $2`, after, limit+1)
		return err
	})
	list, next = page.Cut(list, limit, func(x Split) SplitID { return x.ID })
	return list, next, err
}
