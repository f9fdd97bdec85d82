package transfers_test

import (
	"testing"

	"github.com/doisoat/doisoat/providers/transfers"
)

func TestBankReference(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]string{
		"FT24123000001":               "FT24123000001",
		"ft24123000001":               "FT24123000001",
		"MBVCB.FT24123000001":         "FT24123000001",
		`FT24123000001\BNK`:           "FT24123000001",
		"MBVCB.3278907687":            "3278907687",
		"020097048811.240502.101010":  "020097048811",
		" FT24123000001 ":             "FT24123000001",
		"12-345":                      "12345", // no word is long enough to be a number alone
		"":                            "",
		"Chuyển khoản FT 24123000001": "24123000001",
	} {
		if got := transfers.BankReference(written); got != want {
			t.Errorf("%q: got %q, want %q", written, got, want)
		}
	}
}
