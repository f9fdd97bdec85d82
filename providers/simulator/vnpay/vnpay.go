// Package vnpay plays VNPAY: the pay page, the IPN with its retries, the
// merchant API of inquiry and refund, and the settlement file. It is called
// through package simulator and keeps its state there.
//
// Invariants: a payment is paid at most once; the refunds of a payment never sum
// to more than it; a settlement row never changes once made, so that the same
// statement read twice has the same rows, and new rows after them.
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

// Name stands in scripts, deliveries and faults.
const Name = "vnpay"

// Paths of the protocol below the simulator's address.
const (
	PayPath = "/vnpay/paymentv2/vpcpay.html"
	APIPath = "/vnpay/merchant_webapi/api/transaction"
)

// Words of faults. Refused answers 95 at once; refused_later is accepted and
// ends in 09; processing stays at 05 for a day of the simulator's clock.
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

// Fee is VNPAY's part of a payment: a share in basis points, rounded half up to
// whole đồng, and VAT in percent of that rounded fee. Refunds carry none.
type Fee struct {
	BasisPoints int64
	VATPercent  int64
}

// Options sets the side up.
type Options struct {
	RefundDelay time.Duration // how long a refund stays at 05; default 2 seconds
	Fee         *Fee          // default 50 basis points and 10 percent VAT
}

// Bank takes the payouts.
type Bank interface {
	// Book files a credit and returns no error: the account need not be registered.
	Book(account string, amount int64, content string, at time.Time)
	// First is the account that was registered first, or empty.
	First() string
}

// Side is VNPAY. Package simulator locks it.
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

	// RequestDay and Requests are the vnp_RequestId values used today: they are
	// unique within a day.
	RequestDay calendar.Date `json:"request_day"`
	Requests   []string      `json:"requests"`
}

// merchant is a terminal. It is registered at each start, so that no secret is
// written down.
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

// Register makes a terminal known; a second call with the same code replaces the
// secret and the IPN address. The settlement is paid into the account set by
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

// SetPayoutAccount names the bank account of a terminal's payouts. An unknown
// terminal is ignored.
func (v *Side) SetPayoutAccount(tmnCode, account string) {
	v.core.Lock()
	defer v.core.Unlock()
	if m, ok := v.merchants[tmnCode]; ok {
		m.payout = account
	}
}

// Name is [Name].
func (v *Side) Name() string { return Name }

// State is the stored part.
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

// Retries is ten times 5 minutes.
func (v *Side) Retries() []time.Duration { return slices.Repeat([]time.Duration{5 * time.Minute}, 10) }

// Knows tells whether the terminal is registered.
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

// Accepted: VNPAY stops on RspCode 00 (stored) and 02 (stored before).
func (v *Side) Accepted(status int, raw []byte) bool {
	var body struct{ RspCode string }
	return status == http.StatusOK && json.Unmarshal(raw, &body) == nil &&
		(body.RspCode == "00" || body.RspCode == "02")
}

// FaultWords are the faults of inquiry and refund.
func (v *Side) FaultWords() simulator.FaultWords {
	return simulator.FaultWords{
		Inquiry: []string{faultTimeout, faultGarbage, faultBadSignature},
		Refund:  []string{faultTimeoutDone, faultTimeoutNotDone, faultRefused, faultRefusedLater, faultProcessing},
	}
}

// Tick ends the refunds whose time has come.
func (v *Side) Tick() { v.finishRefunds() }

// Accounts are the terminals.
func (v *Side) Accounts() simulator.Accounts {
	return simulator.Accounts{Query: "merchant", Member: "vnpay_terminals", Known: slices.Sorted(maps.Keys(v.merchants))}
}

// Format is CSV.
func (v *Side) Format() string { return "csv" }

// Statement prints the settlement file.
func (v *Side) Statement(terminal string, day calendar.Date) (simulator.File, error) {
	raw, err := v.settlementFile(terminal, day)
	return simulator.File{Type: "text/csv; charset=utf-8", Extension: "csv", Content: raw}, err
}

// Takes a URL of the pay page.
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
