// Package vnpay plays VNPAY: the pay page, the IPN with its retries, the
// merchant API of inquiry and refund, and the settlement file. Package simulator
// calls it and keeps its state.
//
// Invariants: a payment is paid at most once; the refunds of a payment never
// exceed its amount; a settlement row never changes. A second reading of a
// statement therefore has the same rows, and new rows after them.
//
// States: payment 01 (open) → 00 paid or 02 failed; 02 → 00 only when a script
// forces it (late truth). Refund 05 → 06 done or 09 refused. Batch open → paid out.
package vnpay

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"time"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/providers/simulator"
)

// Name is VNPAY's word in scripts, deliveries and faults.
const Name = "vnpay"

// Paths of the protocol below the simulator's address.
const (
	PayPath = "/vnpay/paymentv2/vpcpay.html"
	APIPath = "/vnpay/merchant_webapi/api/transaction"
)

// Words of faults. With refused the API answers 95 at once. With refused_later it
// accepts the refund, which ends in 09. With processing the refund stays at 05
// for a day of the simulator's clock.
const (
	faultTimeout        = "timeout"
	faultGarbage        = "garbage"
	faultBadSignature   = "bad_signature"
	faultTimeoutDone    = "timeout_but_done"
	faultTimeoutNotDone = "timeout_not_done"
	faultRefused        = "refused"
	faultRefusedLater   = "refused_later"
	faultProcessing     = "processing"
)

// Fee is VNPAY's fee for a payment: a share in basis points, rounded half up to
// whole đồng, and VAT in percent of the rounded fee. Refunds have no fee.
type Fee struct {
	BasisPoints int64
	VATPercent  int64
}

// Options are the settings of the side.
type Options struct {
	RefundDelay time.Duration // time for which a refund stays at 05; default 2 seconds
	Fee         *Fee          // default 50 basis points and 10 percent VAT
}

// Bank receives the payouts.
type Bank interface {
	// Book books a credit. It cannot fail: the account need not be registered.
	Book(account string, amount int64, content string, at time.Time)
	// First returns the account that was registered first, "" when there is none.
	First() string
}

// Side plays VNPAY. Package simulator holds its lock.
type Side struct {
	core      *simulator.Core
	bank      Bank
	options   Options
	state     state
	merchants map[string]*merchant
	payments  map[string]*payment // by terminal and reference
	requests  map[string]bool     // request ids of state.RequestDay
}

// state is the stored part.
type state struct {
	LastTransaction int64            `json:"last_transaction"` // numbers of payments and refunds
	LastResponse    int64            `json:"last_response"`
	Payments        []*payment       `json:"payments"`
	Refunds         []*refund        `json:"refunds"`
	Rows            []*settlementRow `json:"settlement_rows"`
	Batches         []*batch         `json:"batches"`

	// RequestDay and Requests are the vnp_RequestId values of today. Each value
	// must be unique within a day.
	RequestDay calendar.Date `json:"request_day"`
	Requests   []string      `json:"requests"`
}

// merchant is a terminal. The caller registers it at each start, so that the state
// file holds no secret.
type merchant struct {
	terminal string
	secret   string
	ipnURL   string
	payout   string
}

// New makes the side; the caller registers it with [simulator.Core.Start].
func New(core *simulator.Core, bank Bank, options Options) *Side {
	options.RefundDelay = cmp.Or(options.RefundDelay, 2*time.Second)
	options.Fee = cmp.Or(options.Fee, &Fee{BasisPoints: 50, VATPercent: 10})
	return &Side{
		core: core, bank: bank, options: options, state: state{LastTransaction: 14271026},
		merchants: map[string]*merchant{}, payments: map[string]*payment{}, requests: map[string]bool{},
	}
}

// Register registers a terminal. A second call with the same code replaces the
// secret and the IPN address. VNPAY pays the settlement into the account of
// [Side.SetPayoutAccount], or into the first registered bank account.
func (v *Side) Register(tmnCode, hashSecret, ipnURL string) {
	v.core.Lock()
	defer v.core.Unlock()
	m := &merchant{terminal: tmnCode, secret: hashSecret, ipnURL: ipnURL}
	if old, ok := v.merchants[tmnCode]; ok {
		m.payout = old.payout
	}
	v.merchants[tmnCode] = m
	v.core.Nudge()
}

// SetPayoutAccount sets the bank account of a terminal's payouts. It ignores an
// unknown terminal.
func (v *Side) SetPayoutAccount(tmnCode, account string) {
	v.core.Lock()
	defer v.core.Unlock()
	if m, ok := v.merchants[tmnCode]; ok {
		m.payout = account
	}
}

// Name returns [Name].
func (v *Side) Name() string { return Name }

// State returns the stored part.
func (v *Side) State() any { return &v.state }

// Restored rebuilds the indexes.
func (v *Side) Restored() {
	for _, p := range v.state.Payments {
		v.payments[paymentKey(p.Terminal, p.Reference)] = p
	}
	for _, id := range v.state.Requests {
		v.requests[id] = true
	}
}

