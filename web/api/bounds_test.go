package api_test

import (
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestHostileBodiesAreCheap: a body that is wrong in many thousands of places
// is refused with 20 faults at most, for less than 0.2 seconds of a processor.
func TestHostileBodiesAreCheap(t *testing.T) { //nolint:paralleltest // it measures the whole process
	h := newHarness(t)
	zeros := strings.Repeat("0,", 49_000) + "0"
	var unknown strings.Builder
	for i := range 24_000 {
		unknown.WriteString(`"u` + strconv.Itoa(i) + `":0,`)
	}
	for _, tt := range []struct {
		name, body string
		status     int
		code       string
		pointer    string
		faults     int
	}{
		{
			"long name, many elements", `{"` + strings.Repeat("n", 300_000) + `":[` + strings.Repeat("0,", 100_000) + `0]}`, 400, "http.malformed",
			"", 0,
		},
		{"too many elements to read", `{"items":[` + strings.Repeat("0,", 400_000) + `0]}`, 400, "http.malformed", "", 0},
		{"more elements than allowed", `{"items":[` + zeros + `]}`, 422, "http.invalid", "/items", 1},
		{"more groups than allowed", `{"applicant":{"groups":[` + zeros + `]}}`, 422, "http.invalid", "/applicant/groups", 1},
		{"unknown members", `{` + unknown.String() + `"code":"x"}`, 422, "http.invalid", "/u0", 20},
		{"elements in an unknown member", `{"x":[` + zeros + `]}`, 422, "http.invalid", "/agency", 7},
	} {
		start := processor(t)
		a := h.ask("portal", http.MethodPost, "/v1/dossiers", tt.body)
		spent := processor(t) - start
		faults, _ := a.at("errors").([]any)
		if a.status != tt.status || a.text("code") != tt.code || len(faults) != tt.faults {
			t.Errorf("%s: got %d %s with %d faults, want %d %s with %d: %.300s", tt.name, a.status, a.text("code"), len(faults), tt.status, tt.code,
				tt.faults, a.body)
		} else if tt.faults > 0 && a.text("errors.0.pointer") != tt.pointer {
			t.Errorf("%s: the first fault is at %s, want %s", tt.name, a.text("errors.0.pointer"), tt.pointer)
		}
		if spent > 200*time.Millisecond {
			t.Errorf("%s: %s of processor time, want less than 200ms", tt.name, spent)
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

// TestUploadParameters: an upload's address and headers meet the same checks as all others.
func TestUploadParameters(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const body = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\na,b\r\n--x--"
	for name, tt := range map[string]struct{ path, key, pointer string }{
		"byte above 0x7f": {"/v1/statements", "key-0000\xff", "Idempotency-Key:"},
		"too long":        {"/v1/statements", strings.Repeat("k", 6_000), "Idempotency-Key:"},
		"too short":       {"/v1/statements", "k", "Idempotency-Key:"},
		"unknown query":   {"/v1/statements?x=1", "key-00000001", "?x"},
	} {
		a := h.ask("accountant", http.MethodPost, tt.path, body, "Content-Type", "multipart/form-data; boundary=x", "Idempotency-Key", tt.key)
		if a.status != 400 || a.text("code") != "http.parameter" || a.text("errors.0.pointer") != tt.pointer {
			t.Errorf("%s: got %d %s, want 400 http.parameter at %s: %.300s", name, a.status, a.text("code"), tt.pointer, a.body)
		}
	}
}
