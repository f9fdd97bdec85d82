package callbacks_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/payments/paytest"
	"github.com/doisoat/doisoat/providers"
)

// lockPayments locks payments as settling does, and returns the function that lets them go.
func lockPayments(d *paytest.Desk, ids ...payments.ID) (release func()) {
	d.T.Helper()
	locked, free, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		err := d.InTx(func(tx pgx.Tx) error {
			_, err := tx.Exec(context.Background(), `select from payments.payment where id = any($1) for no key update`, ids)
			close(locked)
			<-free
			return err
		})
		if err != nil {
			d.T.Error(err)
		}
	}()
	<-locked
	return sync.OnceFunc(func() { close(free); <-done })
}

func ipn(p payments.Payment, number string, amount int64) string {
	return paytest.IPN(paytest.HashSecret, paytest.Terminal, p.Reference, number, amount, "00", "00")
}

// Callbacks of locked payments hold up no callbacks of other payments: while
// two wait for their rows, all others are answered.
func TestLockedPaymentsHoldUpNobody(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	var list []payments.Payment
	for i := range 6 {
		list = append(list, d.Begin(d.Dossier(i+1, 60_000).Code, "vnpay"))
	}
	release := lockPayments(d, list[0].ID, list[1].ID)
	defer release()
	var waiting sync.WaitGroup
	answered := make(chan string, 2)
	for i, p := range list[:2] {
		waiting.Go(func() { answered <- d.Call(d.VNPAY.ID, ipn(p, fmt.Sprint(14_000_000+i), 60_000)) })
	}
	time.Sleep(50 * time.Millisecond) // both callers lead before the others come
	for i, p := range list[2:] {
		if got := d.Call(d.VNPAY.ID, ipn(p, fmt.Sprint(15_000_000+i), 60_000)); got != "00" {
			t.Errorf("callback of a free payment: answered %s, want 00", got)
		}
	}
	if len(answered) > 0 {
		t.Error("callbacks of locked payments were answered before those of free ones")
	}
	release()
	waiting.Wait()
	for range 2 {
		if got := <-answered; got != "00" {
			t.Errorf("callback of a locked payment: answered %s, want 00", got)
		}
	}
}

// A repeat of a stored message waits for no lock.
func TestRepeatsWaitForNoLock(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	p := d.Begin(d.Dossier(1, 60_000).Code, "vnpay")
	paid := ipn(p, "14000001", 60_000)
	if got := d.Call(d.VNPAY.ID, paid); got != "00" {
		t.Fatalf("answered %s, want 00", got)
	}
	release := lockPayments(d, p.ID)
	defer release()
	if got := d.Call(d.VNPAY.ID, paid); got != "02" {
		t.Errorf("repeat of a locked payment: answered %s, want 02", got)
	}
	if got := d.Queued("apply_callback"); len(got) > 0 {
		t.Errorf("jobs %v, want none", got)
	}
}

// The address to which a payer is sent carries our signature, but it is no result of a payment.
func TestPayAddressIsNoCallback(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	p := d.Begin(d.Dossier(1, 60_000).Code, "vnpay")
	_, query, _ := strings.Cut(p.Checkout.URL, "?")
	call := func(query string) string {
		reply := d.Callbacks.Receive(t.Context(), "vnpay", d.VNPAY.ID.String(), providers.RawCallback{
			Method: http.MethodGet, RawQuery: query, Header: http.Header{"X-Junk": {strings.Repeat("j", 30_000)}}, ReceivedAt: d.Clock.Now(),
		})
		return paytest.Word(string(reply.Body))
	}
	for i := range 130 {
		if got := call(query + fmt.Sprintf("&x=%d", i)); got != "99" {
			t.Fatalf("answered %s, want 99", got)
		}
	}
	if got := d.Details(p.ID).Status; got != payments.Pending {
		t.Errorf("status %s, want pending", got)
	}
	if diff := cmp.Diff(d.Replies(), []string{"bad_message 20"}); diff != "" {
		t.Errorf("kept messages (-got +want):\n%s", diff)
	}
	if got := d.Rows(`select (sum(length(message)) < 100000)::text from payments.callback`); got[0] != "true" {
		t.Error("headers that VNPAY does not sign are kept")
	}
	// Evidence that comes after the flood is kept.
	if got := d.Call(d.VNPAY.ID, ipn(p, "14000001", 70_000)); got != "04" {
		t.Errorf("another amount: answered %s, want 04", got)
	}
	if diff := cmp.Diff(d.Replies(), []string{"bad_message 20", "wrong_amount 1"}); diff != "" {
		t.Errorf("kept messages (-got +want):\n%s", diff)
	}
}

// A live payment that is cancelled while a late capture waits for it stays cancelled; the money counts.
func TestLateCaptureBesideCancel(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	code := d.Dossier(1, 60_000).Code
	first := d.Begin(code, "vnpay")
	_, err := d.Cancel(t.Context(), paytest.Portal, first.ID)
	d.Must(err)
	second := d.Begin(code, "vnpay")
	locked, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		d.Must(d.InTx(func(tx pgx.Tx) error { // as Cancel does: the payment without its dossier
			_, err := tx.Exec(context.Background(), `update payments.payment set status = 'cancelled' where id = $1`, second.ID)
			close(locked)
			time.Sleep(time.Second)
			return err
		}))
	}()
	<-locked
	got := d.Call(d.VNPAY.ID, ipn(first, "14000001", 60_000))
	<-done
	if got != "00" || d.Details(first.ID).Captured != 60_000 {
		t.Errorf("answered %s, captured %d, want 00 and 60000", got, d.Details(first.ID).Captured)
	}
}

