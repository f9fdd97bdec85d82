package dossiers

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
)

// previewPage is how many dossiers are read between two words of progress.
const previewPage = 20_000

// PreviewRequest asks what a policy would have done to the dossiers of a
// period. AsWritten keeps the policy's own dates; else it counts throughout the
// period and those that it replaces do not.
type PreviewRequest struct {
	Policy    fees.Policy
	Period    Period
	AsWritten bool
}

// PreviewRow sums dossiers of one key. Recorded is what was assessed, Before
// what today's policies ask for the same dossiers, After what they would ask
// with the policy. Changed counts dossiers whose sum due differs between the
// last two.
type PreviewRow struct {
	Key      string
	Dossiers int64
	Changed  int64
	Recorded Sums
	Before   Sums
	After    Sums
}

// Preview is what a policy would have done, in all and by procedure and agency
// in order of their codes. Unpriced counts charges for which the schedule holds
// no fee any more: they stand in all sums as recorded.
type Preview struct {
	Total      PreviewRow
	Procedures []PreviewRow
	Agencies   []PreviewRow
	Unpriced   int64
}

// Preview replays a policy over the recorded dossiers of the actor's authority
// and keeps nothing. It sees one moment, reads page by page in bounded memory
// and tells progress after each page; progress may be nil. Needs
// auth.PermPolicyPreview. Faults: ErrPeriod.
func (s *Service) Preview(ctx context.Context, actor auth.Actor, r PreviewRequest, progress func(done, total int64)) (Preview, error) {
	if err := auth.Require(actor, auth.PermPolicyPreview); err != nil {
		return Preview{}, err
	}
	if err := r.Period.validate(); err != nil {
		return Preview{}, err
	}
	var found *previewing
	err := postgres.ReadTx(ctx, s.DB, actor.Authority, func(tx pgx.Tx) (err error) {
		found, err = s.preview(ctx, tx, actor.Authority, r, progress)
		return err
	})
	if err != nil {
		return Preview{}, err
	}
	return found.preview(), nil
}

type previewing struct {
	before, after *pricer
	total         PreviewRow
	procedures    map[string]*PreviewRow
	agencies      map[string]*PreviewRow
	unpriced      int64
}

func (s *Service) preview(ctx context.Context, tx pgx.Tx, authority string, r PreviewRequest, progress func(done, total int64)) (*previewing, error) {
	today, err := s.Fees.Schedule(ctx, tx, authority, r.Period.To)
	if err != nil {
		return nil, err
	}
	var from, to calendar.Date
	if !r.AsWritten {
		from, to = r.Period.From, r.Period.To
	}
	changed := today.Assuming(r.Policy, from, to)
	var total int64
	err = tx.QueryRow(ctx, `select count(*) from dossiers.dossier where authority = $1 and pricing_date between $2 and $3`,
		authority, r.Period.From, r.Period.To).Scan(&total)
	if err != nil {
		return nil, err
	}
	p := &previewing{
		before: newPricer(authority, today), after: newPricer(authority, changed),
		procedures: map[string]*PreviewRow{}, agencies: map[string]*PreviewRow{},
	}
	q := pastQuery{authority: authority, period: r.Period, after: r.Period.Begin(), asks: []fees.Schedule{today, changed}, limit: previewPage}
	for {
		seen, end, err := s.readPast(ctx, tx, q, p.add)
		if err != nil {
			return nil, err
		}
		if progress != nil {
			progress(p.total.Dossiers, total)
		}
		if seen < previewPage {
			return p, nil
		}
		q.after = end
	}
}

func (p *previewing) add(d past) error {
	one := PreviewRow{Dossiers: 1}
	for i := range d.charges {
		c := &d.charges[i]
		before, err := p.before.price(&d, c)
		if err != nil {
			return err
		}
		after, err := p.after.price(&d, c)
		if err != nil {
			return err
		}
		if !before.ok || !after.ok {
			p.unpriced++
			before.sums, after.sums = c.sums, c.sums
		}
		one.Recorded.add(c.sums)
		one.Before.add(before.sums)
		one.After.add(after.sums)
	}
	if one.Before.Due != one.After.Due {
		one.Changed = 1
	}
	p.total.add(one)
	rowOf(p.procedures, d.procedure).add(one)
	rowOf(p.agencies, d.agency).add(one)
	return nil
}

func rowOf(rows map[string]*PreviewRow, key string) *PreviewRow {
	row, ok := rows[key]
	if !ok {
		row = &PreviewRow{Key: key}
		rows[key] = row
	}
	return row
}

func (r *PreviewRow) add(o PreviewRow) {
	r.Dossiers += o.Dossiers
	r.Changed += o.Changed
	r.Recorded.add(o.Recorded)
	r.Before.add(o.Before)
	r.After.add(o.After)
}

func (p *previewing) preview() Preview {
	return Preview{Total: p.total, Procedures: inOrder(p.procedures), Agencies: inOrder(p.agencies), Unpriced: p.unpriced}
}

func inOrder(rows map[string]*PreviewRow) []PreviewRow {
	list := make([]PreviewRow, 0, len(rows))
	for row := range maps.Values(rows) {
		list = append(list, *row)
	}
	slices.SortFunc(list, func(a, b PreviewRow) int { return cmp.Compare(a.Key, b.Key) })
	return list
}
