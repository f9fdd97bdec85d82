package vietqr_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/providers/vietqr"
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
			r := vietqr.CheckVector(v)
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
