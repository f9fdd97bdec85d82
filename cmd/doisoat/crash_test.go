package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/auth"
)

// Size of the load under which the program is killed.
const (
	portals          = 8
	dossiersOfPortal = 40
	loadWithin       = 75 * time.Second
	settledWithin    = 40 * time.Second
)

// load holds the requests of portals and their answers. The answers must stay true after every
// kill.
type load struct {
	d        *devProgram
	deadline time.Time
	progress atomic.Int64

	mu         sync.Mutex
	registered map[string]bool   // codes of dossiers answered 200 or 201
	stored     map[string]string // payment id → VNPAY's number, for IPNs answered 00 or 02
	problems   []string          // answers that are wrong even while programs are killed
}

// TestEndToEndKilledUnderLoad kills the program and its database at random moments while portals
// register and payers pay. Afterwards the book must hold every answered request once, and nothing
// more.
func TestEndToEndKilledUnderLoad(t *testing.T) {
	t.Parallel()
	random, seed := randomness(t)
	d := startDev(t)
	l := &load{d: d, deadline: time.Now().Add(loadWithin), registered: map[string]bool{}, stored: map[string]string{}}
	var group sync.WaitGroup
	for i := range portals {
		group.Go(func() { l.portal(i, rand.New(rand.NewPCG(seed, uint64(i)))) })
	}
	kills := []func(){d.killProgram, d.killPostmaster, d.killDatabase, d.killProgram, d.killPostmaster, d.killDatabase}
	random.Shuffle(len(kills), func(i, j int) { kills[i], kills[j] = kills[j], kills[i] })
	const total = portals * dossiersOfPortal
	for i, kill := range kills {
		// somewhere in the next seventh of the load
		at := int64(total * (i + 1) / (len(kills) + 1))
		l.await(at - random.Int64N(total/int64(len(kills)+1)))
		kill()
	}
	group.Wait()
	for _, p := range l.problems {
		t.Error(p)
	}
	t.Logf("%d dossiers registered, %d callbacks acknowledged", len(l.registered), len(l.stored))
	if len(l.stored) < total/4 {
		t.Errorf("only %d of %d payments were acknowledged: the load was too small to show anything", len(l.stored), total)
	}
	d.awaitHealthy()
	d.control(http.MethodPost, "clock", `{"advance":"6m"}`) // refused callbacks come again
	l.compare(t)
	d.mustCheck()
}

// randomness is that of one run; DOISOAT_TEST_SEED repeats a run's choices.
func randomness(t *testing.T) (*rand.Rand, uint64) {
	t.Helper()
	seed, err := strconv.ParseUint(os.Getenv("DOISOAT_TEST_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("DOISOAT_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0)), seed
}

// await returns when so many dossiers were worked on, or the load takes too long.
func (l *load) await(progress int64) {
	for l.progress.Load() < progress && time.Now().Before(l.deadline) {
		time.Sleep(time.Millisecond)
	}
}

// portal registers dossiers one after the other and lets each be paid. Like a real portal it
// repeats most of the requests that got no answer.
func (l *load) portal(number int, random *rand.Rand) {
	for n := range dossiersOfPortal {
		if time.Now().After(l.deadline) {
			return
		}
		l.dossier(fmt.Sprintf("H41.12-2405%02d-%04d", number+1, n+1), random)
		l.progress.Add(1)
	}
}

func (l *load) dossier(code string, random *rand.Rand) {
	body := dossierBody(l.d.t, code, nil)
	if _, ok := l.insist(random, func(m manifest) (answer, error) {
		return l.d.request(portalKey(m), http.MethodPost, m.API+"/v1/dossiers", body)
	}, http.StatusOK, http.StatusCreated); !ok {
		return
	}
	l.mu.Lock()
	l.registered[code] = true
	l.mu.Unlock()

	payment, ok := l.insist(random, func(m manifest) (answer, error) {
		return l.d.request(portalKey(m), http.MethodPost, m.API+"/v1/dossiers/"+code+"/payments", `{"provider":"vnpay"}`, "Idempotency-Key",
			"key-"+code)
	}, http.StatusOK, http.StatusCreated)
	if !ok {
		return
	}
	mode := "deliver"
	if random.IntN(5) == 0 {
		mode = "twice"
	}
	paid, ok := l.insist(random, func(m manifest) (answer, error) {
		return l.d.request("", http.MethodPost, m.Simulator+"/control/pay", payScript(payment, mode))
	}, http.StatusOK, http.StatusConflict) // a conflict: the try before had paid, and its answer was lost
	if !ok || paid.status != http.StatusOK {
		return
	}
	replies, _ := paid.at("callback.replies").([]any)
	for i := range replies {
		reply := paid.text(fmt.Sprintf("callback.replies.%d.body", i))
		if strings.Contains(reply, `"RspCode":"00"`) || strings.Contains(reply, `"RspCode":"02"`) {
			l.mu.Lock()
			l.stored[payment.text("id")] = paid.text("transaction_no")
			l.mu.Unlock()
		}
	}
}

