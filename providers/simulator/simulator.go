// Package simulator is the core of the far side of all providers: the clock,
// the stored state, the deliveries of callbacks and the scripts below /control.
// A provider is a [FarSide] in a folder of its own; package farsides registers
// the sides. All of it runs in the process of doisoat dev and of tests, behind
// one [http.Handler], and moves no real money.
//
// To add a provider, make a folder, implement FarSide and the capabilities that
// the provider has, and add one line to farsides.
//
// The simulator owns no Postgres schema; its state is one JSON file, or memory.
// A side signs, verifies, parses and prints with code of its own, written from
// the provider's fact sheet. A side imports no package below providers
// but this folder's, so that a mistake in one of the two shows as a refusal.
//
// Invariants: a callback is stored before it is sent; its content is fixed when
// it is queued; a state that the simulator cannot store is never answered as done.
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

// Limits. A longer body is refused, a longer answer is cut.
const (
	bodyLimit       = 1 << 20
	replyLimit      = 4 << 10
	deliverySeconds = 30
	deliveryWorkers = 8
	advanceLimit    = 366 * 24 * time.Hour
)

// Options sets a simulator up. The zero value works: real clock, no log, state
// in memory, the providers' own schedules.
type Options struct {
	Now func() time.Time // the simulator's clock is this plus the time that scripts advance
	Log *slog.Logger

	// StateFile keeps the state of the core and of all sides over a restart; the
	// file never holds a secret. Empty keeps the state in memory.
	StateFile string
	// RetryDelays replaces, per sender, the provider's own schedule of retries.
	RetryDelays map[string][]time.Duration
	// HangFor is how long a time-out fault holds a request before the
	// connection is cut without an answer; default 3 seconds.
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

	clock  sync.Mutex // held while the clock is advanced; taken before saving and mu
	saving sync.Mutex // held while the file is written; taken before mu
	saved  int64
	broken error

	mu        sync.Mutex // guards all fields below and the state of all sides; never held over the network
	state     state
	changes   int64
	advancing bool
	idle      *sync.Cond // a delivery is no longer busy
}

// New makes a core without sides. The caller makes the sides on it and calls
// [Core.Start].
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

// Start takes the sides, restores their state and starts the delivery worker;
// the caller must Close the core. A state file that cannot be read is left
// alone: every request is then answered 503 and [Core.Err] says why.
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

// Close stops retries and waits for deliveries under way. It may be called
// twice. An undelivered callback stays in the state file and is due again at
// the next start.
func (s *Core) Close() {
	s.cancel()
	s.group.Wait()
	s.client.CloseIdleConnections()
}

// Handler serves the providers' protocols and, below /control, the scripts. A
// caller who reaches the handler commands it: bind it to a loopback address only.
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
// registrations; the core has locked before it calls a side.
func (s *Core) Lock() { s.mu.Lock() }

// Unlock ends [Core.Lock].
func (s *Core) Unlock() { s.mu.Unlock() }

// Now is the simulator's clock; the caller holds the lock.
func (s *Core) Now() time.Time { return s.options.Now().Add(s.state.Offset) }

// MachineNow is the clock without the time that scripts advanced: the clock of
// our program, against which it judges the age of a message.
func (s *Core) MachineNow() time.Time { return s.options.Now() }

// Fault is the fault in force of a side; the caller holds the lock.
func (s *Core) Fault(side string) Faults { return s.state.Faults[side] }

// Hang holds a request and then cuts the connection, as a time-out does.
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

// tick lets the sides do the work whose time has come; the caller holds mu.
func (s *Core) tick() {
	for _, side := range capable[Ticker](s) {
		side.Tick()
	}
}

// capable lists the sides that have a capability, in order of registration.
func capable[C FarSide](s *Core) []C {
	var list []C
	for _, side := range s.sides {
		if c, ok := side.(C); ok {
			list = append(list, c)
		}
	}
	return list
}

// find returns the side of that name if it has the capability.
func find[C FarSide](s *Core, name string) (side C, ok bool) {
	list := capable[C](s)
	if i := slices.IndexFunc(list, func(c C) bool { return c.Name() == name }); i >= 0 {
		return list[i], true
	}
	return side, false
}
