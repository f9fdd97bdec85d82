package payments_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/payments/paytest"
)

// Money that comes after another payment has paid is captured, and all of it is owed back.
func TestLateAfterPaidOtherwise(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	code := d.Dossier(1, 60_000).Code
	first := d.Begin(code, "vnpay")
	_, err := d.Cancel(t.Context(), paytest.Portal, first.ID)
	d.Must(err)
	second := d.Begin(code, "vnpay")
	if diff := cmp.Diff([][]string{d.PayAt(second, nil), d.PayAt(first, nil)}, [][]string{{"00"}, {"00"}}); diff != "" {
		t.Fatalf("answers (-got +want):\n%s", diff)
	}
	got := d.Details(first.ID)
	if got.Status != payments.Captured || got.Captured != 60_000 || len(got.Captures) != 1 || got.Captures[0].Excess != 60_000 {
		t.Errorf("late payment: got %+v, captures %+v", got.Payment, got.Captures)
	}
	if diff := cmp.Diff(d.Postings(first.ID), []string{"D A-CLR-vnpay 60000", "C L-REFUND 60000"}); diff != "" {
		t.Errorf("postings (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(
		d.Queued("propose_excess_refund"),
		[]string{fmt.Sprintf(`{"capture": %q, "authority": "H41"}`, got.Captures[0].ID)},
	); diff != "" {
		t.Errorf("jobs (-got +want):\n%s", diff)
	}
	if got := d.Owed(code); got.Paid != 60_000 || got.Outstanding != 0 {
		t.Errorf("dossier: got %+v, want paid once", got)
	}
	if diff := cmp.Diff(d.Rows(`select act from audit.event where object_id = $1 order by at, id`, first.ID.String()),
		[]string{"payment.create", "payment.cancel", "payment.capture_late"}); diff != "" {
		t.Errorf("audit (-got +want):\n%s", diff)
	}
}

// Money that comes late for a dossier that still owes pays it, and the other live payment is cancelled.
func TestLateAndStillOwed(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	code := d.Dossier(1, 60_000).Code
	first := d.Begin(code, "vnpay")
	d.Clock.Advance(17 * time.Minute)
	expired, err := d.Inquire(t.Context(), paytest.System, first.ID)
	if err != nil || expired.Status != payments.Expired || expired.NextInquiry != nil {
		t.Fatalf("got %+v, %v, want expired and asked no more", expired, err)
	}
	second := d.Begin(code, "vnpay")
	query := paytest.IPN(paytest.HashSecret, paytest.Terminal, first.Reference, "14000009", 60_000, "00", "00")
	if got := d.Call(d.VNPAY.ID, query); got != "00" {
		t.Fatalf("answered %s, want 00", got)
	}
	got := [2]payments.Details{d.Details(first.ID), d.Details(second.ID)}
	if got[0].Status != payments.Captured || got[0].Captures[0].Excess != 0 || got[1].Status != payments.Cancelled ||
		got[1].Reason != "paid_otherwise" {
		t.Errorf("got %+v and %+v, want the first captured and the second cancelled", got[0].Payment, got[1].Payment)
	}
	// The payer pays the second one all the same: it is excess.
	if diff := cmp.Diff(d.PayAt(second, nil), []string{"00"}); diff != "" {
		t.Errorf("answers (-got +want):\n%s", diff)
	}
	if c := d.Details(second.ID).Captures; len(c) != 1 || c[0].Excess != 60_000 {
		t.Errorf("captures of the second: got %+v", c)
	}
}

// Money for a service that has ended is proposed to go back, though it paid the charges.
func TestPaidAfterTheServiceEnded(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	code := d.Dossier(1, 60_000).Code
	p := d.Begin(code, "vnpay")
	_, err := d.Dossiers.RecordStatus(
		t.Context(),
		paytest.Portal,
		code,
		dossiers.StatusReport{Status: dossiers.Withdrawn, At: d.Clock.Now()},
	)
	d.Must(err)
	if diff := cmp.Diff(d.PayAt(p, nil), []string{"00"}); diff != "" {
		t.Errorf("answers (-got +want):\n%s", diff)
	}
	if got := len(d.Queued("propose_dossier_refunds")); got != 2 { // at the report, and at the capture
		t.Errorf("jobs: got %d, want 2", got)
	}
}

func TestTransfers(t *testing.T) {
	t.Parallel()
	type want struct {
		paid, outstanding int64
		excess            []string
		status            payments.Status
		postings          []string
	}
	for name, tt := range map[string]struct {
		amounts []int64
		want    want
	}{
		"exact": {[]int64{60_000}, want{60_000, 0, []string{"0"}, payments.Captured, []string{
			"D A-CLR-vietqr 60000", "C L-TAMTHU-PHI 60000", "D M-COLLECTED 60000", "C M-RECEIVABLE 60000",
		}}},
		"twice": {[]int64{60_000, 60_000}, want{60_000, 0, []string{"0", "60000"}, payments.Captured, []string{
			"D A-CLR-vietqr 60000", "C L-TAMTHU-PHI 60000", "D M-COLLECTED 60000", "C M-RECEIVABLE 60000",
			"D A-CLR-vietqr 60000", "C L-REFUND 60000",
		}}},
		"too much": {[]int64{75_000}, want{60_000, 0, []string{"15000"}, payments.Captured, []string{
			"D A-CLR-vietqr 75000", "C L-TAMTHU-PHI 60000", "D M-COLLECTED 60000", "C M-RECEIVABLE 60000", "C L-REFUND 15000",
		}}},
		"too little": {[]int64{45_000}, want{45_000, 15_000, []string{"0"}, payments.Captured, []string{
			"D A-CLR-vietqr 45000", "C L-TAMTHU-PHI 45000", "D M-COLLECTED 45000", "C M-RECEIVABLE 45000",
		}}},
		"little by little": {[]int64{45_000, 10_000, 20_000}, want{60_000, 0, []string{"0", "0", "15000"}, payments.Captured, []string{
			"D A-CLR-vietqr 45000", "C L-TAMTHU-PHI 45000", "D M-COLLECTED 45000", "C M-RECEIVABLE 45000",
			"D A-CLR-vietqr 10000", "C L-TAMTHU-PHI 10000", "D M-COLLECTED 10000", "C M-RECEIVABLE 10000",
			"D A-CLR-vietqr 20000", "C L-TAMTHU-PHI 5000", "D M-COLLECTED 5000", "C M-RECEIVABLE 5000", "C L-REFUND 15000",
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := paytest.New(t)
			code := d.Dossier(1, 60_000).Code
			p := d.Begin(code, "vietqr")
			for _, amount := range tt.amounts {
				if diff := cmp.Diff(
					d.PayAt(p, map[string]any{"amount": amount, "callback": "twice"}),
					[]string{"success true", "success true"},
				); diff != "" {
					t.Errorf("answers (-got +want):\n%s", diff)
				}
				d.Clock.Advance(time.Minute)
			}
			got := d.Owed(code)
			if got.Paid != tt.want.paid || got.Outstanding != tt.want.outstanding || d.Details(p.ID).Status != tt.want.status {
				t.Errorf(
					"dossier %+v, payment %s, want paid %d, outstanding %d",
					got,
					d.Details(p.ID).Status,
					tt.want.paid,
					tt.want.outstanding,
				)
			}
			if diff := cmp.Diff(d.Rows(`select excess::text from payments.capture order by recorded_at, id`), tt.want.excess); diff != "" {
				t.Errorf("excess per capture (-got +want):\n%s", diff)
			}
			if diff := cmp.Diff(d.Postings(p.ID), tt.want.postings); diff != "" {
				t.Errorf("postings (-got +want):\n%s", diff)
			}
			excess := 0
			for _, e := range tt.want.excess {
				if e != "0" {
					excess++
				}
			}
			if got := len(d.Queued("propose_excess_refund")); got != excess {
				t.Errorf("jobs: got %d, want %d", got, excess)
			}
			if tt.want.outstanding > 0 { // the rest is asked for by a further payment
				if rest := d.Begin(code, "vietqr"); rest.Amount != paytest.Dong(tt.want.outstanding) {
					t.Errorf("the rest: got %v, want %d", rest.Amount, tt.want.outstanding)
				}
			}
		})
	}
}

// A transfer that names no payment, or another's, is kept and answered well; the statement will show the money.
func TestTransferOfNobody(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	p := d.Begin(d.Dossier(1, 60_000).Code, "vietqr")
	for content, want := range map[string]string{"nop tien ho so": "stored", "DS23467ACDEF nop tien": "stored"} {
		if diff := cmp.Diff(d.PayAt(p, map[string]any{"content": content}), []string{"success true"}); diff != "" {
			t.Errorf("%s, %s (-got +want):\n%s", content, want, diff)
		}
	}
	if got := d.Details(p.ID); got.Status != payments.Pending || len(d.Rows(`select id::text from payments.capture`)) != 0 {
		t.Errorf("payment: got %+v, want it untouched", got.Payment)
	}
	if diff := cmp.Diff(
		d.PayAt(p, map[string]any{"content": "NGUYEN THI HANH DUNG chuyen tien " + p.Reference + " FT2412345"}),
		[]string{"success true"},
	); diff != "" {
		t.Errorf("named among other words (-got +want):\n%s", diff)
	}
	if got := d.Details(p.ID).Status; got != payments.Captured {
		t.Errorf("payment: got %s, want captured", got)
	}
}
