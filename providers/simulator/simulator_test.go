package simulator_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/doisoat/doisoat/providers/simulator/farsides"
	"github.com/doisoat/doisoat/providers/simulator/simtest"
	"github.com/doisoat/doisoat/providers/simulator/vnpay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRetries(t *testing.T) {
	t.Parallel()
	f := simtest.Start(t, farsides.Options{})
	f.MerchantSays("99", false)
	f.Pay(t, "DS0000000001", 50_000, nil)
	f.Must(t, "/control/pay", simtest.Object{"qr": simtest.QR50k, "outcome": "paid"})
	answer := f.Must(t, "/control/clock", simtest.Object{"advance": "33m"})
	if ipns, notices := f.Received(); ipns != 1+6 || notices != 1+7 {
		t.Errorf("after 33 minutes: got %d and %d (%v), want 7 and 8", ipns, notices, answer["delivered"])
	}
	f.Must(t, "/control/clock", simtest.Object{"advance": "24h"})
	if ipns, notices := f.Received(); ipns != 1+10 || notices != 1+7 {
		t.Errorf("after a day: got %d and %d, want 11 and 8", ipns, notices)
	}
	notices := f.Notices()
	for _, body := range notices[1:] {
		if body != notices[0] {
			t.Errorf("repeat: got %s, want the same bytes as %s", body, notices[0])
		}
	}
}

// TestBackgroundRetry: the worker repeats a callback although no script advances the clock.
func TestBackgroundRetry(t *testing.T) {
	t.Parallel()
	f := simtest.Start(t, farsides.Options{
		Now:         func() time.Time { return simtest.Morning.Add(time.Since(begun)) },
		RetryDelays: map[string][]time.Duration{farsides.VNPAY: {time.Millisecond, time.Millisecond, time.Hour}},
	})
	f.MerchantSays("97", true)
	f.Pay(t, "DS0000000001", 50_000, nil)
	simtest.Eventually(t, "third IPN", func() bool { n, _ := f.Received(); return n == 3 })
}

var begun = time.Now()

func TestCallbackFaults(t *testing.T) {
	t.Parallel()
	f := simtest.Start(t, farsides.Options{})
	set := func(provider, word string) {
		f.Must(t, "/control/faults", simtest.Object{"provider": provider, "callback": word})
	}
	set("vnpay", "bad_signature")
	set("vietqr", "bad_signature")
	f.Pay(t, "DS0000000001", 50_000, nil)
	answer := f.Must(t, "/control/pay", simtest.Object{"qr": simtest.QR50k, "outcome": "paid"})
	first := f.IPNs()[0]
	values := map[string]string{}
	for name := range first {
		values[name] = first.Get(name)
	}
	if values["vnp_SecureHash"] == vnpay.QueryHash(simtest.Secret, values) {
		t.Error("IPN: the signature is right")
	}
	if _, notices := f.Received(); notices != 0 {
		t.Errorf("notice was believed: %v", answer)
	}
	set("vietqr", "lose")
	sent := func(command simtest.Object) any {
		return f.Must(t, "/control/pay", command)["callback"].(simtest.Object)["sent"]
	}
	if n := sent(simtest.Object{"qr": simtest.QR50k, "outcome": "paid"}); n != json.Number("0") {
		t.Errorf("lose: got %v sent, want 0", n)
	}
	if n := sent(simtest.Object{"qr": simtest.QR50k, "outcome": "paid", "callback": "deliver"}); n != json.Number("1") {
		t.Errorf("a script overrides a fault: got %v sent, want 1", n)
	}
	for _, body := range []any{
		simtest.Object{"provider": "momo"},
		simtest.Object{"provider": "sepay", "refund": "refused"},
		simtest.Object{"provider": "vnpay", "refund": "x"},
		simtest.Object{"provider": "vnpay", "inquiry": "x"},
		simtest.Object{"provider": "vnpay", "callback": "x"},
		simtest.Object{"provider": "vnpay", "x": "x"},
	} {
		if code, answer := f.Post(t, "/control/faults", body); code != 400 {
			t.Errorf("%v: got %d %v, want 400", body, code, answer)
		}
	}
	for _, advance := range []string{"", "-1h", "9000h", "a day"} {
		if code, answer := f.Post(t, "/control/clock", simtest.Object{"advance": advance}); code != 400 {
			t.Errorf("advance %q: got %d %v, want 400", advance, code, answer)
		}
	}
}

