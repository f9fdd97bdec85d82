// Package paytest is the common ground of the tests of payments, merchants and
// callbacks: all rooms on a fresh database, real providers and their far sides.
// Only tests import it.
package paytest

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
	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/postgres/pgtest"
	"github.com/doisoat/doisoat/internal/secret"
	"github.com/doisoat/doisoat/internal/world"
	"github.com/doisoat/doisoat/merchants"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/payments/callbacks"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/providers/sepay"
	"github.com/doisoat/doisoat/providers/simulator/farsides"
	"github.com/doisoat/doisoat/providers/vietqr"
	"github.com/doisoat/doisoat/providers/vnpay"
)

// The accounts of the authority, their secrets, and the payer.
const (
	Terminal   = "DVCTEST1"
	HashSecret = "TESTONLYVNPAYHASHSECRET000000001"
	HookSecret = "sepay-test-secret-01"
	Account    = "116002680669"
	Payer      = "Nguyễn Thị Hạnh Dung"
)

// The actors of the tests.
var (
	Portal = auth.Actor{Authority: "H41", Role: auth.RolePortal, ID: "key_portal"}
	Admin  = auth.Actor{Authority: "H41", Role: auth.RoleAdmin, ID: "key_admin"}
	System = auth.System("H41")
)

// Main runs the tests of a package and then reads their whole log: the log may
// name no payer, no dossier and no secret.
func Main(m *testing.M) {
	log := &lockedBuffer{}
	slog.SetDefault(slog.New(slog.NewJSONHandler(log, nil)))
	code := m.Run()
	for _, word := range []string{Payer, "H41.12-", HashSecret, HookSecret, "vnp_TxnRef", "vnp_SecureHash"} {
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

// Clock is the clock of the rooms and of the far side. It stands still until a test moves it.
type Clock struct {
	mu sync.Mutex
	t  time.Time
}

// Now returns the time of the clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

// Advance moves the clock forward.
func (c *Clock) Advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(by)
}

// Desk is all rooms with real providers on a fresh database, and the far side behind HTTP.
type Desk struct {
	*payments.Service
	*pgtest.DB
	T         *testing.T
	Clock     *Clock
	Callbacks *callbacks.Service
	Dossiers  *dossiers.Service
	VNPAY     merchants.Account
	Bank      merchants.Account
	Address   string
	Far       *farsides.Simulator
	Rooms     world.World
}

// New makes a desk with an account at VNPAY and one for bank transfers.
func New(t *testing.T) *Desk {
	t.Helper()
	d := &Desk{T: t, DB: pgtest.New(t), Clock: &Clock{t: time.Date(2024, 5, 2, 3, 0, 0, 0, time.UTC)}}
	d.Far = farsides.New(farsides.Options{
		Now: d.Clock.Now, HangFor: 300 * time.Millisecond,
		RetryDelays: map[string][]time.Duration{farsides.VNPAY: nil, farsides.SePay: nil},
	})
	t.Cleanup(d.Far.Close)
	far := httptest.NewServer(d.Far.Handler())
	t.Cleanup(far.Close)
	d.Address = far.URL
	known, err := registry.KnownAuthorities()
	d.Must(err)
	d.Must(registry.EnsureAuthorities(t.Context(), d.Owner, registry.ReachingBack(known, 5000)))
	ours := httptest.NewServer(http.HandlerFunc(d.serveCallback))
	t.Cleanup(ours.Close)
	ring, err := secret.Create(filepath.Join(t.TempDir(), "keys.json"))
	d.Must(err)
	rooms, err := world.New(world.Ground{
		Pool: d.App, Secret: ring, PublicURL: ours.URL, Now: d.Clock.Now, Random: rand.Reader,
		Providers: providers.NewRegistry(vnpay.New(&http.Client{Transport: far.Client().Transport}), vietqr.New(), sepay.New()),
	})
	d.Must(err)
	t.Cleanup(rooms.Close)
	d.Rooms, d.Service, d.Callbacks, d.Dossiers = rooms, rooms.Payments, rooms.Callbacks, rooms.Dossiers
	_, err = rooms.Fees.LoadFeeTypes(t.Context(), auth.Operator("BTC"), schedule.Catalogue().FeeTypes)
	d.Must(err)
	d.VNPAY, err = d.Merchants.Register(
		t.Context(),
		Admin,
		"vnpay",
		d.VNPAYSettings(Terminal),
		map[string]string{"hash_secret": HashSecret},
	)
	d.Must(err)
	d.Bank, err = d.Merchants.Register(t.Context(), Admin, "vietqr", BankSettings(), map[string]string{"webhook_secret": HookSecret})
	d.Must(err)
	d.Far.RegisterVNPAY(Terminal, HashSecret, ours.URL+"/callbacks/vnpay/"+d.VNPAY.ID.String())
	d.Far.RegisterBank(Account, "970415", ours.URL+"/callbacks/sepay/"+d.Bank.ID.String(), HookSecret, "")
	return d
}

// VNPAYSettings are the settings of an account with the given terminal.
func (d *Desk) VNPAYSettings(code string) map[string]string {
	return map[string]string{"tmn_code": code, "pay_url": d.Address + farsides.PayPath, "api_url": d.Address + farsides.APIPath}
}

// BankSettings are the settings of the account for transfers.
func BankSettings() map[string]string {
	return map[string]string{
		"bank_bin": "970415", "bank_name": "VietinBank", "account": Account, "account_name": "SO TU PHAP NGHE AN", "notifier": "sepay",
	}
}

// Must ends the test when err is not nil.
func (d *Desk) Must(err error) {
	d.T.Helper()
	if err != nil {
		d.T.Fatal(err)
	}
}

// serveCallback hands a message over as web/api does.
func (d *Desk) serveCallback(w http.ResponseWriter, r *http.Request) {
	part := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	body, err := io.ReadAll(r.Body)
	if err != nil || len(part) != 3 {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	reply := d.Callbacks.Receive(r.Context(), part[1], part[2], providers.RawCallback{
		Method: r.Method, RawQuery: r.URL.RawQuery, Header: r.Header, Body: body, ReceivedAt: d.Clock.Now(),
	})
	w.WriteHeader(reply.Status)
	_, _ = w.Write(reply.Body)
}

// Dossier registers one that owes the given amounts, one fee each.
func (d *Desk) Dossier(number int, due ...int64) dossiers.Dossier {
	d.T.Helper()
	var items []quote.ItemRequest
	for i := range due {
		items = append(
			items,
			quote.ItemRequest{
				FeeType:  []string{"P_CONG_BO_DN", "LP_DKKD"}[i%2],
				Base:     &due[i],
				Assessed: &quote.Assessed{Ground: "an amount of the test"},
			},
		)
	}
	found, _, err := d.Dossiers.Register(d.T.Context(), Portal, dossiers.Registration{
		Authority: "H41", Code: fmt.Sprintf("H41.12-240502-%04d", number), Agency: "H41.12", Channel: "direct",
		SubmittedAt: d.Clock.Now(), Applicant: dossiers.Applicant{Name: Payer, Identifier: "040190001234"}, Items: items,
	})
	d.Must(err)
	return found
}

// Begin creates a payment of the dossier at a provider.
func (d *Desk) Begin(code, provider string) payments.Payment {
	d.T.Helper()
	p, created, err := d.Create(d.T.Context(), Portal, code, payments.Request{Provider: provider, PayerIP: "203.113.152.1"})
	if err != nil || !created {
		d.T.Fatalf("Create: created %t, %v", created, err)
	}
	return p
}

// PayAt plays the Payer and returns our answers to the callbacks that the far side sent at once.
func (d *Desk) PayAt(p payments.Payment, more map[string]any) []string {
	d.T.Helper()
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
	d.Control("/control/pay", command, &answer)
	list := []string{}
	for _, r := range answer.Callback.Replies {
		list = append(list, Word(r.Body))
	}
	return list
}

// Fault makes the far side of VNPAY misbehave.
func (d *Desk) Fault(member, value string) {
	d.T.Helper()
	d.Control("/control/faults", map[string]any{"provider": "vnpay", member: value}, &struct{}{})
}

// Control sends a command to the far side.
func (d *Desk) Control(path string, command, answer any) {
	d.T.Helper()
	text, err := json.Marshal(command)
	d.Must(err)
	response, err := http.Post(d.Address+path, "application/json", bytes.NewReader(text)) //nolint:noctx // the far side answers at once
	d.Must(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	d.Must(err)
	if response.StatusCode != http.StatusOK {
		d.T.Fatalf("%s %s: %s", path, text, body)
	}
	d.Must(json.Unmarshal(body, answer))
}

// Word is the code of an answer: VNPAY's RspCode or SePay's success.
func Word(body string) string {
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

// IPN is a notice of VNPAY, signed by the rule of its guide.
func IPN(key, code, reference, transaction string, amount int64, response, status string) string {
	values := url.Values{
		"vnp_TmnCode": {code}, "vnp_Amount": {fmt.Sprint(amount * 100)}, "vnp_BankCode": {"NCB"}, "vnp_PayDate": {"20240502100100"},
		"vnp_OrderInfo": {"Nop phi ho so"}, "vnp_TransactionNo": {transaction}, "vnp_ResponseCode": {response},
		"vnp_TransactionStatus": {status}, "vnp_TxnRef": {reference},
	}
	return SignVNPAY(key, values)
}

// SignVNPAY returns the query of an IPN with any members and their signature.
func SignVNPAY(key string, values url.Values) string {
	text := values.Encode() // sorted by name, form-encoded
	mac := hmac.New(sha512.New, []byte(key))
	mac.Write([]byte(text))
	return text + "&vnp_SecureHash=" + hex.EncodeToString(mac.Sum(nil))
}

// Call delivers a query to our VNPAY address and returns the answer's code.
func (d *Desk) Call(merchant merchants.ID, query string) string {
	reply := d.Callbacks.Receive(context.WithoutCancel(d.T.Context()), "vnpay", merchant.String(),
		providers.RawCallback{Method: http.MethodGet, RawQuery: query, ReceivedAt: d.Clock.Now()})
	return Word(string(reply.Body))
}

// Details returns a payment with its timeline.
func (d *Desk) Details(id payments.ID) payments.Details {
	d.T.Helper()
	found, err := d.Find(d.T.Context(), Portal, id)
	d.Must(err)
	return found
}

// Owed returns the totals of a dossier.
func (d *Desk) Owed(code string) dossiers.Totals {
	d.T.Helper()
	found, err := d.Dossiers.Find(d.T.Context(), Portal, code)
	d.Must(err)
	return found.Totals()
}

// Act is a transaction of actor, by the desk's clock.
func (d *Desk) Act(actor auth.Actor, body func(act postgres.Act) error) error {
	return postgres.InTx(context.WithoutCancel(d.T.Context()), d.Service.DB, actor, body)
}

// InTx runs body in a transaction of the authority.
func (d *Desk) InTx(body func(tx pgx.Tx) error) error {
	return postgres.WriteTx(context.WithoutCancel(d.T.Context()), d.App, "H41", body)
}

// Rows asks the owner for one column of text.
func (d *Desk) Rows(query string, args ...any) []string {
	d.T.Helper()
	found, err := d.Owner.Query(context.WithoutCancel(d.T.Context()), query, args...)
	d.Must(err)
	list, err := pgx.CollectRows(found, pgx.RowTo[string])
	d.Must(err)
	return list
}

// Exec runs a statement as the database's owner.
func (d *Desk) Exec(statement string) {
	d.T.Helper()
	_, err := d.Owner.Exec(context.WithoutCancel(d.T.Context()), statement)
	d.Must(err)
}

// Postings lists the entries of captures of one payment as "side account amount", in order.
func (d *Desk) Postings(id payments.ID) []string {
	d.T.Helper()
	return d.Rows(`select p.side || ' ' || a.code || ' ' || p.amount from ledger.posting p
		join ledger.account a on a.id = p.account_id join ledger.entry e on e.id = p.entry_id
		where p.payment_id = $1 and e.cause_kind = 'capture' order by e.id, p.line`, id)
}

// Queued lists the arguments of the queued jobs of a kind.
func (d *Desk) Queued(kind string) []string {
	d.T.Helper()
	return d.Rows(`select args::text from river.river_job where kind = $1 order by id`, kind)
}

// Replies counts the kept messages per answer, as "stored 1".
func (d *Desk) Replies() []string {
	d.T.Helper()
	return d.Rows(`select reply || ' ' || count(*) from payments.callback group by reply order by reply`)
}

// Refused counts the kept messages without a right signature per authority, as "H41 2".
func (d *Desk) Refused() []string {
	d.T.Helper()
	return d.Rows(`select authority || ' ' || count(*) from payments.refused_callback group by authority order by authority`)
}

// Dong is an amount in VND.
func Dong(minor int64) money.Amount { return money.Dong(minor) }
