package jobs_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/postgres/pgtest"
	"github.com/doisoat/doisoat/internal/secret"
	wiring "github.com/doisoat/doisoat/internal/world"
	"github.com/doisoat/doisoat/jobs"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/providers/simulator/farsides"
	"github.com/doisoat/doisoat/providers/vnpay"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/repricing"
)

const (
	province = "H41"
	waitMost = 30 * time.Second
)

// world is the rooms over a database and a far side of their own, with jobs
// worked for real. offset moves the clock of the rooms.
type world struct {
	t         *testing.T
	db        *pgtest.DB
	all       wiring.World
	inserts   *river.Client[pgx.Tx]
	dossiers  *dossiers.Service
	payments  *payments.Service
	refunds   *refunds.Service
	repricing *repricing.Service
	far       *farsides.Simulator
	offset    atomic.Int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, db: pgtest.New(t)}
	now := func() time.Time { return time.Now().Add(time.Duration(w.offset.Load())) }
	ring, err := secret.Create(filepath.Join(t.TempDir(), "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	w.all, err = wiring.New(wiring.Ground{
		Pool: w.db.App, Secret: ring, Providers: providers.NewRegistry(vnpay.New(&http.Client{Timeout: 10 * time.Second})),
		PublicURL: "https://thu.example.gov.vn", Now: now, Random: rand.Reader,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.inserts, w.dossiers, w.payments, w.refunds, w.repricing = w.all.Inserts, w.all.Dossiers, w.all.Payments, w.all.Refunds, w.all.Repricing
	w.seed(w.all.Fees)
	return w
}

func (w *world) seed(norms *fees.Service) {
	w.t.Helper()
	list, err := registry.KnownAuthorities()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := registry.EnsureAuthorities(w.t.Context(), w.db.Owner, registry.ReachingBack(list, 5000)); err != nil {
		w.t.Fatal(err)
	}
	if _, err := norms.LoadFeeTypes(w.t.Context(), auth.Operator("BTC"), schedule.Catalogue().FeeTypes); err != nil {
		w.t.Fatal(err)
	}
	// The far side's callbacks go nowhere: jobs have to find everything out.
	w.far = farsides.New(farsides.Options{RefundDelay: time.Millisecond})
	server := httptest.NewServer(w.far.Handler())
	w.t.Cleanup(w.far.Close)
	w.t.Cleanup(server.Close)
	const terminal, hash = "DOISOH41", "a secret of both sides"
	w.far.RegisterVNPAY(terminal, hash, "http://127.0.0.1:1/nobody")
	_, err = w.payments.Merchants.Register(w.t.Context(), auth.Operator(province), vnpay.Name, map[string]string{
		"tmn_code": terminal, "pay_url": server.URL + farsides.PayPath, "api_url": server.URL + farsides.APIPath,
	}, map[string]string{"hash_secret": hash})
	if err != nil {
		w.t.Fatal(err)
	}
}

// work starts the working client and stops it before the database goes.
func (w *world) work() {
	w.t.Helper()
	client, err := jobs.New(w.db.App, w.all.Jobs(), jobs.Options{
		Log: slog.New(slog.NewTextHandler(w.t.Output(), nil)), Workers: 2, SoftStop: time.Second, SweepEach: 100 * time.Millisecond, Test: true,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := client.Start(context.WithoutCancel(w.t.Context())); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), waitMost)
		defer cancel()
		if err := client.Stop(ctx); err != nil {
			w.t.Error(err)
		}
	})
}

