package payments_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/postgres/pgtest"
	"github.com/doisoat/doisoat/internal/secret"
	"github.com/doisoat/doisoat/internal/world"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/providers/sepay"
	"github.com/doisoat/doisoat/providers/simulator/farsides"
	"github.com/doisoat/doisoat/providers/vietqr"
	"github.com/doisoat/doisoat/providers/vnpay"
)

const (
	terminal   = "DVCTEST1"
	hashSecret = "TESTONLYVNPAYHASHSECRET000000001"
	hookSecret = "sepay-test-secret-01"
	account    = "116002680669"
	payer      = "Nguyễn Thị Hạnh Dung"
)

var (
	portal = auth.Actor{Authority: "H41", Role: auth.RolePortal, ID: "key_portal"}
	admin  = auth.Actor{Authority: "H41", Role: auth.RoleAdmin, ID: "key_admin"}
	system = auth.System("H41")
)

// TestMain reads the whole log of the run: it may name no payer, no dossier and no secret.
func TestMain(m *testing.M) {
	log := &lockedBuffer{}
	slog.SetDefault(slog.New(slog.NewJSONHandler(log, nil)))
	code := m.Run()
	for _, word := range []string{payer, "H41.12-", hashSecret, hookSecret, "vnp_TxnRef", "vnp_SecureHash"} {
		if strings.Contains(log.String(), word) {
			fmt.Printf("the log holds %q\n", word)
			code = 1
		}
	}
	os.Exit(code)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// clock is ours and the far side's; it stands still until a test moves it.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(by)
}

// desk is the room with real providers, and the far side behind HTTP.
type desk struct {
	*payments.Service
	*pgtest.DB
	t        *testing.T
	clock    *clock
	dossiers *dossiers.Service
	vnpay    payments.MerchantAccount
	bank     payments.MerchantAccount
	far      string
	sim      *farsides.Simulator
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, DB: pgtest.New(t), clock: &clock{t: time.Date(2024, 5, 2, 3, 0, 0, 0, time.UTC)}}
	d.sim = farsides.New(farsides.Options{
		Now: d.clock.Now, HangFor: 300 * time.Millisecond,
		RetryDelays: map[string][]time.Duration{farsides.VNPAY: nil, farsides.SePay: nil},
	})
	t.Cleanup(d.sim.Close)
	far := httptest.NewServer(d.sim.Handler())
	t.Cleanup(far.Close)
	d.far = far.URL
	known, err := registry.KnownAuthorities()
	d.must(err)
	d.must(registry.EnsureAuthorities(t.Context(), d.Owner, registry.ReachingBack(known, 5000)))
	ring, err := secret.Create(filepath.Join(t.TempDir(), "keys.json"))
	d.must(err)
	ours := httptest.NewServer(http.HandlerFunc(d.serveCallback))
	t.Cleanup(ours.Close)
	all, err := world.New(world.Ground{
		Pool: d.App, Secret: ring,
		Providers: providers.NewRegistry(vnpay.New(&http.Client{Transport: far.Client().Transport}), vietqr.New(), sepay.New()),
		PublicURL: ours.URL, Now: d.clock.Now, Random: rand.Reader,
	})
	d.must(err)
	_, err = all.Fees.LoadFeeTypes(t.Context(), auth.Operator("BTC"), fees.Catalogue().FeeTypes)
	d.must(err)
	d.dossiers, d.Service = all.Dossiers, all.Payments
	d.vnpay, err = d.RegisterMerchant(t.Context(), admin, "vnpay", d.vnpaySettings(terminal), map[string]string{"hash_secret": hashSecret})
	d.must(err)
	d.bank, err = d.RegisterMerchant(t.Context(), admin, "vietqr", bankSettings(), map[string]string{"webhook_secret": hookSecret})
	d.must(err)
	d.sim.RegisterVNPAY(terminal, hashSecret, ours.URL+"/callbacks/vnpay/"+d.vnpay.ID.String())
	d.sim.RegisterBank(account, "970415", ours.URL+"/callbacks/sepay/"+d.bank.ID.String(), hookSecret, "")
	return d
}

