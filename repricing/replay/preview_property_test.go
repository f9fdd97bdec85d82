package replay_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/repricing/replay"
)

// lot is a source of random facts that names its seed when a test fails.
type lot struct{ *rand.Rand }

func newLot(t *testing.T) lot {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return lot{rand.New(rand.NewPCG(seed, 0))}
}

func one[T any](l lot, of ...T) T { return of[l.IntN(len(of))] }

// moment is a second of the days about January 2024, often the first or last of a day in Viet Nam.
func (l lot) moment(from calendar.Date, days int) time.Time {
	day := from.AddDays(l.IntN(days)).Start()
	return one(l, day, day.Add(24*time.Hour-time.Microsecond), day.Add(time.Duration(l.IntN(86_400))*time.Second))
}

// policy is some policy that a preview may have to mind.
func (l lot) policy(t *testing.T, id string) schedule.Policy {
	t.Helper()
	from := calendar.MustParse("2023-12-20").AddDays(l.IntN(40))
	scope := map[string]any{
		"mode":          "fee_type_list",
		"fee_types":     []string{one(l, "LP_DKKD", "LP_HO_TICH", "P_NUOC_MAT")},
		"list_complete": true,
	}
	if l.IntN(3) == 0 {
		scope = map[string]any{
			"mode":       "procedure_list",
			"procedures": []string{one(l, "1.1", "1.2")},
			"fee_types":  []string{one(l, "LP_DKKD", "LP_HO_TICH")},
		}
	}
	if l.IntN(3) == 0 {
		scope["agencies"] = []string{one(l, "H41.1", "H41.2")}
	}
	document := map[string]any{
		"id":        id,
		"status":    "in_force",
		"authority": map[string]any{"code": "H41", "level": "province"},
		"territory": []string{"H41"},
		"legal_basis": map[string]any{
			"number": "1/NQ-HĐND",
		},
		"scope":              scope,
		"pricing_date_basis": one(l, "submission", "acceptance", "issue"),
		"effect":             map[string]any{"kind": "share_of_base", "numerator": l.IntN(100), "denominator": 100},
		"condition": map[string]any{
			"submission_channel": one(l, []string{"online"}, []string{"direct", "postal"}),
			"payment_channel":    one(l, "any", "any", "online"),
		},
		"valid_from": from,
		"valid_to":   from.AddDays(l.IntN(30)),
	}
	if l.IntN(2) == 0 {
		document["exempt_groups"] = map[string]any{
			"rule":   one(l, "legal_exemption_first", "applies_only_to_these"),
			"groups": []string{one(l, "ho_ngheo", "tre_em")},
		}
	}
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return parsed(t, string(text))
}

// facts describe one recorded dossier. The database holds its groups only encrypted, so the test
// keeps them here.
type facts struct {
	ask     quote.Request
	events  []event
	charges []chargeFacts
}

type event struct {
	status dossiers.Status
	at     time.Time
}

type chargeFacts struct {
	fee                    string
	quantity, unit         int64
	discount, subsidy, due int64
	corrects               bool // the first charge
}

// facts need not be lawful. Acceptance and result are reported up to twice, sometimes by a clock that went wrong.
func (l lot) facts() facts {
	f := facts{ask: quote.Request{
		Authority: "H41",
		Agency:    fmt.Sprintf("H41.%d", 1+l.IntN(3)),
		Procedure: one(l, "", "1.1", "1.2", "1.3"),
		Channel:   one(l, schedule.Online, schedule.Direct, schedule.Postal),
		Level: one(
			l,
			"",
			schedule.ToanTrinh,
		),
		PaymentChannel: one(l, "", schedule.PaidOnline, schedule.PaidCash),
		SubmittedAt:    l.moment(calendar.MustParse("2023-12-25"), 45),
		Groups:         one(l, nil, nil, []string{"ho_ngheo"}, []string{"tre_em", "ho_ngheo"}),
	}}
	for _, m := range []struct {
		at     *time.Time
		status []dossiers.Status
	}{{&f.ask.AcceptedAt, []dossiers.Status{dossiers.Accepted}}, {&f.ask.IssuedAt, []dossiers.Status{dossiers.Finished, dossiers.Returned}}} {
		for range l.IntN(3) {
			at := l.moment(calendar.On(f.ask.SubmittedAt).AddDays(-2), 30)
			f.events = append(f.events, event{one(l, m.status...), at})
			if at.Before(f.ask.SubmittedAt) {
				at = f.ask.SubmittedAt
			}
			if m.at.IsZero() || at.Before(*m.at) {
				*m.at = at
			}
		}
	}
	for range 1 + l.IntN(3) {
		c := chargeFacts{
			fee:      one(l, "LP_DKKD", "LP_HO_TICH", "P_NUOC_MAT", "LP_TAM"),
			quantity: 1 + l.Int64N(2),
			unit:     one[int64](l, 0, 50_000, 100_000),
		}
		base := c.unit * c.quantity
		c.discount = l.Int64N(base + 1)
		c.subsidy = l.Int64N(base - c.discount + 1)
		c.due = base - c.discount - c.subsidy
		f.charges = append(f.charges, c)
	}
	if l.IntN(4) == 0 {
		more := 1 + l.Int64N(1000)
		f.charges = append(f.charges, chargeFacts{fee: f.charges[0].fee, quantity: 1, discount: -more, due: more, corrects: true})
	}
	return f
}

