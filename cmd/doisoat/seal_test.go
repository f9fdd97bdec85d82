package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/ledger/seal"
)

// TestEndToEndSeal pays, seals, keeps the proofs of API and export as files and
// verifies them without the database.
func TestEndToEndSeal(t *testing.T) {
	t.Parallel()
	d := startDev(t)
	d.pay("H41.12-240502-0001", "vnpay")
	auditor := d.key(firstAuthority, auth.RoleAuditor)
	page := d.must(http.StatusOK, auditor, http.MethodGet, "/v1/ledger/accounts/A-CLR-vnpay/postings", "")
	entry := page.text("items.0.entry")
	d.sealUntil(auditor, entry)

	today := "/v1/proofs/" + calendar.On(time.Now()).String()
	var daily seal.DailyProof
	if err := json.Unmarshal(d.must(http.StatusOK, auditor, http.MethodGet, today, "").body, &daily); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	proof, receipt, book := filepath.Join(dir, "proof.json"), filepath.Join(dir, "receipt.json"), filepath.Join(dir, "book.jsonl")
	cause := d.must(http.StatusOK, auditor, http.MethodGet, "/v1/ledger/entries/"+entry, "").text("cause.id")
	for file, id := range map[string]string{proof: entry, receipt: cause} {
		if err := os.WriteFile(file, d.must(http.StatusOK, auditor, http.MethodGet, "/v1/ledger/entries/"+id+"/proof", "").body,
			0o600); err != nil {
			t.Fatal(err)
		}
	}
	exported := d.mustReport("seal", "export", "--json", "--authority", firstAuthority, "--out", book)
	head := daily.ChainHead.String()
	if exported["head"] != head || exported["entries"] != float64(daily.AllTime) {
		t.Errorf("export: got %v, want head %s and %d entries", exported, head, daily.AllTime)
	}
	want := map[string]any{"entry": entry, "authority": firstAuthority, "block": float64(daily.Block.Number), "head": head}
	for _, file := range []string{proof, receipt} {
		code, stdout, stderr := verified(t, "--json", "--head", head, file)
		var report map[string]any
		if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != exitOK {
			t.Fatalf("verify: exit code %d, %v: %s%s", code, err, stdout, stderr)
		}
		if diff := cmp.Diff(report["proof"], any(want)); diff != "" {
			t.Errorf("verify %s (-got +want):\n%s", filepath.Base(file), diff)
		}
	}
	if code, stdout, _ := verified(t, "--head", head, book); code != exitOK ||
		!strings.Contains(stdout, "the book of "+firstAuthority+" is whole") {
		t.Errorf("verify: got exit code %d, %q", code, stdout)
	}
	text, err := os.ReadFile(book)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(book, []byte(strings.Replace(string(text), `"amount":60000`, `"amount":60001`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, stdout, _ := verified(t, book); code != exitFailed || !strings.Contains(stdout, "WRONG") ||
		!strings.Contains(stdout, "entry ent_") {
		t.Errorf("verify a changed book: got exit code %d, %q, want the entry named", code, stdout)
	}
	if code, stdout, _ := verified(t, "--head", strings.Repeat("0", 64), proof); code != exitFailed ||
		!strings.Contains(stdout, "leads to the head") {
		t.Errorf("verify against another head: got exit code %d, %q", code, stdout)
	}
	if code, _, stderr := verified(t, "--head", "12", proof); code != exitFailed || !strings.Contains(stderr, "64 hex digits") {
		t.Errorf("a head that is none: got exit code %d, %q", code, stderr)
	}
	d.mustCheck()
}

// verified runs doisoat verify with nothing around it: no database, no setting.
func verified(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), append([]string{"verify"}, args...), func(string) string { return "" }, &out, &errs)
	return code, out.String(), errs.String()
}

// sealUntil seals until the entry has its proof: another transaction on the server may delay the
// sealer for a moment.
func (d *devProgram) sealUntil(key, entry string) {
	d.t.Helper()
	for range 100 {
		code, stdout, stderr := d.command("seal", "--json")
		var report []seal.Sealed
		if err := json.Unmarshal([]byte(stdout), &report); err != nil {
			d.t.Fatalf("seal: exit code %d, %v: %s%s", code, err, stdout, stderr)
		}
		if d.ask(key, http.MethodGet, "/v1/ledger/entries/"+entry+"/proof", "").status == http.StatusOK {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	d.t.Fatalf("entry %s is never sealed", entry)
}
