package dossiers_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
)

// Nghệ An's 60% begins on 2023-11-07 and is for online dossiers only.
func TestRegisterPricesByTheDayOfSubmission(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	vietnam := calendar.HoChiMinh
	for i, tt := range []struct {
		name      string
		at        time.Time
		channel   string
		due, date string
	}{
		{"last second of the day before", time.Date(2023, 11, 6, 23, 59, 59, 999999999, vietnam), "online", "100000", "2023-11-06"},
		{"first second", time.Date(2023, 11, 7, 0, 0, 0, 0, vietnam), "online", "60000", "2023-11-07"},
		{"first second, told in UTC", time.Date(2023, 11, 6, 17, 0, 0, 0, time.UTC), "online", "60000", "2023-11-07"},
		{"at the counter", time.Date(2023, 11, 7, 9, 0, 0, 0, vietnam), "direct", "100000", "2023-11-07"},
		{"by post", time.Date(2023, 11, 7, 9, 0, 0, 0, vietnam), "postal", "100000", "2023-11-07"},
		{"last day", time.Date(2025, 7, 20, 23, 59, 59, 0, vietnam), "online", "60000", "2025-07-20"},
		{"the next policy", time.Date(2025, 7, 21, 0, 0, 0, 0, vietnam), "online", "0", "2025-07-21"},
	} {
		r := registration()
		r.Code = fmt.Sprintf("H41.12-231107-%04d", i)
		r.SubmittedAt, r.Channel = tt.at, tt.channel
		d := o.register(r)
		got := [2]string{fmt.Sprint(d.Totals().Due), d.PricingDate.String()}
		if want := [2]string{tt.due, tt.date}; got != want {
			t.Errorf("%s: due and pricing date %v, want %v", tt.name, got, want)
		}
	}
}

func TestRegisterAssesses(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	d := o.register(registration())
	want := dossiers.Totals{Gross: 100_000, Discount: 40_000, Due: 60_000, Outstanding: 60_000}
	if diff := cmp.Diff(d.Totals(), want); diff != "" {
		t.Errorf("totals (-got +want):\n%s", diff)
	}
	if got := d.Charges[0]; got.Policy != "NA-2023-60" || got.Kind != schedule.LePhi || len(got.Explanation.Applied) != 1 ||
		len(d.Receipts) != 0 {
		t.Errorf("charge %+v, receipts %v, want NA-2023-60 applied and no receipt", got, d.Receipts)
	}
	if diff := cmp.Diff(o.postings("assessment"), []string{
		"D M-RECEIVABLE 60000", "D M-DISCOUNT 40000 NA-2023-60", "C M-OBLIGATION 100000",
	}); diff != "" {
		t.Errorf("postings (-got +want):\n%s", diff)
	}
	list, err := o.Ledger(t.Context(), portal, d.Code)
	if err != nil || len(list) != 1 || len(list[0].Postings) != 3 || list[0].Postings[0].Running != 60_000 {
		t.Errorf("statement: got %+v, %v", list, err)
	}
	event := "dossier.register key_portal " + d.ID.String() +
		` {"due": 60000, "code": "H41.12-231107-0001", "gross": 100000, "discount": 40000}`
	if got := o.rows(
		`select act || ' ' || actor_id || ' ' || object_id || ' ' || "after"::text from audit.event where object_kind = 'dossier'`,
	); len(got) != 1 || got[0] != event {
		t.Errorf("audit: got %q", got)
	}
}

