package settlement

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProfilesAreSound(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(Profiles(), []string{"settlement-generic-v1", "vnpay-settlement-v1"}); diff != "" {
		t.Errorf("Profiles (-got +want):\n%s", diff)
	}
	for name, raw := range map[string]string{
		"no json":         `{`,
		"unknown member":  `{"name":"a-v1","version":1,"colour":"red"}`,
		"version in name": `{"name":"a-v2","version":1,"currency":"VND","times":["x"]}`,
		"unknown field":   `{"name":"a-v1","version":1,"currency":"VND","times":["x"],"columns":{"colour":{"words":["x"]}}}`,
		"one word twice": `{"name":"a-v1","version":1,"currency":"VND","times":["x"],` +
			`"columns":{"fee":{"words":["Phí"]},"net":{"words":["PHI"]}}}`,
		"amount not asked": `{"name":"a-v1","version":1,"currency":"VND","times":["x"],` +
			`"columns":{"transaction_id":{"words":["x"],"required":true}}}`,
	} {
		if _, err := readProfile([]byte(raw)); err == nil {
			t.Errorf("%s: readProfile accepted %s", name, raw)
		}
	}
}