// record writes n dossiers beside the rules; two in three repeat an earlier one.
func (o office) record(l lot, n int) []facts {
	o.t.Helper()
	list := make([]facts, n)
	for i := range list {
		list[i] = l.facts()
		if i > 0 && l.IntN(3) > 0 {
			list[i] = list[l.IntN(i)]
		}
		f, id := list[i], uuid.Must(uuid.NewV7())
		text, err := json.Marshal(dossiers.Applicant{Name: name, Groups: f.ask.Groups})
		if err != nil {
			o.t.Fatal(err)
		}
		sealed, err := o.Dossiers.Secret.Encrypt(text, "dossiers.dossier/applicant/"+dossiers.ID(id).String())
		if err != nil {
			o.t.Fatal(err)
		}
		batch := &pgx.Batch{}
		batch.Queue(`
			insert into dossiers.dossier (id, authority, code, agency, procedure, channel, service_level, payment_channel, submitted_at,
				pricing_date, currency, applicant, status, status_at, stage, request_hash, created_at, created_by)
			values ($1, 'H41', $2, $3, $4, $5, $6, $7, $8, $9, 'VND', $10, 1, now(), 'before_acceptance', sha256(''), now(), 'test')`,
			id, fmt.Sprintf("H41.12-240101-%08d", i), f.ask.Agency, f.ask.Procedure, f.ask.Channel, f.ask.Level, f.ask.PaymentChannel,
			f.ask.SubmittedAt, calendar.On(f.ask.SubmittedAt), sealed)
		for _, e := range f.events {
			batch.Queue(`insert into dossiers.status_event (id, authority, dossier_id, status, at, recorded_at, recorded_by)
				values (gen_random_uuid(), 'H41', $1, $2, $3, now(), 'test') on conflict do nothing`, id, e.status, e.at)
		}
		first := uuid.Must(uuid.NewV7())
		for line, c := range f.charges {
			key, corrects := uuid.Must(uuid.NewV7()), (*uuid.UUID)(nil)
			if line == 0 {
				key = first
			}
			if c.corrects {
				corrects = &first
			}
			batch.Queue(
				`insert into dossiers.charge (id, authority, dossier_id, line, fee_type, kind, quantity, base, discount, subsidy, due,
					currency, explanation, corrects, created_at)
				values ($1, 'H41', $2, $3, $4, 'le_phi', $5, $6, $7, $8, $9, 'VND', '{}', $10, now())`,
				key,
				id,
				line+1,
				c.fee,
				c.quantity,
				c.unit*c.quantity,
				c.discount,
				c.subsidy,
				c.due,
				corrects,
			)
		}
		if err := o.Owner.SendBatch(o.t.Context(), batch).Close(); err != nil {
			o.t.Fatal(err)
		}
	}
	return list
}

// oneByOne is the preview as its definition says it: each dossier priced by itself at its own times.
func oneByOne(t *testing.T, list []facts, p replay.Period, today, changed quote.Schedule) replay.Preview {
	t.Helper()
	want := replay.Preview{Procedures: []replay.PreviewRow{}, Agencies: []replay.PreviewRow{}} // also when nothing is in the period
	rows := map[string]map[string]*replay.PreviewRow{"procedure": {}, "agency": {}}
	for _, f := range list {
		if !calendar.On(f.ask.SubmittedAt).Within(p.From, p.To) {
			continue
		}
		row := replay.PreviewRow{Dossiers: 1}
		for _, c := range f.charges {
			recorded := dossiers.Sums{Gross: c.unit * c.quantity, Discount: c.discount, Subsidy: c.subsidy, Due: c.due}
			add(&row.Recorded, recorded)
			before, okBefore := priceOf(t, f, c, today)
			after, okAfter := priceOf(t, f, c, changed)
			switch {
			case !okBefore || !okAfter:
				add(&row.Before, recorded)
				add(&row.After, recorded)
				if !c.corrects {
					want.Unpriced++
				}
			case !c.corrects:
				add(&row.Before, before)
				add(&row.After, after)
			}
		}
		if row.Before.Due != row.After.Due {
			row.Changed = 1
		}
		for _, total := range []*replay.PreviewRow{&want.Total, rowOf(rows["procedure"], f.ask.Procedure), rowOf(rows["agency"], f.ask.Agency)} {
			total.Dossiers += row.Dossiers
			total.Changed += row.Changed
			add(&total.Recorded, row.Recorded)
			add(&total.Before, row.Before)
			add(&total.After, row.After)
		}
	}
	for _, key := range []string{"", "1.1", "1.2", "1.3"} {
		if row, ok := rows["procedure"][key]; ok {
			want.Procedures = append(want.Procedures, *row)
		}
	}
	for _, key := range []string{"H41.1", "H41.2", "H41.3"} {
		if row, ok := rows["agency"][key]; ok {
			want.Agencies = append(want.Agencies, *row)
		}
	}
	return want
}

