package callbacks_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/merchants"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/payments/paytest"
	"github.com/doisoat/doisoat/providers"
)

// The main case: the payer pays at VNPAY, and VNPAY calls twice.
func TestPaidAtVNPAY(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	code := d.Dossier(1, 60_000, 20_000).Code
	p := d.Begin(code, "vnpay")
	if diff := cmp.Diff(d.PayAt(p, map[string]any{"callback": "twice"}), []string{"00", "02"}); diff != "" {
		t.Errorf("answers (-got +want):\n%s", diff)
	}
	got := d.Details(p.ID)
	if got.Status != payments.Captured || got.Captured != 80_000 || got.NextInquiry != nil ||
		got.Attempts[0].Status != payments.AttemptCaptured {
		t.Errorf("payment: got %+v", got.Payment)
	}
	if len(got.Captures) != 1 || got.Captures[0].Amount != paytest.Dong(80_000) || got.Captures[0].Excess != 0 ||
		got.Captures[0].Evidence != payments.ByCallback || len(got.Captures[0].Allocations) != 2 {
		t.Errorf("captures: got %+v", got.Captures)
	}
	if diff := cmp.Diff(d.Postings(p.ID), []string{
		"D A-CLR-vnpay 80000",
		"C L-TAMTHU-PHI 60000", "D M-COLLECTED 60000", "C M-RECEIVABLE 60000",
		"C L-TAMTHU-LEPHI 20000", "D M-COLLECTED 20000", "C M-RECEIVABLE 20000",
	}); diff != "" {
		t.Errorf("postings (-got +want):\n%s", diff)
	}
	if got := d.Owed(code); got.Paid != 80_000 || got.Outstanding != 0 {
		t.Errorf("dossier: got %+v", got)
	}
	if diff := cmp.Diff(d.Rows(`select kind || ' ' || amount from dossiers.receipt order by kind`),
		[]string{"le_phi 20000", "phi 60000"}); diff != "" {
		t.Errorf("receipts (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(d.Rows(`select act from audit.event where object_kind in ('payment', 'capture') order by act`),
		[]string{"capture.record", "payment.capture", "payment.create"}); diff != "" {
		t.Errorf("audit (-got +want):\n%s", diff)
	}
	if got := d.Rows(`select kind from river.river_job`); len(got) != 0 {
		t.Errorf("jobs: got %v, want none", got)
	}
}

// Each situation has VNPAY's own answer, in the order of its guide.
func TestAnswersToVNPAY(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	p := d.Begin(d.Dossier(1, 60_000).Code, "vnpay")
	unknown, err := ident.NewReference(strings.NewReader(strings.Repeat("abcdefghijklmnop", 20)))
	d.Must(err)
	good := paytest.IPN(paytest.HashSecret, paytest.Terminal, p.Reference, "14000001", 60_000, "00", "00")
	for _, tt := range []struct {
		name, query, want string
		status            payments.Status
	}{
		{"no signature", good[:strings.Index(good, "&vnp_SecureHash")], "97", payments.Pending},
		{
			"another key", paytest.IPN("TESTONLYVNPAYHASHSECRET000000002", paytest.Terminal, p.Reference, "14000001", 60_000, "00", "00"), "97",
			payments.Pending,
		},
		{"changed amount", strings.Replace(good, "vnp_Amount=6000000", "vnp_Amount=600000000", 1), "97", payments.Pending},
		{"empty", "", "97", payments.Pending},
		{"parameter twice", good + "&vnp_Amount=6000000", "97", payments.Pending},
		{"unknown reference", paytest.IPN(paytest.HashSecret, paytest.Terminal, unknown, "14000001", 60_000, "00", "00"), "01", payments.Pending},
		{
			"reference that no program made", paytest.IPN(paytest.HashSecret, paytest.Terminal, "HOADON1", "14000001", 60_000, "00", "00"), "01",
			payments.Pending,
		},
		{"less", paytest.IPN(paytest.HashSecret, paytest.Terminal, p.Reference, "14000001", 59_999, "00", "00"), "04", payments.Pending},
		{
			"a hundred times more", paytest.IPN(paytest.HashSecret, paytest.Terminal, p.Reference, "14000001", 6_000_000, "00", "00"), "04",
			payments.Pending,
		},
		{
			"failed with another amount", paytest.IPN(paytest.HashSecret, paytest.Terminal, p.Reference, "14000001", 1, "24", "02"), "04",
			payments.Pending,
		},
		{"another terminal", paytest.IPN(paytest.HashSecret, "DVCTEST2", p.Reference, "14000001", 60_000, "00", "00"), "99", payments.Pending},
		{
			"suspected fraud", paytest.IPN(paytest.HashSecret, paytest.Terminal, p.Reference, "14000001", 60_000, "07", "07"), "00",
			payments.Unknown,
		},
		{"paid", good, "00", payments.Captured},
		{"paid again", good, "02", payments.Captured},
		{
			"failed after paid", paytest.IPN(paytest.HashSecret, paytest.Terminal, p.Reference, "14000001", 60_000, "24", "02"), "02",
			payments.Captured,
		},
		{
			"paid with another amount", paytest.IPN(paytest.HashSecret, paytest.Terminal, p.Reference, "14000001", 70_000, "00", "00"), "04",
			payments.Captured,
		},
	} {
		if got := d.Call(d.VNPAY.ID, tt.query); got != tt.want {
			t.Errorf("%s: answered %s, want %s", tt.name, got, tt.want)
		}
		if got := d.Details(p.ID).Status; got != tt.status {
			t.Errorf("%s: payment is %s, want %s", tt.name, got, tt.status)
		}
	}
	if got := len(d.Details(p.ID).Captures); got != 1 {
		t.Errorf("captures: got %d, want 1", got)
	}
	// Each verified message is kept, encrypted, and each refused one apart.
	if diff := cmp.Diff(d.Replies(), []string{
		"already_stored 2", "bad_message 1", "stored 2", "unknown_order 2", "wrong_amount 4",
	}); diff != "" {
		t.Errorf("kept messages (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(d.Refused(), []string{"H41 5"}); diff != "" {
		t.Errorf("refused messages (-got +want):\n%s", diff)
	}
	if got := d.Rows(`select id::text from payments.callback where position('vnp_'::bytea in message) > 0`); len(got) != 0 {
		t.Errorf("messages in clear: %v", got)
	}
}

func TestIdenticalNoticesAtOnceMakeOneCapture(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	code := d.Dossier(1, 60_000).Code
	p := d.Begin(code, "vnpay")
	query := paytest.IPN(paytest.HashSecret, paytest.Terminal, p.Reference, "14000001", 60_000, "00", "00")
	const calls = 20
	var (
		group sync.WaitGroup
		got   [calls]string
	)
	for i := range calls {
		group.Go(func() { got[i] = d.Call(d.VNPAY.ID, query) })
	}
	group.Wait()
	count := map[string]int{}
	for _, answer := range got {
		count[answer]++
	}
	if diff := cmp.Diff(count, map[string]int{"00": 1, "02": calls - 1}); diff != "" {
		t.Errorf("answers (-got +want):\n%s", diff)
	}
	if got := d.Rows(
		`select (select count(*) from payments.capture) || ' ' || (select count(*) from ledger.entry where cause_kind = 'capture')
		|| ' ' || (select count(*) from dossiers.receipt)`,
	); got[0] != "1 1 1" {
		t.Errorf("captures, entries, receipts: got %s, want one of each", got[0])
	}
	if diff := cmp.Diff(d.Replies(), []string{fmt.Sprintf("already_stored %d", calls-1), "stored 1"}); diff != "" {
		t.Errorf("kept messages (-got +want):\n%s", diff)
	}
}

// A recorded failure is answered "00", and the dossier can be paid by a new payment.
func TestFailedAtVNPAY(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	code := d.Dossier(1, 60_000).Code
	for _, outcome := range []string{"failed", "cancelled"} {
		p := d.Begin(code, "vnpay")
		if diff := cmp.Diff(d.PayAt(p, map[string]any{"outcome": outcome}), []string{"00"}); diff != "" {
			t.Errorf("%s (-got +want):\n%s", outcome, diff)
		}
		if got := d.Details(
			p.ID,
		); got.Status != payments.Failed || got.Reason == "" ||
			got.Attempts[0].Status != payments.AttemptDeclined ||
			len(got.Captures) != 0 {
			t.Errorf("%s: got %+v", outcome, got.Payment)
		}
	}
	if diff := cmp.Diff(d.PayAt(d.Begin(code, "vnpay"), nil), []string{"00"}); diff != "" {
		t.Errorf("paid at last (-got +want):\n%s", diff)
	}
}

// A message that fails inside the program is answered "99" and kept, and a job applies it once.
func TestOurFaultLosesNothing(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]struct{ breaks, mends string }{
		"a right is missing": {
			`revoke insert on ledger.posting from doisoat_app`, `grant insert on ledger.posting to doisoat_app`,
		},
		"a trigger raises": {
			`create function public.broken() returns trigger language plpgsql as 'begin raise exception ''broken''; end';
			create trigger broken before insert on payments.capture for each row execute function public.broken()`,
			`drop trigger broken on payments.capture`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := paytest.New(t)
			code := d.Dossier(1, 60_000).Code
			p := d.Begin(code, "vnpay")
			d.Exec(broken.breaks)
			if diff := cmp.Diff(d.PayAt(p, nil), []string{"99"}); diff != "" {
				t.Errorf("answer (-got +want):\n%s", diff)
			}
			if got := d.Details(p.ID); got.Status != payments.Pending || len(got.Captures) != 0 || d.Owed(code).Paid != 0 {
				t.Errorf("nothing may be recorded: got %+v", got.Payment)
			}
			if diff := cmp.Diff(d.Replies(), []string{"our_error 1"}); diff != "" {
				t.Errorf("kept messages (-got +want):\n%s", diff)
			}
			kept := d.Rows(`select id::text from payments.callback`)[0]
			id, err := ident.Parse[callbackKind]("cbk_" + strings.ReplaceAll(kept, "-", ""))
			d.Must(err)
			if diff := cmp.Diff(d.Queued("apply_callback"), []string{fmt.Sprintf(`{"callback": %q, "authority": "H41"}`, id)}); diff != "" {
				t.Errorf("jobs (-got +want):\n%s", diff)
			}
			if err := d.Callbacks.ApplyKept(t.Context(), "H41", payments.CallbackID(id)); err == nil {
				t.Error("applied while broken: got no error, so the job would not run again")
			}
			d.Exec(broken.mends)
			for range 2 {
				d.Must(d.Callbacks.ApplyKept(t.Context(), "H41", payments.CallbackID(id)))
			}
			if got := d.Details(p.ID); got.Status != payments.Captured || len(got.Captures) != 1 || d.Owed(code).Paid != 60_000 {
				t.Errorf("after the fault: got %+v", got.Payment)
			}
			if diff := cmp.Diff(d.Replies(), []string{"already_stored 1", "our_error 1", "stored 1"}); diff != "" {
				t.Errorf("kept messages (-got +want):\n%s", diff)
			}
			if err := d.Callbacks.ApplyKept(t.Context(), "H26", payments.CallbackID(id)); !errors.Is(err, payments.ErrNotFound) {
				t.Errorf("for another authority: got %v, want ErrNotFound", err)
			}
		})
	}
}