func portalKey(m manifest) string { return m.Authorities[firstAuthority].Keys[auth.RolePortal] }

// insist asks until the answer has one of the statuses. It asks again when no answer came or the
// program was unavailable. One time in five it gives up instead, so that half-done work is left for
// the checks.
func (l *load) insist(random *rand.Rand, ask func(m manifest) (answer, error), statuses ...int) (answer, bool) {
	for time.Now().Before(l.deadline) {
		a, err := ask(l.d.place())
		for _, status := range statuses {
			if err == nil && a.status == status {
				return a, true
			}
		}
		if err == nil && a.status < http.StatusInternalServerError {
			l.mu.Lock()
			l.problems = append(l.problems, fmt.Sprintf("got %d %s", a.status, a.body))
			l.mu.Unlock()
			return a, false
		}
		if random.IntN(5) == 0 {
			return a, false
		}
		time.Sleep(time.Duration(50+random.IntN(200)) * time.Millisecond)
	}
	return answer{}, false
}

// killProgram kills the program and starts it again on the same folder. Its
// PostgreSQL goes with it.
func (d *devProgram) killProgram() {
	d.t.Helper()
	d.t.Log("kill the program")
	d.kill()
	d.start()
}

// killPostmaster kills the database's first process only: the program starts
// it again by itself.
func (d *devProgram) killPostmaster() {
	d.t.Helper()
	d.t.Log("kill the postmaster")
	d.killProcesses(d.postmaster())
	d.awaitHealthy()
}

// killDatabase kills every process of the database at once.
func (d *devProgram) killDatabase() {
	d.t.Helper()
	d.t.Log("kill all of PostgreSQL")
	pid := d.postmaster()
	d.killProcesses(append(childrenOf(d.t, pid), pid)...)
	d.awaitHealthy()
}

// postmaster returns the process id of the data folder's server, once it runs.
func (d *devProgram) postmaster() int {
	d.t.Helper()
	for deadline := time.Now().Add(readyWithin); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		found, err := filepath.Glob(filepath.Join(d.dir, "postgres-*", "postmaster.pid"))
		if err != nil || len(found) != 1 {
			continue
		}
		text, err := os.ReadFile(found[0])
		if err != nil {
			continue
		}
		line, _, _ := bytes.Cut(text, []byte("\n"))
		pid, err := strconv.Atoi(string(line))
		// A process id is used again: only a process with the test's folder in its arguments
		// belongs to the test.
		if err == nil && strings.Contains(commandLine(pid), filepath.Dir(found[0])) {
			return pid
		}
	}
	d.t.Fatal("the database does not run")
	return 0
}

func (d *devProgram) killProcesses(list ...int) {
	d.t.Helper()
	for _, pid := range list {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
			d.t.Errorf("kill: %v", err)
		}
	}
}

func commandLine(pid int) string {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil {
		return ""
	}
	return string(text)
}

// childrenOf lists the processes whose parent is pid.
func childrenOf(t *testing.T, pid int) []int {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var list []int
	for _, name := range all {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state parent …, and the name may hold anything
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			child, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			if err == nil {
				list = append(list, child)
			}
		}
	}
	return list
}

// awaitHealthy returns when the program answers with its database.
func (d *devProgram) awaitHealthy() {
	d.t.Helper()
	for deadline := time.Now().Add(readyWithin); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if a, err := d.request("", http.MethodGet, d.place().API+"/readyz", ""); err == nil && a.status == http.StatusOK {
			return
		}
		select {
		case <-d.exited:
			d.t.Fatalf("the program ended by itself: %v\n%s", d.exitErr, d.logTail())
		default:
		}
	}
	d.t.Fatalf("not ready within %s\n%s", readyWithin, d.logTail())
}

// farPayment is a payment as the simulator knows it.
type farPayment struct {
	Reference   string `json:"reference"`
	Amount      int64  `json:"amount"`
	Transaction int64  `json:"transaction"`
	Status      string `json:"status"` // 00: paid
}

type farRefund struct {
	Reference string `json:"reference"`
	Amount    int64  `json:"amount"`
	Status    string `json:"status"` // 06: done
}

// farState is the state of the simulator.
type farState struct {
	State struct {
		Payments   []farPayment               `json:"payments"`
		Refunds    []farRefund                `json:"refunds"`
		Deliveries map[string]json.RawMessage `json:"deliveries"`
	} `json:"state"`
}

func (d *devProgram) farState() (s farState) {
	d.t.Helper()
	if err := json.Unmarshal(d.control(http.MethodGet, "state", "").body, &s); err != nil {
		d.t.Fatal(err)
	}
	return s
}

