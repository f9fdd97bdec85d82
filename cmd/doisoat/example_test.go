package main

import (
	"context"
	"maps"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/cmd/doisoat/demo"
	"github.com/doisoat/doisoat/internal/auth"
)

const storyWithin = 2 * time.Minute

// TestEndToEndFirstPayment plays the story that newcomers play, by the same
// script, and once more on the same data after a kill and a new start.
func TestEndToEndFirstPayment(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"bash", "curl", "jq"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("the script needs %s", program)
		}
	}
	d := startDev(t)
	d.playStory()
	before := d.place()
	payments := d.must(http.StatusOK, d.key(firstAuthority, auth.RoleAuditor), http.MethodGet, "/v1/payments?limit=200", "")

	d.kill()
	d.start()
	after := d.place()
	if !maps.Equal(after.Keys, before.Keys) {
		t.Error("after a kill: got other keys, want those of the first start")
	}
	if diff := cmp.Diff(after.Authorities, before.Authorities); diff != "" {
		t.Errorf("after a kill: accounts differ (-got +want):\n%s", diff)
	}
	again := d.must(http.StatusOK, d.key(firstAuthority, auth.RoleAuditor), http.MethodGet, "/v1/payments?limit=200", "")
	if diff := cmp.Diff(again.json, payments.json); diff != "" {
		t.Errorf("after a kill: payments differ (-got +want):\n%s", diff)
	}
	d.playStory()
	d.mustCheck()
}

// playStory runs examples/first-payment.sh against the program.
func (d *devProgram) playStory() {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), storyWithin)
	defer cancel()
	script := filepath.Join("..", "..", "examples", "first-payment.sh")
	cmd := exec.CommandContext(ctx, "bash", script, filepath.Join(d.dir, demo.ManifestFile))
	cmd.Env = append(d.env, "DOISOAT="+binary(d.t))
	out, err := cmd.CombinedOutput()
	if err != nil {
		d.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	if want := "Every đồng is where it should be."; !strings.Contains(string(out), want) {
		d.t.Fatalf("%s: got no %q at the end:\n%s", script, want, out)
	}
}
