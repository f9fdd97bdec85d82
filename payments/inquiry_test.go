package payments_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/payments/paytest"
)

func inquire(d *paytest.Desk, id payments.ID) payments.Payment {
	d.T.Helper()
	p, err := d.Inquire(d.T.Context(), paytest.System, id)
	d.Must(err)
	return p
}

// The callback is lost: the inquiry finds the money, once.
func TestInquiryRepairsALostCallback(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	code := d.Dossier(1, 60_000).Code
	p := d.Begin(code, "vnpay")
	if got := inquire(d, p.ID); got.Status != payments.Pending || got.Inquiries != 1 || got.NextInquiry == nil {
		t.Errorf("before paying: got %+v, want pending", got)
	}
	d.PayAt(p, map[string]any{"callback": "lose"})
	for range 2 {
		if got := inquire(d, p.ID); got.Status != payments.Captured || got.Captured != 60_000 {
			t.Errorf("after paying: got %+v, want captured", got)
		}
	}
	found := d.Details(p.ID)
	if len(found.Captures) != 1 || found.Captures[0].Evidence != payments.ByInquiry || d.Owed(code).Outstanding != 0 {
		t.Errorf("captures: got %+v", found.Captures)
	}
	// The callback comes at last: it tells of the capture that is known.
	if got := d.Call(
		d.VNPAY.ID,
		paytest.IPN(paytest.HashSecret, paytest.Terminal, p.Reference, found.Captures[0].TransactionID, 60_000, "00", "00"),
	); got != "02" {
		t.Errorf("late callback: answered %s, want 02", got)
	}
	if got := len(d.Details(p.ID).Captures); got != 1 {
		t.Errorf("captures: got %d, want 1", got)
	}
}

func TestInquiryFindsDeclined(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	p := d.Begin(d.Dossier(1, 60_000).Code, "vnpay")
	d.PayAt(p, map[string]any{"outcome": "failed", "callback": "lose"})
	if got := inquire(d, p.ID); got.Status != payments.Failed || got.NextInquiry != nil {
		t.Errorf("got %+v, want failed", got)
	}
}

// No clear answer is no answer: unknown, never failed, and asked again until it is known.
func TestInquiryWithoutAClearAnswer(t *testing.T) {
	t.Parallel()
	for _, trouble := range []string{"timeout", "garbage", "bad_signature"} {
		t.Run(trouble, func(t *testing.T) {
			t.Parallel()
			d := paytest.New(t)
			p := d.Begin(d.Dossier(1, 60_000).Code, "vnpay")
			d.Fault("inquiry", trouble)
			for n := 1; n <= 2; n++ {
				if got := inquire(d, p.ID); got.Status != payments.Unknown || got.Inquiries != n || got.NextInquiry == nil {
					t.Errorf("got %+v, want unknown", got)
				}
			}
			if _, err := d.Cancel(t.Context(), paytest.Portal, p.ID); !errors.Is(err, payments.ErrStatus) {
				t.Errorf("cancelling an unknown payment: got %v, want ErrStatus", err)
			}
			d.Clock.Advance(time.Hour) // time alone ends nothing that is unknown
			if got := inquire(d, p.ID); got.Status != payments.Unknown {
				t.Errorf("after its time: got %s, want unknown", got.Status)
			}
			d.Fault("inquiry", "")
			if got := inquire(d, p.ID); got.Status != payments.Expired {
				t.Errorf("a clear answer after its time: got %s, want expired", got.Status)
			}
		})
	}
}

func TestUnknownIsFoundPendingAndPaid(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	p := d.Begin(d.Dossier(1, 60_000).Code, "vnpay")
	d.Fault("inquiry", "timeout")
	inquire(d, p.ID)
	d.Fault("inquiry", "")
	if got := inquire(d, p.ID); got.Status != payments.Pending {
		t.Errorf("got %s, want pending", got.Status)
	}
	d.Fault("inquiry", "timeout")
	inquire(d, p.ID)
	if diff := cmp.Diff(d.PayAt(p, nil), []string{"00"}); diff != "" {
		t.Errorf("paid while unknown (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(d.Rows(`select act from audit.event where object_id = $1 order by id`, p.ID.String()), []string{
		"payment.create", "payment.lose_sight", "payment.found_pending", "payment.lose_sight", "payment.capture",
	}); diff != "" {
		t.Errorf("audit (-got +want):\n%s", diff)
	}
}