func priceOf(t *testing.T, f facts, c chargeFacts, s quote.Schedule) (dossiers.Sums, bool) {
	t.Helper()
	f.ask.Items = []quote.ItemRequest{{FeeType: c.fee, Base: &c.unit, Quantity: c.quantity}}
	q, err := quote.PriceKept(f.ask, s)
	if quote.ErrNoFeeType.Is(err) {
		return dossiers.Sums{}, false
	}
	if err != nil {
		t.Fatal(err)
	}
	return dossiers.Sums{Gross: q.Gross.Minor, Discount: q.Discount.Minor, Subsidy: q.Subsidy.Minor, Due: q.Due.Minor}, true
}

func add(to *dossiers.Sums, s dossiers.Sums) {
	to.Gross, to.Discount, to.Subsidy, to.Due = to.Gross+s.Gross, to.Discount+s.Discount, to.Subsidy+s.Subsidy, to.Due+s.Due
}

func rowOf(rows map[string]*replay.PreviewRow, key string) *replay.PreviewRow {
	if rows[key] == nil {
		rows[key] = &replay.PreviewRow{Key: key}
	}
	return rows[key]
}

// TestPreviewIsOneByOne: dossiers are counted together only where each alone would have had the same price.
func TestPreviewIsOneByOne(t *testing.T) {
	t.Parallel()
	l, o := newLot(t), newOffice(t)
	var policies []schedule.Policy
	for i := range 6 {
		policies = append(policies, l.policy(t, fmt.Sprintf("NA-%d", i)))
	}
	if _, err := o.Fees.LoadPolicies(t.Context(), auth.Operator("H41"), policies); err != nil {
		t.Fatal(err)
	}
	_, err := o.Fees.LoadFeeTypes(t.Context(), auth.Operator("H41"), []schedule.FeeType{
		{ // on some days only
			Code:        "LP_TAM",
			Name:        "Lệ phí tạm",
			Territory:   "H41",
			Kind:        schedule.LePhi,
			SetBy:       schedule.SetByCouncil,
			CollectedBy: schedule.CollectedLocal,
			Rates:       []schedule.Rate{{ValidFrom: calendar.MustParse("2024-01-05"), ValidTo: calendar.MustParse("2024-01-20")}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	list := o.record(l, 400)
	changes := int64(0)
	for range 30 {
		p := replay.Period{From: calendar.MustParse("2023-12-24").AddDays(l.IntN(20))}
		p.To = p.From.AddDays(l.IntN(40))
		r := replay.PreviewRequest{Policy: l.policy(t, one(l, "NA-0", "NA-DRAFT")), Period: p, AsWritten: l.IntN(2) == 0}
		var today quote.Schedule
		err := postgres.ReadTx(t.Context(), o.App, "H41", func(tx pgx.Tx) (err error) {
			today, err = o.Fees.Schedule(t.Context(), tx, "H41", p.To)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		from, to := p.From, p.To
		if r.AsWritten {
			from, to = calendar.Date{}, calendar.Date{}
		}
		var told, all int64
		got, err := o.PreviewInPages(t.Context(), "H41", r, one(l, 1, 7, 50, 1000), func(done, total int64) { told, all = done, total })
		if err != nil {
			t.Fatal(err)
		}
		if told != all || all != got.Total.Dossiers {
			t.Errorf("progress: got %d of %d at the end, want %d", told, all, got.Total.Dossiers)
		}
		want := oneByOne(t, list, p, today, today.Assuming(r.Policy, from, to))
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("preview of %s to %s (-grouped +one by one):\n%s", p.From, p.To, diff)
		}
		changes += got.Total.Changed
	}
	if changes == 0 {
		t.Error("no draft changed anything: the facts are too tame to show a difference")
	}
}