// TestRestart: after a kill the state has all payments and the callbacks that
// are not delivered. The state file holds no secret.
func TestRestart(t *testing.T) {
	t.Parallel()
	options := farsides.Options{StateFile: filepath.Join(t.TempDir(), "simulator.json")}
	first := simtest.Start(t, options)
	first.MerchantSays("99", false)
	first.Pay(t, "DS0000000001", 50_000, simtest.Object{"callback": "late"})
	first.Must(t, "/control/pay", simtest.Object{"qr": simtest.QR50k, "outcome": "paid", "callback": "late"})
	first.API(t, simtest.Refund("r1", "DS0000000001", "03", 10_000))
	first.Must(t, "/control/faults", simtest.Object{"provider": "sepay", "callback": "twice"})
	first.Must(t, "/control/clock", simtest.Object{"advance": "1s"})
	_, before := first.Get(t, "/control/state")

	second := simtest.Start(t, options) // the first was not closed: as after a kill
	_, after := second.Get(t, "/control/state")
	if diff := cmp.Diff(after, before); diff != "" {
		t.Errorf("state (-got +want):\n%s", diff)
	}
	for _, word := range []string{simtest.Secret, simtest.Hook} {
		if strings.Contains(after, word) {
			t.Error("state shows a secret")
		}
	}
	if got := simtest.Status(second.API(t, simtest.Refund("r1", "DS0000000001", "03", 10_000))); got != "94 <nil>/<nil>" {
		t.Errorf("request id after restart: got %q, want 94", got)
	}
	second.Must(t, "/control/clock", simtest.Object{"advance": "10m"})
	if ipns, notices := second.Received(); ipns != 1 || notices != 1 {
		t.Errorf("owed callbacks: got %d and %d, want 1 and 1", ipns, notices)
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	f := simtest.Start(t, farsides.Options{StateFile: filepath.Join(t.TempDir(), "simulator.json")})
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 5 {
				for _, body := range []any{
					simtest.Object{"url": f.PayURL(fmt.Sprintf("DS%d%d", i, j), 20_000, nil), "outcome": "paid"},
					simtest.Object{"qr": simtest.QR50k, "outcome": "paid"},
				} {
					if code, answer, err := f.Call("/control/pay", body); err != nil || code != 200 {
						t.Errorf("pay: got %d %v %v", code, answer, err)
					}
				}
				f.Call("/control/clock", simtest.Object{"advance": "1s"}) //nolint:errcheck // only runs beside the other calls
			}
		})
	}
	group.Wait()
	if ipns, notices := f.Received(); ipns != 40 || notices != 40 {
		t.Errorf("callbacks: got %d and %d, want 40 and 40", ipns, notices)
	}
	_, file := f.Get(t, "/control/statement?source=vnpay&date=2026-11-21")
	if got := len(lines(file)); got != 41 {
		t.Errorf("settlement lines: got %d, want 41", got)
	}
}

func lines(text string) []string { return strings.Split(strings.TrimSpace(text), "\n") }

// TestStateMembers: scripts read these members of /control/state.
func TestStateMembers(t *testing.T) {
	t.Parallel()
	f := simtest.Start(t, farsides.Options{})
	_, text := f.Get(t, "/control/state")
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	var kept map[string]json.RawMessage
	if err := json.Unmarshal(all["state"], &kept); err != nil {
		t.Fatal(err)
	}
	got := [][]string{slices.Sorted(maps.Keys(all)), slices.Sorted(maps.Keys(kept))}
	want := [][]string{{"bank_accounts", "now", "state", "vnpay_terminals"}, {
		"bank_movements", "batches", "clock_offset_ns", "deliveries", "faults", "last_delivery", "last_movement", "last_response",
		"last_transaction", "payments", "refunds", "request_day", "requests", "settlement_rows", "version",
	}}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("members (-got +want):\n%s", diff)
	}
}

// TestUnreadableState: the simulator reports a damaged file and never overwrites it.
func TestUnreadableState(t *testing.T) {
	t.Parallel()
	for _, content := range []string{`{"version":1,"payments":[`, `{"version":9}`} {
		file := filepath.Join(t.TempDir(), "simulator.json")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		s := farsides.New(farsides.Options{StateFile: file})
		s.RegisterVNPAY(simtest.Terminal, simtest.Secret, "")
		answer := httptest.NewRecorder()
		s.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/control/state", http.NoBody))
		s.Close()
		left, err := os.ReadFile(file)
		if s.Err() == nil || answer.Code != http.StatusServiceUnavailable || err != nil || string(left) != content {
			t.Errorf("%s: got %v, %d, %q, want an error, 503 and the same file", content, s.Err(), answer.Code, left)
		}
	}
}

// TestUnwritableState: the simulator answers no call as done whose state it cannot
// store. The worker still sends the callback of the call.
func TestUnwritableState(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "state")
	f := simtest.Start(t, farsides.Options{StateFile: filepath.Join(folder, "simulator.json")})
	body := simtest.Object{"url": f.PayURL("DS0000000001", 50_000, nil), "outcome": "paid"}
	if code, _, err := f.Call("/control/pay", body); code != http.StatusInternalServerError {
		t.Errorf("no folder: got %d %v, want 500", code, err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	simtest.Eventually(t, "IPN of the worker", func() bool { n, _ := f.Received(); return n == 1 })
}