// pay registers a dossier, starts a payment and pays it at VNPAY without a word to us.
func (w *world) pay(code string) payments.Payment {
	w.t.Helper()
	portal := auth.Actor{Authority: province, Role: auth.RolePortal, ID: "key_portal"}
	base := int64(100_000)
	_, _, err := w.dossiers.Register(w.t.Context(), portal, dossiers.Registration{
		Authority: province, Code: code, Agency: province, Channel: "direct", SubmittedAt: time.Date(2024, 5, 2, 2, 0, 0, 0, time.UTC),
		Applicant: dossiers.Applicant{Name: "Người nộp"}, Items: []quote.ItemRequest{{FeeType: "LP_DKKD", Base: &base}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	p, _, err := w.payments.Create(w.t.Context(), portal, code, payments.Request{Provider: vnpay.Name})
	if err != nil {
		w.t.Fatal(err)
	}
	body := `{"url":"` + p.Checkout.URL + `","outcome":"paid","callback":"lose"}`
	answer := httptest.NewRecorder()
	w.far.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, "/control/pay", strings.NewReader(body)))
	if answer.Code != http.StatusOK {
		w.t.Fatalf("pay: %d %s", answer.Code, answer.Body)
	}
	return p
}

// until asks again and again until done says yes.
func (w *world) until(what string, done func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(waitMost); !done(); {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: not within %s", what, waitMost)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// killedSweeps leaves the rows that a killed process leaves: sweeps with the state running.
func (w *world) killedSweeps() {
	w.t.Helper()
	for _, args := range []river.JobArgs{jobs.SweepInquiries{}, jobs.SweepRefunds{}} {
		_, err := w.inserts.Insert(w.t.Context(), args, &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true}})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	_, err := w.db.Owner.Exec(w.t.Context(), `update river.river_job set state = 'running', attempted_at = now(), attempt = 1`)
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestSweepsFindWhatCallbacksLost: the sweep of inquiries finds a payment whose callback never
// came. Jobs alone propose its refund, send the refund and ask about it.
func TestSweepsFindWhatCallbacksLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	paid := w.pay("H41.12-240502-0001")
	w.offset.Store(int64(6 * time.Minute)) // the first inquiry is due, the payment time is not over
	w.killedSweeps()
	w.work()

	system := auth.System(province)
	w.until("the payment is captured", func() bool {
		p, err := w.payments.Find(t.Context(), system, paid.ID)
		return err == nil && p.Status == payments.Captured
	})
	portal := auth.Actor{Authority: province, Role: auth.RolePortal, ID: "key_portal"}
	_, err := w.dossiers.RecordStatus(t.Context(), portal, "H41.12-240502-0001", dossiers.StatusReport{
		Status: dossiers.Processing, At: time.Now(), Reason: dossiers.ServiceImpossible,
	})
	if err != nil {
		t.Fatal(err)
	}
	var proposal refunds.Refund
	w.until("a refund is proposed", func() bool {
		list, _, err := w.refunds.List(t.Context(), system, refunds.Filter{DossierCode: "H41.12-240502-0001"})
		if err != nil || len(list) != 1 {
			return false
		}
		proposal = list[0]
		return true
	})
	chief := auth.Actor{Authority: province, Role: auth.RoleChiefAccountant, ID: "key_chief"}
	if _, err := w.refunds.Approve(t.Context(), chief, proposal.ID, ""); err != nil {
		t.Fatal(err)
	}
	w.until("the refund is sent", func() bool {
		r, err := w.refunds.Find(t.Context(), system, proposal.ID)
		return err == nil && r.SentAt != nil
	})
	w.offset.Store(int64(8 * time.Minute)) // the inquiry about the refund is due
	w.until("the refund is done", func() bool {
		r, err := w.refunds.Find(t.Context(), system, proposal.ID)
		return err == nil && r.Status == refunds.Done
	})
}

// TestHopelessJobsAreCancelled: a job about something that does not exist is
// not tried again, and its queue and attempts are those of its plan.
func TestHopelessJobsAreCancelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var inserted *rivertype.JobInsertResult
	err := postgres.WriteTx(t.Context(), w.db.App, province, func(tx pgx.Tx) (err error) {
		inserted, err = w.inserts.InsertTx(t.Context(), tx, payments.InquirePayment{Authority: province, Payment: unknownPayment(t)}, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	type put struct {
		Queue    string
		Attempts int
	}
	want := put{jobs.InquiryQueue, jobs.InquiryAttempts}
	if diff := cmp.Diff(put{inserted.Job.Queue, inserted.Job.MaxAttempts}, want); diff != "" {
		t.Errorf("planned job differs (-got +want):\n%s", diff)
	}
	w.work()
	w.until("the job is cancelled", func() bool {
		job, err := w.inserts.JobGet(t.Context(), inserted.Job.ID)
		return err == nil && job.State == rivertype.JobStateCancelled && job.Attempt == 1
	})
}

func unknownPayment(t *testing.T) payments.ID {
	t.Helper()
	var id payments.ID
	if err := id.UnmarshalText([]byte("pay_0193c2f0a0007000800000000000abcd")); err != nil {
		t.Fatal(err)
	}
	return id
}
