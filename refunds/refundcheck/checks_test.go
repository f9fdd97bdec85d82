package refundcheck_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/refunds/refundcheck"
	"github.com/doisoat/doisoat/refunds/refundstest"
)

// Each damage that an owner of the database could do is named. The damages are
// undone: each is done in a transaction that is rolled back.
func TestCheckFindsDamage(t *testing.T) {
	t.Parallel()
	w := damaged(t)
	for name, c := range map[string]struct {
		damage string   // of a refund that is done, one that is unknown and one that is requested
		want   []string // beginnings of the lines found
	}{
		"none":       {`select 1`, nil},
		"payment":    {`update payments.payment set refund_reserved = refund_reserved - 1`, []string{"payment "}},
		"capture":    {`update payments.capture set refund_reserved = refund_reserved - 1`, []string{"capture "}},
		"allocation": {`update payments.allocation set refund_reserved = refund_reserved - 1`, []string{"allocation ", "allocation "}},
		"maker is checker": {`alter table refunds.refund drop constraint refund_maker_is_not_checker;
			update refunds.refund set decided_by = requested_by where status = 'done'`, []string{"refund "}},
		"nobody decided": {`alter table refunds.refund drop constraint refund_decided;
			update refunds.refund set decided_by = null where status = 'done'`, []string{"refund "}},
		"amount": {
			`update refunds.refund set amount = amount + 1 where status = 'requested'`,
			[]string{"payment ", "capture ", "refund "},
		},
		"forgotten": {`update refunds.refund set next_inquiry_at = null`, []string{"refund "}},
		"done by hand": {
			`update refunds.refund set status = 'done' where status = 'unknown'`,
			[]string{"refund ", "refund ", "payment ", "charge "},
		},
		"rejected by hand": {
			`update refunds.refund set status = 'rejected' where status = 'unknown'`,
			[]string{"payment ", "capture ", "allocation ", "refund ", "refund ", "payment ", "L-TAMTHU-LEPHI "},
		},
		"charge": {`update dossiers.charge set paid = paid - 1, refunded = refunded - 1 where refunded > 0`, []string{"charge "}},
	} {
		t.Run(name, func(t *testing.T) {
			tx, err := w.DB.Owner.Begin(t.Context())
			w.Must(err)
			defer func() { w.Must(tx.Rollback(context.WithoutCancel(t.Context()))) }()
			_, err = tx.Exec(t.Context(), c.damage)
			w.Must(err)
			_, err = tx.Exec(t.Context(), `set local role doisoat_app`) // the check reads as the program does
			w.Must(err)
			_, err = tx.Exec(t.Context(), `select set_config('app.authority', $1, true)`, refundstest.Province)
			w.Must(err)
			got, err := refundcheck.Check(t.Context(), tx)
			w.Must(err)
			ok := len(got) == len(c.want)
			for i := 0; ok && i < len(got); i++ {
				ok = strings.HasPrefix(got[i], c.want[i])
			}
			if !ok {
				t.Errorf("Check: got %q, want lines that begin with %q", got, c.want)
			}
		})
	}
}

// Entries that no refund made are found, too.
func TestCheckFindsForeignEntries(t *testing.T) {
	t.Parallel()
	w := damaged(t)
	d, p := w.Paid(refundstest.Phi)
	about := ledger.Dimensions{Dossier: d.ID.UUID(), Payment: p.ID.UUID()}
	one := money.Amount{Currency: "VND", Minor: 1}
	w.In(refundstest.Province, func(tx pgx.Tx) error {
		_, err := ledger.Post(t.Context(), tx, ledger.Entry{
			Authority: refundstest.Province, BusinessDate: calendar.On(refundstest.Begin), RecordedAt: refundstest.Begin, Actor: "system",
			Description: "test", Cause: ledger.Cause{Kind: "test", ID: "1", Event: "posted"},
			Postings: []ledger.Posting{ledger.Dr(ledger.RefundPayable, one, about), ledger.Cr(ledger.Clearing("vnpay"), one, about)},
		})
		return err
	})
	if got := w.Breaches(); len(got) != 1 || !strings.HasPrefix(got[0], "payment "+p.Reference+" owes -1 on L-REFUND") {
		t.Errorf("Check: got %q, want the payment that owes less than nothing", got)
	}
}

// damaged is a world without a check at its end.
func damaged(t *testing.T) *refundstest.World {
	t.Helper()
	w := refundstest.New(t)
	w.Unchecked = true
	d, _ := w.Paid(refundstest.Phi, refundstest.LePhi)
	first := w.Approved(d, refunds.Item{Charge: refundstest.Charge(t, d, refundstest.Phi).ID, Amount: 40_000})
	w.Send(first.ID)
	w.Clock.Advance(time.Minute)
	w.Inquire(first.ID)
	w.Status(first.ID, refunds.Done)
	second := w.Approved(d, refunds.Item{Charge: refundstest.Charge(t, d, refundstest.LePhi).ID, Amount: 50_000})
	w.Script.Fault(t, "vnpay", "refund", "timeout_not_done")
	w.Send(second.ID)
	w.Status(second.ID, refunds.Unknown)
	w.Request(d, refunds.Item{Charge: refundstest.Charge(t, d, refundstest.Phi).ID, Amount: 60_000})
	w.Consistent()
	return w
}

func TestStuck(t *testing.T) {
	t.Parallel()
	w := refundstest.New(t)
	stuck := func() (list []string) {
		w.In(refundstest.Province, func(tx pgx.Tx) (err error) {
			list, err = refundcheck.Stuck(t.Context(), tx, w.Clock.Now())
			return err
		})
		return list
	}
	d, _ := w.Paid(refundstest.Phi, refundstest.LePhi)
	unknown := w.Approved(d, refunds.Item{Charge: refundstest.Charge(t, d, refundstest.Phi).ID, Amount: 10_000})
	w.Script.Fault(t, "vnpay", "refund", "timeout_not_done")
	w.Send(unknown.ID)
	unsent := w.Approved(d, refunds.Item{Charge: refundstest.Charge(t, d, refundstest.Phi).ID, Amount: 20_000})
	open := w.Request(d, refunds.Item{Charge: refundstest.Charge(t, d, refundstest.Phi).ID, Amount: 30_000})
	if got := stuck(); len(got) != 0 {
		t.Errorf("Stuck: got %q, want nothing yet", got)
	}
	w.Clock.Advance(8 * 24 * time.Hour)
	got := stuck()
	want := []string{
		"refund " + unknown.Reference + " is unknown since 2024-05-02 10:00 and was not asked about",
		"refund " + unsent.Reference + " is reserved since 2024-05-02 10:00",
		"refund " + open.Reference + " is requested since 2024-05-02 10:00",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("Stuck (-got +want):\n%s", diff)
	}
	w.Inquire(unknown.ID) // it was asked about, and is still in doubt
	if got, want := stuck()[0], "refund "+unknown.Reference+" is unknown since 2024-05-02 10:00"; got != want {
		t.Errorf("Stuck: got %q, want %q", got, want)
	}
}
