package vnpay

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/providers/simulator"
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

func TestVNPAYVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			var fields map[string]string
			v.into(t, &fields)
			secret := v.Secrets["hash_secret"]
			var canonical string
			switch v.Operation {
			case "pay", "ipn", "return":
				canonical = CanonicalQuery(fields)
			case "querydr_request", "refund_request":
				canonical = messageOf(fields).requestText()
			case "querydr_response", "refund_response":
				canonical = messageOf(fields).responseText()
			default:
				t.Fatalf("unknown operation %q", v.Operation)
			}
			if diff := cmp.Diff(canonical, v.Canonical); diff != "" {
				t.Errorf("canonical text (-got +want):\n%s", diff)
			}
			got := sameHash(v.Signature, sha512MAC(secret, canonical))
			if want := v.Expect == "accept"; got != want {
				t.Errorf("signature accepted: got %t, want %t", got, want)
			}
			if v.Wire == "" {
				return
			}
			query := v.Wire
			if _, after, found := strings.Cut(query, "?"); found {
				query = after
			}
			values, ok := simulator.SingleValues(query)
			if want := v.Expect == "accept"; !ok || sameHash(values["vnp_SecureHash"], QueryHash(secret, values)) != want {
				t.Errorf("wire accepted: got %t, want %t", !want, want)
			}
		})
	}
}

// TestSignedURL compares signed addresses with the addresses of the vectors.
func TestSignedURL(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		if v.Operation != "pay" || v.Expect != "accept" {
			continue
		}
		var fields map[string]string
		v.into(t, &fields)
		base, _, _ := strings.Cut(v.Wire, "?")
		got, err := signedURL(base, v.Secrets["hash_secret"], fields, false)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(got, v.Wire); diff != "" {
			t.Errorf("%s (-got +want):\n%s", v.ID, diff)
		}
	}
}

func TestFormEncode(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	formEncode(&b, "a b!'()*~-_.ệ/")
	if got, want := b.String(), "a+b%21%27%28%29%2A%7E-_.%E1%BB%87%2F"; got != want {
		t.Errorf("encoded: got %s, want %s", got, want)
	}
	back, err := url.QueryUnescape(b.String())
	if err != nil || back != "a b!'()*~-_.ệ/" {
		t.Errorf("decoded: got %q, %v", back, err)
	}
}
