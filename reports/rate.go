package reports

import (
	"fmt"
	"strings"
)

// Rounding is how the last shown digit of a rate comes about. Official figures
// were cut off (25,668 became 25,66 in April 2024), others round half up.
type Rounding string

// The roundings.
const (
	Truncate Rounding = "truncate"
	HalfUp   Rounding = "half_up"
)

// MaxDecimals is the most digits that a rate shows after the comma.
const MaxDecimals = 2

// maxCount keeps a count times 100 · 10^MaxDecimals · 2 within an int64.
const maxCount = 1_000_000_000_000

// NoRate is shown where the denominator is 0.
const NoRate = "–"

// Counts are the dossiers of a line of the payment rate (QĐ 766/QĐ-TTg).
type Counts struct {
	Dossiers int64 // T: work on them began in the period, and their procedure has a fee
	Zero     int64 // Z: of those, every item is 0
	Paid     int64 // N: of the rest, paid online
}

// Denominator is T − Z: dossiers that had something to pay.
func (c Counts) Denominator() int64 { return c.Dossiers - c.Zero }

func (c Counts) validate() error {
	if c.Dossiers < 0 || c.Zero < 0 || c.Paid < 0 || c.Dossiers > maxCount || c.Paid > c.Dossiers-c.Zero {
		return ErrCounts
	}
	return nil
}

func (c *Counts) add(o Counts) {
	c.Dossiers += o.Dossiers
	c.Zero += o.Zero
	c.Paid += o.Paid
}

// Rate is N / (T − Z) × 100 as a count of units in the last shown digit: with two decimals 43,11 %
// is 4311. ok is false when no dossier had anything to pay. decimals lies between 0 and
// MaxDecimals.
func (c Counts) Rate(decimals int, r Rounding) (units int64, ok bool) {
	denominator := c.Denominator()
	if denominator == 0 {
		return 0, false
	}
	scaled := c.Paid * 100
	for range decimals {
		scaled *= 10
	}
	if r == HalfUp {
		return (2*scaled + denominator) / (2 * denominator), true
	}
	return scaled / denominator, true
}

// RateText shows the rate as Vietnamese reports do: "43,11", or NoRate.
func (c Counts) RateText(decimals int, r Rounding) string {
	units, ok := c.Rate(decimals, r)
	if !ok {
		return NoRate
	}
	text := fmt.Sprintf("%0*d", decimals+1, units)
	if decimals == 0 {
		return text
	}
	cut := len(text) - decimals
	return strings.Join([]string{text[:cut], text[cut:]}, ",")
}
