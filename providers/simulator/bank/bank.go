// Package bank plays the banks that keep the collecting accounts: a banking app
// that reads VietQR codes and transfers, the account's movements, and the
// statement of a day as camt.053. Package simulator calls the banks and keeps
// their state.
//
// Invariants: a movement and its reference never change; an account begins with
// a balance of zero, so that its balance is the sum of its movements.
package bank

import (
	"net/http"
	"strconv"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/providers/simulator"
)

// Name is the bank's word in scripts, as a source of statements.
const Name = "bank"

// Notifier sends the owner of an account a notice of each credit.
type Notifier interface {
	// Number returns the notifier's own number of a credit.
	Number(m *Movement) int64
	// Notice returns nil when the owner of the account takes no notices. The bank
	// calls it directly after it booked the movement; balance includes the movement.
	Notice(a *Account, m *Movement, balance int64) *simulator.Delivery
}

// Payer pays into accounts.
type Payer interface {
	// PayOut books all payouts on account that are due up to and including day.
	PayOut(account string, day calendar.Date)
}

// Account is a registered account.
type Account struct {
	Number string
	BIN    string
}

// Side plays all banks. Package simulator holds its lock.
type Side struct {
	core     *simulator.Core
	notifier Notifier
	payers   []Payer
	accounts map[string]*Account
	order    []string // account numbers in order of registration
	totals   map[string]int64
	state    state
}

// state is the stored part.
type state struct {
	LastMovement int64       `json:"last_movement"` // bank references, and the base of the notifier's numbers
	Movements    []*Movement `json:"bank_movements"`
}

// New makes the side; the caller registers it with [simulator.Core.Start].
func New(core *simulator.Core, notifier Notifier) *Side {
	return &Side{core: core, notifier: notifier, accounts: map[string]*Account{}, totals: map[string]int64{}}
}

// Register registers a collecting account.
func (b *Side) Register(account, bin string) {
	b.core.Lock()
	defer b.core.Unlock()
	if _, ok := b.accounts[account]; !ok {
		b.order = append(b.order, account)
	}
	b.accounts[account] = &Account{Number: account, BIN: bin}
}

// PaidBy adds a payer. Before each statement the bank books the due payouts of all payers.
func (b *Side) PaidBy(p Payer) { b.payers = append(b.payers, p) }

// Name returns [Name].
func (b *Side) Name() string { return Name }

// State returns the stored part.
func (b *Side) State() any { return &b.state }

// Restored recomputes the balances from the movements.
func (b *Side) Restored() {
	for _, m := range b.state.Movements {
		b.totals[m.Account] += m.Amount
	}
}

// First returns the account that was registered first, "" when there is none.
func (b *Side) First() string {
	if len(b.order) == 0 {
		return ""
	}
	return b.order[0]
}

// Accounts returns the collecting accounts.
func (b *Side) Accounts() simulator.Accounts {
	return simulator.Accounts{Query: "account", Member: "bank_accounts", Known: b.order}
}

// Format returns the script's word for camt.053.
func (b *Side) Format() string { return "camt053" }

// Statement books the due payouts and prints the account's day.
func (b *Side) Statement(account string, day calendar.Date) (simulator.File, error) {
	for _, p := range b.payers {
		p.PayOut(account, day)
	}
	raw, err := b.bankStatement(account, day)
	return simulator.File{Type: "application/xml", Extension: "xml", Content: raw}, err
}

// Takes reports whether the command holds a QR code.
func (b *Side) Takes(c simulator.PayCommand) bool { return c.QR != "" }

// Pay makes a transfer in a banking app. The payer can use a code several times.
// A failed transfer makes no movement at the receiving bank.
func (b *Side) Pay(c simulator.PayCommand) (simulator.PayResult, *simulator.Delivery, error) {
	code, err := readQR(c.QR)
	if err != nil {
		return simulator.PayResult{}, nil, simulator.Refuse(http.StatusUnprocessableEntity, "qr", "%s", err)
	}
	a, ok := b.accounts[code.account]
	switch {
	case code.service != "QRIBFTTA":
		return simulator.PayResult{}, nil, simulator.Refuse(http.StatusUnprocessableEntity, "qr", "the code is not a transfer to an account")
	case !ok || a.BIN != code.bin:
		return simulator.PayResult{}, nil, simulator.Refuse(http.StatusNotFound, "account", "no such account at this bank")
	}
	amount := code.amount
	if c.Amount != nil {
		amount = *c.Amount
	}
	if amount == 0 {
		return simulator.PayResult{}, nil, simulator.Refuse(http.StatusBadRequest, "amount", "the code names no amount: give one")
	}
	if c.Outcome != simulator.Paid {
		return simulator.PayResult{Amount: amount}, nil, nil
	}
	text := c.Content
	if text == "" && code.purpose != "***" {
		text = code.purpose
	}
	m := b.receive(a, amount, text)
	return simulator.PayResult{
		TransactionNo: strconv.FormatInt(b.notifier.Number(m), 10), Reference: m.Reference, Amount: m.Amount, Content: m.Content,
	}, b.notifier.Notice(a, m, b.totals[a.Number]), nil
}
