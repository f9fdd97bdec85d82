// Package replay prices recorded dossiers again and writes nothing. A policy editor
// asks for a Preview (web/api): sums of a period before and after a policy. Package
// repricing asks for Differences: charges that owe another amount than is lawful.
//
// Dossiers whose price depends on the same facts are counted together by the
// database and priced once; each dossier alone would have the same price. The groups
// of an applicant are encrypted, so applicants are read only where a price asks for groups.
package replay

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/postgres"
)

// ErrPeriod: a period ends before it begins, or is open.
var ErrPeriod = fault.New(fault.Invalid, "repricing.period", "the period needs a first and a last day, in this order")

// Period is a range of pricing dates, both ends inclusive.
type Period struct{ From, To calendar.Date }

func (p Period) validate() error {
	if p.From.IsZero() || p.To.IsZero() || p.To.Before(p.From) {
		return ErrPeriod.At("/period", "needs from and to, in this order")
	}
	return nil
}

// Begin is the place before the first dossier of the period.
func (p Period) Begin() Place { return Place{Date: p.From} }

// Place is how far a reader of dossiers came: by pricing date, then by id.
type Place struct {
	Date    calendar.Date
	Dossier dossiers.ID
}

// Service prices recorded dossiers again.
type Service struct {
	DB       postgres.DB
	Fees     *fees.Service
	Dossiers *dossiers.Service
}

// past is a recorded dossier with its assessed charges.
type past struct {
	id            dossiers.ID
	code          string
	agency        string
	procedure     string
	channel       string
	level         string
	paying        string
	date          calendar.Date
	accepted      calendar.Date // zero: not yet, or no policy asks
	issued        calendar.Date
	undeliverable string
	charges       []pastCharge
	corrections   []pastCharge // only of a question: the charges that correct others, not yet added to them
}

// pastCharge is an assessed charge; sums include the charges that correct it.
type pastCharge struct {
	id       dossiers.ChargeID
	feeType  string
	quantity int64
	base     int64
	sums     dossiers.Sums
	groups   string // of the applicant, where the price may depend on them
	under    bool   // the policy asked about was applied
}

// pastQuery says which dossiers are read: the dossiers after a place, in order, or just one.
type pastQuery struct {
	authority string
	period    Period
	after     Place
	only      dossiers.ID // zero: all
	policy    string      // asked about; may be empty
	asks      []quote.Schedule
	limit     int
}

// selectPast reads one page. The lateral join keeps the plan at one index look-up per dossier: a hash
// join would read the whole table of charges for every page.
const selectPast = `
		with page as (
			select id, code, pricing_date, agency, procedure, channel, service_level, payment_channel, undeliverable, applicant
			from dossiers.dossier
			where authority = @authority and pricing_date between @from and @to and (pricing_date, id) > (@date::date, @id::uuid)
				and (@only::uuid is null or id = @only)
			order by pricing_date, id limit @limit)
		select p.id, p.code, p.pricing_date, p.agency, p.procedure, p.channel, p.service_level, p.payment_channel, p.undeliverable,
			m.accepted, m.issued,
			case when c.fee_type = any(@sensitive::text[]) then p.applicant end,
			c.id, c.corrects, c.fee_type, c.quantity, c.base, c.discount, c.subsidy, c.due, c.under
		from page p
		cross join lateral (
			select id, corrects, fee_type, quantity, base, discount, subsidy, due, line,
				@policy <> '' and explanation -> 'applied' @> jsonb_build_array(jsonb_build_object('policy', @policy::text)) as under
			from dossiers.charge where dossier_id = p.id offset 0) c
		left join lateral (
			select min(at) filter (where status = any(@accepted)) as accepted, min(at) filter (where status = any(@finished)) as issued
			from dossiers.status_event where @milestones and dossier_id = p.id) m on @milestones
		order by p.pricing_date, p.id, c.line`

// readPast calls each for every dossier of one page and returns how many there were and where the page ended.
func (s *Service) readPast(ctx context.Context, tx pgx.Tx, q pastQuery, each func(past) error) (seen int, end Place, err error) {
	//nolint:rowserrcheck // ForEachRow checks
	rows, err := tx.Query(ctx, selectPast, pgx.StrictNamedArgs{
		"authority": q.authority, "from": q.period.From, "to": q.period.To, "date": q.after.Date, "id": q.after.Dossier.UUID(),
		"only": q.only, "sensitive": sensitive(q.asks), "policy": q.policy, "limit": q.limit,
		"milestones": slices.ContainsFunc(q.asks, quote.Schedule.AsksForMilestones),
		"accepted":   dossiers.ReportsOf(schedule.ByAcceptance), "finished": dossiers.ReportsOf(schedule.ByIssue),
	})
	if err != nil {
		return 0, Place{}, err
	}
	var (
		d, row   past
		c        pastCharge
		sealed   []byte
		corrects dossiers.ChargeID
		accepted *time.Time
		issued   *time.Time
		quantity int32
		gathered = func() error {
			if d.id.IsZero() {
				return nil
			}
			seen++
			end = Place{d.date, d.id}
			return each(d)
		}
	)
	_, err = pgx.ForEachRow(rows, []any{
		&row.id, &row.code, &row.date, &row.agency, &row.procedure, &row.channel, &row.level, &row.paying, &row.undeliverable,
		&accepted, &issued, &sealed,
		&c.id, &corrects, &c.feeType, &quantity, &c.base, &c.sums.Discount, &c.sums.Subsidy, &c.sums.Due, &c.under,
	}, func() error {
		if row.id != d.id {
			if err := gathered(); err != nil {
				return err
			}
			charges := d.charges[:0]
			d = row
			d.charges, d.accepted, d.issued = charges, dayOf(accepted, row.date), dayOf(issued, row.date)
		}
		if !corrects.IsZero() {
			return d.correct(corrects, c.sums)
		}
		c.quantity, c.sums.Gross, c.groups = int64(quantity), c.base, ""
		if sealed != nil {
			if c.groups, err = s.Dossiers.GroupsOf(d.id, sealed); err != nil {
				return err
			}
		}
		d.charges = append(d.charges, c)
		return nil
	})
	if err == nil {
		err = gathered()
	}
	return seen, end, err
}

