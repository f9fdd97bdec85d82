package fees_test

import (
	"testing"
	"time"

	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
)

func demoFile(t *testing.T) schedule.File {
	t.Helper()
	file, err := schedule.ParseFile(schedule.DemoPolicies())
	if err != nil {
		t.Fatalf("ParseFile(demo): %v", err)
	}
	return file
}

// quoted asks for one building permit of H41 submitted online at noon of a day.
func quoted(t *testing.T, s fees.Service, day string) quote.Quote {
	t.Helper()
	base := int64(75000)
	q, err := quote.Price(quote.Request{
		Authority: "H41", Channel: schedule.Online, Level: schedule.ToanTrinh, SubmittedAt: calendar.MustParse(day).Start().Add(12 * time.Hour),
		Items: []quote.ItemRequest{{FeeType: "LP_GPXD", Base: &base}},
	}, scheduleOf(t, s, "H41", day))
	if err != nil {
		t.Fatalf("Price: %v", err)
	}
	return q
}
