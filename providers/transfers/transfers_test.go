package transfers_test

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/providers/transfers"
)

func TestReferences(t *testing.T) {
	t.Parallel()
	a, b := newReference(t), newReference(t)
	wrong := a[:11] + other(a[11])
	for name, c := range map[string]struct {
		content string
		want    []string
	}{
		"alone":                          {a, []string{a}},
		"small letters":                  {strings.ToLower(a), []string{a}},
		"with accents around":            {"Nộp lệ phí " + a + " hồ sơ", []string{a}},
		"Vietcombank":                    {"MBVCB.3278907687." + a + ".CT tu 0123456789 NGUYEN VAN A toi 9876543210 SO TU PHAP", []string{a}},
		"with a trace":                   {"020097042211211540122026abcd123456." + a + "-211126-15:40:12 123456", []string{a}},
		"VietinBank":                     {"CT nhanh 247 den: " + a + " (CT1111)", []string{a}},
		"Techcombank":                    {"(B/O NGUYEN VAN A) " + a, []string{a}},
		"broken by a blank":              {"le phi " + a[:5] + " " + a[5:] + " ok", []string{a}},
		"broken by dashes":               {a[:2] + "-" + a[2:6] + "-" + a[6:], []string{a}},
		"glued to digits":                {a + "123456", []string{a}},
		"glued to a word":                {"LEPHI" + a, []string{a}},
		"twice the same":                 {a + " " + a, []string{a}},
		"two":                            {a + " " + b, []string{a, b}},
		"wrong check character":          {wrong, nil},
		"in the payer's name":            {"MBVCB.1.nop.CT tu 1 " + a + " toi 2 B", nil},
		"in the sender of a B/O":         {"(B/O " + a + ") nop tien", nil},
		"in the name of an SHGD":         {"SHGD:12345678.DD:261121.BO:" + a + ".Remark:" + b, []string{b}},
		"inside an id of the switch":     {"020097042211211540122026" + a + "123456 nop", nil},
		"nothing":                        {"", nil},
		"the default text of a bank":     {"NGUYEN VAN A chuyen tien", nil},
		"far behind the longest content": {strings.Repeat("x ", 600) + a, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(transfers.References(c.content), c.want); diff != "" {
				t.Errorf("References(%q) (-got +want):\n%s", c.content, diff)
			}
		})
	}
}

func newReference(t *testing.T) string {
	t.Helper()
	reference, err := ident.NewReference(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return reference
}

func other(c byte) string {
	if c == 'A' {
		return "C"
	}
	return "A"
}
