// Package money holds amounts: a currency and a whole number of its minor
// units. VND has no minor unit, so an amount in VND is whole đồng. No float
// touches money; decimal is for rates and for reading text.
package money

import (
	"fmt"
	"math"

	"github.com/shopspring/decimal"

	"github.com/doisoat/doisoat/internal/fault"
)

// Currency is an ISO 4217 alphabetic code.
type Currency string

// VND is the đồng; it has no minor unit.
const VND Currency = "VND"

// Faults of this package.
var (
	ErrCurrency = fault.New(fault.Invalid, "money.currency", "amounts of different currencies cannot be combined")
	ErrOverflow = fault.New(fault.Invalid, "money.overflow", "amount is too large")
	ErrNotWhole = fault.New(fault.Invalid, "money.not_whole", "amount has more digits than its currency has minor units")
	ErrSyntax   = fault.New(fault.Invalid, "money.syntax", "amount is not a number")
	ErrRounding = fault.New(fault.Invalid, "money.rounding", "rounding needs a unit of at least 1 and a known mode")
)

// exponents lists minor digits per currency; ISO 4217 says 2 for those not listed here.
var exponents = map[Currency]int32{"VND": 0, "JPY": 0, "KRW": 0, "ISK": 0, "CLP": 0, "BHD": 3, "KWD": 3, "TND": 3}

// Exponent returns how many decimal digits the minor unit of c has.
func (c Currency) Exponent() int32 {
	if e, ok := exponents[c]; ok {
		return e
	}
	return 2
}

// Amount is a signed sum in minor units. The zero value is no amount of no currency.
type Amount struct {
	Currency Currency
	Minor    int64
}

// Dong returns an amount in VND.
func Dong(minor int64) Amount { return Amount{Currency: VND, Minor: minor} }

// Zero returns nothing in c.
func Zero(c Currency) Amount { return Amount{Currency: c} }

// Add returns a+b. It fails with ErrCurrency or ErrOverflow.
func (a Amount) Add(b Amount) (Amount, error) {
	if a.Currency != b.Currency {
		return Amount{}, ErrCurrency
	}
	s := a.Minor + b.Minor
	if (s > a.Minor) != (b.Minor > 0) && b.Minor != 0 {
		return Amount{}, ErrOverflow
	}
	return Amount{a.Currency, s}, nil
}

// Sub returns a-b. It fails with ErrCurrency or ErrOverflow.
func (a Amount) Sub(b Amount) (Amount, error) {
	if b.Minor == math.MinInt64 {
		return Amount{}, ErrOverflow
	}
	return a.Add(Amount{b.Currency, -b.Minor})
}

// IsZero, IsPositive and IsNegative look at the sign only.
func (a Amount) IsZero() bool { return a.Minor == 0 }

// IsPositive reports whether a is above zero.
func (a Amount) IsPositive() bool { return a.Minor > 0 }

// IsNegative reports whether a is below zero.
func (a Amount) IsNegative() bool { return a.Minor < 0 }

// String shows minor units and currency, for logs and tests, for example "60000 VND".
func (a Amount) String() string { return fmt.Sprintf("%d %s", a.Minor, a.Currency) }

// Decimal returns the amount in major units, exactly.
func (a Amount) Decimal() decimal.Decimal { return decimal.New(a.Minor, -a.Currency.Exponent()) }

// Mode is how a fraction of the rounding unit is resolved.
type Mode string

// The modes a policy may name. HalfUp rounds halves away from zero.
const (
	HalfUp Mode = "half_up"
	Down   Mode = "down"
	Up     Mode = "up"
)

// Share returns a×numerator/denominator rounded to a multiple of unit minor
// units by mode: the one rounding function of the project.
func (a Amount) Share(numerator, denominator, unit int64, mode Mode) (Amount, error) {
	if denominator <= 0 || unit < 1 || numerator < 0 || a.Minor < 0 {
		return Amount{}, ErrRounding
	}
	exact := decimal.NewFromInt(a.Minor).Mul(decimal.NewFromInt(numerator))
	step := decimal.NewFromInt(denominator).Mul(decimal.NewFromInt(unit))
	quotient, rest := exact.QuoRem(step, 0)
	switch mode {
	case HalfUp:
		if rest.Mul(decimal.NewFromInt(2)).Cmp(step) >= 0 {
			quotient = quotient.Add(decimal.NewFromInt(1))
		}
	case Up:
		if rest.IsPositive() {
			quotient = quotient.Add(decimal.NewFromInt(1))
		}
	case Down:
	default:
		return Amount{}, ErrRounding
	}
	return fromInteger(a.Currency, quotient.Mul(decimal.NewFromInt(unit)))
}

// Parse reads a plain decimal number in major units ("150000", "-10.50").
// It refuses separators, exponents and more digits than c has minor units. A
// point without digits after it is read: EMV codes may carry one.
func Parse(c Currency, text string) (Amount, error) {
	digits := 0
	for i, r := range text {
		switch {
		case r >= '0' && r <= '9':
			digits++
		case r == '.' && digits > 0:
		case (r == '-' || r == '+') && i == 0:
		default:
			return Amount{}, ErrSyntax
		}
	}
	if digits == 0 || digits > 30 {
		return Amount{}, ErrSyntax
	}
	d, err := decimal.NewFromString(text)
	if err != nil {
		return Amount{}, ErrSyntax.Because(err)
	}
	return FromDecimal(c, d)
}

// FromDecimal converts major units; ErrNotWhole when a fraction of a minor unit remains.
func FromDecimal(c Currency, d decimal.Decimal) (Amount, error) {
	minor := d.Shift(c.Exponent())
	if !minor.Equal(minor.Truncate(0)) {
		return Amount{}, ErrNotWhole
	}
	return fromInteger(c, minor)
}

func fromInteger(c Currency, d decimal.Decimal) (Amount, error) {
	if !d.BigInt().IsInt64() {
		return Amount{}, ErrOverflow
	}
	return Amount{c, d.IntPart()}, nil
}
