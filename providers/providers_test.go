package providers_test

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/providers"
)

func TestDecodeMembers(t *testing.T) {
	t.Parallel()
	got, err := providers.DecodeMembers([]byte(`{"b":9007199254740993,"a":{"x":[1.50,null,true]},"B":"é"}`))
	if err != nil {
		t.Fatal(err)
	}
	want := providers.Members{
		{Name: "b", Value: json.Number("9007199254740993")},
		{Name: "a", Value: providers.Members{{Name: "x", Value: []any{json.Number("1.50"), nil, true}}}},
		{Name: "B", Value: "é"},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("members (-got +want):\n%s", diff)
	}
	if got.Text("b") != "9007199254740993" || got.Text("a") != "" || got.Text("c") != "" || got.Object("a") == nil || got.Object("b") != nil {
		t.Errorf("Text and Object read other values than those written")
	}
}

func TestDecodeMembersRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":           ``,
		"a list":            `[]`,
		"a number":          `1`,
		"twice":             `{"a":1,"a":1}`,
		"twice, escaped":    `{"a":1,"\u0061":1}`,
		"twice inside":      `{"x":[{"a":1,"a":2}]}`,
		"something behind":  `{} {}`,
		"not closed":        `{"a":[1`,
		"trailing comma":    `{"a":1,}`,
		"not UTF-8":         "{\"a\":\"\xff\"}",
		"nested too deeply": `{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`,
	} {
		if got, err := providers.DecodeMembers([]byte(text)); !errors.Is(err, providers.ErrMessage) {
			t.Errorf("%s: got %v and %v, want ErrMessage", name, got, err)
		}
	}
}

func TestDecodeVectors(t *testing.T) {
	t.Parallel()
	const one = `{"id":"a","provider":"p","operation":"o","secrets":{"s":"1","two":["n","o"],"jwk":{}},"fields":{"n":12},"signature":"","receive_time":1795250412}`
	want := providers.Vector{
		ID: "a", Provider: "p", Operation: "o", Signed: true, ReceiveAt: time.Unix(1795250412, 0),
		Secrets: providers.Members{{Name: "s", Value: "1"}, {Name: "two", Value: []any{"n", "o"}}, {Name: "jwk", Value: providers.Members{}}},
		Fields:  providers.Members{{Name: "n", Value: json.Number("12")}},
	}
	for _, text := range []string{one, "[" + one + "]"} {
		got, err := providers.DecodeVectors(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(got, []providers.Vector{want}); diff != "" {
			t.Errorf("vectors (-got +want):\n%s", diff)
		}
	}
	secrets := [][]string{want.Secret("s"), want.Secret("two"), want.Secret("jwk"), want.Secret("none")}
	if diff := cmp.Diff(secrets, [][]string{{"1"}, {"n", "o"}, nil, nil}); diff != "" {
		t.Errorf("secrets (-got +want):\n%s", diff)
	}
	for _, text := range []string{``, `[1]`, `{}`, `{"provider":"p"}`, `{"provider":"p","operation":"o","receive_time":"soon"}`} {
		if _, err := providers.DecodeVectors(strings.NewReader(text)); !errors.Is(err, providers.ErrMessage) {
			t.Errorf("%s: got %v, want ErrMessage", text, err)
		}
	}
}

func TestPlainText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Lệ phí cấp Căn cước công dân – hồ sơ số 1": "Le phi cap Can cuoc cong dan ho so so 1",
		"Đăng ký! (kinh*doanh) ~ 'a|b'":             "Dang ky kinh doanh a b",
		"  000.00.12.H26-261121-0001 ":              "000.00.12.H26-261121-0001",
		"漢字":                                        "",
		"":                                          "",
	} {
		if got := providers.PlainText(text, 255); got != want {
			t.Errorf("PlainText(%q): got %q, want %q", text, got, want)
		}
	}
	if got := providers.PlainText("ab cd", 3); got != "ab" {
		t.Errorf("cut at 3: got %q, want %q", got, "ab")
	}
}

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
			if diff := cmp.Diff(providers.References(c.content), c.want); diff != "" {
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