func TestRegisterIsIdempotent(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	first := o.register(registration())
	again := registration()
	again.SubmittedAt = again.SubmittedAt.UTC() // the same instant in other words
	d, created, err := o.Register(t.Context(), portal, again)
	if err != nil || created {
		t.Fatalf("again: created %t, %v", created, err)
	}
	if diff := cmp.Diff(d, first); diff != "" {
		t.Errorf("the answer to a repeat (-got +want):\n%s", diff)
	}
	found, err := o.Find(t.Context(), auditor, first.Code)
	if diff := cmp.Diff(found, first); err != nil || diff != "" {
		t.Errorf("Find: %v (-got +want):\n%s", err, diff)
	}
	for what, change := range map[string]func(*dossiers.Registration){
		"base":       func(r *dossiers.Registration) { base := int64(90_000); r.Items[0].Base = &base },
		"item":       func(r *dossiers.Registration) { r.Items = append(r.Items, r.Items...) },
		"agency":     func(r *dossiers.Registration) { r.Agency = "H41.13" },
		"channel":    func(r *dossiers.Registration) { r.Channel = "direct" },
		"time":       func(r *dossiers.Registration) { r.SubmittedAt = r.SubmittedAt.Add(time.Second) },
		"identifier": func(r *dossiers.Registration) { r.Applicant.Identifier = "040190001235" },
		"groups":     func(r *dossiers.Registration) { r.Applicant.Groups = []string{"ho_ngheo"} },
	} {
		r := registration()
		change(&r)
		if _, _, err := o.Register(t.Context(), portal, r); !errors.Is(err, dossiers.ErrOtherContent) {
			t.Errorf("other %s: got %v, want ErrOtherContent", what, err)
		}
	}
	if got := o.rows(`select count(*)::text from dossiers.charge`); got[0] != "1" {
		t.Errorf("charges: got %s, want 1", got[0])
	}
	// A key belongs to one request; another authority has keys and codes of its own.
	keyed := registration()
	keyed.Code, keyed.IdempotencyKey = "H41.12-231107-0002", "key-1"
	o.register(keyed)
	keyed.Code = "H41.12-231107-0003"
	if _, _, err := o.Register(t.Context(), portal, keyed); !errors.Is(err, dossiers.ErrKeyReused) {
		t.Errorf("key of another request: got %v, want ErrKeyReused", err)
	}
}

func TestConcurrentRegistrationsGiveOneDossier(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	const requests = 10
	var (
		group   sync.WaitGroup
		ids     [requests]dossiers.ID
		created [requests]bool
		errs    [requests]error
	)
	for i := range requests {
		group.Go(func() {
			var d dossiers.Dossier
			d, created[i], errs[i] = o.Register(context.WithoutCancel(t.Context()), portal, registration())
			ids[i] = d.ID
		})
	}
	group.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	made := 0
	for i := range requests {
		if created[i] {
			made++
		}
		if ids[i] != ids[0] || ids[i].IsZero() {
			t.Errorf("request %d got %v, want %v", i, ids[i], ids[0])
		}
	}
	if got := o.rows(
		`select (select count(*) from dossiers.dossier) || ' ' || (select count(*) from ledger.entry)`,
	); made != 1 ||
		got[0] != "1 1" {
		t.Errorf("created %d times, dossiers and entries %s, want one of each", made, got[0])
	}
}

// A fee of 0 is a complete, paid obligation with a receipt of 0.
func TestNothingDue(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	r := registration()
	r.SubmittedAt = time.Date(2026, 11, 20, 2, 0, 0, 0, time.UTC)
	d := o.register(r)
	if got, want := d.Totals(), (dossiers.Totals{Gross: 100_000, Discount: 100_000}); got != want {
		t.Errorf("totals: got %+v, want %+v", got, want)
	}
	if len(d.Receipts) != 1 || d.Receipts[0].Amount != 0 || d.Receipts[0].Kind != schedule.LePhi {
		t.Errorf("receipts: got %+v, want one of 0", d.Receipts)
	}
	if diff := cmp.Diff(o.postings("assessment"), []string{"D M-DISCOUNT 100000 NA-2025-00", "C M-OBLIGATION 100000"}); diff != "" {
		t.Errorf("postings (-got +want):\n%s", diff)
	}
}

// A subsidy leaves the fee as it is: the budget owes it in place of the payer.
func TestSubsidy(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	base := int64(100_000)
	d := o.register(dossiers.Registration{
		Authority: "H26", Code: "H26.01-260102-0001", Agency: "H26.01", Channel: "online", ServiceLevel: "toan_trinh",
		SubmittedAt: time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC), Applicant: dossiers.Applicant{Name: name},
		Items: []quote.ItemRequest{{FeeType: "P_CONG_BO_DN", Base: &base}},
	})
	if got, want := d.Totals(), (dossiers.Totals{Gross: 100_000, Subsidy: 100_000}); got != want {
		t.Errorf("totals: got %+v, want %+v", got, want)
	}
	if diff := cmp.Diff(o.postings("assessment"), []string{
		"D M-COLLECTED 100000 HN-2026-SUB", "C M-OBLIGATION 100000",
		"D A-SUBSIDY 100000 HN-2026-SUB", "C L-TAMTHU-PHI 100000 HN-2026-SUB",
	}); diff != "" {
		t.Errorf("postings (-got +want):\n%s", diff)
	}
}

