package replay

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
)

// previewPage is how many dossiers are read between two words of progress.
const previewPage = 50_000

// PreviewRequest asks how a policy would have priced the dossiers of a period. With AsWritten the
// policy counts on its own dates. Without AsWritten it counts throughout the period, and the
// policies that it replaces do not count.
type PreviewRequest struct {
	Policy    schedule.Policy
	Period    Period
	AsWritten bool
}

// PreviewRow sums dossiers of one key. Recorded sums the assessments, Before the prices by today's
// policies, After the prices by today's policies and the policy of the request. Changed counts
// dossiers whose due differs between Before and After.
type PreviewRow struct {
	Key      string
	Dossiers int64
	Changed  int64
	Recorded dossiers.Sums
	Before   dossiers.Sums
	After    dossiers.Sums
}

// Preview holds the sums in all, by procedure and by agency, in order of their codes. Unpriced
// counts charges for which the schedule holds no fee today: all three sums take their recorded
// amounts.
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
	err := postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) (err error) {
		found, err = s.preview(ctx, tx, actor.Authority, r, previewPage, progress)
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

func (s *Service) preview(
	ctx context.Context,
	tx pgx.Tx,
	authority string,
	r PreviewRequest,
	size int,
	progress func(done, total int64),
) (*previewing, error) {
	today, err := s.Fees.Schedule(ctx, tx, authority, r.Period.To)
	if err != nil {
		return nil, err
	}
	var from, to calendar.Date
	if !r.AsWritten {
		from, to = r.Period.From, r.Period.To
	}
	changed := today.Assuming(r.Policy, from, to)
	p := &previewing{
		before: newPricer(authority, today), after: newPricer(authority, changed),
		procedures: map[string]*PreviewRow{}, agencies: map[string]*PreviewRow{},
	}
	q := questionsOf(authority, r.Period, today, changed)
	pages, err := q.pages(ctx, tx, size)
	if err != nil {
		return nil, err
	}
	var total int64
	if len(pages) > 0 {
		total = pages[len(pages)-1].number
	} else if progress != nil {
		progress(0, 0)
	}
	return p, q.each(ctx, tx, pages, func(page page, list []question) error {
		for _, a := range list {
			if err := s.ask(q, a, p.add); err != nil {
				return err
			}
		}
		if progress != nil {
			progress(page.number, total)
		}
		return nil
	})
}

// add counts the dossiers that ask the same question. A correction is part of the recorded sums.
// When its fee has no price today, the correction is part of all three sums, like the charge.
func (p *previewing) add(d past, times int64) error {
	one := PreviewRow{Dossiers: 1}
	var unpriced []string
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
			unpriced = append(unpriced, c.feeType)
			before.sums, after.sums = c.sums, c.sums
		}
		one.Recorded.Add(c.sums)
		one.Before.Add(before.sums)
		one.After.Add(after.sums)
	}
	for _, c := range d.corrections {
		one.Recorded.Add(c.sums)
		if slices.Contains(unpriced, c.feeType) {
			one.Before.Add(c.sums)
			one.After.Add(c.sums)
		}
	}
	one.times(times)
	if one.Before.Due != one.After.Due {
		one.Changed = times
	}
	p.unpriced += int64(len(unpriced)) * times
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
	r.Recorded.Add(o.Recorded)
	r.Before.Add(o.Before)
	r.After.Add(o.After)
}

// times turns the row of one dossier into the row of n equal dossiers.
func (r *PreviewRow) times(n int64) {
	r.Dossiers *= n
	for _, s := range []*dossiers.Sums{&r.Recorded, &r.Before, &r.After} {
		s.Gross, s.Discount, s.Subsidy, s.Due = s.Gross*n, s.Discount*n, s.Subsidy*n, s.Due*n
	}
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
