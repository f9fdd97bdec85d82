package replay

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
)

// This file reads recorded dossiers as questions: dossiers whose price depends
// on the same facts are counted together by the database, and priced once.

// questions says which dossiers of a period are read and on which facts their prices depend.
type questions struct {
	authority string
	period    Period
	turns     []calendar.Date // days between which every price stays as it is; the first is the period's
	sensitive []string        // fees whose price may depend on the applicant
	milestone bool            // some policy counts the day of acceptance or of the result
}

func questionsOf(authority string, p Period, schedules ...quote.Schedule) questions {
	q := questions{
		authority: authority, period: p, turns: []calendar.Date{p.From}, sensitive: sensitive(schedules),
		milestone: slices.ContainsFunc(schedules, quote.Schedule.AsksForMilestones),
	}
	for _, s := range schedules {
		q.turns = append(q.turns, s.Turns()...)
	}
	// No dossier was submitted before the period, and nothing happened to one before it was submitted.
	q.turns = slices.DeleteFunc(q.turns, p.From.After)
	slices.SortFunc(q.turns, calendar.Date.Compare)
	q.turns = slices.Compact(q.turns)
	return q
}

// pages lists the places of every size-th dossier of the period and of the
// last, each with the number of dossiers up to there.
func (q questions) pages(ctx context.Context, tx pgx.Tx, size int) ([]page, error) {
	rows, err := tx.Query(ctx, `
		select o.pricing_date, o.id, o.number
		from (
			select pricing_date, id, row_number() over w as number, lead(id) over w is null as last
			from dossiers.dossier
			where authority = @authority and pricing_date between @from and @to
			window w as (order by pricing_date, id)) o
		where o.number % @size = 0 or o.last
		order by o.number`,
		pgx.StrictNamedArgs{"authority": q.authority, "from": q.period.From, "to": q.period.To, "size": size})
	if err != nil {
		return nil, fmt.Errorf("read pages: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (p page, err error) {
		return p, row.Scan(&p.end.Date, &p.end.Dossier, &p.number)
	})
}

type page struct {
	end    Place
	number int64
}

// selectQuestions groups one page. An item is the text of one charge; a plus stands before a charge
// that corrects another. The inner select is one index look-up per dossier: a hash join would read
// all charges for each page. The applicant is encrypted, so the query returns the applicants of
// dossiers with a sensitive charge.
const selectQuestions = `
		select q.date, q.accepted, q.issued, q.agency, q.procedure, q.channel, q.service_level, q.payment_channel, q.items, count(*),
			array_agg(q.id) filter (where q.sensitive), array_agg(q.applicant) filter (where q.sensitive)
		from (
			select d.id, d.applicant, d.agency, d.procedure, d.channel, d.service_level, d.payment_channel, c.items, c.sensitive,
				width_bucket(d.pricing_date, @turns::date[]) as date,
				case when m.accepted is not null then width_bucket(greatest(m.accepted, d.pricing_date), @turns::date[]) end as accepted,
				case when m.issued is not null then width_bucket(greatest(m.issued, d.pricing_date), @turns::date[]) end as issued
			from dossiers.dossier d
			cross join lateral (
				select bool_or(i.fee_type = any(@sensitive::text[])) as sensitive,
					string_agg(case when i.corrects is null then '' else '+' end || i.fee_type || ' ' || i.quantity || ' ' || i.base || ' ' ||
						i.discount || ' ' || i.subsidy || ' ' || i.due, ',') as items
				from (select * from dossiers.charge where dossier_id = d.id order by line) i) c
			left join lateral (
				select (min(at) filter (where status = any(@accepted)) at time zone 'Asia/Ho_Chi_Minh')::date as accepted,
					(min(at) filter (where status = any(@finished)) at time zone 'Asia/Ho_Chi_Minh')::date as issued
				from dossiers.status_event where @milestones and dossier_id = d.id) m on @milestones
			where d.authority = @authority and d.pricing_date between @from and @to
				and (d.pricing_date, d.id) > (@date::date, @id::uuid) and (d.pricing_date, d.id) <= (@until::date, @until_id::uuid)
				and c.items is not null) q
		group by q.date, q.accepted, q.issued, q.agency, q.procedure, q.channel, q.service_level, q.payment_channel, q.items`

