// Package farsides registers all far sides with one simulator. A new provider
// needs one more line in New. The package owns no state; commands and tests call it.
package farsides

import (
	"log/slog"
	"time"

	"github.com/doisoat/doisoat/providers/simulator"
	"github.com/doisoat/doisoat/providers/simulator/bank"
	"github.com/doisoat/doisoat/providers/simulator/sepay"
	"github.com/doisoat/doisoat/providers/simulator/vnpay"
)

// Names and paths for settings of merchant accounts and of options.
const (
	VNPAY   = vnpay.Name
	SePay   = sepay.Name
	PayPath = vnpay.PayPath
	APIPath = vnpay.APIPath
)

// Options are [simulator.Options] and [vnpay.Options] together.
type Options struct {
	Now         func() time.Time
	Log         *slog.Logger
	StateFile   string
	RetryDelays map[string][]time.Duration
	HangFor     time.Duration
	RefundDelay time.Duration
	Fee         *vnpay.Fee
}

// Simulator is the core with all sides.
type Simulator struct {
	*simulator.Core

	vnpay *vnpay.Side
	bank  *bank.Side
	sepay *sepay.Side
}

// New starts a simulator. The caller must Close it. Err returns the fault of an
// unreadable state file.
func New(o Options) *Simulator {
	core := simulator.New(simulator.Options{
		Now: o.Now, Log: o.Log, StateFile: o.StateFile, RetryDelays: o.RetryDelays, HangFor: o.HangFor,
	})
	s := &Simulator{Core: core, sepay: sepay.New(core)}
	s.bank = bank.New(core, s.sepay)
	s.vnpay = vnpay.New(core, s.bank, vnpay.Options{RefundDelay: o.RefundDelay, Fee: o.Fee})
	s.bank.PaidBy(s.vnpay)
	core.Start(s.vnpay, s.bank, s.sepay)
	return s
}

// RegisterVNPAY registers a terminal; see [vnpay.Side.Register].
func (s *Simulator) RegisterVNPAY(tmnCode, hashSecret, ipnURL string) {
	s.vnpay.Register(tmnCode, hashSecret, ipnURL)
}

// RegisterBank registers a collecting account and the SePay hook of its owner;
// see [sepay.Side.Register].
func (s *Simulator) RegisterBank(account, bankBIN, callbackURL, webhookSecret, apiKey string) {
	s.bank.Register(account, bankBIN)
	s.sepay.Register(account, callbackURL, webhookSecret, apiKey)
}

// SetPayoutAccount sets the bank account of a terminal's payouts.
func (s *Simulator) SetPayoutAccount(tmnCode, account string) {
	s.vnpay.SetPayoutAccount(tmnCode, account)
}