type callbackKind struct{}

func (callbackKind) Prefix() string { return "cbk" }

// A reference counts only at the merchant account of its payment.
func TestCallbackOfAnotherMerchant(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	p := d.Begin(d.Dossier(1, 60_000).Code, "vnpay")
	const theirKey, theirTerminal = "TESTONLYVNPAYHASHSECRET000000009", "DVCTEST9"
	theirs, err := d.Merchants.Register(t.Context(), auth.Actor{Authority: "H26", Role: auth.RoleAdmin, ID: "key_admin_26"}, "vnpay",
		d.VNPAYSettings(theirTerminal), map[string]string{"hash_secret": theirKey})
	d.Must(err)
	if got := d.Call(theirs.ID, paytest.IPN(theirKey, theirTerminal, p.Reference, "14000001", 60_000, "00", "00")); got != "01" {
		t.Errorf("our reference at their account: answered %s, want 01", got)
	}
	if got := d.Call(
		theirs.ID,
		paytest.IPN(paytest.HashSecret, paytest.Terminal, p.Reference, "14000001", 60_000, "00", "00"),
	); got != "97" {
		t.Errorf("our signature at their account: answered %s, want 97", got)
	}
	if got := d.Call(d.VNPAY.ID, paytest.IPN(theirKey, theirTerminal, p.Reference, "14000001", 60_000, "00", "00")); got != "97" {
		t.Errorf("their signature at our account: answered %s, want 97", got)
	}
	if got := d.Details(p.ID); got.Status != payments.Pending || len(got.Captures) != 0 {
		t.Errorf("payment: got %+v", got.Payment)
	}
	if diff := cmp.Diff(d.Rows(`select authority || ' ' || reply from payments.callback order by 1`),
		[]string{"H26 unknown_order"}); diff != "" {
		t.Errorf("whose messages (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(d.Refused(), []string{"H26 1", "H41 1"}); diff != "" {
		t.Errorf("whose refused messages (-got +want):\n%s", diff)
	}
}

// A flood of forged or repeated messages is answered, adds a bounded number of
// rows, and never keeps a genuine message out.
func TestFloodsAddFewRows(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	p := d.Begin(d.Dossier(1, 60_000).Code, "vnpay")
	paid := paytest.IPN(paytest.HashSecret, paytest.Terminal, p.Reference, "14000001", 60_000, "00", "00")
	forged := paytest.IPN("TESTONLYVNPAYHASHSECRET000000009", paytest.Terminal, p.Reference, "14000001", 60_000, "00", "00")
	for range 230 {
		if got := d.Call(d.VNPAY.ID, forged); got != "97" {
			t.Fatalf("forged: answered %s, want 97", got)
		}
	}
	if got := d.Call(d.VNPAY.ID, paid); got != "00" {
		t.Errorf("paid, after many forged ones: answered %s, want 00", got)
	}
	for range 130 {
		if got := d.Call(d.VNPAY.ID, paid); got != "02" {
			t.Fatalf("repeated: answered %s, want 02", got)
		}
	}
	other, err := ident.NewReference(strings.NewReader(strings.Repeat("abcdefghijklmnop", 20)))
	d.Must(err)
	unknown := paytest.IPN(paytest.HashSecret, paytest.Terminal, other, "14000002", 60_000, "00", "00")
	for range 130 {
		if got := d.Call(d.VNPAY.ID, unknown); got != "01" {
			t.Fatalf("repeated without a payment: answered %s, want 01", got)
		}
	}
	if diff := cmp.Diff(d.Replies(), []string{"already_stored 20", "stored 1", "unknown_order 20"}); diff != "" {
		t.Errorf("kept messages (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(d.Refused(), []string{"H41 50"}); diff != "" {
		t.Errorf("refused messages (-got +want):\n%s", diff)
	}
	d.Clock.Advance(24 * time.Hour)
	d.Call(d.VNPAY.ID, forged)
	if diff := cmp.Diff(d.Refused(), []string{"H41 51"}); diff != "" {
		t.Errorf("refused messages a day later (-got +want):\n%s", diff)
	}
	// A person can tell why, and no row shows a payer's text in clear.
	if got := d.Rows(
		`select distinct reason from payments.refused_callback where length > 200 and position('vnp_'::bytea in head) = 0`,
	); len(
		got,
	) != 1 {
		t.Errorf("reasons: got %q, want one", got)
	}
}

// A week later a job drops refused messages. Verified ones stay for ever.
func TestRefusedMessagesAreDropped(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	for day, want := range []string{"0 1", "0 2", "0 3", "0 4", "0 5", "0 6", "0 7", "1 7", "1 7"} {
		if got := d.Call(d.VNPAY.ID, "vnp_SecureHash=00"); got != "97" {
			t.Fatalf("forged: answered %s, want 97", got)
		}
		dropped, err := d.Callbacks.DropRefused(t.Context())
		d.Must(err)
		if got := fmt.Sprint(dropped, " ", d.Rows(`select count(*)::text from payments.refused_callback`)[0]); got != want {
			t.Errorf("day %d: dropped and kept %s, want %s", day, got, want)
		}
		d.Clock.Advance(24 * time.Hour)
	}
}

// A genuine message is applied although its sender has hung up.
func TestSenderHangsUp(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	p := d.Begin(d.Dossier(1, 60_000).Code, "vnpay")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, want := range []string{"00", "02"} {
		reply := d.Callbacks.Receive(gone, "vnpay", d.VNPAY.ID.String(), providers.RawCallback{
			Method: http.MethodGet, ReceivedAt: d.Clock.Now(),
			RawQuery: paytest.IPN(paytest.HashSecret, paytest.Terminal, p.Reference, "14000001", 60_000, "00", "00"),
		})
		if got := paytest.Word(string(reply.Body)); got != want {
			t.Errorf("answered %s, want %s", got, want)
		}
	}
	if got := d.Details(p.ID); got.Status != payments.Captured || len(got.Captures) != 1 {
		t.Errorf("payment: got %+v", got.Payment)
	}
	if got := d.Queued("apply_callback"); len(got) != 0 {
		t.Errorf("jobs: got %v, want none", got)
	}
}

// An internal fault before the check of the signature keeps nothing. A fault after the check keeps
// each event once, however often it arrives.
func TestOnlyVerifiedMessagesWait(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	p := d.Begin(d.Dossier(1, 60_000).Code, "vnpay")
	paid := paytest.IPN(paytest.HashSecret, paytest.Terminal, p.Reference, "14000001", 60_000, "00", "00")
	d.Exec(`revoke select on merchants.account from doisoat_app`)
	for _, query := range []string{"vnp_SecureHash=00", paid} {
		if got := d.Call(d.VNPAY.ID, query); got != "99" {
			t.Errorf("before the check: answered %s, want 99", got)
		}
	}
	if got := len(d.Replies()) + len(d.Refused()) + len(d.Queued("apply_callback")); got != 0 {
		t.Errorf("rows and jobs before the check: got %d, want 0", got)
	}
	d.Exec(`grant select on merchants.account to doisoat_app`)
	d.Exec(`revoke insert on payments.capture from doisoat_app`)
	for range 3 {
		if got := d.Call(d.VNPAY.ID, paid); got != "99" {
			t.Errorf("after the check: answered %s, want 99", got)
		}
	}
	if diff := cmp.Diff(d.Replies(), []string{"our_error 1"}); diff != "" {
		t.Errorf("kept messages (-got +want):\n%s", diff)
	}
	if got := len(d.Queued("apply_callback")); got != 1 {
		t.Errorf("jobs: got %d, want 1", got)
	}
}

// Addresses without a provider or an account answer 404 and keep nothing.
func TestCallbackForNobody(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	p := d.Begin(d.Dossier(1, 60_000).Code, "vnpay")
	query := paytest.IPN(paytest.HashSecret, paytest.Terminal, p.Reference, "14000001", 60_000, "00", "00")
	off := d.Rows(`update merchants.account set disabled_at = now() where provider = 'vietqr' returning id::text`)
	if len(off) != 1 {
		t.Fatal("no account to disable")
	}
	for name, at := range map[string][2]string{
		"unknown provider":   {"momo", d.VNPAY.ID.String()},
		"cannot receive":     {"vietqr", d.Bank.ID.String()},
		"account of another": {"sepay", d.VNPAY.ID.String()},
		"no such account":    {"vnpay", strings.Replace(d.VNPAY.ID.String(), "mer_0", "mer_1", 1)},
		"no account":         {"vnpay", "x"},
		"zero account":       {"vnpay", "mer_00000000000000000000000000000000"},
	} {
		reply := d.Callbacks.Receive(t.Context(), at[0], at[1],
			providers.RawCallback{Method: http.MethodGet, RawQuery: query, ReceivedAt: d.Clock.Now()})
		if reply.Status != http.StatusNotFound {
			t.Errorf("%s: got %d %s, want 404", name, reply.Status, reply.Body)
		}
	}
	if got := d.Replies(); len(got) != 0 {
		t.Errorf("kept messages: got %v, want none", got)
	}
	_, _, err := d.Create(t.Context(), paytest.Portal, d.Dossier(2, 1000).Code, payments.Request{Provider: "vietqr"})
	if !errors.Is(err, merchants.ErrNoneLive) {
		t.Errorf("payment at a disabled account: got %v, want ErrNoMerchant", err)
	}
	// A disabled account still takes messages about its earlier payments: here one with a wrong
	// signature.
	reply := d.Callbacks.Receive(t.Context(), "sepay", d.Bank.ID.String(),
		providers.RawCallback{Method: http.MethodPost, Body: []byte("{}"), ReceivedAt: d.Clock.Now()})
	if reply.Status != http.StatusUnauthorized {
		t.Errorf("message for a disabled account: got %d, want 401", reply.Status)
	}
}
