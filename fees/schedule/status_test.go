package schedule_test

import (
	"testing"

	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
)

var everyAct = []schedule.Act{
	schedule.ActSubmit, schedule.ActApprove, schedule.ActReject, schedule.ActRepeal, schedule.ActSupersede,
}

// The table of edges, whole: whatever is not listed is refused.
func TestTransitions(t *testing.T) {
	t.Parallel()
	want := map[schedule.Status]map[schedule.Act]schedule.Status{
		schedule.Draft:         {schedule.ActSubmit: schedule.Submitted},
		schedule.Submitted:     {schedule.ActApprove: schedule.Approved, schedule.ActReject: schedule.Rejected},
		schedule.Approved:      {schedule.ActRepeal: schedule.Repealed, schedule.ActSupersede: schedule.Superseded},
		schedule.InForce:       {schedule.ActRepeal: schedule.Repealed, schedule.ActSupersede: schedule.Superseded},
		schedule.InForceOrPast: {schedule.ActRepeal: schedule.Repealed, schedule.ActSupersede: schedule.Superseded},
	}
	for _, from := range schedule.Statuses() {
		for _, act := range everyAct {
			to, ok := from.After(act)
			if expected, exists := want[from][act]; to != expected || ok != exists {
				t.Errorf("%s of %s = %s, %v, want %s, %v", act, from, to, ok, expected, exists)
			}
		}
	}
}

func TestStatusOn(t *testing.T) {
	t.Parallel()
	window := func(status schedule.Status, from, to, declared string) *schedule.Policy {
		p := schedule.Policy{Status: status, ValidFrom: calendar.MustParse(from)}
		if to != "" {
			p.ValidTo = calendar.MustParse(to)
		}
		if declared != "" {
			p.DeclaredValidTo = calendar.MustParse(declared)
		}
		return &p
	}
	for _, tt := range []struct {
		name string
		p    *schedule.Policy
		on   string
		want schedule.Status
	}{
		{"draft", window(schedule.Draft, "2025-01-01", "", ""), "2025-06-01", schedule.Draft},
		{"before its first day", window(schedule.Approved, "2025-01-01", "", ""), "2024-12-31", schedule.Approved},
		{"first day", window(schedule.Approved, "2025-01-01", "", ""), "2025-01-01", schedule.InForce},
		{"last day", window(schedule.Approved, "2025-01-01", "2025-03-31", ""), "2025-03-31", schedule.InForce},
		{"day after", window(schedule.Approved, "2025-01-01", "2025-03-31", ""), "2025-04-01", schedule.Expired},
		{"repealed, still in force", window(schedule.Repealed, "2025-01-01", "2025-03-31", "2025-12-31"), "2025-03-31", schedule.InForce},
		{"repealed", window(schedule.Repealed, "2025-01-01", "2025-03-31", "2025-12-31"), "2025-04-01", schedule.Repealed},
		{"superseded", window(schedule.Superseded, "2025-01-01", "2025-03-31", ""), "2025-04-01", schedule.Superseded},
		{"repealed before it began", window(schedule.Repealed, "2025-01-01", "2024-12-31", ""), "2024-06-01", schedule.Repealed},
		{
			"a file that names an earlier end", window(schedule.InForceOrPast, "2025-01-01", "2025-03-31", "2025-12-31"), "2025-06-01",
			schedule.Repealed,
		},
	} {
		if got := tt.p.StatusOn(calendar.MustParse(tt.on)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
