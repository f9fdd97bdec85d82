package reports_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/doisoat/doisoat/reports"
)

// TestPublishedFigures holds the code against figures that were published: the
// counts are official, and every one comes out by one of the two roundings.
func TestPublishedFigures(t *testing.T) {
	t.Parallel()
	for _, test := range published {
		for rounding, want := range map[reports.Rounding]string{reports.Truncate: test.truncated, reports.HalfUp: test.halfUp} {
			if got := test.counts.RateText(test.decimals, rounding); got != want {
				t.Errorf("%s, %s: got %s, want %s", test.name, rounding, got, want)
			}
		}
	}
}

// published are figures of 2022 to 2024: dossiers of provinces, of ministries, online dossiers twice, Nghệ An in 9
// months. Those of online dossiers were rounded half up, and cut off they would differ; the others hold either way.
var published = []struct {
	name              string
	counts            reports.Counts
	decimals          int
	truncated, halfUp string
}{
	{"local", reports.Counts{Dossiers: 6_335_726, Paid: 2_731_389}, 2, "43,11", "43,11"},
	{"ministries", reports.Counts{Dossiers: 558_853, Paid: 134_765}, 2, "24,11", "24,11"},
	{"online, first", reports.Counts{Dossiers: 10_364_973, Paid: 4_954_457}, 1, "47,7", "47,8"},
	{"online, second", reports.Counts{Dossiers: 17_388_356, Paid: 8_589_847}, 1, "49,3", "49,4"},
	{"Nghệ An", reports.Counts{Dossiers: 198_845, Paid: 67_088}, 1, "33,7", "33,7"},
	// Published as 25,66 for 25,668: the modes differ.
	{"April 2024", reports.Counts{Dossiers: 100_000, Paid: 25_668}, 2, "25,66", "25,67"},
	{"dossiers of 0 leave the denominator", reports.Counts{Dossiers: 10, Zero: 7, Paid: 1}, 2, "33,33", "33,33"},
	{"nothing to pay", reports.Counts{Dossiers: 7, Zero: 7}, 2, "–", "–"},
	{"nothing at all", reports.Counts{}, 2, "–", "–"},
	{"all", reports.Counts{Dossiers: 7, Paid: 7}, 2, "100,00", "100,00"},
	{"none", reports.Counts{Dossiers: 7}, 2, "0,00", "0,00"},
	{"without digits", reports.Counts{Dossiers: 3, Paid: 2}, 0, "66", "67"},
}

// TestRateBounds: the rate is the counts' within one unit of the last digit, and half up is never below truncation.
func TestRateBounds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		denominator := rapid.Int64Range(1, 1_000_000_000_000).Draw(t, "denominator")
		c := reports.Counts{Dossiers: denominator, Paid: rapid.Int64Range(0, denominator).Draw(t, "paid")}
		decimals := rapid.IntRange(0, reports.MaxDecimals).Draw(t, "decimals")
		scale := int64(100)
		for range decimals {
			scale *= 10
		}
		cut, _ := c.Rate(decimals, reports.Truncate)
		half, _ := c.Rate(decimals, reports.HalfUp)
		rest := c.Paid*scale - cut*denominator
		if rest < 0 || rest >= denominator {
			t.Fatalf("truncated %d of %+v", cut, c)
		}
		if want := cut + map[bool]int64{true: 1}[2*rest >= denominator]; half != want {
			t.Fatalf("half up: got %d, want %d of %+v", half, want, c)
		}
	})
}

func ExampleCounts_RateText() {
	c := reports.Counts{Dossiers: 6_335_726, Paid: 2_731_389}
	fmt.Println(c.RateText(2, reports.Truncate))
	// Output: 43,11
}
