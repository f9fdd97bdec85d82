package bank

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type vector struct {
	ID        string            `json:"id"`
	Operation string            `json:"operation"`
	Secrets   map[string]string `json:"secrets"`
	Fields    json.RawMessage   `json:"fields"`
	Canonical string            `json:"canonical"`
	Signature string            `json:"signature"`
	Expect    string            `json:"expect"`
	Wire      string            `json:"wire"`
	Payload   string            `json:"payload"`
	Time      int64             `json:"receive_time"`
}

func vectors(t *testing.T) []vector {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list []vector
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		t.Fatal("no vectors")
	}
	return list
}

func (v vector) into(t *testing.T, fields any) {
	t.Helper()
	if err := json.Unmarshal(v.Fields, fields); err != nil {
		t.Fatal(err)
	}
}

func TestVietQRVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			if got := fmt.Sprintf("%04X", checksum(v.Canonical)); got != v.Signature {
				t.Errorf("checksum: got %s, want %s", got, v.Signature)
			}
			got, err := readQR(v.Payload)
			if v.Expect == "reject" {
				if err == nil {
					t.Errorf("read: got %+v, want an error", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var fields struct {
				Napas struct {
					Receiver map[string]string `json:"01"`
					Service  string            `json:"02"`
				} `json:"38"`
				Amount string            `json:"54"`
				Extra  map[string]string `json:"62"`
			}
			v.into(t, &fields)
			amount, _ := strconv.ParseInt(fields.Amount, 10, 64)
			want := transferCode{
				bin: fields.Napas.Receiver["00"], account: fields.Napas.Receiver["01"], service: fields.Napas.Service,
				amount: amount, bill: fields.Extra["01"], purpose: fields.Extra["08"],
			}
			if diff := cmp.Diff(got, want, cmp.AllowUnexported(transferCode{})); diff != "" {
				t.Errorf("read (-got +want):\n%s", diff)
			}
		})
	}
}

func TestPlainASCII(t *testing.T) {
	t.Parallel()
	if got, want := plainASCII(" Lệ phí ĐĂNG ký – số 1 "), "Le phi DANG ky   so 1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzReadQR(f *testing.F) {
	f.Add("00020101021238560010A0000007270126000697041501121160026806690208QRIBFTTA53037045405500005802VN62170813DVC26112100016304F0D9")
	f.Add("6304")
	f.Fuzz(func(t *testing.T, text string) {
		code, err := readQR(text)
		if err == nil && (code.amount < 0 || code.account == "" || len(code.bin) != 6) {
			t.Errorf("accepted %q as %+v", text, code)
		}
	})
}
