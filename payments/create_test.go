package payments_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/payments/paytest"
)

var unexported = cmpopts.IgnoreUnexported(payments.Payment{})

func TestCreate(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	dossier := d.Dossier(1, 60_000, 20_000)
	got := d.Begin(dossier.Code, "vnpay")
	if !ident.IsReference(got.Reference) || !strings.HasPrefix(got.Checkout.URL, d.Address) ||
		!strings.Contains(got.Checkout.URL, "vnp_Amount=8000000&") {
		t.Errorf("reference %q, checkout %+v", got.Reference, got.Checkout)
	}
	next := d.Clock.Now().Add(5 * time.Minute)
	want := payments.Payment{
		ID: got.ID, Authority: "H41", DossierID: dossier.ID, MerchantID: d.VNPAY.ID, Provider: "vnpay", Reference: got.Reference,
		Amount: paytest.Dong(80_000), Status: payments.Pending, Checkout: got.Checkout, Locale: "vi", CreatedAt: d.Clock.Now(),
		ExpiresAt: d.Clock.Now().Add(15 * time.Minute), StatusAt: d.Clock.Now(), NextInquiry: &next,
	}
	if diff := cmp.Diff(got, want, unexported); diff != "" {
		t.Errorf("payment (-got +want):\n%s", diff)
	}
	found := d.Details(got.ID)
	if diff := cmp.Diff(found.Payment, want, unexported); diff != "" || found.DossierCode != dossier.Code {
		t.Errorf("Find: dossier %s (-got +want):\n%s", found.DossierCode, diff)
	}
	if len(found.Attempts) != 1 || found.Attempts[0].Status != payments.AttemptSent {
		t.Errorf("attempts: got %+v, want one, sent", found.Attempts)
	}
}

// A dossier has one live payment, so a second request gets the same payment.
func TestCreateAgain(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	code := d.Dossier(1, 60_000).Code
	ask := func(key, provider, page string) (payments.Payment, bool, error) {
		return d.Create(t.Context(), paytest.Portal, code, payments.Request{Provider: provider, ReturnURL: page, IdempotencyKey: key})
	}
	first, created, err := ask("key-1", "vnpay", "https://dvc.example.gov.vn/kq")
	if err != nil || !created {
		t.Fatalf("created %t, %v", created, err)
	}
	for _, key := range []string{"", "key-1", "key-2"} {
		again, created, err := ask(key, "vnpay", "https://dvc.example.gov.vn/kq")
		if diff := cmp.Diff(again, first, unexported); err != nil || created || diff != "" {
			t.Errorf("key %q: created %t, %v (-got +want):\n%s", key, created, err, diff)
		}
	}
	if _, _, err := ask("key-1", "vnpay", "https://dvc.example.gov.vn/other"); !errors.Is(err, payments.ErrKeyReused) {
		t.Errorf("same key, other request: got %v, want ErrKeyReused", err)
	}
	other := d.Dossier(2, 60_000).Code
	_, _, err = d.Create(
		t.Context(),
		paytest.Portal,
		other,
		payments.Request{Provider: "vnpay", ReturnURL: "https://dvc.example.gov.vn/kq", IdempotencyKey: "key-1"},
	)
	if !errors.Is(err, payments.ErrKeyReused) {
		t.Errorf("same key, other dossier: got %v, want ErrKeyReused", err)
	}
	if _, _, err := ask("", "vietqr", ""); !errors.Is(err, payments.ErrOtherLive) {
		t.Errorf("other provider: got %v, want ErrOtherLive", err)
	}
	if _, err := d.Cancel(t.Context(), paytest.Portal, first.ID); err != nil {
		t.Fatal(err)
	}
	// The key still means the first payment, also after its cancellation.
	again, created, err := ask("key-1", "vnpay", "https://dvc.example.gov.vn/kq")
	if err != nil || created || again.ID != first.ID || again.Status != payments.Cancelled {
		t.Errorf("key of a cancelled payment: %s %s, created %t, %v", again.ID, again.Status, created, err)
	}
	if second, created, err := ask("", "vietqr", ""); err != nil || !created || second.ID == first.ID {
		t.Errorf("after cancelling: created %t, %v", created, err)
	}
}

