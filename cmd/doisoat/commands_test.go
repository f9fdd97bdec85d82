package main

import (
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
)

// TestEndToEndCommands runs the commands of staff at the server beside a
// running program: bring in, reconcile, close, keys, check.
func TestEndToEndCommands(t *testing.T) {
	t.Parallel()
	d := startDev(t)
	today := calendar.On(time.Now())
	_, payment := d.pay("H41.12-240502-0001", "vnpay")
	file := filepath.Join(t.TempDir(), "settlement.csv")
	terminal := d.place().Authorities[firstAuthority].Merchants["vnpay"].TmnCode
	settlement := d.control(http.MethodGet, "statement?source=vnpay&merchant="+terminal+"&date="+today.String(), "")
	if err := os.WriteFile(file, settlement.body, 0o600); err != nil {
		t.Fatal(err)
	}

	for _, want := range []string{"accepted", "duplicate"} {
		got := d.mustReport("import", "--json", "--authority", firstAuthority, "--source", "vnpay", file)
		if got["status"] != want || got["rows_accepted"] != 1.0 {
			t.Errorf("import: got %v, want status %s and one row", got, want)
		}
	}
	run := d.mustReport("reconcile", "--json", "--authority", firstAuthority, "--source", "vnpay", "--date", today.String())
	if diff := cmp.Diff(run["source_side"], any(map[string]any{"total": 60000.0, "matched": 60000.0, "breaks": 0.0})); diff != "" {
		t.Errorf("reconcile: source side differs (-got +want):\n%s", diff)
	}
	if got := d.must(http.StatusOK, d.key(firstAuthority, auth.RoleAuditor), http.MethodGet, "/v1/payments/"+payment,
		"").text("status"); got != "settled" {
		t.Errorf("after reconcile: got payment %s, want settled", got)
	}

	refused := []struct {
		name string
		args []string
		want string
	}{
		{"a day that is not over", []string{"close", "--authority", firstAuthority, "--date", today.String()}, "is not over"},
		{"no date", []string{"close", "--authority", firstAuthority, "--date", "today"}, "YYYY-MM-DD"},
		{
			"unknown source",
			[]string{"reconcile", "--authority", firstAuthority, "--source", "nobody", "--date", today.String()},
			"no source \"nobody\"",
		},
		{"import without a source", []string{"import", file}, "--source"},
		{"unknown authority", []string{"check", "--authority", "H99"}, "no such authority"},
		{"no role", []string{"keys", "create", "--authority", firstAuthority, "--role", "king", "--name", "x"}, "no role that a key can have"},
	}
	for _, tt := range refused {
		code, stdout, stderr := d.command(tt.args...)
		if code != exitFailed || !strings.Contains(stderr, tt.want) {
			t.Errorf("%s: got exit code %d, %q, %q, want %d and %q", tt.name, code, stdout, stderr, exitFailed, tt.want)
		}
	}
	d.mustCheck()
}

// TestEndToEndKeys: a key signs in until it is revoked, and is shown once.
func TestEndToEndKeys(t *testing.T) {
	t.Parallel()
	d := startDev(t)
	made := d.mustReport("keys", "create", "--json", "--authority", "H29", "--role", "auditor", "--name", "bank visit")
	text, _ := made["key"].(string)
	id, _ := made["id"].(string)
	d.must(http.StatusOK, text, http.MethodGet, "/v1/payments", "")
	_, listed, _ := d.command("keys", "list", "--authority", "H29")
	if !strings.Contains(listed, id) || strings.Contains(listed, text) {
		t.Errorf("keys list: got %q, want the id %s and never the key", listed, id)
	}
	if got := d.mustReport("keys", "revoke", "--json", id, "--authority", "H29", "--reason", "the visit is over"); got["live"] != false {
		t.Errorf("keys revoke: got %v, want a key that is not live", got)
	}
	d.must(http.StatusUnauthorized, text, http.MethodGet, "/v1/payments", "")
	if code, _, stderr := d.command("keys", "revoke", id, "--authority", "H41"); code != exitFailed {
		t.Errorf("revoke another authority's key: got exit code %d, %q, want %d", code, stderr, exitFailed)
	}
}

