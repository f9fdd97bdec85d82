package repricing

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/repricing/replay"
)

// repricingBatch is how many dossiers one job looks at.
const repricingBatch = 500

// outcome says how a repricing treats a charge; an empty outcome means that the due is lawful
// already.
type outcome string

const (
	reduced   outcome = "reduced"
	increased outcome = "increased"
	manual    outcome = "manual"
)

// step is the work of a repricing on one charge.
type step struct {
	charge                  dossiers.ChargeID
	outcome                 outcome
	assessed, lawful        int64
	refunded, waived, added int64
}

// movement sums the money that left a charge, and the charges that correct it, since the
// assessment.
type movement struct {
	gone    int64 // waived, given back, or promised back
	reduced int64 // waived or proposed for refund by earlier repricings, rejected refunds included
}

// stepFor decides about one difference. Reductions by earlier repricings count as done, even when a
// checker refused the refund: a repricing does not propose again a refund that a person rejected.
// Three cases are left to a person: a charge that a person gave back or waived for another reason,
// an increase after a reduction, and a reduction that changes the share of the budget. A further
// charge cannot express the last two.
func stepFor(diff dossiers.Difference, m movement) step {
	s := step{charge: diff.Charge, assessed: diff.Assessed.Due - m.reduced, lawful: diff.Lawful.Due.Minor}
	change := s.lawful - s.assessed
	switch {
	case change == 0:
	case m.gone > m.reduced, s.assessed < 0,
		change > 0 && m.reduced > 0,
		change < 0 && diff.Lawful.Subsidy.Minor != diff.Assessed.Subsidy:
		s.outcome = manual
	case change > 0:
		s.outcome, s.added = increased, change
	default:
		s.outcome = reduced
	}
	s.assessed = max(s.assessed, 0)
	return s
}

func chargesOf(list []dossiers.Difference) []dossiers.ChargeID {
	ids := make([]dossiers.ChargeID, len(list))
	for i, d := range list {
		ids[i] = d.Charge
	}
	return ids
}

// Reprice handles the next dossiers of an approved repricing, each in a transaction of its own, and
// queues the job for the dossiers after them. It may die at any point and run again. The
// transaction that adjusts a charge also records its item, and a repricing never adjusts a charge
// twice.
func (s *Service) Reprice(ctx context.Context, authority string, id ID) error {
	var (
		r    Repricing
		list []dossiers.Difference
		seen int
		end  replay.Place
	)
	err := postgres.ReadTx(ctx, s.DB.Pool, authority, func(tx pgx.Tx) (err error) {
		if r, err = selectRepricing(ctx, tx, ` where r.id = $1`, id); err != nil || r.Status != Approved {
			return err
		}
		list, seen, end, err = s.Replay.Differences(ctx, tx, authority, r.Policy, r.Period, r.place, repricingBatch)
		return err
	})
	if err != nil || r.Status != Approved {
		return err
	}
	maker := auth.Actor{Authority: authority, Role: auth.RoleAccountant, ID: r.RequestedBy}
	last := dossiers.ID{}
	for _, diff := range list {
		if diff.Dossier == last {
			continue
		}
		last = diff.Dossier
		err := postgres.InTx(ctx, s.DB, maker, func(act postgres.Act) error { return s.repriceDossier(ctx, act, r, diff.Dossier) })
		if err != nil {
			return err
		}
	}
	return postgres.InTx(ctx, s.DB, auth.System(authority), func(act postgres.Act) error {
		now, err := lockRepricing(ctx, act, id)
		if err != nil || now.Status != Approved || now.place != r.place { // another run of this batch was here
			return err
		}
		now.DossiersSeen += int64(seen)
		if seen == repricingBatch {
			now.place = end
			if err := updateRepricing(ctx, act, now); err != nil {
				return err
			}
			return s.queue(ctx, act, now)
		}
		now.Status, now.DoneAt = Done, &act.Now
		if err := updateRepricing(ctx, act, now); err != nil {
			return err
		}
		return s.record(ctx, act, now, "finish", "")
	})
}

// repriceDossier adjusts the charges of one dossier that this repricing has not handled yet.
func (s *Service) repriceDossier(ctx context.Context, act postgres.Act, r Repricing, id dossiers.ID) error {
	d, err := dossiers.LockByID(ctx, act, id)
	if err != nil {
		return err
	}
	list, err := s.Replay.DifferencesOf(ctx, act, d, r.Policy)
	if err != nil {
		return err
	}
	handled, err := handledBy(ctx, act, r.ID, chargesOf(list))
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(diff dossiers.Difference) bool { return slices.Contains(handled, diff.Charge) })
	why := grounds{repricing: r.ID, seed: r.ID.UUID(), note: "repricing " + r.ID.String() + ", policy " + r.Policy}
	_, err = s.adjust(ctx, act, d, list, why)
	return err
}