func TestAddCharges(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	first := o.register(registration())
	base := int64(30_000)
	items := []quote.ItemRequest{{FeeType: "P_CONG_BO_DN", Base: &base, Assessed: &quote.Assessed{Ground: "an amount of the test"}}}
	d, err := o.AddCharges(t.Context(), portal, first.Code, items, "")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := d.Totals(), (dossiers.Totals{Gross: 130_000, Discount: 40_000, Due: 90_000, Outstanding: 90_000}); got != want {
		t.Errorf("totals: got %+v, want %+v", got, want)
	}
	found, err := o.Find(t.Context(), portal, first.Code)
	if diff := cmp.Diff(d, found); err != nil || diff != "" {
		t.Errorf("%v, answer and what is kept (-got +want):\n%s", err, diff)
	}
	if got := o.rows(`select count(*)::text from ledger.entry where cause_kind = 'assessment'`); got[0] != "2" {
		t.Errorf("assessments: got %s, want 2", got[0])
	}
	keyed, err := o.AddCharges(t.Context(), portal, first.Code, items, "supplement-1")
	if err != nil {
		t.Fatalf("AddCharges with a key: %v", err)
	}
	again, err := o.AddCharges(t.Context(), portal, first.Code, items, "supplement-1")
	if err != nil || len(again.Charges) != len(keyed.Charges) {
		t.Errorf("AddCharges with the same key = %d charges, %v, want the %d of the first", len(again.Charges), err, len(keyed.Charges))
	}
	if _, err := o.AddCharges(t.Context(), portal, first.Code, items[:0], "supplement-1"); !errors.Is(err, dossiers.ErrKeyReused) {
		t.Errorf("AddCharges with the same key and other items = %v, want ErrKeyReused", err)
	}
	if _, err := o.AddCharges(t.Context(), portal, first.Code, nil, ""); !errors.Is(err, dossiers.ErrInvalid) {
		t.Errorf("no items: got %v, want ErrInvalid", err)
	}
	if _, err := o.AddCharges(t.Context(), portal, "H41.12-231107-9999", items, ""); !errors.Is(err, dossiers.ErrNotFound) {
		t.Errorf("unknown dossier: got %v, want ErrNotFound", err)
	}
	if _, err := o.RecordStatus(t.Context(), portal, first.Code, dossiers.StatusReport{Status: dossiers.Withdrawn, At: today}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.AddCharges(t.Context(), portal, first.Code, items, ""); !errors.Is(err, dossiers.ErrUndeliverable) {
		t.Errorf("withdrawn dossier: got %v, want ErrUndeliverable", err)
	}
}

func TestRegisterRefuses(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	for what, tt := range map[string]struct {
		change func(*dossiers.Registration)
		want   error
	}{
		"authority of another": {func(r *dossiers.Registration) { r.Authority = "H26" }, dossiers.ErrAuthority},
		"code":                 {func(r *dossiers.Registration) { r.Code = "H41.12-231107-1" }, dossiers.ErrInvalid},
		"agency":               {func(r *dossiers.Registration) { r.Agency = "" }, dossiers.ErrInvalid},
		"name":                 {func(r *dossiers.Registration) { r.Applicant.Name = "" }, dossiers.ErrInvalid},
		"time":                 {func(r *dossiers.Registration) { r.SubmittedAt = time.Time{} }, dossiers.ErrInvalid},
		"no items":             {func(r *dossiers.Registration) { r.Items = nil }, dossiers.ErrInvalid},
		"too many items": {func(r *dossiers.Registration) {
			r.Items = make([]quote.ItemRequest, dossiers.MaxCharges+1)
		}, dossiers.ErrInvalid},
	} {
		r := registration()
		tt.change(&r)
		if _, _, err := o.Register(t.Context(), portal, r); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", what, err, tt.want)
		}
	}
	if _, _, err := o.Register(t.Context(), auditor, registration()); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("auditor: got %v, want ErrForbidden", err)
	}
	r := registration()
	r.Items[0].FeeType = "LP_NO_SUCH_FEE"
	if _, _, err := o.Register(t.Context(), portal, r); err == nil {
		t.Error("an unknown fee type was registered")
	}
	if got := o.rows(`select code from dossiers.dossier`); len(got) != 0 {
		t.Errorf("dossiers: got %v, want none", got)
	}
}

