package main

import (
	"strings"
	"testing"

	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/web"
)

// TestOneReaderOfJSON: a request, a policies file and a provider's message are
// refused for the same reasons.
func TestOneReaderOfJSON(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text  string
		sound bool
	}{
		"sound":               {`{"notes":{"a":[1,2.5e3,"é\ud83d\udca3",null]}}`, true},
		"escaped backslash":   {`{"notes":"\\ud800 \\u0000"}`, true},
		"member twice":        {`{"notes":{"a":1,"a":1}}`, false},
		"member twice, other": {`{"notes":{"a":1,"\u0061":2}}`, false},
		"half a pair":         {`{"notes":{"name":"\ud800x"}}`, false},
		"half a pair in name": {`{"notes":{"\udc00":1}}`, false},
		"NUL":                 {`{"notes":"x\u0000"}`, false},
		"NUL in name":         {`{"notes":{"\u0000":1}}`, false},
		"byte order mark":     {"\ufeff" + `{"notes":1}`, false},
		"text after the end":  {`{"notes":1}x`, false},
		"second value":        {`{"notes":1}{}`, false},
		"not UTF-8":           {"{\"notes\":\"\xff\"}", false},
		"trailing comma":      {`{"notes":[1,]}`, false},
		"leading zero":        {`{"notes":01}`, false},
		"cut off":             {`{"notes":[`, false},
		"depth 32":            {`{"notes":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`, true},
		"depth 33":            {`{"notes":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`, false},
		"name of 256":         {`{"notes":{"` + strings.Repeat("n", 256) + `":1}}`, true},
		"name of 257":         {`{"notes":{"` + strings.Repeat("n", 257) + `":1}}`, false},
	} {
		_, err := web.ReadJSON(t.Context(), []byte(tt.text))
		if (err == nil) != tt.sound {
			t.Errorf("%s: a request's body gives %v, want it taken: %t", name, err, tt.sound)
		}
		if _, err = providers.DecodeMembers([]byte(tt.text)); (err == nil) != tt.sound {
			t.Errorf("%s: a provider's message gives %v, want it taken: %t", name, err, tt.sound)
		}
		// A sound file without policies is refused for its content, as fees.policy.
		_, err = quote.CheckFile(strings.NewReader(tt.text))
		if e, ok := fault.Of(err); !ok || (e.Code == schedule.ErrPolicy.Code) != tt.sound {
			t.Errorf("%s: a policies file gives %v, want its text taken: %t", name, err, tt.sound)
		}
	}
}
