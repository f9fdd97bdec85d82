package callbacks_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/payments/callbacks"
	"github.com/doisoat/doisoat/payments/captures"
	"github.com/doisoat/doisoat/payments/checks"
	"github.com/doisoat/doisoat/payments/paytest"
)

// hold keeps the one leader of a new group busy until the returned function is called.
func hold(d *paytest.Desk) (release func()) {
	d.T.Helper()
	d.Callbacks.Group = callbacks.NewGroup(d.Service.DB, 1)
	d.T.Cleanup(d.Callbacks.Group.Stop)
	begun, end := make(chan struct{}), make(chan struct{})
	go func() {
		_ = d.Callbacks.Group.Do(
			context.WithoutCancel(d.T.Context()),
			"H41",
			"",
			callbacks.Body{Write: func(context.Context, postgres.Act, *ledger.Writes) error {
				close(begun)
				<-end
				return nil
			}},
		)
	}()
	<-begun
	return sync.OnceFunc(func() { close(end) })
}

// Callbacks that wait together share a transaction; the one that fails is kept
// for later and harms no other.
func TestCallbacksTogether(t *testing.T) {
	t.Parallel()
	const calls, bad = 30, 7
	for name, breaks := range map[string]string{
		"all good": ``,
		"one bad": `create function public.broken() returns trigger language plpgsql as 'begin raise exception ''broken''; end';
			create trigger broken before insert on payments.capture for each row
				when (new.transaction_id = '14000007') execute function public.broken()`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := paytest.New(t)
			var queries [calls]string
			for i := range queries {
				p := d.Begin(d.Dossier(i+1, 60_000).Code, "vnpay")
				queries[i] = paytest.IPN(paytest.HashSecret, paytest.Terminal, p.Reference, strconv.Itoa(14_000_000+i), 60_000, "00", "00")
			}
			if breaks != "" {
				d.Exec(breaks)
			}
			release := hold(d)
			defer release()
			var (
				all sync.WaitGroup
				got [calls]string
			)
			for i := range calls {
				all.Go(func() { got[i] = d.Call(d.VNPAY.ID, queries[i]) })
			}
			time.Sleep(time.Second) // they read and then wait
			for i, answer := range got {
				if answer != "" {
					t.Errorf("callback %d was answered %s before the commit", i, answer)
				}
			}
			release()
			all.Wait()
			captures := calls
			for i, answer := range got {
				want := "00"
				if breaks != "" && i == bad {
					want = "99"
					captures--
				}
				if answer != want {
					t.Errorf("callback %d: answered %s, want %s", i, answer, want)
				}
			}
			sums := d.Rows(`select concat_ws(' ', (select count(*) from payments.capture), (select sum(captured) from payments.payment),
				(select count(*) from ledger.entry where cause_kind = 'capture'), (select sum(paid) from dossiers.charge))`)
			if want := fmt.Sprintf("%d %d %d %d", captures, 60_000*captures, captures, 60_000*captures); sums[0] != want {
				t.Errorf("captures, captured, entries, paid: got %s, want %s", sums[0], want)
			}
			transactions := d.Rows(`select count(distinct tx)::text from ledger.entry where cause_kind = 'capture'`)[0]
			if want := map[bool]string{true: "1", false: strconv.Itoa(captures)}[breaks == ""]; transactions != want {
				t.Errorf("transactions: got %s, want %s", transactions, want)
			}
			if got := len(d.Queued("apply_callback")); got != calls-captures {
				t.Errorf("kept for later: got %d, want %d", got, calls-captures)
			}
		})
	}
}

