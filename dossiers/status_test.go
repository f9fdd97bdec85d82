package dossiers_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/auth"
)

func (o office) report(code string, status dossiers.Status, hour int, reason string) dossiers.Dossier {
	o.t.Helper()
	d, err := o.RecordStatus(o.t.Context(), portal, code, dossiers.StatusReport{
		Status: status, At: time.Date(2026, 11, 19, hour, 0, 0, 0, time.UTC), Reason: reason,
	})
	if err != nil {
		o.t.Fatalf("RecordStatus %d: %v", status, err)
	}
	return d
}

// Reports come late and twice: the newest wins, each is kept once.
func TestStatusOutOfOrder(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	code := o.register(registration()).Code
	var got []string
	for _, step := range []struct {
		status dossiers.Status
		hour   int
	}{
		{dossiers.Accepted, 2},
		{dossiers.Finished, 9},
		{dossiers.Processing, 5},
		{dossiers.Finished, 9},
		{dossiers.Accepted, 2},
		{dossiers.Returned, 10},
	} {
		d := o.report(code, step.status, step.hour, "")
		got = append(got, fmt.Sprintf("%d at %d, %s", d.Status, d.StatusAt.UTC().Hour(), d.Stage))
	}
	want := []string{
		"2 at 2, " + string(schedule.Processing), "9 at 9, " + string(schedule.Delivered), "9 at 9, " + string(schedule.Delivered),
		"9 at 9, " + string(schedule.Delivered), "9 at 9, " + string(schedule.Delivered), "10 at 10, " + string(schedule.Delivered),
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("status after each report (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(o.rows(`select status::text from dossiers.status_event order by at`), []string{"2", "4", "9", "10"}); diff != "" {
		t.Errorf("kept reports (-got +want):\n%s", diff)
	}
	if jobs := o.rows(`select kind from river.river_job`); len(jobs) != 0 {
		t.Errorf("jobs: got %v, want none", jobs)
	}
}

// A report from the future would hide every later one.
func TestStatusFromTheFuture(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	code := o.register(registration()).Code
	_, err := o.RecordStatus(
		t.Context(),
		portal,
		code,
		dossiers.StatusReport{Status: dossiers.Accepted, At: o.Service.DB.Now().Add(time.Hour)},
	)
	if !errors.Is(err, dossiers.ErrInvalid) {
		t.Errorf("RecordStatus in an hour = %v, want ErrInvalid", err)
	}
}

// The first report that ends the service queues one job, and no later one does.
func TestUndeliverableQueuesOneJob(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	for i, tt := range []struct {
		status       dossiers.Status
		reason, want string
	}{
		{dossiers.NotAccepted, "", "NOT_ACCEPTED"},
		{dossiers.Withdrawn, "", "WITHDRAWN"},
		{dossiers.Stopped, "", "REFUSED"},
		{dossiers.Stopped, "STOPPED", "STOPPED"},
		{dossiers.Processing, dossiers.ServiceImpossible, dossiers.ServiceImpossible},
	} {
		r := registration()
		r.Code = fmt.Sprintf("H41.12-231107-%04d", i)
		d := o.register(r)
		for _, hour := range []int{4, 4, 6} {
			if got := o.report(r.Code, tt.status, hour, tt.reason).Undeliverable; got != tt.want {
				t.Errorf("status %d %s: undeliverable %q, want %q", tt.status, tt.reason, got, tt.want)
			}
		}
		o.report(r.Code, dossiers.Withdrawn, 7, "")
		got := o.rows(`select kind || ' ' || args::text from river.river_job where args->>'dossier' = $1`, d.ID.String())
		want := fmt.Sprintf(`propose_dossier_refunds {"reason": %q, "dossier": %q, "authority": "H41"}`, tt.want, d.ID)
		if diff := cmp.Diff(got, []string{want}); diff != "" {
			t.Errorf("jobs (-got +want):\n%s", diff)
		}
	}
}

func TestRecordStatusRefuses(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	code := o.register(registration()).Code
	for what, r := range map[string]dossiers.StatusReport{
		"status 0": {Status: 0, At: today}, "status 11": {Status: 11, At: today}, "no time": {Status: 2},
	} {
		if _, err := o.RecordStatus(t.Context(), portal, code, r); !errors.Is(err, dossiers.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", what, err)
		}
	}
	ok := dossiers.StatusReport{Status: 2, At: today}
	if _, err := o.RecordStatus(t.Context(), auditor, code, ok); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("auditor: got %v, want ErrForbidden", err)
	}
	stranger := auth.Actor{Authority: "H26", Role: auth.RolePortal, ID: "key_other"}
	if _, err := o.RecordStatus(t.Context(), stranger, code, ok); !errors.Is(err, dossiers.ErrNotFound) {
		t.Errorf("another authority: got %v, want ErrNotFound", err)
	}
	if _, err := o.Find(t.Context(), stranger, code); !errors.Is(err, dossiers.ErrNotFound) {
		t.Errorf("another authority: got %v, want ErrNotFound", err)
	}
}

// Name and identifier are in no row of no table: not in audit, jobs or the book.
func TestPersonalDataIsSealed(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	d := o.register(registration())
	base := int64(30_000)
	items := []quote.ItemRequest{{FeeType: "P_CONG_BO_DN", Base: &base, Assessed: &quote.Assessed{Ground: "an amount of the test"}}}
	if _, err := o.AddCharges(t.Context(), portal, d.Code, items, ""); err != nil {
		t.Fatal(err)
	}
	o.report(d.Code, dossiers.Withdrawn, 4, "")
	if got := o.leaks(name, identifier); len(got) != 0 {
		t.Errorf("in clear: %v", got)
	}
	if got := o.leaks(d.Code); len(got) == 0 {
		t.Error("the search finds nothing at all")
	}
	// Equal identifiers can be looked up without opening anything.
	r := registration()
	r.Code = "H41.12-231107-0002"
	o.register(r)
	if got := o.rows(`select count(distinct applicant_key) || ' ' || count(distinct applicant) from dossiers.dossier`); got[0] != "1 2" {
		t.Errorf("distinct look-up keys and ciphertexts: got %s, want 1 2", got[0])
	}
}
