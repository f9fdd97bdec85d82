package money

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"
)

func TestAddAndSub(t *testing.T) {
	t.Parallel()
	const most, least = math.MaxInt64, math.MinInt64
	for _, tt := range []struct {
		a, b     int64
		sum, sub error
	}{
		{1, 2, nil, nil},
		{most, 0, nil, nil},
		{most, 1, ErrOverflow, nil},
		{least, 1, nil, ErrOverflow},
		{least, -1, ErrOverflow, nil},
		{-1, least, ErrOverflow, ErrOverflow},
		{most, least, nil, ErrOverflow},
		{0, least, nil, ErrOverflow},
	} {
		if got, err := Dong(tt.a).Add(Dong(tt.b)); !errors.Is(err, tt.sum) || err == nil && got != Dong(tt.a+tt.b) {
			t.Errorf("%d + %d: got %v, %v, want error %v", tt.a, tt.b, got, err, tt.sum)
		}
		if got, err := Dong(tt.a).Sub(Dong(tt.b)); !errors.Is(err, tt.sub) || err == nil && got != Dong(tt.a-tt.b) {
			t.Errorf("%d - %d: got %v, %v, want error %v", tt.a, tt.b, got, err, tt.sub)
		}
	}
	dollar := Amount{"USD", 1}
	if _, err := Dong(1).Add(dollar); !errors.Is(err, ErrCurrency) {
		t.Errorf("two currencies: got %v, want ErrCurrency", err)
	}
}

// Every share is a multiple of the unit, next to the exact value on the side that the mode says.
func TestShareRoundsByItsMode(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Int64Range(0, 1e15).Draw(t, "amount")
		numerator := rapid.Int64Range(0, 1000).Draw(t, "numerator")
		denominator := rapid.Int64Range(1, 1000).Draw(t, "denominator")
		unit := rapid.SampledFrom([]int64{1, 10, 100, 1000, 7}).Draw(t, "unit")
		share := map[Mode]int64{}
		for _, mode := range []Mode{Down, HalfUp, Up} {
			got, err := Dong(amount).Share(numerator, denominator, unit, mode)
			if err != nil || got.Minor%unit != 0 {
				t.Fatalf("%s: got %v, %v, want a multiple of %d", mode, got, err, unit)
			}
			share[mode] = got.Minor
		}
		// Everything times the denominator, so that nothing is divided.
		exact := decimal.NewFromInt(amount).Mul(decimal.NewFromInt(numerator))
		step := decimal.NewFromInt(unit).Mul(decimal.NewFromInt(denominator))
		above := func(mode Mode) decimal.Decimal {
			return decimal.NewFromInt(share[mode]).Mul(decimal.NewFromInt(denominator)).Sub(exact)
		}
		down, up, half := above(Down).Neg(), above(Up), above(HalfUp)
		switch {
		case down.IsNegative() || down.GreaterThanOrEqual(step):
			t.Fatalf("down: %d is not just below", share[Down])
		case up.IsNegative() || up.GreaterThanOrEqual(step):
			t.Fatalf("up: %d is not just above", share[Up])
		case half.Abs().Mul(decimal.NewFromInt(2)).GreaterThan(step):
			t.Fatalf("half up: %d is too far away", share[HalfUp])
		case share[Up]-share[Down] == unit && down.Equal(up) && share[HalfUp] != share[Up]:
			t.Fatalf("half up: %d at the very middle, want %d", share[HalfUp], share[Up])
		}
	})
}

func TestShareRefuses(t *testing.T) {
	t.Parallel()
	for name, share := range map[string]func() (Amount, error){
		"denominator 0":    func() (Amount, error) { return Dong(1).Share(1, 0, 1, Down) },
		"negative part":    func() (Amount, error) { return Dong(1).Share(-1, 2, 1, Down) },
		"unit 0":           func() (Amount, error) { return Dong(1).Share(1, 2, 0, Down) },
		"negative amount":  func() (Amount, error) { return Dong(-1).Share(1, 2, 1, Down) },
		"unknown rounding": func() (Amount, error) { return Dong(1).Share(1, 2, 1, "half_even") },
	} {
		if got, err := share(); !errors.Is(err, ErrRounding) {
			t.Errorf("%s: got %v, %v, want ErrRounding", name, got, err)
		}
	}
	if _, err := Dong(math.MaxInt64).Share(2, 1, 1, Down); !errors.Is(err, ErrOverflow) {
		t.Errorf("got %v, want ErrOverflow", err)
	}
}

// Parse reads every text that Decimal writes.
func TestParseReadsWhatIsWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		currency := rapid.SampledFrom([]Currency{VND, "USD", "KWD"}).Draw(t, "currency")
		want := Amount{currency, rapid.Int64().Draw(t, "minor")}
		got, err := Parse(currency, want.Decimal().String())
		if err != nil || got != want {
			t.Fatalf("%s: got %v, %v, want %v", want.Decimal(), got, err, want)
		}
	})
}

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Amount{
		"150000": Dong(150_000), "-10": Dong(-10), "+7": Dong(7), "007": Dong(7), "5.0": Dong(5), "5.": Dong(5),
		"9223372036854775807": Dong(math.MaxInt64),
	} {
		if got, err := Parse(VND, text); err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
	if got, err := Parse("USD", "-10.50"); err != nil || got != (Amount{"USD", -1050}) {
		t.Errorf("-10.50 USD: got %v, %v", got, err)
	}
	for text, want := range map[string]error{
		"": ErrSyntax, "-": ErrSyntax, ".": ErrSyntax, ".5": ErrSyntax, "1.2.3": ErrSyntax, "1e3": ErrSyntax, "1,000": ErrSyntax,
		"1 000": ErrSyntax, "0x10": ErrSyntax, "--1": ErrSyntax, "1-": ErrSyntax, "١": ErrSyntax, "NaN": ErrSyntax,
		strings.Repeat("9", 31): ErrSyntax, "9223372036854775808": ErrOverflow, strings.Repeat("9", 30): ErrOverflow, "1.5": ErrNotWhole,
	} {
		if got, err := Parse(VND, text); !errors.Is(err, want) {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
	if _, err := FromDecimal("USD", decimal.RequireFromString("0.001")); !errors.Is(err, ErrNotWhole) {
		t.Errorf("a tenth of a cent: got %v, want ErrNotWhole", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"150000", "-10.50", "1e9", "", "+.0", "00000000000000000000000000000000"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, currency := range []Currency{VND, "USD"} {
			got, err := Parse(currency, text)
			if err != nil {
				continue
			}
			if again, err := Parse(currency, got.Decimal().String()); err != nil || again != got {
				t.Errorf("%q: read as %v, read again as %v, %v", text, got, again, err)
			}
		}
	})
}
