package repricing_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/refunds/refundstest"
)

// byDay records a policy that collects percent of the business fee by some day of a dossier.
func (w *world) byDay(id string, basis schedule.Basis, percent int, window string) {
	w.T.Helper()
	p, err := schedule.ParsePolicy(fmt.Appendf(nil, `{
		"id": %q, "status": "in_force", "authority": {"code": "H41", "name": "HĐND tỉnh Nghệ An", "level": "province"},
		"territory": ["H41"], "legal_basis": {"number": "14/2023/NQ-HĐND", "kind": "nghi_quyet_hdnd"},
		"scope": {"mode": "fee_type_list", "fee_types": ["LP_DKKD"], "list_complete": true}, "pricing_date_basis": %q,
		"effect": {"kind": "share_of_base", "numerator": %d, "denominator": 100}, %s}`, id, basis, percent, window))
	w.Must(err)
	_, err = w.Fees.LoadPolicies(w.T.Context(), auth.Operator(province), []schedule.Policy{p})
	w.Must(err)
}

func (w *world) report(d dossiers.Dossier, status dossiers.Status, at time.Time) {
	w.T.Helper()
	_, err := w.Dossiers.RecordStatus(w.T.Context(), portal, d.Code, dossiers.StatusReport{Status: status, At: at})
	w.Must(err)
}

// days are the waiting jobs that price again.
func (w *world) days() (list []dossiers.PriceAgain) {
	w.T.Helper()
	for _, text := range w.Queued(dossiers.PriceAgain{}.Kind()) {
		var a dossiers.PriceAgain
		w.Must(json.Unmarshal([]byte(text), &a))
		list = append(list, a)
	}
	return list
}

// priceAgain works the jobs, each twice: it may die after its work and before it says so.
func (w *world) priceAgain(jobs ...dossiers.PriceAgain) {
	w.T.Helper()
	for _, a := range jobs {
		for range 2 {
			w.Must(w.Repricing.PriceAgain(w.T.Context(), a.Authority, a.Dossier, a.Day))
		}
	}
}

const always = `"valid_from": "2024-01-01"`

// TestDayOfAcceptanceComesOnce: the overpaid amount is proposed once, and later reports change
// nothing.
func TestDayOfAcceptanceComesOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.byDay("NA-ACC", schedule.ByAcceptance, 60, always)
	paid, unpaid := w.Business(), w.Business()
	w.Capture(w.Create(paid))
	waiting := w.Create(unpaid)
	if got := paid.Totals().Due; got != 100_000 {
		t.Fatalf("before the day is known: due %d, want 100000", got)
	}
	at := w.Clock.Now()
	for _, d := range []dossiers.Dossier{paid, unpaid} {
		w.report(d, dossiers.Accepted, at)
		w.report(d, dossiers.Accepted, at)                   // again
		w.report(d, dossiers.Accepted, at.Add(-time.Minute)) // late
		w.report(d, dossiers.Registered, at.Add(-time.Hour))
		w.report(d, dossiers.Processing, at.Add(time.Minute))
	}
	acceptance := w.days()
	if diff := cmp.Diff(acceptance, []dossiers.PriceAgain{
		{Authority: province, Dossier: paid.ID, Day: schedule.ByAcceptance},
		{Authority: province, Dossier: unpaid.ID, Day: schedule.ByAcceptance},
	}); diff != "" {
		t.Errorf("jobs (-got +want):\n%s", diff)
	}
	w.priceAgain(acceptance...)
	check := func(when string) {
		t.Helper()
		list := w.RefundsOf(paid)
		if len(list) != 1 {
			t.Fatalf("%s: got %d proposals, want 1", when, len(list))
		}
		r := list[0]
		got := []any{r.Reason, r.RequestedBy, r.Origin, r.Items}
		items := []refunds.Item{{Charge: paid.Charges[0].ID, Amount: 40_000}}
		if diff := cmp.Diff(got, []any{"OVERPAID", "system", refunds.Repriced, items}); diff != "" {
			t.Errorf("%s: proposal (-got +want):\n%s", when, diff)
		}
		if c := w.Find(unpaid.Code).Charges[0]; c.Due != 100_000 || c.Waived != 40_000 {
			t.Errorf("%s: unpaid charge: got due %d, waived %d; want 100000, 40000", when, c.Due, c.Waived)
		}
	}
	check("known")
	if got := w.Payment(waiting.ID).Payment.Status; got != "cancelled" {
		t.Errorf("the payment that waited for too much: got %s, want cancelled", got)
	}
	if got := w.acts("dossier", paid.ID.String()); !slices.Contains(got, "dossier.price_again") {
		t.Errorf("audit trail: got %q, want dossier.price_again in it", got)
	}

	// A later text of the policy and an earlier day change nothing that is done.
	w.byDay("NA-ACC", schedule.ByAcceptance, 20, always)
	_, err := w.DB.Owner.Exec(t.Context(), `delete from river.river_job`) // as River does with old ones
	w.Must(err)
	w.report(paid, dossiers.Accepted, at.Add(-48*time.Hour))
	w.report(unpaid, dossiers.Accepted, at.Add(time.Minute))
	if got := w.days(); len(got) != 0 {
		t.Errorf("jobs after the first day: got %v, want none", got)
	}
	w.priceAgain(acceptance...)
	check("reported late")

	// The system proposed; a person decides, and the money goes back.
	r := w.Approve(w.RefundsOf(paid)[0].ID)
	w.Send(r.ID)
	w.Clock.Advance(3 * time.Second)
	w.Inquire(r.ID)
	if c := w.Find(paid.Code).Charges[0]; c.Due != 100_000 || c.Paid != 100_000 || c.Refunded != 40_000 {
		t.Errorf("paid charge: got due %d, paid %d, refunded %d; want 100000, 100000, 40000", c.Due, c.Paid, c.Refunded)
	}
}