// correct adds the sums of a later charge to the charge that it corrects. The corrected charge has
// a smaller line number, so it was read before.
func (d *past) correct(charge dossiers.ChargeID, difference dossiers.Sums) error {
	for i := range d.charges {
		if d.charges[i].id == charge {
			d.charges[i].sums.Add(dossiers.Sums{Discount: difference.Discount, Subsidy: difference.Subsidy, Due: difference.Due})
			return nil
		}
	}
	return fault.New(fault.Internal, "repricing.correction", "a correction stands before its charge")
}

// dayOf is the day of a milestone. A milestone before the submission comes from a wrong clock and
// counts on the day of submission.
func dayOf(at *time.Time, submitted calendar.Date) calendar.Date {
	if at == nil {
		return calendar.Date{}
	}
	if day := calendar.On(*at); day.After(submitted) {
		return day
	}
	return submitted
}

// sensitive lists the fees whose price may depend on the applicant under any of the schedules.
func sensitive(schedules []quote.Schedule) []string {
	list := []string{}
	for _, s := range schedules {
		for _, f := range s.FeeTypes {
			if !slices.Contains(list, f.Code) && s.AsksForGroups(f.Code) {
				list = append(list, f.Code)
			}
		}
	}
	return list
}

// pricer prices past charges by one schedule. Many dossiers have the same facts, so it remembers
// the price of each item.
type pricer struct {
	authority string
	schedule  quote.Schedule
	agencies  bool // some policy is for some agencies only
	known     map[asked]answered
}

// mostKnown bounds the prices that a pricer remembers; when they are so many, it forgets all of
// them.
const mostKnown = 100_000

// asked holds all facts on which the price of one item depends, beside the schedule.
type asked struct {
	procedure, agency, channel, level, paying, feeType, groups string
	date, accepted, issued                                     calendar.Date
	unit, quantity                                             int64
}

type answered struct {
	item quote.Item
	sums dossiers.Sums
	ok   bool // false: the schedule holds no such fee on that date
}

func newPricer(authority string, norms quote.Schedule) *pricer {
	return &pricer{authority: authority, schedule: norms, agencies: norms.AsksForAgency(), known: map[asked]answered{}}
}

func (p *pricer) price(d *past, c *pastCharge) (answered, error) {
	ask := asked{
		procedure: d.procedure, channel: d.channel, level: d.level, paying: d.paying, feeType: c.feeType, groups: c.groups,
		date: d.date, accepted: d.accepted, issued: d.issued, unit: c.base / c.quantity, quantity: c.quantity,
	}
	if p.agencies {
		ask.agency = d.agency
	}
	if a, ok := p.known[ask]; ok {
		return a, nil
	}
	r := quote.Request{
		Authority: p.authority, Procedure: d.procedure, Channel: schedule.Channel(d.channel), Level: schedule.ServiceLevel(d.level),
		Agency: d.agency, PaymentChannel: schedule.PaymentChannel(d.paying),
		SubmittedAt: d.date.Start(), AcceptedAt: startOf(d.accepted), IssuedAt: startOf(d.issued), Groups: strings.Fields(c.groups),
		Items: []quote.ItemRequest{{FeeType: c.feeType, Base: &ask.unit, Quantity: c.quantity}},
	}
	q, err := quote.PriceKept(r, p.schedule)
	a := answered{ok: true}
	switch {
	case quote.ErrNoFeeType.Is(err):
		a.ok = false
	case err != nil:
		return answered{}, err
	default:
		a.item = q.Items[0]
		a.sums = sumsOf(a.item)
	}
	if len(p.known) >= mostKnown {
		clear(p.known)
	}
	p.known[ask] = a
	return a, nil
}

// startOf is the first moment of a day, and zero for none.
func startOf(d calendar.Date) time.Time {
	if d.IsZero() {
		return time.Time{}
	}
	return d.Start()
}

func sumsOf(i quote.Item) dossiers.Sums {
	return dossiers.Sums{Gross: i.Base.Minor, Discount: i.Discount.Minor, Subsidy: i.Subsidy.Minor, Due: i.Due.Minor}
}