// grounds say why charges of a dossier are priced again: a repricing that two people decided, or a
// day that was reported.
type grounds struct {
	repricing ID
	day       schedule.Basis
	seed      uuid.UUID // derives the cause of a waiver, the same in every run
	note      string
}

// adjust makes a locked dossier owe the lawful dues and records a step per changed charge.
func (s *Service) adjust(
	ctx context.Context,
	act postgres.Act,
	d dossiers.Dossier,
	list []dossiers.Difference,
	why grounds,
) ([]step, error) {
	before, err := moved(ctx, act, chargesOf(list))
	if err != nil {
		return nil, err
	}
	captures, err := payments.CapturesOf(ctx, act, d.ID)
	if err != nil {
		return nil, err
	}
	w := reduction{captures: captures, items: make([][]refunds.Item, len(captures))}
	var steps []step
	for _, diff := range list {
		st := stepFor(diff, before[diff.Charge])
		if st.outcome == "" {
			continue
		}
		switch st.outcome {
		case increased:
			c, err := dossiers.Correct(ctx, act, d, diff)
			if err != nil {
				return nil, err
			}
			d.Charges = append(d.Charges, c)
		case reduced:
			w.reduce(d, &st)
		case manual: // a person decides; only the step is recorded
		}
		steps = append(steps, st)
	}
	if len(steps) == 0 {
		return nil, nil
	}
	if err := s.carryOut(ctx, act, d, why, w); err != nil {
		return nil, err
	}
	return steps, insertSteps(ctx, act, d, why, steps)
}

// reduction gathers the money that a dossier may get back: unpaid money first, then money of its
// captures, oldest first.
type reduction struct {
	captures []payments.Capture
	items    [][]refunds.Item // per capture
	waivers  []dossiers.Waiver
}

// reduce finds money for one charge. Charges that correct it were added last, so they are reduced
// first. When the money found is less than the reduction, the charge is left to a person.
func (w *reduction) reduce(d dossiers.Dossier, st *step) {
	family := make([]dossiers.Charge, 0, 2)
	for _, c := range slices.Backward(d.Charges) {
		if c.ID == st.charge || c.Corrects == st.charge {
			family = append(family, c)
		}
	}
	left := st.assessed - st.lawful
	var waivers []dossiers.Waiver
	for _, c := range family {
		if part := min(left, c.Outstanding()); part > 0 {
			waivers = append(waivers, dossiers.Waiver{Charge: c, Amount: part})
			st.waived += part
			left -= part
		}
	}
	found := make([][]refunds.Item, len(w.captures))
	for _, c := range family {
		for i, capture := range w.captures {
			for _, a := range capture.Allocations {
				if part := min(left, a.Amount-a.Reserved); a.Charge == c.ID && part > 0 {
					found[i] = append(found[i], refunds.Item{Charge: c.ID, Amount: part})
					st.refunded += part
					left -= part
				}
			}
		}
	}
	if left > 0 {
		st.outcome, st.refunded, st.waived = manual, 0, 0
		return
	}
	w.waivers = append(w.waivers, waivers...)
	for i := range found {
		w.items[i] = append(w.items[i], found[i]...)
	}
}

// carryOut waives unpaid money and proposes refunds of paid money. The maker of the repricing is
// the maker of its refunds; for a reported day the maker is the system. Another person decides
// about each refund. A waiver cancels the live payments of the dossier, because they ask for too
// much; a late capture becomes an excess and is proposed for refund.
func (s *Service) carryOut(ctx context.Context, act postgres.Act, d dossiers.Dossier, why grounds, w reduction) error {
	if len(w.waivers) > 0 {
		if err := s.Payments.CancelLive(ctx, act.As(auth.System(d.Authority)), d.ID); err != nil {
			return err
		}
		cause := uuid.NewSHA1(why.seed, d.ID[:])
		if err := dossiers.Waive(ctx, act, d, w.waivers, cause); err != nil {
			return err
		}
	}
	for i, items := range w.items {
		if len(items) == 0 {
			continue
		}
		_, err := s.Refunds.ProposeRepriced(ctx, act, d, w.captures[i], items, why.note)
		if err != nil {
			return err
		}
	}
	return nil
}
