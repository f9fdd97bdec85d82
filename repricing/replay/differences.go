package replay

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/internal/calendar"
)

// Differences looks at the next dossiers of a period, at most limit, and lists
// what a policy made different: charges that it touched when they were assessed
// or would touch now. Dossiers whose service ended are left alone: the refund
// rules decide about those. end is where to go on; seen below limit means that
// there is nothing more.
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
	schedule, err := s.Fees.Schedule(ctx, tx, authority, p.To)
	if err != nil {
		return nil, 0, Place{}, err
	}
	q := pastQuery{authority: authority, period: p, after: after, policy: policy, asks: []fees.Schedule{schedule}, limit: limit}
	return s.differences(ctx, tx, q, schedule)
}

// DifferencesOf is Differences for one dossier, which the caller has locked.
func (s *Service) DifferencesOf(ctx context.Context, tx pgx.Tx, d dossiers.Dossier, policy string) ([]dossiers.Difference, error) {
	schedule, err := s.Fees.Schedule(ctx, tx, d.Authority, d.PricingDate)
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
		asks:      []fees.Schedule{schedule},
		limit:     1,
	}
	list, _, _, err := s.differences(ctx, tx, q, schedule)
	return list, err
}

// DifferencesByDay lists the charges of a locked dossier whose due is another
// now that the day of its acceptance or of its result is known. What a policy
// found wrong did to them is not asked here: that is decided by two people.
// Other days count as of now, so that it does not matter which is asked first.
func (s *Service) DifferencesByDay(
	ctx context.Context,
	tx pgx.Tx,
	d dossiers.Dossier,
	day fees.Basis,
) (list []dossiers.Difference, err error) {
	accepted, issued, err := dossiers.Milestones(ctx, tx, d.ID)
	if err != nil {
		return nil, err
	}
	schedule, err := s.Fees.Schedule(ctx, tx, d.Authority, dossiers.LastDay(d.PricingDate, accepted, issued))
	if err != nil {
		return nil, err
	}
	on, lawful := Period{d.PricingDate, d.PricingDate}, newPricer(d.Authority, schedule)
	q := pastQuery{authority: d.Authority, period: on, after: on.Begin(), only: d.ID, asks: []fees.Schedule{schedule}, limit: 1}
	_, _, err = s.readPast(ctx, tx, q, func(d past) error {
		if d.undeliverable != "" {
			return nil
		}
		without := d
		without.issued = calendar.Date{}
		if day == fees.ByAcceptance { // it comes before the result
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
	schedule fees.Schedule,
) (list []dossiers.Difference, seen int, end Place, err error) {
	lawful := newPricer(q.authority, schedule)
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
			touched := c.under || slices.ContainsFunc(now.item.Applied, func(a fees.Applied) bool { return a.Policy == q.policy })
			if now.ok && touched && now.sums != c.sums {
				list = append(list, dossiers.Difference{Dossier: d.id, Charge: c.id, Assessed: c.sums, Lawful: now.item})
			}
		}
		return nil
	})
	return list, seen, end, err
}
