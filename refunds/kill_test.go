package refunds_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/secret"
	"github.com/doisoat/doisoat/refunds"
)

// childVariable holds an order for a copy of this test binary.
const childVariable = "DOISOAT_REFUNDS_TEST_CHILD"

// order tells a child process what to send, and whether to stop for ever
// between step one and the call.
type order struct {
	DSN, Keys, Refund string
	Now               time.Time
	StopBeforeCall    bool
}

func TestMain(m *testing.M) {
	text := os.Getenv(childVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	if err := child(text); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

// child sends one refund as the program would. It is meant to be killed.
func child(text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	ctx := context.Background()
	pool, err := postgres.Open(ctx, postgres.Config{URL: o.DSN, MaxConns: 2})
	if err != nil {
		return err
	}
	defer pool.Close()
	ring, err := secret.Open(o.Keys)
	if err != nil {
		return err
	}
	client := &http.Client{}
	if o.StopBeforeCall {
		client.Transport = stopper{}
	}
	r, err := wire(pool, ring, client, func() time.Time { return o.Now })
	if err != nil {
		return err
	}
	var id refunds.ID
	if err := id.UnmarshalText([]byte(o.Refund)); err != nil {
		return err
	}
	if err := r.refunds.Send(ctx, province, id); err != nil {
		return err
	}
	fmt.Println("recorded")
	return nil
}

// stopper is where the program is after step one, with nothing sent.
type stopper struct{}

func (stopper) RoundTrip(*http.Request) (*http.Response, error) {
	fmt.Println("about to call")
	select {}
}

// startChild returns the child and its output.
func (w *world) startChild(o order) (*exec.Cmd, *bufio.Reader) {
	w.t.Helper()
	o.DSN, o.Keys, o.Now = w.db.AppDSN, w.keys, w.clock.Now()
	text, err := json.Marshal(o)
	w.ok(err)
	program, err := os.Executable()
	w.ok(err)
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), childVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	w.ok(err)
	w.ok(cmd.Start())
	w.t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, bufio.NewReader(out)
}

// kill ends the child with SIGKILL and fails if it had ended by itself.
func (w *world) kill(cmd *exec.Cmd, out io.Reader) {
	w.t.Helper()
	w.ok(cmd.Process.Kill())
	rest, _ := io.ReadAll(out)
	_ = cmd.Wait()
	if got := cmd.ProcessState.String(); got != "signal: killed" {
		w.t.Fatalf("the child: got %q after printing %q, want it killed", got, rest)
	}
}

func TestKilledBeforeTheCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, _ := w.paid(phi, lePhi)
	r := w.approved(d)
	cmd, out := w.startChild(order{Refund: r.ID.String(), StopBeforeCall: true})
	if line, err := out.ReadString('\n'); strings.TrimSpace(line) != "about to call" {
		t.Fatalf("the child: got %q, %v, want it about to call", line, err)
	}
	w.kill(cmd, out)

	w.status(r.ID, refunds.Sending)
	w.send(r.ID) // for all we know another process is sending
	w.inquire(r.ID)
	w.status(r.ID, refunds.Sending)
	if n := len(w.far.requests("querydr")); n != 1 { // the payment's own
		t.Errorf("inquiries: got %d, want only the payment's", n)
	}
	w.clock.advance(2 * time.Minute)
	w.send(r.ID)
	w.status(r.ID, refunds.Unknown)
	for range 3 { // VNPAY knows of no refund, which proves nothing
		w.clock.advance(time.Hour)
		w.inquire(r.ID)
		w.send(r.ID)
	}
	w.status(r.ID, refunds.Unknown)
	w.book(promised)
	w.requestsSeen(0)
}

func TestKilledAfterTheCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, _ := w.paid(phi, lePhi)
	r := w.approved(d)
	answered, release := make(chan struct{}), make(chan struct{})
	w.far.interfere(func(f *farSide) {
		f.answered = func(command string) {
			if command == "refund" {
				close(answered)
				<-release
			}
		}
	})
	cmd, out := w.startChild(order{Refund: r.ID.String()})
	select {
	case <-answered:
	case <-time.After(30 * time.Second):
		t.Fatal("the refund request did not arrive")
	}
	w.kill(cmd, out)
	close(release)

	w.status(r.ID, refunds.Sending)
	w.book(promised)
	w.clock.advance(2 * time.Minute)
	queued, err := w.refunds.QueueDue(t.Context())
	if err != nil || queued != 1 {
		t.Errorf("QueueDue: got %d, %v, want the interrupted refund", queued, err)
	}
	w.inquire(r.ID)
	w.send(r.ID)
	w.status(r.ID, refunds.Done)
	w.book(givenBack)
	w.requestsSeen(1)
}
