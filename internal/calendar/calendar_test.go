package calendar

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgtype"
	"pgregory.net/rapid"
)

// A day in Viet Nam begins at 17:00 UTC of the day before, to the nanosecond.
func TestOn(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"2023-11-06T16:59:59.999999999Z":      "2023-11-06",
		"2023-11-06T17:00:00Z":                "2023-11-07",
		"2023-11-07T00:00:00+07:00":           "2023-11-07",
		"2023-11-06T23:59:59.999999999+07:00": "2023-11-06",
		"2023-12-31T23:59:59+07:00":           "2023-12-31",
		"2023-12-31T17:00:00Z":                "2024-01-01",
		"2024-02-28T17:00:00Z":                "2024-02-29",
		"2023-11-06T12:00:00-05:00":           "2023-11-07",
	} {
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatal(err)
		}
		if got := On(at).String(); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestDayHasFirstAndLastInstant(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := MustParse("2000-01-01").AddDays(rapid.IntRange(0, 36_500).Draw(t, "days"))
		start, end := d.Start(), d.AddDays(1).Start().Add(-1)
		if On(start) != d || On(end) != d || On(start.Add(-1)) != d.AddDays(-1) || end.Sub(start) != 24*time.Hour-1 {
			t.Fatalf("%s: from %s to %s", d, start, end)
		}
		n := rapid.IntRange(-40_000, 40_000).Draw(t, "n")
		if e := d.AddDays(n); e.AddDays(-n) != d || (n > 0) != e.After(d) || (n < 0) != e.Before(d) || d.Compare(e) != -e.Compare(d) {
			t.Fatalf("%s and %d days later, %s", d, n, e)
		}
		if again, err := Parse(d.String()); err != nil || again != d {
			t.Fatalf("%s: read as %v, %v", d, again, err)
		}
	})
}

// Append writes the same text as the standard library.
func TestAppend(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := Date{
			rapid.IntRange(-20, 12_000).Draw(t, "year"),
			time.Month(rapid.IntRange(-3, 20).Draw(t, "month")),
			rapid.IntRange(-40, 80).Draw(t, "day"),
		}
		want := ">" + time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
		if got := string(d.Append([]byte(">"))); d != (Date{}) && got != want {
			t.Fatalf("%#v: got %s, want %s", d, got, want)
		}
	})
	if got := (Date{}).String(); got != "" {
		t.Errorf("no date: got %q, want nothing", got)
	}
}

// Validity windows are whole days, both ends inclusive, zero is open.
func TestWithin(t *testing.T) {
	t.Parallel()
	from, to := MustParse("2023-11-07"), MustParse("2025-07-20")
	for day, want := range map[string]bool{
		"2023-11-06": false, "2023-11-07": true, "2024-02-29": true, "2025-07-20": true, "2025-07-21": false,
	} {
		d := MustParse(day)
		if got := d.Within(from, to); got != want {
			t.Errorf("%s: got %t, want %t", day, got, want)
		}
		if !d.Within(Date{}, Date{}) || d.Within(from, Date{}) != !d.Before(from) || d.Within(Date{}, to) != !d.After(to) {
			t.Errorf("%s: an open end does not hold", day)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "2023-02-29", "2023-13-01", "2023-00-10", "2023-1-2", "20231107", "07/11/2023",
		"2023-11-07T00:00:00Z", " 2023-11-07",
	} {
		if got, err := Parse(text); !errors.Is(err, ErrDate) {
			t.Errorf("%q: got %v, %v, want ErrDate", text, got, err)
		}
	}
}

func TestDateTravels(t *testing.T) {
	t.Parallel()
	type document struct{ From, To Date }
	want := document{From: MustParse("2024-02-29")}
	text, err := json.Marshal(want)
	if err != nil || string(text) != `{"From":"2024-02-29","To":""}` {
		t.Errorf("JSON: got %s, %v", text, err)
	}
	var got document
	if err := json.Unmarshal(text, &got); err != nil || got != want {
		t.Errorf("JSON: got %v, %v, want %v", got, err, want)
	}
	if err := json.Unmarshal([]byte(`{"From":"2024-02-30"}`), &got); !errors.Is(err, ErrDate) || got != want {
		t.Errorf("no such day: got %v, %v, want ErrDate and the old value", got, err)
	}
	for _, d := range []Date{want.From, {}} {
		value, err := d.DateValue()
		var back Date
		if err != nil || back.ScanDate(value) != nil || back != d || value.Valid == d.IsZero() {
			t.Errorf("%v through a date column: got %v, %v", d, back, err)
		}
		text, err := d.Value()
		if err != nil || d.IsZero() != (text == nil) {
			t.Errorf("%v through database/sql: got %v, %v", d, text, err)
		}
	}
	if diff := cmp.Diff(
		pgtype.Date{Time: time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC), Valid: true},
		func() pgtype.Date { v, _ := want.From.DateValue(); return v }(),
	); diff != "" {
		t.Errorf("date column (-want +got):\n%s", diff)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("2023-11-07")
	f.Add("0000-00-00")
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := Parse(text); err == nil && d.String() != text {
			t.Errorf("%q is read as %s", text, d)
		}
	})
}