func (d *desk) vnpaySettings(code string) map[string]string {
	return map[string]string{"tmn_code": code, "pay_url": d.far + farsides.PayPath, "api_url": d.far + farsides.APIPath}
}

func bankSettings() map[string]string {
	return map[string]string{
		"bank_bin": "970415", "bank_name": "VietinBank", "account": account, "account_name": "SO TU PHAP NGHE AN", "notifier": "sepay",
	}
}

func (d *desk) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// serveCallback hands a message over as web/api does.
func (d *desk) serveCallback(w http.ResponseWriter, r *http.Request) {
	part := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	body, err := io.ReadAll(r.Body)
	if err != nil || len(part) != 3 {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	reply := d.ReceiveCallback(r.Context(), part[1], part[2], providers.RawCallback{
		Method: r.Method, RawQuery: r.URL.RawQuery, Header: r.Header, Body: body, ReceivedAt: d.clock.Now(),
	})
	w.WriteHeader(reply.Status)
	_, _ = w.Write(reply.Body)
}

// dossier registers one that owes the given amounts, one fee each.
func (d *desk) dossier(number int, due ...int64) dossiers.Dossier {
	d.t.Helper()
	var items []fees.ItemRequest
	for i := range due {
		items = append(items, fees.ItemRequest{FeeType: []string{"P_CONG_BO_DN", "LP_DKKD"}[i%2], Base: &due[i], Assessed: &fees.Assessed{Ground: "an amount of the test"}})
	}
	found, _, err := d.dossiers.Register(d.t.Context(), portal, dossiers.Registration{
		Authority: "H41", Code: fmt.Sprintf("H41.12-240502-%04d", number), Agency: "H41.12", Channel: "direct",
		SubmittedAt: d.clock.Now(), Applicant: dossiers.Applicant{Name: payer, Identifier: "040190001234"}, Items: items,
	})
	d.must(err)
	return found
}

func (d *desk) create(code, provider string) payments.Payment {
	d.t.Helper()
	p, created, err := d.Create(d.t.Context(), portal, code, payments.Request{Provider: provider, PayerIP: "203.113.152.1"})
	if err != nil || !created {
		d.t.Fatalf("Create: created %t, %v", created, err)
	}
	return p
}

// pay plays the payer and returns our answers to what the far side sent at once.
func (d *desk) pay(p payments.Payment, more map[string]any) []string {
	d.t.Helper()
	command := map[string]any{"outcome": "paid", "callback": "deliver"}
	if p.Checkout.QR != nil {
		command["qr"] = p.Checkout.QR.Payload
	} else {
		command["url"] = p.Checkout.URL
	}
	for name, value := range more {
		command[name] = value
	}
	var answer struct {
		Callback struct{ Replies []struct{ Body string } }
	}
	d.control("/control/pay", command, &answer)
	list := []string{}
	for _, r := range answer.Callback.Replies {
		list = append(list, word(r.Body))
	}
	return list
}

func (d *desk) fault(member, value string) {
	d.t.Helper()
	d.control("/control/faults", map[string]any{"provider": "vnpay", member: value}, &struct{}{})
}

func (d *desk) control(path string, command, answer any) {
	d.t.Helper()
	text, err := json.Marshal(command)
	d.must(err)
	response, err := http.Post(d.far+path, "application/json", bytes.NewReader(text)) //nolint:noctx // the far side answers at once
	d.must(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	d.must(err)
	if response.StatusCode != http.StatusOK {
		d.t.Fatalf("%s %s: %s", path, text, body)
	}
	d.must(json.Unmarshal(body, answer))
}

// word is the code of an answer: VNPAY's RspCode or SePay's success.
func word(body string) string {
	var answer struct {
		RspCode string
		Success *bool
	}
	if json.Unmarshal([]byte(body), &answer) != nil {
		return body
	}
	if answer.Success != nil {
		return fmt.Sprintf("success %t", *answer.Success)
	}
	return answer.RspCode
}

// ipn is a notice of VNPAY, signed by the rule of its guide.
func ipn(key, code, reference, transaction string, amount int64, response, status string) string {
	values := url.Values{
		"vnp_TmnCode": {code}, "vnp_Amount": {fmt.Sprint(amount * 100)}, "vnp_BankCode": {"NCB"}, "vnp_PayDate": {"20240502100100"},
		"vnp_OrderInfo": {"Nop phi ho so"}, "vnp_TransactionNo": {transaction}, "vnp_ResponseCode": {response},
		"vnp_TransactionStatus": {status}, "vnp_TxnRef": {reference},
	}
	text := values.Encode() // sorted by name, form-encoded
	mac := hmac.New(sha512.New, []byte(key))
	mac.Write([]byte(text))
	return text + "&vnp_SecureHash=" + hex.EncodeToString(mac.Sum(nil))
}

// call delivers a query to our VNPAY address and returns the answer's code.
func (d *desk) call(merchant payments.MerchantID, query string) string {
	reply := d.ReceiveCallback(context.WithoutCancel(d.t.Context()), "vnpay", merchant.String(),
		providers.RawCallback{Method: http.MethodGet, RawQuery: query, ReceivedAt: d.clock.Now()})
	return word(string(reply.Body))
}

func (d *desk) find(id payments.ID) payments.Details {
	d.t.Helper()
	found, err := d.Find(d.t.Context(), portal, id)
	d.must(err)
	return found
}

func (d *desk) owed(code string) dossiers.Totals {
	d.t.Helper()
	found, err := d.dossiers.Find(d.t.Context(), portal, code)
	d.must(err)
	return found.Totals()
}

// act is a transaction of actor, by the desk's clock.
func (d *desk) act(actor auth.Actor, body func(act postgres.Act) error) error {
	return postgres.InTx(context.WithoutCancel(d.t.Context()), d.Service.DB, actor, body)
}

func (d *desk) inTx(body func(tx pgx.Tx) error) error {
	return postgres.WriteTx(context.WithoutCancel(d.t.Context()), d.App, "H41", body)
}

// rows asks the owner for one column of text.
func (d *desk) rows(query string, args ...any) []string {
	d.t.Helper()
	found, err := d.Owner.Query(context.WithoutCancel(d.t.Context()), query, args...)
	d.must(err)
	list, err := pgx.CollectRows(found, pgx.RowTo[string])
	d.must(err)
	return list
}

func (d *desk) exec(statement string) {
	d.t.Helper()
	_, err := d.Owner.Exec(context.WithoutCancel(d.t.Context()), statement)
	d.must(err)
}

// postings lists the entries of captures of one payment as "side account amount", in order.
func (d *desk) postings(id payments.ID) []string {
	d.t.Helper()
	return d.rows(`select p.side || ' ' || a.code || ' ' || p.amount from ledger.posting p
		join ledger.account a on a.id = p.account_id join ledger.entry e on e.id = p.entry_id
		where p.payment_id = $1 and e.cause_kind = 'capture' order by e.id, p.line`, id)
}

// jobs lists what is queued of a kind.
func (d *desk) jobs(kind string) []string {
	d.t.Helper()
	return d.rows(`select args::text from river.river_job where kind = $1 order by id`, kind)
}

// replies counts the kept messages per answer, as "stored 1".
func (d *desk) replies() []string {
	d.t.Helper()
	return d.rows(`select reply || ' ' || count(*) from payments.callback group by reply order by reply`)
}

// refused counts the kept messages without a right signature per authority, as "H41 2".
func (d *desk) refused() []string {
	d.t.Helper()
	return d.rows(`select authority || ' ' || count(*) from payments.refused_callback group by authority order by authority`)
}

func dong(minor int64) money.Amount { return money.Dong(minor) }