// Serve adds the pay page and the merchant API.
func (v *Side) Serve(routes *http.ServeMux) {
	routes.HandleFunc("GET "+PayPath, v.showPayPage)
	routes.HandleFunc("POST "+PayPath, v.submitPayPage)
	routes.HandleFunc("POST "+APIPath, v.serveAPI)
}

// Retries returns ten waits of 5 minutes.
func (v *Side) Retries() []time.Duration { return slices.Repeat([]time.Duration{5 * time.Minute}, 10) }

// Knows reports whether the terminal is registered.
func (v *Side) Knows(terminal string) bool { return v.merchants[terminal] != nil }

// Request builds the IPN.
func (v *Side) Request(ctx context.Context, d *simulator.Delivery, spoil bool) (*http.Request, error) {
	m := v.merchants[d.Owner]
	address, err := signedURL(m.ipnURL, m.secret, d.Values, spoil)
	if err != nil {
		return nil, err
	}
	return http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
}

// Accepted reports whether VNPAY stops: at RspCode 00 (stored) or 02 (stored before).
func (v *Side) Accepted(status int, raw []byte) bool {
	var body struct{ RspCode string }
	return status == http.StatusOK && json.Unmarshal(raw, &body) == nil &&
		(body.RspCode == "00" || body.RspCode == "02")
}

// FaultWords returns the faults of inquiry and refund.
func (v *Side) FaultWords() simulator.FaultWords {
	return simulator.FaultWords{
		Inquiry: []string{faultTimeout, faultGarbage, faultBadSignature},
		Refund:  []string{faultTimeoutDone, faultTimeoutNotDone, faultRefused, faultRefusedLater, faultProcessing},
	}
}

// Tick ends the due refunds.
func (v *Side) Tick() { v.finishRefunds() }

// Accounts returns the terminals.
func (v *Side) Accounts() simulator.Accounts {
	return simulator.Accounts{Query: "merchant", Member: "vnpay_terminals", Known: slices.Sorted(maps.Keys(v.merchants))}
}

// Format returns the script's word for CSV.
func (v *Side) Format() string { return "csv" }

// Statement prints the settlement file.
func (v *Side) Statement(terminal string, day calendar.Date) (simulator.File, error) {
	raw, err := v.settlementFile(terminal, day)
	return simulator.File{Type: "text/csv; charset=utf-8", Extension: "csv", Content: raw}, err
}

// Takes reports whether the command holds a URL of the pay page.
func (v *Side) Takes(c simulator.PayCommand) bool {
	address, err := url.Parse(c.URL)
	return err == nil && path.Base(address.Path) == path.Base(PayPath)
}

var errLate = simulator.Refuse(http.StatusConflict, "expired", `the time to pay is over; "force":true pays all the same`)

// Pay pays the order of a pay URL.
func (v *Side) Pay(c simulator.PayCommand) (simulator.PayResult, *simulator.Delivery, error) {
	if c.Content != "" {
		return simulator.PayResult{}, nil, simulator.Refuse(http.StatusBadRequest, "content", "content goes with qr only")
	}
	address, err := url.Parse(c.URL)
	if err != nil {
		return simulator.PayResult{}, nil, simulator.Refuse(http.StatusBadRequest, "url", "url is not a VNPAY pay page")
	}
	o, wrong := v.readOrder(address.RawQuery)
	if wrong != nil {
		return simulator.PayResult{}, nil, simulator.Refuse(http.StatusUnprocessableEntity, "vnpay."+wrong.code, "%s", wrong.text)
	}
	late := v.core.Now().After(o.expires) && !c.Force
	if late && v.payments[paymentKey(o.merchant.terminal, o.reference)] == nil {
		return simulator.PayResult{}, nil, errLate
	}
	p, wrong := v.openPayment(o)
	switch {
	case wrong != nil:
		return simulator.PayResult{}, nil, simulator.Refuse(
			http.StatusConflict,
			"vnpay."+wrong.code,
			"the reference was used for another order",
		)
	case p.Status == statusDone:
		return simulator.PayResult{}, nil, simulator.Refuse(http.StatusConflict, "paid", "the payment is already paid")
	case p.Status != statusOpen && (!c.Force || c.Outcome != simulator.Paid):
		return simulator.PayResult{}, nil, simulator.Refuse(
			http.StatusConflict,
			"finished",
			`the payment has ended unpaid; "force":true pays it all the same`,
		)
	case late:
		return simulator.PayResult{}, nil, errLate
	}
	amount := o.amount
	if c.Amount != nil {
		amount = *c.Amount
	}
	v.finish(p, c.Outcome, amount)
	return simulator.PayResult{
		TransactionNo: strconv.FormatInt(p.Transaction, 10), Reference: p.Reference, Amount: p.Amount,
	}, &simulator.Delivery{Sender: Name, Owner: p.Terminal, Reference: p.Reference, Values: resultValues(p)}, nil
}
