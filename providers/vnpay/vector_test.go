package vnpay_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/providers/vnpay"
)

type verdict struct {
	ID, Canonical, Signature string
	Accepted                 bool
}

func TestCheckVectorPublished(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var want []struct{ ID, Canonical, Signature, Expect string }
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	vectors, err := providers.DecodeVectors(strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	if len(vectors) != len(want) {
		t.Fatalf("DecodeVectors gave %d vectors, want %d", len(vectors), len(want))
	}
	for i, v := range vectors {
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			r := vnpay.CheckVector(v)
			got := verdict{r.ID, r.Canonical, r.Signature, r.Accepted}
			if diff := cmp.Diff(got, verdict{want[i].ID, want[i].Canonical, want[i].Signature, want[i].Expect == "accept"}); diff != "" {
				t.Errorf("CheckVector (-got +want):\n%s", diff)
			}
			if r.Accepted != (r.Reason == "") {
				t.Errorf("got accepted %v with reason %q", r.Accepted, r.Reason)
			}
		})
	}
}

// Messages that the published vectors leave out.
func TestCheckVector(t *testing.T) {
	t.Parallel()
	const head = `"id":"1","provider":"vnpay","secrets":{"hash_secret":"` + secret + `"},`
	answer := `"fields":{"vnp_ResponseId":"1","vnp_Command":"refund"},`
	for name, c := range map[string]struct {
		file   string
		reason string // "" wants acceptance
	}{
		"query string alone": {`{` + head + `"operation":"ipn","wire":"` + signed(paidQuery) + `"}`, ""},
		"address alone":      {`{` + head + `"operation":"return","wire":"https://a.example/b?` + signed(paidQuery) + `"}`, ""},
		"parameter twice": {
			`{` + head + `"operation":"ipn","wire":"` + signed(paidQuery) + `&vnp_Amount=1"}`, "a parameter is given twice",
		},
		"half a dong": {
			`{` + head + `"operation":"ipn","wire":"` + signed(strings.Replace(paidQuery, "5000000", "5000050", 1)) + `"}`,
			"vnp_Amount is not a positive whole amount in VND ×100",
		},
		"answer without":       {`{` + head + answer + `"operation":"refund_response"}`, "signature is missing"},
		"answer with an empty": {`{` + head + answer + `"operation":"refund_response","signature":""}`, "signature is missing"},
		"answer with null":     {`{` + head + answer + `"operation":"refund_response","signature":null}`, "signature is missing"},
		"request to be signed": {`{` + head + `"fields":{"vnp_RequestId":"1"},"operation":"querydr_request"}`, ""},
		"request with separator": {
			`{` + head + `"fields":{"vnp_OrderInfo":"a|b"},"operation":"querydr_request"}`, "vnp_OrderInfo holds the separator |",
		},
		"pay without a signature": {`{` + head + `"fields":{"vnp_Amount":"100"},"operation":"pay"}`, ""},
		"pay of nothing": {
			`{` + head + `"fields":{"vnp_Amount":"000"},"operation":"pay"}`, "vnp_Amount is not a positive whole amount in VND ×100",
		},
		"unknown operation": {`{` + head + `"operation":"token"}`, "unknown operation token"},
		"no secret":         {`{"provider":"vnpay","operation":"ipn"}`, "no hash_secret is given"},
		"nested field":      {`{` + head + `"fields":{"a":{}},"operation":"pay"}`, "a is neither text nor number"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list, err := providers.DecodeVectors(strings.NewReader(c.file))
			if err != nil {
				t.Fatal(err)
			}
			got := vnpay.CheckVector(list[0])
			if got.Reason != c.reason || got.Accepted != (c.reason == "") {
				t.Errorf("got %+v, want reason %q", got, c.reason)
			}
			if text, _ := json.Marshal(got); strings.Contains(string(text), secret) {
				t.Errorf("the result shows the secret: %s", text)
			}
		})
	}
}