// Many callbacks for few dossiers, each twice, while people cancel, report and
// settle, end with every đồng where it belongs.
func TestCallbacksAndEverybodyElse(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	const files, transactions = 8, 8 // per payment, of two for each dossier
	var (
		calls []string
		pays  []payments.Payment
		codes []string
	)
	for i := range files {
		code := d.Dossier(i+1, 60_000).Code
		codes = append(codes, code)
		given := d.Begin(code, "vnpay")
		_, err := d.Cancel(t.Context(), paytest.Portal, given.ID)
		d.Must(err)
		pays = append(pays, given, d.Begin(code, "vnpay"))
	}
	for i, p := range pays {
		for n := range transactions {
			query := paytest.IPN(paytest.HashSecret, paytest.Terminal, p.Reference, strconv.Itoa(14_000_000+1_000*i+n), 60_000, "00", "00")
			calls = append(calls, query, query)
		}
	}
	rand.Shuffle(len(calls), func(i, j int) { calls[i], calls[j] = calls[j], calls[i] })
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		count = map[string]map[string]int{} // query → answer → times
		next  = make(chan string, len(calls))
	)
	for _, query := range calls {
		count[query] = map[string]int{}
		next <- query
	}
	close(next)
	for range 32 {
		group.Go(func() {
			for query := range next {
				answer := d.Call(d.VNPAY.ID, query)
				mu.Lock()
				count[query][answer]++
				mu.Unlock()
			}
		})
	}
	done := make(chan struct{})
	var others sync.WaitGroup
	for i, p := range pays {
		others.Go(func() {
			_, err := d.Cancel(context.WithoutCancel(t.Context()), paytest.Portal, p.ID)
			if err != nil && !payments.ErrStatus.Is(err) {
				t.Errorf("Cancel: %v", err)
			}
			_, err = d.Dossiers.RecordStatus(context.WithoutCancel(t.Context()), paytest.Portal, codes[i/2],
				dossiers.StatusReport{Status: dossiers.Accepted, At: d.Clock.Now().Add(time.Duration(i) * time.Second)})
			if err != nil {
				t.Errorf("RecordStatus: %v", err)
			}
		})
	}
	others.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
				settleAll(d)
			}
		}
	})
	group.Wait()
	close(done)
	others.Wait()
	for query, answers := range count {
		if diff := cmp.Diff(answers, map[string]int{"00": 1, "02": 1}); diff != "" {
			t.Errorf("answers to %.40s… (-got +want):\n%s", query, diff)
		}
	}
	const captures = files * 2 * transactions
	sums := d.Rows(`select concat_ws(' ', (select count(*) from payments.capture), (select sum(captured) from payments.payment),
		(select sum(excess) from payments.capture), (select count(*) from ledger.entry where cause_kind = 'capture'),
		(select sum(paid) from dossiers.charge), (select count(*) from dossiers.receipt),
		(select sum(case p.side when 'D' then p.amount else -p.amount end) from ledger.posting p
			join ledger.account a on a.id = p.account_id where a.code = 'A-CLR-vnpay'))`)
	want := fmt.Sprint(captures, captures*60_000, (captures-files)*60_000, captures, files*60_000, files, captures*60_000)
	if sums[0] != want {
		t.Errorf("captures, captured, excess, entries, paid, receipts, clearing:\n got %s\nwant %s", sums[0], want)
	}
	d.Must(d.InTx(func(tx pgx.Tx) error {
		problems, err := checks.Check(t.Context(), tx)
		if len(problems) > 0 {
			t.Errorf("check: %v", problems)
		}
		return err
	}))
	if got := d.Queued("apply_callback"); len(got) != 0 {
		t.Errorf("kept for later: got %v, want none", got)
	}
}

// settleAll settles all captures, which locks many payments at once, and unsettles them again.
func settleAll(d *paytest.Desk) {
	var ids []payments.CaptureID
	for _, text := range d.Rows(`select id::text from payments.capture`) {
		ids = append(ids, payments.CaptureID(uuid.MustParse(text)))
	}
	ctx := context.WithoutCancel(d.T.Context())
	if err := d.Act(paytest.System, func(act postgres.Act) error { return captures.Settle(ctx, act, ids) }); err != nil {
		d.T.Errorf("Settle: %v", err)
	}
	if err := d.Act(paytest.System, func(act postgres.Act) error { return captures.Unsettle(ctx, act, ids) }); err != nil {
		d.T.Errorf("Unsettle: %v", err)
	}
}
