package jsondoc_test

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/internal/jsondoc"
)

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := jsondoc.Parse(t.Context(), []byte(` {"b": [1.50, true, null], "a/b":{"x":"é\ud83d\udca3"}} `), jsondoc.MessageTokens)
	if err != nil {
		t.Fatal(err)
	}
	want := jsondoc.Node{At: 1, Value: jsondoc.Object{
		{Name: "b", At: 2, Value: jsondoc.Node{At: 7, Value: jsondoc.List{{json.Number("1.50"), 8}, {true, 14}, {nil, 20}}}},
		{Name: "a/b", At: 27, Value: jsondoc.Node{At: 33, Value: jsondoc.Object{{Name: "x", At: 34, Value: jsondoc.Node{Value: "é💣", At: 38}}}}},
	}}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("Parse (-got +want):\n%s", diff)
	}
	for pointer, at := range map[string]int{"": 1, "/b/1": 14, "/b/7": 7, "/a~1b/x": 38, "/none/x": 1} {
		if found := got.Find(pointer).At; found != at {
			t.Errorf("Find(%q) starts at %d, want %d", pointer, found, at)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	type verdict struct {
		Kind    jsondoc.Kind
		Pointer string
		At      int
	}
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	name := strings.Repeat("n", jsondoc.MaxName)
	for text, want := range map[string]verdict{
		``:                        {jsondoc.Syntax, "", 0},
		`{"a":1,}`:                {jsondoc.Syntax, "", 7},
		`[1 2]`:                   {jsondoc.Syntax, "/1", 3},
		`{"a":[1`:                 {jsondoc.Syntax, "/a", 7},
		`{} {}`:                   {jsondoc.Syntax, "", 3},
		"{}\x00":                  {jsondoc.Syntax, "", 2},
		"\ufeff{}":                {jsondoc.Syntax, "", 1},
		"{\"a\":\"\xff\"}":        {jsondoc.Syntax, "", 6},
		`{"name":"\ud800x"}`:      {jsondoc.Syntax, "/name", 9},
		`{"\udc00":1}`:            {jsondoc.Syntax, "/\ufffd", 2},
		`["\u0000"]`:              {jsondoc.NUL, "/0", 2},
		`{"a":{"\u0000":1}}`:      {jsondoc.NUL, "/a/\x00", 7},
		`{"m/n":1,"m\/n":1}`:      {jsondoc.Duplicate, "/m~1n", 9},
		`[{"a":1,"\u0061":1}]`:    {jsondoc.Duplicate, "/0/a", 8},
		deep(33):                  {jsondoc.Bound, strings.Repeat("/0", 32), 32},
		`{"` + name + `n":1}`:     {jsondoc.Bound, "", 1},
		"[" + zeros(50_000) + "]": {jsondoc.Bound, "/49999", 99_999},
	} {
		shown := text[:min(len(text), 40)]
		_, err := jsondoc.Parse(t.Context(), []byte(text), jsondoc.MessageTokens)
		var f *jsondoc.Fault
		if !errors.As(err, &f) {
			t.Errorf("%s: got %v, want a fault", shown, err)
			continue
		}
		if diff := cmp.Diff(verdict{f.Kind, f.Path.String(), f.At}, want); diff != "" {
			t.Errorf("%s: %v (-got +want):\n%s", shown, err, diff)
		}
	}
	for _, text := range []string{deep(32), `{"` + name + `":1}`, "[" + zeros(49_998) + "]", `"\\ud800\\\\u0000"`, "7"} {
		if _, err := jsondoc.Parse(t.Context(), []byte(text), jsondoc.MessageTokens); err != nil {
			t.Errorf("%s: got %v, want it read", text[:min(len(text), 40)], err)
		}
	}
}

func zeros(n int) string { return strings.Repeat("0,", n-1) + "0" }

// TestParseStopsForItsCaller: the work ends when the caller has gone.
func TestParseStopsForItsCaller(t *testing.T) {
	t.Parallel()
	ctx, gone := context.WithCancel(t.Context())
	gone()
	if _, err := jsondoc.Parse(ctx, []byte("["+zeros(10_000)+"]"), jsondoc.MessageTokens); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// TestCostIsLinear: twice the text costs twice the memory, and 500 kB never 0.2 seconds of a processor.
func TestCostIsLinear(t *testing.T) { //nolint:paralleltest // it measures the whole process
	hostile := map[string]func(n int) string{
		"long name, many elements": func(n int) string {
			return `{"` + strings.Repeat("n", n/2) + `":[` + zeros(n/4) + `]}`
		},
		"allowed name, many elements": func(n int) string {
			return `{"` + strings.Repeat("n", jsondoc.MaxName) + `":[` + zeros(n/2) + `]}`
		},
		"deep names": func(n int) string {
			name := `{"` + strings.Repeat("n", jsondoc.MaxName) + `":`
			return strings.Repeat(name, 31) + "[" + zeros(n/2) + "]" + strings.Repeat("}", 31)
		},
		"many members": func(n int) string {
			var b strings.Builder
			for i := range n / 12 {
				b.WriteString(`,"` + strings.Repeat("a", i%7) + string(rune('a'+i%26)) + time.Duration(i).String() + `":1`)
			}
			return "{" + b.String()[1:] + "}"
		},
		"many escapes": func(n int) string { return `"` + strings.Repeat(`\ud83d\udca3`, n/12) + `"` },
		"one string":   func(n int) string { return `"` + strings.Repeat("x", n) + `"` },
	}
	for name, make := range hostile {
		measure := func(n int) (bytes uint64, cpu time.Duration) {
			text := []byte(make(n))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := processor(t)
			_, _ = jsondoc.Parse(t.Context(), text, jsondoc.FileTokens)
			cpu = processor(t) - start
			runtime.ReadMemStats(&after)
			return after.TotalAlloc - before.TotalAlloc, cpu
		}
		half, _ := measure(250_000)
		whole, cpu := measure(500_000)
		if whole > 3*half || cpu > 200*time.Millisecond {
			t.Errorf("%s: %d bytes for half the text, %d for the whole in %s; want a linear cost under 200ms", name, half, whole, cpu)
		}
	}
}

func processor(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