// TestDayReportedAtOnce: many at the same time are one.
func TestDayReportedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.byDay("NA-ISSUE", schedule.ByIssue, 60, always)
	d := w.Business()
	w.Capture(w.Create(d))
	at := w.Clock.Now()
	refundstest.AtOnce(t, 6, func(i int) error {
		status := []dossiers.Status{dossiers.Finished, dossiers.Returned}[i%2]
		_, err := w.Dossiers.RecordStatus(t.Context(), portal, d.Code,
			dossiers.StatusReport{Status: status, At: at.Add(-time.Duration(i) * time.Second)})
		return err
	})
	if got := w.days(); len(got) != 1 {
		t.Fatalf("jobs: got %d, want 1", len(got))
	}
	refundstest.AtOnce(t, 6, func(int) error { return w.Repricing.PriceAgain(t.Context(), province, d.ID, schedule.ByIssue) })
	if list := w.RefundsOf(d); len(list) != 1 || list[0].Amount.Minor != 40_000 {
		t.Errorf("got %+v, want one proposal of 40000", list)
	}
}

// TestTwoDaysInAnyOrder: acceptance lowers to 50, the result to 30; the order of the jobs does not matter.
func TestTwoDaysInAnyOrder(t *testing.T) {
	t.Parallel()
	for name, order := range map[string][]schedule.Basis{
		"in order": {schedule.ByAcceptance, schedule.ByIssue}, "out of order": {schedule.ByIssue, schedule.ByAcceptance},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.byDay("NA-ACC", schedule.ByAcceptance, 50, always)
			w.byDay("NA-ISSUE", schedule.ByIssue, 30, always)
			d := w.Business()
			w.report(d, dossiers.Finished, w.Clock.Now())
			w.report(d, dossiers.Accepted, w.Clock.Now().Add(-time.Minute)) // reported late
			if got := len(w.days()); got != 2 {
				t.Errorf("jobs: got %d, want 2", got)
			}
			for _, day := range order {
				w.priceAgain(dossiers.PriceAgain{Authority: province, Dossier: d.ID, Day: day})
			}
			if c := w.Find(d.Code).Charges[0]; c.Outstanding() != 30_000 || c.Waived != 70_000 {
				t.Errorf("got outstanding %d, waived %d; want 30000, 70000", c.Outstanding(), c.Waived)
			}
		})
	}
	t.Run("each when it comes", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.byDay("NA-ACC", schedule.ByAcceptance, 50, always)
		w.byDay("NA-ISSUE", schedule.ByIssue, 30, always)
		d := w.Business()
		w.Capture(w.Create(d))
		for _, status := range []dossiers.Status{dossiers.Accepted, dossiers.Finished} {
			w.report(d, status, w.Clock.Now())
			w.priceAgain(w.days()...)
		}
		var amounts []int64
		for _, r := range w.RefundsOf(d) {
			amounts = append(amounts, r.Amount.Minor)
		}
		slices.Sort(amounts)
		if diff := cmp.Diff(amounts, []int64{20_000, 50_000}); diff != "" {
			t.Errorf("proposals (-got +want):\n%s", diff)
		}
	})
}

// TestDayAsksForMore: where more is lawful, a further charge carries the difference.
func TestDayAsksForMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Policy("NA-SUBMITTED", 40)
	d := w.Business()
	w.Capture(w.Create(d))
	w.Policy("NA-SUBMITTED", 80)
	w.byDay("NA-ACC", schedule.ByAcceptance, 60, always)
	w.report(d, dossiers.Accepted, w.Clock.Now())
	w.priceAgain(w.days()...)
	d = w.Find(d.Code)
	if len(d.Charges) != 2 || d.Charges[1].Corrects != d.Charges[0].ID || d.Charges[1].Due != 20_000 || d.Charges[1].Outstanding() != 20_000 {
		t.Fatalf("got %+v, want a second charge of 20000 that corrects the first", d.Charges)
	}
	if list := w.RefundsOf(d); len(list) != 0 {
		t.Errorf("got %d proposals, want none", len(list))
	}
}

