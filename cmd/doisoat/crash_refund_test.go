package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/auth"
)

// TestEndToEndKilledWhileRefunding kills the program while it sends refunds: when the provider has
// booked a refund and its answer is under way, and at random moments. The provider must never get a
// refund twice. The refunds are partial, so that the provider would carry out a second one.
func TestEndToEndKilledWhileRefunding(t *testing.T) {
	t.Parallel()
	const refunds, part = 10, 20000
	random, _ := randomness(t)
	d := startDev(t)
	ids := make([]string, refunds)
	for i := range ids {
		dossier, _ := d.pay(fmt.Sprintf("H41.12-240502-%04d", i+1), "vnpay")
		ids[i] = d.requestRefund(dossier, part)
	}
	d.control(http.MethodPost, "faults", `{"provider":"vnpay","refund":"timeout_but_done"}`)
	var group sync.WaitGroup
	chief := d.key(firstAuthority, auth.RoleChiefAccountant)
	for _, id := range ids {
		group.Go(func() {
			a, err := d.request(chief, http.MethodPost, d.place().API+"/v1/refunds/"+id+"/approve", "")
			if err != nil || a.status != http.StatusOK {
				t.Errorf("approve: %v %d %s", err, a.status, a.body)
			}
		})
	}
	group.Wait()
	for _, booked := range []int{1, 3, 5} {
		d.awaitRefunds(booked)
		time.Sleep(time.Duration(random.IntN(400)) * time.Millisecond)
		d.killProgram()
	}
	d.control(http.MethodPost, "faults", `{"provider":"vnpay","refund":""}`)
	d.letTimePass()

	type refund struct {
		Status   string
		Count    int // how often the provider has it
		Posted   int64
		Refunded int64
	}
	db := d.database()
	var got map[string]refund // by reference of the payment
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(500 * time.Millisecond) {
		rows, err := db.Query(t.Context(), `
			select p.reference, r.status,
				(select count(*) from ledger.entry e where e.cause_kind = 'refund' and e.cause_event = 'done'
					and e.cause_id like '%' || replace(r.id::text, '-', '')) as posted,
				(select sum(c.refunded) from dossiers.charge c where c.dossier_id = r.dossier_id)::bigint as refunded
			from refunds.refund r join payments.payment p on p.id = r.payment_id`)
		if err != nil {
			t.Fatal(err)
		}
		list, err := pgx.CollectRows(rows, pgx.RowToStructByName[struct {
			Reference, Status string
			Posted, Refunded  int64
		}])
		if err != nil {
			t.Fatal(err)
		}
		got = map[string]refund{}
		for _, r := range list {
			got[r.Reference] = refund{r.Status, 0, r.Posted, r.Refunded}
		}
		for _, far := range d.farState().State.Refunds {
			r := got[far.Reference]
			r.Count++
			got[far.Reference] = r
		}
		open := 0
		for _, r := range got {
			// one that was interrupted before the call left us stays unknown until a person looks
			if r.Status != "done" && (r.Status != "unknown" || r.Count > 0) {
				open++
			}
		}
		if open == 0 || time.Now().After(deadline) {
			break
		}
	}
	done := 0
	for reference, r := range got {
		want := refund{"done", 1, 1, part}
		if r.Status == "unknown" && r.Count == 0 {
			want = refund{"unknown", 0, 0, 0}
			t.Logf("the refund of payment %s was interrupted before it left us", reference)
		} else {
			done++
		}
		if r != want {
			t.Errorf("refund of payment %s: got %+v, want %+v", reference, r, want)
		}
	}
	if len(got) != refunds || done < refunds/2 {
		t.Errorf("got %d refunds, %d of them done, want %d", len(got), done, refunds)
	}
	d.mustCheck()
}

// requestRefund asks for a part of the dossier's first charge back and returns the refund's id.
func (d *devProgram) requestRefund(dossier string, amount int) string {
	d.t.Helper()
	accountant := d.key(firstAuthority, auth.RoleAccountant)
	charge := d.must(http.StatusOK, accountant, http.MethodGet, dossier, "").text("charges.0.id")
	body, _ := json.Marshal(map[string]any{ // strings and numbers always marshal
		"reason": "SERVICE_IMPOSSIBLE", "items": []any{map[string]any{"charge": charge, "amount": amount}},
	})
	return d.must(http.StatusCreated, accountant, http.MethodPost, dossier+"/refunds", string(body)).text("id")
}

// awaitRefunds returns when the provider has booked so many refunds.
func (d *devProgram) awaitRefunds(booked int) {
	d.t.Helper()
	for deadline := time.Now().Add(settledWithin); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if len(d.farState().State.Refunds) >= booked {
			return
		}
	}
	d.t.Errorf("the provider has not booked %d refunds within %s", booked, settledWithin)
}

// letTimePass makes refunds and jobs as old as if the program had been down for a quarter of an
// hour, so that their work counts as interrupted. The sending jobs run again before any inquiry:
// the worst order for a program that would send twice.
func (d *devProgram) letTimePass() {
	d.t.Helper()
	db := d.database()
	change := func(statement string) {
		if _, err := db.Exec(d.t.Context(), statement); err != nil {
			d.t.Fatal(err)
		}
	}
	change(`update refunds.refund set status_at = status_at - interval '15 minutes', next_inquiry_at = now() + interval '15 minutes'
		where status in ('sending', 'sent', 'unknown')`)
	change(`update river.river_job set attempted_at = attempted_at - interval '15 minutes'
		where state = 'running' and attempted_at < now() - interval '1 second'`)
	for deadline := time.Now().Add(settledWithin); ; time.Sleep(200 * time.Millisecond) {
		n := count(d.t, db, `select count(*) from river.river_job where kind = 'send_refund' and finalized_at is null`)
		if n == 0 {
			break
		}
		if time.Now().After(deadline) {
			d.t.Errorf("%d jobs still send refunds after %s", n, settledWithin)
			break
		}
		// River does this after ten minutes; no call of the program takes five seconds here
		change(`update river.river_job set state = 'available', scheduled_at = now()
			where kind = 'send_refund' and state in ('running', 'retryable') and attempted_at < now() - interval '5 seconds'`)
	}
	change(`update refunds.refund set next_inquiry_at = now() where status in ('sending', 'sent', 'unknown')`)
}