// question stands for dossiers with equal facts. Sealed holds their encrypted applicants where the
// price may depend on the applicant.
type question struct {
	date             int // bucket of turns
	accepted, issued *int
	facts            past
	items            string
	times            int64
	ids              []dossiers.ID
	sealed           [][]byte
}

// read lists the questions between two places.
func (q questions) read(ctx context.Context, tx pgx.Tx, after, until Place) ([]question, error) {
	rows, err := tx.Query(ctx, selectQuestions, pgx.StrictNamedArgs{
		"authority": q.authority, "from": after.Date, "to": until.Date, "date": after.Date, "id": after.Dossier.UUID(),
		"until": until.Date, "until_id": until.Dossier.UUID(), "turns": q.turns, "sensitive": q.sensitive,
		"milestones": q.milestone, "accepted": dossiers.ReportsOf(schedule.ByAcceptance), "finished": dossiers.ReportsOf(schedule.ByIssue),
	})
	if err != nil {
		return nil, fmt.Errorf("read questions: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (a question, err error) {
		f := &a.facts
		return a, row.Scan(
			&a.date,
			&a.accepted,
			&a.issued,
			&f.agency,
			&f.procedure,
			&f.channel,
			&f.level,
			&f.paying,
			&a.items,
			&a.times,
			&a.ids,
			&a.sealed,
		)
	})
}

// each reads the questions of every page; one page is priced while the database groups the next.
func (q questions) each(ctx context.Context, tx pgx.Tx, pages []page, price func(page page, list []question) error) error {
	// The planner cannot know that many dossiers are alike. It would sort a page to group it, which
	// is a fifth more work than hashing.
	if _, err := tx.Exec(ctx, `set local enable_sort = off`); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	grouped := make(chan []question)
	var broken error
	go func() {
		defer close(grouped)
		after := q.period.Begin()
		for _, page := range pages {
			var list []question
			if list, broken = q.read(ctx, tx, after, page.end); broken != nil {
				return
			}
			select {
			case grouped <- list:
			case <-ctx.Done():
				broken = ctx.Err()
				return
			}
			after = page.end
		}
	}()
	defer func() { // the goroutine must stop using tx before each returns
		stop()
		for range grouped {
		}
	}()
	for _, page := range pages {
		list, more := <-grouped
		if !more {
			break
		}
		if err := price(page, list); err != nil {
			return err
		}
	}
	for range grouped { // its end says that broken is written
	}
	return broken
}

// ask calls each with the facts of a question and the number of its dossiers, once for every set of
// groups among their applicants.
func (s *Service) ask(q questions, a question, each func(d past, times int64) error) error {
	d := a.facts
	d.date, d.accepted, d.issued = q.day(&a.date), q.day(a.accepted), q.day(a.issued)
	var err error
	if d.charges, d.corrections, err = itemsOf(a.items); err != nil {
		return err
	}
	if len(a.ids) == 0 {
		return each(d, a.times)
	}
	times := map[string]int64{}
	for i, id := range a.ids {
		groups, err := s.Dossiers.GroupsOf(id, a.sealed[i])
		if err != nil {
			return err
		}
		times[groups]++
	}
	for groups, n := range times {
		for i := range d.charges {
			if c := &d.charges[i]; slices.Contains(q.sensitive, c.feeType) {
				c.groups = groups
			}
		}
		if err := each(d, n); err != nil {
			return err
		}
	}
	return nil
}

// day is the first of the days that a bucket stands for.
func (q questions) day(bucket *int) calendar.Date {
	if bucket == nil {
		return calendar.Date{}
	}
	return q.turns[*bucket-1]
}

// itemsOf reads the text that selectQuestions made of the charges of a dossier.
func itemsOf(items string) (charges, corrections []pastCharge, err error) {
	for item := range strings.SplitSeq(items, ",") {
		item, correction := strings.CutPrefix(item, "+")
		fee, rest, _ := strings.Cut(item, " ")
		c := pastCharge{feeType: fee}
		for _, n := range []*int64{&c.quantity, &c.base, &c.sums.Discount, &c.sums.Subsidy, &c.sums.Due} {
			var number string
			number, rest, _ = strings.Cut(rest, " ")
			if *n, err = strconv.ParseInt(number, 10, 64); err != nil {
				return nil, nil, fmt.Errorf("read an item: %w", err)
			}
		}
		if correction {
			corrections = append(corrections, c)
			continue
		}
		c.sums.Gross = c.base
		charges = append(charges, c)
	}
	return charges, corrections, nil
}