// TestDayLeavesTheRestToPeople: a policy found wrong, and a dossier whose service ended, are not for a day to adjust.
func TestDayLeavesTheRestToPeople(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Policy("NA-WRONG", 90)
	wrong, ended := w.Business(), w.Business()
	w.Capture(w.Create(wrong))
	w.Policy("NA-WRONG", 60)
	w.report(wrong, dossiers.Accepted, w.Clock.Now())
	if got := w.days(); len(got) != 0 {
		t.Errorf("jobs while no policy counts another day: got %d, want none", len(got))
	}
	w.priceAgain(dossiers.PriceAgain{Authority: province, Dossier: wrong.ID, Day: schedule.ByAcceptance})
	if list := w.RefundsOf(wrong); len(list) != 0 {
		t.Errorf("a policy found wrong: got %d proposals, want none", len(list))
	}
	w.byDay("NA-ISSUE", schedule.ByIssue, 10, always)
	w.report(ended, dossiers.Stopped, w.Clock.Now())
	w.report(ended, dossiers.Returned, w.Clock.Now())
	if got := w.days(); len(got) != 0 {
		t.Errorf("jobs of a dossier that ended: got %d, want none", len(got))
	}
	w.priceAgain(dossiers.PriceAgain{Authority: province, Dossier: ended.ID, Day: schedule.ByIssue})
	if c := w.Find(ended.Code).Charges[0]; c.Waived != 0 {
		t.Errorf("ended: got %d waived by its day, want nothing", c.Waived)
	}
}

// TestPricingDaysToTheSecond: a window is whole days in Viet Nam, by whichever day the policy counts; a repeal ends it early.
func TestPricingDaysToTheSecond(t *testing.T) {
	t.Parallel()
	const (
		whole = `"valid_from": "2024-04-10", "valid_to": "2024-04-20"`
		cut   = `"valid_from": "2024-04-10", "valid_to": "2024-04-15", "declared_valid_to": "2024-04-20"`
	)
	for basis, status := range map[schedule.Basis]dossiers.Status{
		schedule.BySubmission: 0, schedule.ByAcceptance: dossiers.Accepted, schedule.ByIssue: dossiers.Finished,
	} {
		for name, window := range map[string]string{"whole": whole, "cut": cut} {
			t.Run(string(basis)+" "+name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.byDay("NA-DAY", basis, 50, window)
				for i, tt := range []struct {
					at         string
					whole, cut int64
				}{
					{"2024-04-09T23:59:59.999999+07:00", 100_000, 100_000},
					{"2024-04-10T00:00:00+07:00", 50_000, 50_000},
					{"2024-04-10T23:59:59+07:00", 50_000, 50_000},
					{"2024-04-15T16:59:59Z", 50_000, 50_000}, // the last second of the 15th
					{"2024-04-15T17:00:00Z", 50_000, 100_000},
					{"2024-04-20T00:00:00+07:00", 50_000, 100_000},
					{"2024-04-20T23:59:59.999999+07:00", 50_000, 100_000},
					{"2024-04-21T00:00:00+07:00", 100_000, 100_000},
				} {
					at, err := time.Parse(time.RFC3339Nano, tt.at)
					w.Must(err)
					submitted := at
					if basis != schedule.BySubmission {
						submitted = calendar.MustParse("2024-04-01").Start()
					}
					base := int64(100_000)
					d, _, err := w.Dossiers.Register(t.Context(), portal, dossiers.Registration{
						Authority: province, Code: fmt.Sprintf("H41.12-240401-%04d", i), Agency: "H41.12", Channel: "online", SubmittedAt: submitted,
						Applicant: dossiers.Applicant{Name: "Người nộp"}, Items: []quote.ItemRequest{{FeeType: "LP_DKKD", Base: &base}},
					})
					w.Must(err)
					if basis != schedule.BySubmission {
						if got := d.Totals().Outstanding; got != 100_000 {
							t.Errorf("%s, not known yet: got %d, want 100000", tt.at, got)
						}
						w.report(d, status, at)
						w.priceAgain(dossiers.PriceAgain{Authority: province, Dossier: d.ID, Day: basis})
					}
					want := map[string]int64{"whole": tt.whole, "cut": tt.cut}[name]
					if got := w.Find(d.Code).Totals().Outstanding; got != want {
						t.Errorf("%s: got %d, want %d", tt.at, got, want)
					}
				}
			})
		}
	}
}
