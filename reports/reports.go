// Package reports reads the records of all rooms and sums them for people outside:
// the online payment rate of QĐ 766/QĐ-TTg and the cost of policies.
//
// It owns no schema and writes nothing; its queries are the only ones that
// cross schemas (docs/adr/0012). web/api calls it. Every figure is whole
// numbers: a rate is hundredths of a per cent, rounded once, from counts that
// stand beside it.
//
// Invariants: the cost of policies is read from the book, so its sums are the
// balance of M-DISCOUNT and A-SUBSIDY over the period to the đồng; a rate
// without a denominator is no rate, shown as "–", never 0 and never 100.
package reports

import (
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
)

// Service holds the reports.
type Service struct {
	DB *pgxpool.Pool
}

// Faults of reports.
var (
	// ErrPeriod: a report needs a first and a last day, in order.
	ErrPeriod = fault.New(fault.Invalid, "reports.period", "the report needs a first and a last day, in this order")
	// ErrCounts: given counts contradict each other.
	ErrCounts = fault.New(fault.Invalid, "reports.counts", "paid and zero dossiers together are more than all dossiers")
	// ErrTooMany: the report would have more rows than anybody can read.
	ErrTooMany = fault.New(fault.Precondition, "reports.too_many_rows", "the report has too many rows: choose a shorter period")
)

// MaxRows is the most rows that a report returns.
const MaxRows = 200_000

// Period is a range of days in Viet Nam, both ends inclusive.
type Period struct{ From, To calendar.Date }

func (p Period) validate() error {
	if p.From.IsZero() || p.To.IsZero() || p.To.Before(p.From) {
		return ErrPeriod.At("?from", "needs from and to, in this order")
	}
	return nil
}