// On a closed day the assessment goes to the next open one.
func TestRegisterAfterClosing(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	if _, err := o.Owner.Exec(t.Context(), `insert into ledger.day_event (authority, business_date, number, change, at, approved_by)
		values ('H41', '2026-11-20', 0, 'close', now(), 'key_1')`); err != nil {
		t.Fatal(err)
	}
	o.register(registration())
	if got := o.rows(`select business_date::text from ledger.entry`); len(got) != 1 || got[0] != "2026-11-21" {
		t.Errorf("business dates: got %v, want 2026-11-21", got)
	}
}

// The portal names neither the price of a fee that the schedule fixes nor a
// day of its own choice for the price.
func TestScheduleAndClockAreTheAuthoritys(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	known, err := registry.KnownAuthorities()
	if err != nil {
		t.Fatal(err)
	}
	if err := registry.EnsureAuthorities(t.Context(), o.Owner, registry.ReachingBack(known, 400)); err != nil {
		t.Fatal(err)
	}
	passport := func(base int64, at time.Time) dossiers.Registration {
		r := registration()
		r.Channel, r.SubmittedAt, r.Items = "direct", at, []quote.ItemRequest{{FeeType: "LP_HO_CHIEU", Base: &base}}
		return r
	}
	for what, tt := range map[string]struct {
		base    int64
		at      time.Time
		want    error
		pointer string
	}{
		"base 1":              {1, today, quote.ErrFixedBase, "/items/0/base"},
		"base 0":              {0, today, quote.ErrFixedBase, "/items/0/base"},
		"2099":                {200_000, time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC), auth.ErrSubmittedAt, "/submission/submitted_at"},
		"1990":                {200_000, time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), auth.ErrSubmittedAt, "/submission/submitted_at"},
		"more than 5 minutes": {200_000, today.Add(5*time.Minute + time.Second), auth.ErrSubmittedAt, "/submission/submitted_at"},
		"more than 400 days":  {200_000, today.AddDate(0, 0, -401), auth.ErrSubmittedAt, "/submission/submitted_at"},
	} {
		r := passport(tt.base, tt.at)
		_, _, err := o.Register(t.Context(), portal, r)
		f, _ := fault.Of(err)
		if !errors.Is(err, tt.want) || f == nil || f.Fields[0].Pointer != tt.pointer {
			t.Errorf("%s: got %v, want %v at %s", what, err, tt.want, tt.pointer)
		}
		_, err = o.Fees.Quote(t.Context(), portal, quote.Request{Authority: "H41", Channel: schedule.Direct, SubmittedAt: tt.at, Items: r.Items})
		if !errors.Is(err, tt.want) {
			t.Errorf("quote, %s: got %v, want %v", what, err, tt.want)
		}
	}
	// The clock of the portal runs ahead: a report of this moment still moves the status.
	r := passport(150_000, today.Add(5*time.Minute))
	r.Items[0].Assessed = &quote.Assessed{Ground: "Quyết định 12/QĐ-CA"}
	o.register(r)
	d, err := o.RecordStatus(t.Context(), portal, r.Code, dossiers.StatusReport{Status: dossiers.Processing, At: today})
	if err != nil || d.Status != dossiers.Processing {
		t.Errorf("RecordStatus = %d, %v, want %d", d.Status, err, dossiers.Processing)
	}
	if d.Charges[0].Ground != "Quyết định 12/QĐ-CA" || d.Charges[0].Due != 150_000 {
		t.Errorf("the charge keeps %d on %q, want 150000 with its ground", d.Charges[0].Due, d.Charges[0].Ground)
	}
	// A repeat of a registration stays the same one after the bound has passed it.
	if err := registry.EnsureAuthorities(t.Context(), o.Owner, registry.ReachingBack(known, 1)); err != nil {
		t.Fatal(err)
	}
	if _, created, err := o.Register(t.Context(), portal, r); err != nil || created {
		t.Errorf("again: created %t, %v", created, err)
	}
}
