package captures_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/payments/captures"
	"github.com/doisoat/doisoat/payments/paytest"
)

// taken is a capture of 60,000 and 20,000 for two charges, with 5,000 too much.
func taken(d *paytest.Desk) (payments.Payment, payments.Capture) {
	d.T.Helper()
	p := d.Begin(d.Dossier(1, 60_000, 20_000).Code, "vietqr")
	d.PayAt(p, map[string]any{"amount": 85_000})
	return p, d.Details(p.ID).Captures[0]
}

func reserve(d *paytest.Desk, id payments.CaptureID, portions ...captures.Portion) error {
	return d.InTx(func(tx pgx.Tx) error {
		return captures.Reserve(context.WithoutCancel(d.T.Context()), tx, id, portions)
	})
}

func TestConcurrentReservationsNeverExceedACapture(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	_, c := taken(d)
	charge := c.Allocations[0].Charge
	const refunds = 10
	var (
		group sync.WaitGroup
		errs  [refunds]error
	)
	for i := range refunds {
		group.Go(func() { errs[i] = reserve(d, c.ID, captures.Portion{Charge: charge, Amount: 20_000}) })
	}
	group.Wait()
	done := 0
	for _, err := range errs {
		switch {
		case err == nil:
			done++
		case !errors.Is(err, payments.ErrRefundCap):
			t.Errorf("got %v, want ErrRefundCap", err)
		}
	}
	got := d.Rows(`select c.refund_reserved || ' ' || p.refund_reserved || ' ' || sum(a.refund_reserved)
		from payments.capture c join payments.payment p on p.id = c.payment_id join payments.allocation a on a.capture_id = c.id
		group by c.id, p.id`)
	if done != 3 || got[0] != "60000 60000 60000" {
		t.Errorf("%d reservations, reserved %s, want 3 and 60000 everywhere", done, got[0])
	}
}

func TestReserveAndRelease(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	_, c := taken(d)
	first, second := c.Allocations[0].Charge, c.Allocations[1].Charge
	stranger := dossiers.ChargeID(uuid.Must(uuid.NewV7()))
	for what, portions := range map[string][]captures.Portion{
		"more than a charge got":  {{Charge: second, Amount: 20_001}},
		"a charge twice":          {{Charge: second, Amount: 15_000}, {Charge: second, Amount: 15_000}},
		"more than the excess":    {{Amount: 5_001}},
		"more than the capture":   {{Charge: first, Amount: 60_000}, {Charge: second, Amount: 20_000}, {Amount: 5_001}},
		"another's charge":        {{Charge: stranger, Amount: 1}},
		"one of two is another's": {{Charge: first, Amount: 1}, {Charge: stranger, Amount: 1}},
		"nothing":                 {{Charge: first, Amount: 0}},
		"less than nothing":       {{Charge: first, Amount: -1}},
		"more and less":           {{Charge: first, Amount: 70_000}, {Charge: second, Amount: -10_000}},
	} {
		if err := reserve(d, c.ID, portions...); !errors.Is(err, payments.ErrRefundCap) {
			t.Errorf("%s: got %v, want ErrRefundCap", what, err)
		}
	}
	all := []captures.Portion{{Charge: first, Amount: 60_000}, {Charge: second, Amount: 20_000}, {Amount: 5_000}}
	d.Must(reserve(d, c.ID, all...))
	found := func() (c2 payments.Capture) {
		d.Must(d.InTx(func(tx pgx.Tx) (err error) {
			c2, err = payments.FindCapture(t.Context(), tx, c.ID)
			return err
		}))
		return c2
	}
	want := c
	want.Reserved, want.ExcessReserved = 85_000, 5_000
	want.Allocations = []payments.Allocation{
		{Charge: first, Amount: 60_000, Reserved: 60_000},
		{Charge: second, Amount: 20_000, Reserved: 20_000},
	}
	if diff := cmp.Diff(found(), want); diff != "" {
		t.Errorf("all reserved (-got +want):\n%s", diff)
	}
	if err := reserve(d, c.ID, captures.Portion{Charge: first, Amount: 1}); !errors.Is(err, payments.ErrRefundCap) {
		t.Errorf("one more: got %v, want ErrRefundCap", err)
	}
	release := func() error {
		return d.InTx(func(tx pgx.Tx) error { return captures.Release(t.Context(), tx, c.ID, all) })
	}
	d.Must(release())
	if diff := cmp.Diff(found(), c); diff != "" {
		t.Errorf("released (-got +want):\n%s", diff)
	}
	if err := release(); !errors.Is(err, payments.ErrRefundCap) {
		t.Errorf("released twice: got %v, want ErrRefundCap", err)
	}
	if err := reserve(d, payments.CaptureID(uuid.New()), all...); !errors.Is(err, payments.ErrCaptureNotFound) {
		t.Errorf("no such capture: got %v, want ErrCaptureNotFound", err)
	}
}

func TestSettleAndUnsettle(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	p := d.Begin(d.Dossier(1, 60_000).Code, "vietqr")
	d.PayAt(p, map[string]any{"amount": 40_000})
	d.PayAt(p, map[string]any{"amount": 20_000})
	list := d.Details(p.ID).Captures
	ids := []payments.CaptureID{list[0].ID, list[1].ID}
	accountant := auth.Actor{Authority: "H41", Role: auth.RoleAccountant, ID: "key_accountant"}
	settle := func(ids ...payments.CaptureID) payments.Status {
		d.Must(d.Act(accountant, func(act postgres.Act) error { return captures.Settle(t.Context(), act, ids) }))
		return d.Details(p.ID).Status
	}
	unsettle := func(ids ...payments.CaptureID) payments.Status {
		d.Must(d.Act(accountant, func(act postgres.Act) error { return captures.Unsettle(t.Context(), act, ids) }))
		return d.Details(p.ID).Status
	}
	unsettled := func() (n int) {
		d.Must(d.InTx(func(tx pgx.Tx) error {
			return tx.QueryRow(t.Context(), `select count(*) from payments.capture where settled_at is null`).Scan(&n)
		}))
		return n
	}
	got := []any{
		unsettled(), settle(ids[0]), unsettled(), settle(ids...), settle(ids...), unsettled(),
		unsettle(ids[1]), unsettle(ids[1]), unsettled(), settle(ids[1]),
	}
	want := []any{
		2, payments.Captured, 1, payments.Settled, payments.Settled, 0,
		payments.Captured, payments.Captured, 1, payments.Settled,
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("step by step (-got +want):\n%s", diff)
	}
	// A further transfer reopens a settled payment.
	d.PayAt(p, map[string]any{"amount": 1_000})
	if got := d.Details(p.ID); got.Status != payments.Captured || got.Captured != 61_000 || unsettled() != 1 {
		t.Errorf("after a further transfer: got %+v", got.Payment)
	}
	if diff := cmp.Diff(
		d.Rows(`select act from audit.event where object_id = $1 and actor_id = 'key_accountant' order by id`, p.ID.String()),
		[]string{"payment.settle", "payment.unsettle", "payment.settle"},
	); diff != "" {
		t.Errorf("audit (-got +want):\n%s", diff)
	}
}
