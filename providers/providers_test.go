package providers_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
	if got.Text("b") != "9007199254740993" || got.Text("a") != "" || got.Text("c") != "" || got.Object("a") == nil ||
		got.Object("b") != nil {
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
	const one = `{"id":"a","provider":"p","operation":"o","secrets":{"s":"1","two":["n","o"],"jwk":{}},` +
		`"fields":{"n":12},"signature":"","receive_time":1795250412}`
	want := providers.Vector{
		ID:        "a",
		Provider:  "p",
		Operation: "o",
		Signed:    true,
		ReceiveAt: time.Unix(1795250412, 0),
		Secrets: providers.Members{
			{Name: "s", Value: "1"},
			{Name: "two", Value: []any{"n", "o"}},
			{Name: "jwk", Value: providers.Members{}},
		},
		Fields: providers.Members{{Name: "n", Value: json.Number("12")}},
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
