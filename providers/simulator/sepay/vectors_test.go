package sepay

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"
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

func TestSePayVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			var fields struct {
				Headers map[string]string `json:"headers"`
				Body    string            `json:"raw_body"`
			}
			h := &hook{secret: v.Secrets["webhook_secret"], apiKey: v.Secrets["api_key"]}
			var got string
			want := v.Signature
			switch v.Operation {
			case "webhook_hmac":
				v.into(t, &fields)
				seconds, err := strconv.ParseInt(fields.Headers["X-SePay-Timestamp"], 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				got = noticeHeaders(h, fields.Body, seconds, false)["X-SePay-Signature"]
				if v.Expect == "reject" && v.Time-seconds > 300 {
					return // the signature is right, and only the receiver judges the age
				}
			case "webhook_apikey":
				got = noticeHeaders(h, "", 0, false)["Authorization"]
			case "pg_checkout":
				t.Skip("the simulator has no card gateway of SePay")
			default:
				t.Fatalf("unknown operation %q", v.Operation)
			}
			if accepted := got == want; accepted != (v.Expect == "accept") {
				t.Errorf("signature: got %q, want %s of %q", got, v.Expect, want)
			}
		})
	}
}
