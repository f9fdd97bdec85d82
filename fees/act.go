package fees

import (
	"time"

	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
)

// PolicyAct is one recorded act about a version.
type PolicyAct struct {
	Version    int
	Act        schedule.Act
	FromStatus schedule.Status
	ToStatus   schedule.Status
	Authority  string
	Actor      string
	At         time.Time
	Reason     string
	LegalBasis string
	EndsOn     calendar.Date
	ReplacedBy string
}

// step is an act on its way into the store.
type step struct {
	about      RecordedPolicy
	act        schedule.Act
	to         schedule.Status
	reason     string
	legalBasis string
	endsOn     calendar.Date
	replacedBy string
}
