package routes_test

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
	"github.com/doisoat/doisoat/refunds/refundstest"
)

// childVariable holds an order for a copy of this test binary.
const childVariable = "DOISOAT_REFUNDS_TEST_CHILD"

// childOrder tells a child process what to send, and whether to stop for ever
// between step one and the call.
type childOrder struct {
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
	var o childOrder
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
	r, err := refundstest.Wire(pool, ring, client, func() time.Time { return o.Now })
	if err != nil {
		return err
	}
	var id refunds.ID
	if err := id.UnmarshalText([]byte(o.Refund)); err != nil {
		return err
	}
	if err := r.Routes.Send(ctx, province, id); err != nil {
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
func (w *world) startChild(o childOrder) (*exec.Cmd, *bufio.Reader) {
	w.T.Helper()
	o.DSN, o.Keys, o.Now = w.DB.AppDSN, w.KeyFile, w.Clock.Now()
	text, err := json.Marshal(o)
	w.Must(err)
	program, err := os.Executable()
	w.Must(err)
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), childVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	w.Must(err)
	w.Must(cmd.Start())
	w.T.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, bufio.NewReader(out)
}

// kill ends the child with SIGKILL and fails if it had ended by itself.
func (w *world) kill(cmd *exec.Cmd, out io.Reader) {
	w.T.Helper()
	w.Must(cmd.Process.Kill())
	rest, _ := io.ReadAll(out)
	_ = cmd.Wait()
	if got := cmd.ProcessState.String(); got != "signal: killed" {
		w.T.Fatalf("the child: got %q after printing %q, want it killed", got, rest)
	}
}

func TestKilledBeforeTheCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, _ := w.Paid(phi, lePhi)
	r := w.Approved(d)
	cmd, out := w.startChild(childOrder{Refund: r.ID.String(), StopBeforeCall: true})
	if line, err := out.ReadString('\n'); strings.TrimSpace(line) != "about to call" {
		t.Fatalf("the child: got %q, %v, want it about to call", line, err)
	}
	w.kill(cmd, out)

	w.Status(r.ID, refunds.Sending)
	w.Send(r.ID) // for all we know another process is sending
	w.Inquire(r.ID)
	w.Status(r.ID, refunds.Sending)
	if n := len(w.Far.Requests("querydr")); n != 1 { // the payment's own
		t.Errorf("inquiries: got %d, want only the payment's", n)
	}
	w.Clock.Advance(2 * time.Minute)
	w.Send(r.ID)
	w.Status(r.ID, refunds.Unknown)
	for range 3 { // VNPAY knows of no refund, which proves nothing
		w.Clock.Advance(time.Hour)
		w.Inquire(r.ID)
		w.Send(r.ID)
	}
	w.Status(r.ID, refunds.Unknown)
	w.Book(promised)
	w.RequestsSeen(0)
}

func TestKilledAfterTheCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, _ := w.Paid(phi, lePhi)
	r := w.Approved(d)
	answered, release := make(chan struct{}), make(chan struct{})
	w.Far.Interfere(func(f *refundstest.FarSide) {
		f.Answered = func(command string) {
			if command == "refund" {
				close(answered)
				<-release
			}
		}
	})
	cmd, out := w.startChild(childOrder{Refund: r.ID.String()})
	select {
	case <-answered:
	case <-time.After(30 * time.Second):
		t.Fatal("the refund request did not arrive")
	}
	w.kill(cmd, out)
	close(release)

	w.Status(r.ID, refunds.Sending)
	w.Book(promised)
	w.Clock.Advance(2 * time.Minute)
	queued, err := w.Routes.QueueDue(t.Context())
	if err != nil || queued != 1 {
		t.Errorf("QueueDue: got %d, %v, want the interrupted refund", queued, err)
	}
	w.Inquire(r.ID)
	w.Send(r.ID)
	w.Status(r.ID, refunds.Done)
	w.Book(givenBack)
	w.RequestsSeen(1)
}