// Text that PostgreSQL cannot hold never costs a capture.
func TestUnreadableText(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	for i, value := range []string{"A\x00B", "A\xffB"} {
		p := d.Begin(d.Dossier(i+1, 60_000).Code, "vnpay")
		members := url.Values{
			"vnp_TmnCode": {paytest.Terminal}, "vnp_Amount": {"6000000"}, "vnp_TransactionNo": {fmt.Sprint(15_000_000 + i)},
			"vnp_ResponseCode": {"00"}, "vnp_TransactionStatus": {"00"}, "vnp_TxnRef": {p.Reference}, "vnp_OrderInfo": {value},
		}
		members.Set("vnp_ResponseCode", value)
		if got := d.Call(d.VNPAY.ID, paytest.SignVNPAY(paytest.HashSecret, members)); got != "99" {
			t.Errorf("unreadable result: answered %s, want 99", got)
		}
		members.Set("vnp_ResponseCode", "00")
		members.Set("vnp_BankTranNo", value)
		if got := d.Call(d.VNPAY.ID, paytest.SignVNPAY(paytest.HashSecret, members)); got != "00" || d.Details(p.ID).Captured != 60_000 {
			t.Errorf("unreadable order info and bank number: answered %s, captured %d, want 00 and 60000", got, d.Details(p.ID).Captured)
		}
	}
	if got := d.Queued("apply_callback"); len(got) > 0 {
		t.Errorf("jobs %v, want none", got)
	}
}

// A message whose job gave up waits for a job again when its provider repeats it.
func TestKeptMessageWaitsAgain(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	p := d.Begin(d.Dossier(1, 60_000).Code, "vnpay")
	paid := ipn(p, "14000001", 60_000)
	d.Exec(`revoke insert on payments.capture from doisoat_app`)
	for range 2 {
		if got := d.Call(d.VNPAY.ID, paid); got != "99" {
			t.Errorf("answered %s, want 99", got)
		}
	}
	waiting := `select count(*)::text from river.river_job where kind = 'apply_callback' and state = 'scheduled'`
	if got := d.Rows(waiting); got[0] != "1" {
		t.Errorf("%s jobs wait, want 1", got[0])
	}
	for _, end := range []string{"cancelled", "completed", "discarded"} {
		d.Exec(`update river.river_job set state = '` + end + `', finalized_at = now() where kind = 'apply_callback' and state = 'scheduled'`)
		d.Call(d.VNPAY.ID, paid)
		if got := d.Rows(waiting); got[0] != "1" {
			t.Errorf("%s jobs wait after the first was %s, want 1", got[0], end)
		}
	}
	if got := d.Rows(`select count(*)::text from payments.callback`); got[0] != "1" {
		t.Errorf("%s messages kept, want 1", got[0])
	}
}

// A panic while a verified message is applied keeps the message, and other messages are answered.
func TestPanicKeepsTheMessage(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	p := d.Begin(d.Dossier(1, 60_000).Code, "vnpay")
	d.Call(d.VNPAY.ID, ipn(p, "14000001", 60_000))
	d.Service.Jobs = nil // an excess queues a job, which now panics
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		d.Call(d.VNPAY.ID, ipn(p, "14000002", 60_000))
	}()
	if diff := cmp.Diff(d.Replies(), []string{"our_error 1", "stored 1"}); diff != "" {
		t.Errorf("kept messages (-got +want):\n%s", diff)
	}
	if got := d.Queued("apply_callback"); len(got) != 1 {
		t.Errorf("jobs %v, want one", got)
	}
	other := d.Begin(d.Dossier(2, 60_000).Code, "vnpay")
	if got := d.Call(d.VNPAY.ID, ipn(other, "14000003", 60_000)); got != "00" {
		t.Errorf("another payment: answered %s, want 00", got)
	}
}

// Many callbacks of locked payments leave connections of the pool for the rest of the program, and
// every one of them is answered or kept.
func TestLockedPaymentsTakeFewConnections(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	var list []payments.Payment
	var ids []payments.ID
	for i := range 24 {
		p := d.Begin(d.Dossier(i+1, 60_000).Code, "vnpay")
		list, ids = append(list, p), append(ids, p.ID)
	}
	release := lockPayments(d, ids...)
	defer release()
	var waiting sync.WaitGroup
	answers := make(chan string, len(list))
	for i, p := range list {
		waiting.Go(func() { answers <- d.Call(d.VNPAY.ID, ipn(p, fmt.Sprint(14_000_000+i), 60_000)) })
	}
	for range 20 {
		time.Sleep(100 * time.Millisecond)
		// leaders, callers alone, those that read, and the transaction of the test
		if got, most := d.App.Stat().AcquiredConns(), int32(12); got > most {
			t.Fatalf("%d connections are taken, want at most %d", got, most)
		}
	}
	release()
	waiting.Wait()
	for range list {
		if got := <-answers; got != "00" {
			t.Errorf("answered %s, want 00", got)
		}
	}
}

// Repeats that come at once add no more rows than those that come one by one.
func TestRepeatsAtOnce(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	p := d.Begin(d.Dossier(1, 60_000).Code, "vnpay")
	paid := ipn(p, "14000001", 60_000)
	d.Call(d.VNPAY.ID, paid)
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() { d.Call(d.VNPAY.ID, paid) })
	}
	all.Wait()
	// Two leaders may count at the same time.
	if got := d.Rows(`select (count(*) <= 20 + 2)::text from payments.callback where reply = 'already_stored'`); got[0] != "true" {
		t.Errorf("kept %v, want at most 22 repeats", d.Replies())
	}
}