func TestConcurrentCreatesMakeOnePayment(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	code := d.Dossier(1, 60_000).Code
	const askers = 10
	var (
		group   sync.WaitGroup
		got     [askers]payments.Payment
		created [askers]bool
		errs    [askers]error
	)
	for i := range askers {
		group.Go(func() {
			got[i], created[i], errs[i] = d.Create(
				context.WithoutCancel(t.Context()),
				paytest.Portal,
				code,
				payments.Request{Provider: "vnpay"},
			)
		})
	}
	group.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	made := 0
	for i := range askers {
		if created[i] {
			made++
		}
		if got[i].ID != got[0].ID || got[i].Checkout == nil || got[i].Checkout.URL != got[0].Checkout.URL {
			t.Errorf("asker %d: got %s, %+v", i, got[i].ID, got[i].Checkout)
		}
	}
	if rows := d.Rows(`select reference from payments.payment`); made != 1 || len(rows) != 1 {
		t.Errorf("created %d times, %d payments, want 1", made, len(rows))
	}
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	paid, ended, open := d.Dossier(1, 0).Code, d.Dossier(2, 60_000).Code, d.Dossier(3, 60_000).Code
	_, err := d.Dossiers.RecordStatus(
		t.Context(),
		paytest.Portal,
		ended,
		dossiers.StatusReport{Status: dossiers.Withdrawn, At: d.Clock.Now()},
	)
	d.Must(err)
	ask := func(actor auth.Actor, code string, r payments.Request) error {
		_, _, err := d.Create(t.Context(), actor, code, r)
		return err
	}
	vn := payments.Request{Provider: "vnpay"}
	stranger := auth.Actor{Authority: "H26", Role: auth.RolePortal, ID: "key_other"}
	for what, tt := range map[string]struct{ got, want error }{
		"nothing due":       {ask(paytest.Portal, paid, vn), payments.ErrNothingDue},
		"service ended":     {ask(paytest.Portal, ended, vn), dossiers.ErrUndeliverable},
		"no such dossier":   {ask(paytest.Portal, "H41.12-240502-9999", vn), dossiers.ErrNotFound},
		"another authority": {ask(stranger, open, vn), dossiers.ErrNotFound},
		"auditor":           {ask(auth.Actor{Authority: "H41", Role: auth.RoleAuditor, ID: "key_a"}, open, vn), auth.ErrForbidden},
		"locale":            {ask(paytest.Portal, open, payments.Request{Provider: "vnpay", Locale: "fr"}), payments.ErrInvalid},
		"return address": {
			ask(paytest.Portal, open, payments.Request{Provider: "vnpay", ReturnURL: "javascript:alert(1)"}), payments.ErrInvalid,
		},
	} {
		if !errors.Is(tt.got, tt.want) {
			t.Errorf("%s: got %v, want %v", what, tt.got, tt.want)
		}
	}
	for _, name := range []string{"momo", "sepay", ""} { // unknown, or cannot start a payment
		if err := ask(paytest.Portal, open, payments.Request{Provider: name}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("provider %q: got %v, want invalid", name, err)
		}
	}
	if got := d.Rows(`select reference from payments.payment`); len(got) != 0 {
		t.Errorf("payments: got %v, want none", got)
	}
}

func TestListByPages(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	var want []string
	for n := range 5 {
		p := d.Begin(d.Dossier(n, 60_000).Code, "vnpay")
		want = append([]string{p.ID.String()}, want...)
	}
	var got []string
	for after := (payments.ID{}); ; {
		list, next, err := d.List(
			t.Context(),
			paytest.Portal,
			payments.Filter{Limit: 2, After: after, Status: payments.Pending, Provider: "vnpay"},
		)
		d.Must(err)
		for _, p := range list {
			got = append(got, p.ID.String())
		}
		if after = next; next.IsZero() {
			break
		}
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("payments by pages (-got +want):\n%s", diff)
	}
	list, _, err := d.List(t.Context(), paytest.Portal, payments.Filter{DossierCode: "H41.12-240502-0003"})
	if err != nil || len(list) != 1 || list[0].DossierCode != "H41.12-240502-0003" {
		t.Errorf("of one dossier: got %+v, %v", list, err)
	}
	if list, _, err := d.List(
		t.Context(),
		auth.Actor{Authority: "H26", Role: auth.RolePortal, ID: "key_other"},
		payments.Filter{},
	); err != nil ||
		len(list) != 0 {
		t.Errorf("another authority: got %d payments, %v, want none", len(list), err)
	}
}
