package replay_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/repricing/replay"
)

var editor = auth.Actor{Authority: "H41", Role: auth.RolePolicyEditor, ID: "key_editor"}

// draft asks for half of two fees, for next year, in place of the policy of 60/100.
const draft = `{
	"id": "NA-2027-50", "status": "draft", "authority": {"code": "H41", "name": "HĐND tỉnh Nghệ An", "level": "province"},
	"territory": ["H41"], "legal_basis": {"number": "", "kind": "nghi_quyet_hdnd"},
	"scope": {"mode": "fee_type_list", "fee_types": ["LP_DKKD", "LP_HO_TICH"], "list_complete": true},
	"condition": {"submission_channel": ["online"]},
	"effect": {"kind": "share_of_base", "numerator": 50, "denominator": 100},
	"valid_from": "2027-01-01", "valid_to": "2027-12-31", "replaces": ["NA-2023-60"]}`

func parsed(t testing.TB, text string) schedule.Policy {
	t.Helper()
	p, err := schedule.ParsePolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPreview(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	base := int64(100_000)
	add := func(serial int, agency, procedure, channel string, day time.Time, fee string, groups ...string) {
		r := registration()
		r.Code, r.Agency, r.Procedure, r.Channel, r.SubmittedAt = fmt.Sprintf(
			"H41.12-231107-%04d",
			serial,
		), agency, procedure, channel, day
		r.Items = []quote.ItemRequest{{FeeType: fee, Base: &base, Assessed: &quote.Assessed{Ground: "an amount of the test"}}}
		r.Applicant.Groups = groups
		o.register(r)
	}
	// The last second of a day in Viet Nam is still that day.
	last := time.Date(2024, 1, 31, 23, 59, 59, 0, calendar.HoChiMinh)
	add(1, "H41.1", "1.000001", "online", last, "LP_DKKD")
	add(2, "H41.1", "1.000001", "direct", last, "LP_DKKD")
	add(3, "H41.2", "1.000002", "online", last, "LP_HO_TICH")
	add(4, "H41.2", "1.000002", "online", last, "LP_HO_TICH", "ho_ngheo") // exempt by law, as it was
	add(5, "H41.2", "1.000002", "online", last.Add(time.Second), "LP_DKKD")

	var told []string
	got, err := o.Preview(t.Context(), editor, replay.PreviewRequest{
		Policy: parsed(t, draft), Period: replay.Period{From: calendar.MustParse("2024-01-31"), To: calendar.MustParse("2024-01-31")},
	}, func(done, total int64) { told = append(told, fmt.Sprintf("%d/%d", done, total)) })
	if err != nil {
		t.Fatal(err)
	}
	sums := func(gross, discount, due int64) dossiers.Sums {
		return dossiers.Sums{Gross: gross, Discount: discount, Due: due}
	}
	first := replay.PreviewRow{
		Dossiers: 2,
		Changed:  1,
		Recorded: sums(200_000, 40_000, 160_000),
		Before:   sums(200_000, 40_000, 160_000),
		After:    sums(200_000, 50_000, 150_000),
	}
	second := replay.PreviewRow{
		Dossiers: 2,
		Changed:  1,
		Recorded: sums(200_000, 100_000, 100_000),
		Before:   sums(200_000, 100_000, 100_000),
		After:    sums(200_000, 150_000, 50_000),
	}
	named := func(r replay.PreviewRow, key string) replay.PreviewRow { r.Key = key; return r }
	want := replay.Preview{
		Total: replay.PreviewRow{
			Dossiers: 4,
			Changed:  2,
			Recorded: sums(400_000, 140_000, 260_000),
			Before:   sums(400_000, 140_000, 260_000),
			After:    sums(400_000, 200_000, 200_000),
		},
		Procedures: []replay.PreviewRow{named(first, "1.000001"), named(second, "1.000002")},
		Agencies:   []replay.PreviewRow{named(first, "H41.1"), named(second, "H41.2")},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("preview (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(told, []string{"4/4"}); diff != "" {
		t.Errorf("progress (-got +want):\n%s", diff)
	}

	// With its own dates, of next year, it changes nothing.
	got, err = o.Preview(t.Context(), editor, replay.PreviewRequest{
		Policy: parsed(
			t,
			draft,
		),
		AsWritten: true,
		Period:    replay.Period{From: calendar.MustParse("2024-01-01"), To: calendar.MustParse("2024-12-31")},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Total.Dossiers != 5 || got.Total.Changed != 0 || got.Total.Before != got.Total.After {
		t.Errorf("got %+v, want 5 dossiers and no change", got.Total)
	}
}

func TestPreviewIsNotForEverybody(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	period := replay.Period{From: calendar.MustParse("2024-02-01"), To: calendar.MustParse("2024-01-31")}
	if _, err := o.Preview(t.Context(), portal, replay.PreviewRequest{Policy: parsed(t, draft)}, nil); !auth.ErrForbidden.Is(err) {
		t.Errorf("portal: got %v, want forbidden", err)
	}
	if _, err := o.Preview(
		t.Context(),
		editor,
		replay.PreviewRequest{Policy: parsed(t, draft), Period: period},
		nil,
	); !replay.ErrPeriod.Is(
		err,
	) {
		t.Errorf("period: got %v, want %v", err, replay.ErrPeriod)
	}
}
