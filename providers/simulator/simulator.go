// Package simulator is the far side of the providers: VNPAY's pay page and
// merchant API, a bank that takes VietQR transfers, and SePay which notifies of
// them. It runs in the process of doisoat dev and of tests, behind one
// [http.Handler], and it moves no real money.
//
// It owns no Postgres schema; its own state is one JSON file, or memory. It
// signs, verifies, parses and prints with code of its own, written from the
// providers' fact sheets: it shares no function with providers/vnpay,
// providers/vietqr, providers/sepay or providers/statements, so that a mistake
// on either side shows as a refusal instead of cancelling out.
//
// Invariants: a VNPAY payment is paid at most once; the refunds of a payment
// never sum to more than it; a settlement row, a bank movement and their
// references never change once made, so that asking for a statement twice gives
// the same rows plus new ones; what a callback tells is stored before it is sent.
//
// States: payment 01 (open) → 00 paid or 02 failed; 02 → 00 only when forced
// (late truth). refund 05 → 06 done or 09 refused. batch open → paid out.
// delivery due → accepted or given up after the provider's last retry.
package simulator

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Paths of the providers' protocols below the simulator's address.
const (
	PayPath = "/vnpay/paymentv2/vpcpay.html"
	APIPath = "/vnpay/merchant_webapi/api/transaction"
)

// Names of the senders of callbacks, in Options.RetryDelays and in faults.
const (
	VNPAY = "vnpay"
	SePay = "sepay"
)

// Limits. A body or an answer that is longer is refused or cut.
const (
	bodyLimit       = 1 << 20
	replyLimit      = 4 << 10
	deliverySeconds = 30
	deliveryWorkers = 8
	advanceLimit    = 366 * 24 * time.Hour
)

// Fee is what VNPAY keeps of a payment: a share in basis points, rounded half
// up to whole đồng, and VAT in percent of that rounded fee. Refunds carry none.
type Fee struct {
	BasisPoints int64
	VATPercent  int64
}

// Options sets a simulator up. The zero value works: real clock, no log, state
// in memory, the providers' own schedules.
type Options struct {
	Now  func() time.Time // the simulator's clock is this plus what scripts advance
	Log  *slog.Logger
	HTTP *http.Client // sends callbacks; nil makes one that [Simulator.Close] also closes

	// StateFile keeps payments, refunds, bank movements, faults and the clock
	// over a restart; it never holds a secret. Empty keeps them in memory.
	StateFile string
	// RetryDelays holds, per sender, the wait after each refused delivery; when
	// it is used up the sender gives up. Default: VNPAY ten times 5 minutes,
	// SePay 1, 1, 2, 3, 5, 8 and 13 minutes.
	RetryDelays map[string][]time.Duration
	// RefundDelay is how long a refund stays at 05; default 2 seconds.
	RefundDelay time.Duration
	// HangFor is how long a time-out fault holds a request before the
	// connection is cut without an answer; default 3 seconds.
	HangFor time.Duration
	// Fee defaults to 50 basis points and 10 percent VAT.
	Fee *Fee
}

// Simulator is the far side. It is safe for concurrent use.
type Simulator struct {
	options Options
	fee     Fee
	retries map[string][]time.Duration
	client  *http.Client
	log     *slog.Logger

	ctx    context.Context // ends with Close; deliveries outlive the request that caused them
	cancel context.CancelFunc
	wake   chan struct{}
	slots  chan struct{}
	group  sync.WaitGroup
	own    bool // client is ours

	clock  sync.Mutex // held while the clock is advanced; taken before saving and mu
	saving sync.Mutex // held while the file is written; taken before mu
	saved  int64
	broken error

	mu        sync.Mutex // guards everything below; never held over the network
	state     state
	changes   int64
	advancing bool
	idle      *sync.Cond // a delivery is no longer busy
	merchants map[string]*merchant
	banks     map[string]*bank
	bankOrder []string
	payments  map[string]*payment // by terminal and reference
	requests  map[string]bool     // request ids of state.RequestDay
	totals    map[string]int64    // balance of each account
}

// merchant is a VNPAY terminal; it is registered anew at each start, so that no
// secret is written down.
type merchant struct {
	terminal string
	secret   string
	ipnURL   string
	payout   string
}

// bank is a collecting account and the SePay hook that tells of it.
type bank struct {
	account  string
	bin      string
	callback string
	secret   string
	apiKey   string
}