// TestEndToEndBounds: a dossier of 2015 is refused until the operator widens the
// authority's bounds, and the act stands in the audit trail.
func TestEndToEndBounds(t *testing.T) {
	t.Parallel()
	d := startDev(t)
	old := dossierBody(t, "H41.12-150502-0001", map[string]any{"submission": map[string]any{
		"channel": "direct", "submitted_at": "2015-05-04T09:00:00+07:00",
	}, "items": []any{map[string]any{"fee_type": "P_CONG_BO_DN", "base": 70_000, "assessed": map[string]any{"ground": "quyết định 12/QĐ"}}}})
	portal := d.key(firstAuthority, auth.RolePortal)
	d.wantProblem("before", d.ask(portal, http.MethodPost, "/v1/dossiers", old), http.StatusUnprocessableEntity, "auth.submitted_at")
	for name, args := range map[string][]string{
		"too far":           {"--days-back", "36501"},
		"backwards":         {"--minutes-ahead=-1"},
		"unknown authority": {"--authority", "H99", "--days-back", "1"},
	} {
		args = append([]string{"authority", "set", "--authority", firstAuthority, "--reason", "x"}, args...)
		if code, stdout, stderr := d.command(args...); code != exitFailed {
			t.Errorf("%s: got exit code %d, %q, %q, want %d", name, code, stdout, stderr, exitFailed)
		}
	}
	for range 2 { // the second time changes and records nothing
		got := d.mustReport("authority", "set", "--json", "--authority", firstAuthority, "--days-back", "9000", "--reason", "old files of 2015")
		if got["days_back"] != 9000.0 || got["minutes_ahead"] != 5.0 {
			t.Errorf("authority set: got %v, want 9000 days back and 5 minutes ahead", got)
		}
	}
	if _, list, _ := d.command("authority", "list"); !strings.Contains(list, "9000 days back     5 minutes ahead") {
		t.Errorf("authority list: got %q, want the bounds of %s", list, firstAuthority)
	}
	if n := count(t, d.database(), `
		select count(*) from audit.event where authority = 'H41' and act = 'authority.bounds' and actor_role = 'operator'
			and object_id = 'H41' and after ->> 'days_back' = '9000' and reason = 'old files of 2015'`); n != 1 {
		t.Errorf("audit: got %d events, want 1", n)
	}
	d.must(http.StatusCreated, portal, http.MethodPost, "/v1/dossiers", old)

	today := calendar.On(time.Now()).String()
	code, stdout, stderr := d.command("fees", "assessed", "--json", "--authority", firstAuthority, "--from", today, "--to", today)
	var list []map[string]any
	if err := json.Unmarshal([]byte(stdout), &list); err != nil || code != exitOK || len(list) != 1 {
		t.Fatalf("fees assessed: got exit code %d, %v, %s%s, want one charge", code, err, stdout, stderr)
	}
	delete(list[0], "recorded_at")
	want := map[string]any{
		"dossier": "H41.12-150502-0001", "agency": "H41.12", "line": 1.0, "fee_type": "P_CONG_BO_DN", "quantity": 1.0,
		"currency": "VND", "base": 70_000.0, "due": 70_000.0, "ground": "quyết định 12/QĐ",
	}
	if diff := cmp.Diff(list[0], want); diff != "" {
		t.Errorf("assessed charge (-got +want):\n%s", diff)
	}
	if _, stdout, _ := d.command("fees", "assessed", "--authority", "H29", "--from", today, "--to", today); stdout != "0 assessed charges\n" {
		t.Errorf("another authority: got %q, want no charge", stdout)
	}
}

// mustReport runs a command that reports JSON and must exit 0.
func (d *devProgram) mustReport(args ...string) map[string]any {
	d.t.Helper()
	code, stdout, stderr := d.command(args...)
	var report map[string]any
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != exitOK {
		d.t.Fatalf("doisoat %s: got exit code %d, %v, %s%s, want 0 and JSON", strings.Join(args, " "), code, err, stdout, stderr)
	}
	return report
}
