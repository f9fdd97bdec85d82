package text_test

import (
	"testing"

	"golang.org/x/text/unicode/norm"

	"github.com/doisoat/doisoat/internal/text"
)

func TestFold(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"Đặng Thị Ước": "Dang Thi Uoc",
		"đường":        "duong",
		"漢字 ß 123":     "漢字 ß 123",
		"":             "",
	} {
		if got := text.Fold(given); got != want {
			t.Errorf("Fold(%q): got %q, want %q", given, got, want)
		}
		if got := text.Fold(norm.NFD.String(given)); got != want {
			t.Errorf("Fold of %q, decomposed: got %q, want %q", given, got, want)
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		" Mã giao dịch\nVNPAY (gốc)": "ma giao dich vnpay goc",
		"VAT phí, %":                 "vat phi",
		"--":                         "",
	} {
		if got := text.Words(given); got != want {
			t.Errorf("Words(%q): got %q, want %q", given, got, want)
		}
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"Lệ phí cấp Căn cước công dân – hồ sơ số 1": "Le phi cap Can cuoc cong dan ho so so 1",
		"Đăng ký! (kinh*doanh) ~ 'a|b'":             "Dang ky kinh doanh a b",
		"  000.00.12.H26-261121-0001 ":              "000.00.12.H26-261121-0001",
		"漢字":                                        "",
		"":                                          "",
	} {
		if got := text.Plain(given, 255); got != want {
			t.Errorf("Plain(%q): got %q, want %q", given, got, want)
		}
	}
	if got := text.Plain("ab cd", 3); got != "ab" {
		t.Errorf("cut at 3: got %q, want %q", got, "ab")
	}
}
