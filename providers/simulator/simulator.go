// Package simulator is the core of the far side of all providers: the clock,
// the stored state, the deliveries of callbacks and the scripts below /control.
// Each provider is a [FarSide] in its own folder, and package farsides registers
// the sides. The simulator runs in the process of doisoat dev and of tests, behind
// one [http.Handler]. It moves no real money.
//
// To add a provider, make a folder, implement FarSide and the capabilities that
// the provider has, and add one line to farsides.
//
// The simulator owns no Postgres schema; its state is one JSON file, or memory.
// A side signs, verifies, parses and prints with its own code, written from the
// provider's fact sheet. Below providers a side imports only packages of this
// folder. A mistake in the side or in the provider package then shows as a refusal.
//
// Invariants: the simulator stores a callback before it sends the callback; the
// content of a queued callback never changes; a call whose state cannot be stored
// is never answered as done.
//
// States: delivery due → accepted, or given up after the provider's last retry.
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

// Limits. The simulator refuses a longer body, and cuts a longer answer.
const (
	bodyLimit       = 1 << 20
	replyLimit      = 4 << 10
	deliverySeconds = 30
	deliveryWorkers = 8
	advanceLimit    = 366 * 24 * time.Hour
)

// Options are the settings of a simulator. The zero value works: real clock, no
// log, state in memory, the providers' own schedules.
type Options struct {
	Now func() time.Time // the simulator's clock is this plus the time that scripts advance
	Log *slog.Logger

	// StateFile keeps the state of the core and of all sides over a restart. The
	// file never holds a secret. Without a StateFile the state is in memory.
	StateFile string
	// RetryDelays replaces, per sender, the provider's own schedule of retries.
	RetryDelays map[string][]time.Duration
	// HangFor is the time for which a time-out fault holds a request. The side
	// then closes the connection without an answer. The default is 3 seconds.
	HangFor time.Duration
}

// Core is the part that all sides share. Core is safe for concurrent use.
type Core struct {
	options Options
	sides   []FarSide
	senders map[string]Sender
	retries map[string][]time.Duration
	client  *http.Client
	log     *slog.Logger

	ctx    context.Context // ends with Close; deliveries outlive the request that caused them
	cancel context.CancelFunc
	wake   chan struct{}
	slots  chan struct{}
	group  sync.WaitGroup

	clock  sync.Mutex // held while advance moves the clock; taken before saving and mu
	saving sync.Mutex // held while save writes the file; taken before mu
	saved  int64
	broken error

	mu        sync.Mutex // guards all fields below and the state of all sides; never held over the network
	state     state
	changes   int64
	advancing bool
	idle      *sync.Cond // a delivery is no longer busy
}

// New makes a core without sides. The caller makes the sides with this core and
// then calls [Core.Start].
func New(options Options) *Core {
	if options.Now == nil {
		options.Now = time.Now //nolint:forbidigo // the far side has the machine's clock, as real providers do
	}
	s := &Core{
		options: options, senders: map[string]Sender{}, retries: map[string][]time.Duration{},
		log:  cmp.Or(options.Log, slog.New(slog.DiscardHandler)),
		wake: make(chan struct{}, 1), slots: make(chan struct{}, deliveryWorkers), state: newState(),
	}
	s.idle = sync.NewCond(&s.mu)
	s.options.HangFor = cmp.Or(options.HangFor, 3*time.Second)
	s.client = &http.Client{
		Transport: &http.Transport{
			MaxIdleConnsPerHost: deliveryWorkers, IdleConnTimeout: time.Minute,
			TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: deliverySeconds * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Start takes the sides, restores their state and starts the delivery worker. The
// caller must Close the core. Start never changes an unreadable state file: the
// core then answers every request with 503, and [Core.Err] returns the cause.
func (s *Core) Start(sides ...FarSide) {
	s.sides = sides
	for _, sender := range capable[Sender](s) {
		s.senders[sender.Name()], s.retries[sender.Name()] = sender, sender.Retries()
	}
	maps.Copy(s.retries, s.options.RetryDelays)
	if s.broken = s.load(); s.broken != nil {
		s.log.Error("simulator state is unreadable", "error", s.broken)
		return
	}
	s.group.Go(s.work)
}

// Err returns why the state file could not be read, or nil.
func (s *Core) Err() error { return s.broken }

// Close stops retries and waits for deliveries in progress. A second call does
// nothing. An undelivered callback stays in the state file and is due again at
// the next start.
func (s *Core) Close() {
	s.cancel()
	s.group.Wait()
	s.client.CloseIdleConnections()
}

// Handler serves the providers' protocols and, below /control, the scripts. It
// authenticates no script, so bind it only to a loopback address.
func (s *Core) Handler() http.Handler {
	routes := http.NewServeMux()
	for _, side := range capable[Server](s) {
		side.Serve(routes)
	}
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

// Lock guards the state of all sides. A side locks in its own handlers and
// registrations. The core locks before it calls a side.
func (s *Core) Lock() { s.mu.Lock() }

// Unlock ends [Core.Lock].
func (s *Core) Unlock() { s.mu.Unlock() }

// Now returns the time of the simulator's clock; the caller holds the lock.
func (s *Core) Now() time.Time { return s.options.Now().Add(s.state.Offset) }

// MachineNow returns the time without the offset that scripts added. A receiver
// judges the age of a message by this clock.
func (s *Core) MachineNow() time.Time { return s.options.Now() }

// Fault returns the current faults of a side; the caller holds the lock.
func (s *Core) Fault(side string) Faults { return s.state.Faults[side] }

// Hang holds a request for HangFor and then closes the connection without an answer.
func (s *Core) Hang(r *http.Request) {
	t := time.NewTimer(s.options.HangFor)
	defer t.Stop()
	select {
	case <-r.Context().Done():
	case <-s.ctx.Done():
	case <-t.C:
	}
	panic(http.ErrAbortHandler)
}

// tick makes the sides do their due work; the caller holds mu.
func (s *Core) tick() {
	for _, side := range capable[Ticker](s) {
		side.Tick()
	}
}

// capable returns the sides that have a capability, in order of registration.
func capable[C FarSide](s *Core) []C {
	var list []C
	for _, side := range s.sides {
		if c, ok := side.(C); ok {
			list = append(list, c)
		}
	}
	return list
}

// find returns the side called name if it has the capability.
func find[C FarSide](s *Core, name string) (side C, ok bool) {
	list := capable[C](s)
	if i := slices.IndexFunc(list, func(c C) bool { return c.Name() == name }); i >= 0 {
		return list[i], true
	}
	return side, false
}