// compare holds the book against the answers to portals and against the far side.
func (l *load) compare(t *testing.T) {
	t.Helper()
	db := l.d.database()
	// Every payment that was paid at the provider is captured once, with its number, and no other is.
	paid := map[string]farPayment{}
	var far farState
	for deadline := time.Now().Add(settledWithin); ; time.Sleep(200 * time.Millisecond) {
		far = l.d.farState()
		if len(far.State.Deliveries) == 0 || time.Now().After(deadline) {
			break
		}
	}
	if n := len(far.State.Deliveries); n > 0 {
		t.Errorf("%d callbacks are still on their way", n)
	}
	for _, p := range far.State.Payments {
		if p.Status == "00" {
			paid[p.Reference] = p
		}
	}
	type captured struct {
		Payment, Reference, Status, Transaction string
		Amount, Captured                        int64
		Entries                                 int64
	}
	rows, err := db.Query(t.Context(), `
		select 'pay_' || replace(p.id::text, '-', '') as payment, p.reference, p.status, c.transaction_id as transaction, c.amount, p.captured,
			(select count(*) from ledger.entry e where e.cause_kind = 'capture' and e.cause_id like '%' || replace(c.id::text, '-', '')) as entries
		from payments.capture c join payments.payment p on p.id = c.payment_id`)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[captured])
	if err != nil {
		t.Fatal(err)
	}
	byPayment := map[string]captured{}
	for _, c := range list {
		if _, twice := byPayment[c.Payment]; twice {
			t.Errorf("payment %s has two captures", c.Payment)
		}
		byPayment[c.Payment] = c
		p, ok := paid[c.Reference]
		want := captured{c.Payment, c.Reference, "captured", strconv.FormatInt(p.Transaction, 10), p.Amount, p.Amount, 1}
		if !ok || c != want {
			t.Errorf("captured %+v, want %+v (paid at the provider: %t)", c, want, ok)
		}
		delete(paid, c.Reference)
	}
	for reference := range paid {
		t.Errorf("payment %s is paid at the provider and not captured", reference)
	}
	for id, transaction := range l.stored {
		if byPayment[id].Transaction != transaction {
			t.Errorf("payment %s: the callback of transaction %s was acknowledged, captured is %+v", id, transaction, byPayment[id])
		}
	}
	l.compareDossiers(t, db)
}

// compareDossiers looks for answered requests that are lost, and for half-done work.
func (l *load) compareDossiers(t *testing.T, db *pgx.Conn) {
	t.Helper()
	key := l.d.key(firstAuthority, auth.RolePortal)
	for code := range l.registered {
		if a := l.d.ask(key, http.MethodGet, "/v1/dossiers/"+code, ""); a.status != http.StatusOK || a.at("due") != 60000.0 {
			t.Errorf("dossier %s was answered as registered: got %d %s", code, a.status, a.body)
		}
	}
	for name, query := range map[string]string{
		"dossiers without charge": `select count(*) from dossiers.dossier d
			where not exists (select from dossiers.charge c where c.dossier_id = d.id)`,
		"dossiers without entry": `select count(*) from dossiers.dossier d
			where not exists (select from ledger.posting p where p.dossier_id = d.id)`,
		"dossiers without audit event": `select count(*) from dossiers.dossier d
			where not exists (select from audit.event e
				where e.object_kind = 'dossier' and e.object_id like '%' || replace(d.id::text, '-', ''))`,
		"payments without charge": `select count(*) from payments.payment p
			where not exists (select from payments.payment_charge c where c.payment_id = p.id)`,
		"payments without attempt": `select count(*) from payments.payment p
			where not exists (select from payments.attempt a where a.payment_id = p.id)`,
		"captures without allocation": `select count(*) from payments.capture c
			where not exists (select from payments.allocation a where a.capture_id = c.id)`,
		"stored callbacks without capture": `select count(*) from payments.callback b
			where b.reply = 'stored' and not exists (select from payments.capture c where c.payment_id = b.payment_id)`,
		"captures with more than one entry": `select count(*) from (
			select from ledger.posting where payment_id is not null group by payment_id having count(distinct entry_id) > 1) x`,
		"charges paid with another sum": `select count(*) from dossiers.charge c
			where c.paid <> coalesce((select sum(a.amount) from payments.allocation a where a.charge_id = c.id), 0)`,
		"refunds that no one requested": `select count(*) from refunds.refund`,
		"jobs that were given up":       `select count(*) from river.river_job where state in ('discarded', 'cancelled')`,
		"receipts without a capture or a due": `select count(*) from dossiers.receipt r
			where r.cause_kind = 'capture' and not exists (select from payments.capture c where c.id = r.cause_id)`,
	} {
		if n := count(t, db, query); n != 0 {
			t.Errorf("got %d %s, want 0", n, name)
		}
	}
}

// count asks for one number.
func count(t *testing.T, db *pgx.Conn, query string, args ...any) (n int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	if err := db.QueryRow(ctx, query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}
