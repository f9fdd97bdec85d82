package replay

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
)

// Differences reads the next dossiers of a period, at most limit, and lists the charges whose due a
// policy changes. It looks at charges that the policy touched at their assessment or would touch
// now. It skips dossiers whose service ended: the refund rules decide about those dossiers. The
// next call goes on after end; seen below limit means that no dossier is left.
func (s *Service) Differences(
	ctx context.Context,
	tx pgx.Tx,
	authority, policy string,
	p Period,
	after Place,
	limit int,
) (list []dossiers.Difference, seen int, end Place, err error) {
	if err := p.validate(); err != nil {
		return nil, 0, Place{}, err
	}
	norms, err := s.Fees.Schedule(ctx, tx, authority, p.To)
	if err != nil {
		return nil, 0, Place{}, err
	}
	q := pastQuery{authority: authority, period: p, after: after, policy: policy, asks: []quote.Schedule{norms}, limit: limit}
	return s.differences(ctx, tx, q, norms)
}

// DifferencesOf is Differences for one dossier, which the caller has locked.
func (s *Service) DifferencesOf(ctx context.Context, tx pgx.Tx, d dossiers.Dossier, policy string) ([]dossiers.Difference, error) {
	norms, err := s.Fees.Schedule(ctx, tx, d.Authority, d.PricingDate)
	if err != nil {
		return nil, err
	}
	on := Period{d.PricingDate, d.PricingDate}
	q := pastQuery{
		authority: d.Authority,
		period:    on,
		after:     on.Begin(),
		only:      d.ID,
		policy:    policy,
		asks:      []quote.Schedule{norms},
		limit:     1,
	}
	list, _, _, err := s.differences(ctx, tx, q, norms)
	return list, err
}

// DifferencesByDay lists the charges of a locked dossier whose due changes now that the day of its
// acceptance or of its result is known. It compares the price with the day and without the day. A
// difference that comes from a wrong policy is not listed: two people decide about a repricing. The
// other day counts as it is known now, so the order of the two calls does not matter.
func (s *Service) DifferencesByDay(
	ctx context.Context,
	tx pgx.Tx,
	d dossiers.Dossier,
	day schedule.Basis,
) (list []dossiers.Difference, err error) {
	accepted, issued, err := dossiers.Milestones(ctx, tx, d.ID)
	if err != nil {
		return nil, err
	}
	norms, err := s.Fees.Schedule(ctx, tx, d.Authority, dossiers.LastDay(d.PricingDate, accepted, issued))
	if err != nil {
		return nil, err
	}
	on, lawful := Period{d.PricingDate, d.PricingDate}, newPricer(d.Authority, norms)
	q := pastQuery{authority: d.Authority, period: on, after: on.Begin(), only: d.ID, asks: []quote.Schedule{norms}, limit: 1}
	_, _, err = s.readPast(ctx, tx, q, func(d past) error {
		if d.undeliverable != "" {
			return nil
		}
		without := d
		without.issued = calendar.Date{}
		if day == schedule.ByAcceptance { // it comes before the result
			without.accepted = calendar.Date{}
		}
		for i := range d.charges {
			c := &d.charges[i]
			now, err := lawful.price(&d, c)
			if err != nil {
				return err
			}
			before, err := lawful.price(&without, c)
			if err != nil {
				return err
			}
			if now.ok && before.sums.Due != now.sums.Due && now.sums != c.sums {
				list = append(list, dossiers.Difference{Dossier: d.id, Charge: c.id, Assessed: c.sums, Lawful: now.item})
			}
		}
		return nil
	})
	return list, err
}

func (s *Service) differences(
	ctx context.Context,
	tx pgx.Tx,
	q pastQuery,
	norms quote.Schedule,
) (list []dossiers.Difference, seen int, end Place, err error) {
	lawful := newPricer(q.authority, norms)
	seen, end, err = s.readPast(ctx, tx, q, func(d past) error {
		if d.undeliverable != "" {
			return nil
		}
		for i := range d.charges {
			c := &d.charges[i]
			now, err := lawful.price(&d, c)
			if err != nil {
				return err
			}
			touched := c.under || slices.ContainsFunc(now.item.Applied, func(a quote.Applied) bool { return a.Policy == q.policy })
			if now.ok && touched && now.sums != c.sums {
				list = append(list, dossiers.Difference{Dossier: d.id, Charge: c.id, Assessed: c.sums, Lawful: now.item})
			}
		}
		return nil
	})
	return list, seen, end, err
}