// A payment that was cancelled is asked about once its time is over, and on until the answer is clear.
func TestCancelledIsAskedUntilClear(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	p := d.Begin(d.Dossier(1, 60_000).Code, "vnpay")
	cancelled, err := d.Cancel(t.Context(), paytest.Portal, p.ID)
	d.Must(err)
	if want := p.ExpiresAt.Add(time.Minute); cancelled.NextInquiry == nil || !cancelled.NextInquiry.Equal(want) {
		t.Errorf("asked at %v, want %v", cancelled.NextInquiry, want)
	}
	d.Clock.Advance(20 * time.Minute)
	d.Fault("inquiry", "timeout")
	if got := inquire(d, p.ID); got.Status != payments.Cancelled || got.NextInquiry == nil {
		t.Errorf("no answer: got %s, asked at %v, want cancelled and asked again", got.Status, got.NextInquiry)
	}
	d.Fault("inquiry", "")
	if got := inquire(d, p.ID); got.Status != payments.Cancelled || got.NextInquiry != nil {
		t.Errorf("a clear answer: got %s, asked at %v, want cancelled and asked no more", got.Status, got.NextInquiry)
	}
}

// VNPAY took another sum than we asked for: nothing is captured, and the payment says so.
func TestInquiryFindsAnotherAmount(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	p := d.Begin(d.Dossier(1, 60_000).Code, "vnpay")
	d.PayAt(p, map[string]any{"amount": 50_000, "callback": "lose"})
	for range 2 {
		if got := inquire(
			d,
			p.ID,
		); got.Status != payments.Unknown || got.Reason != "wrong_amount" || got.NextInquiry == nil ||
			got.Captured != 0 {
			t.Errorf("got %+v, want unknown because of the amount", got)
		}
	}
}

// A bank transfer cannot be asked about: it expires in time.
func TestTransferExpires(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	code := d.Dossier(1, 60_000).Code
	p := d.Begin(code, "vietqr")
	if got := inquire(d, p.ID); got.Status != payments.Pending {
		t.Errorf("in time: got %s, want pending", got.Status)
	}
	d.Clock.Advance(16 * time.Minute)
	if got := inquire(d, p.ID); got.Status != payments.Expired {
		t.Errorf("after its time: got %s, want expired", got.Status)
	}
	d.PayAt(p, nil) // the code still works at the bank
	if got := d.Details(p.ID); got.Status != payments.Captured || d.Owed(code).Outstanding != 0 {
		t.Errorf("paid late: got %+v", got.Payment)
	}
}

func TestQueueDue(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	first := d.Begin(d.Dossier(1, 60_000).Code, "vnpay")
	d.Clock.Advance(time.Minute)
	d.Begin(d.Dossier(2, 60_000).Code, "vnpay")
	var queued []int
	for range 3 {
		n, err := d.QueueDue(t.Context())
		d.Must(err)
		queued = append(queued, n)
		d.Clock.Advance(4 * time.Minute)
	}
	// At 1 minute nothing is due, at 5 the first, at 9 the second too; the first is queued already.
	if diff := cmp.Diff(queued, []int{0, 1, 1}); diff != "" {
		t.Errorf("queued (-got +want):\n%s", diff)
	}
	if got, want := d.Queued("inquire_payment")[0], fmt.Sprintf(`{"payment": %q, "authority": "H41"}`, first.ID); got != want {
		t.Errorf("job: got %s, want %s", got, want)
	}
}

func TestInquireRefuses(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	p := d.Begin(d.Dossier(1, 60_000).Code, "vnpay")
	if _, err := d.Inquire(t.Context(), auth.System("H26"), p.ID); !errors.Is(err, payments.ErrNotFound) {
		t.Errorf("another authority: got %v, want ErrNotFound", err)
	}
	if _, err := d.Inquire(
		t.Context(),
		auth.Actor{Authority: "H41", Role: auth.RoleAuditor, ID: "key_a"},
		p.ID,
	); !errors.Is(
		err,
		auth.ErrForbidden,
	) {
		t.Errorf("auditor: got %v, want ErrForbidden", err)
	}
}