// New starts a simulator and its delivery worker; the caller must Close it. A
// state file that cannot be read is left alone: every request is then answered
// 503 and [Simulator.Err] says why.
func New(options Options) *Simulator {
	if options.Now == nil {
		options.Now = time.Now //nolint:forbidigo // the far side has the machine's clock, as real providers do
	}
	s := &Simulator{
		options: options, fee: Fee{BasisPoints: 50, VATPercent: 10},
		retries: map[string][]time.Duration{
			VNPAY: slices.Repeat([]time.Duration{5 * time.Minute}, 10),
			SePay: {
				time.Minute, time.Minute, 2 * time.Minute, 3 * time.Minute,
				5 * time.Minute, 8 * time.Minute, 13 * time.Minute,
			},
		},
		client: options.HTTP, log: cmp.Or(options.Log, slog.New(slog.DiscardHandler)),
		wake: make(chan struct{}, 1), slots: make(chan struct{}, deliveryWorkers),
		state: newState(), merchants: map[string]*merchant{}, banks: map[string]*bank{},
		payments: map[string]*payment{}, requests: map[string]bool{},
		totals: map[string]int64{},
	}
	s.idle = sync.NewCond(&s.mu)
	maps.Copy(s.retries, options.RetryDelays)
	s.options.RefundDelay = cmp.Or(options.RefundDelay, 2*time.Second)
	s.options.HangFor = cmp.Or(options.HangFor, 3*time.Second)
	if options.Fee != nil {
		s.fee = *options.Fee
	}
	if s.client == nil {
		s.own = true
		s.client = &http.Client{
			Transport: &http.Transport{
				MaxIdleConnsPerHost: deliveryWorkers, IdleConnTimeout: time.Minute,
				TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: deliverySeconds * time.Second,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if s.broken = s.load(); s.broken != nil {
		s.log.Error("simulator state is unreadable", "error", s.broken)
		return s
	}
	s.group.Go(s.work)
	return s
}

// Err returns why the state file could not be read, or nil.
func (s *Simulator) Err() error { return s.broken }

// Close stops retries and waits for deliveries under way. It may be called
// twice. What was not delivered stays in the state file and is due again at the
// next start.
func (s *Simulator) Close() {
	s.cancel()
	s.group.Wait()
	if s.own {
		s.client.CloseIdleConnections()
	}
}

// RegisterVNPAY makes a terminal known; again with the same code replaces its
// secret and IPN address. Its settlement is paid into the account set by
// [Simulator.SetPayoutAccount], else into the first registered bank account.
func (s *Simulator) RegisterVNPAY(tmnCode, hashSecret, ipnURL string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &merchant{terminal: tmnCode, secret: hashSecret, ipnURL: ipnURL}
	if old, ok := s.merchants[tmnCode]; ok {
		m.payout = old.payout
	}
	s.merchants[tmnCode] = m
	s.nudge()
}

// RegisterBank makes a collecting account known, with the SePay hook of its
// owner. webhookSecret selects HMAC mode; without it apiKey selects API-key
// mode; an empty callbackURL sends no notice.
func (s *Simulator) RegisterBank(account, bankBIN, callbackURL, webhookSecret, apiKey string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.banks[account]; !ok {
		s.bankOrder = append(s.bankOrder, account)
	}
	s.banks[account] = &bank{
		account: account, bin: bankBIN, callback: callbackURL, secret: webhookSecret, apiKey: apiKey,
	}
	s.nudge()
}

// SetPayoutAccount names the bank account that a terminal's settlement is paid
// into. An unknown terminal is ignored.
func (s *Simulator) SetPayoutAccount(tmnCode, account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m, ok := s.merchants[tmnCode]; ok {
		m.payout = account
	}
}

// Handler serves the providers' protocols and, below /control, the scripts.
// Whoever reaches it commands it: bind it to a loopback address only.
func (s *Simulator) Handler() http.Handler {
	routes := http.NewServeMux()
	routes.HandleFunc("GET "+PayPath, s.showPayPage)
	routes.HandleFunc("POST "+PayPath, s.submitPayPage)
	routes.HandleFunc("POST "+APIPath, s.serveAPI)
	routes.HandleFunc("POST /control/pay", s.controlPay)
	routes.HandleFunc("GET /control/statement", s.controlStatement)
	routes.HandleFunc("POST /control/faults", s.controlFaults)
	routes.HandleFunc("POST /control/clock", s.controlClock)
	routes.HandleFunc("GET /control/state", s.controlState)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.broken != nil {
			http.Error(w, "simulator state is unreadable", http.StatusServiceUnavailable)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, bodyLimit)
		routes.ServeHTTP(w, r)
	})
}

// now is the simulator's clock; the caller holds mu.
func (s *Simulator) now() time.Time { return s.options.Now().Add(s.state.Offset) }

// hang holds a request and then cuts the connection, as a time-out does.
func (s *Simulator) hang(r *http.Request) {
	t := time.NewTimer(s.options.HangFor)
	defer t.Stop()
	select {
	case <-r.Context().Done():
	case <-s.ctx.Done():
	case <-t.C:
	}
	panic(http.ErrAbortHandler)
}
