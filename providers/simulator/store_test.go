package simulator_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/doisoat/doisoat/providers/simulator"
)

// TestUnreadableState: a damaged file is reported and left as it is, never
// overwritten with an empty state.
func TestUnreadableState(t *testing.T) {
	t.Parallel()
	for _, content := range []string{`{"version":1,"payments":[`, `{"version":9}`} {
		file := filepath.Join(t.TempDir(), "simulator.json")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		s := simulator.New(simulator.Options{StateFile: file})
		s.RegisterVNPAY(terminal, secret, "")
		answer := httptest.NewRecorder()
		s.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/control/state", http.NoBody))
		s.Close()
		left, err := os.ReadFile(file)
		if s.Err() == nil || answer.Code != http.StatusServiceUnavailable || err != nil || string(left) != content {
			t.Errorf("%s: got %v, %d, %q, want an error, 503 and the same file", content, s.Err(), answer.Code, left)
		}
	}
}

// TestUnwritableState: what cannot be kept is not answered as done, and its
// callback is not lost to the worker.
func TestUnwritableState(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "state")
	f := start(t, simulator.Options{StateFile: filepath.Join(folder, "simulator.json")})
	body := object{"url": f.payURL("DS0000000001", 50_000, nil), "outcome": "paid"}
	if code, _, err := f.call("/control/pay", body); code != http.StatusInternalServerError {
		t.Errorf("no folder: got %d %v, want 500", code, err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	eventually(t, "IPN of the worker", func() bool { n, _ := f.received(); return n == 1 })
}
