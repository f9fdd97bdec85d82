package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/doisoat/doisoat/internal/calendar"
)

// state is what survives a restart. It holds no secret and no address of a
// callback: both are registered anew.
type state struct {
	Version int           `json:"version"`
	Offset  time.Duration `json:"clock_offset_ns"`

	LastTransaction int64 `json:"last_transaction"` // VNPAY's numbers, of payments and refunds
	LastMovement    int64 `json:"last_movement"`    // bank references and SePay ids
	LastDelivery    int64 `json:"last_delivery"`
	LastResponse    int64 `json:"last_response"`

	Payments   []*payment          `json:"payments"`
	Refunds    []*refund           `json:"refunds"`
	Rows       []*settlementRow    `json:"settlement_rows"`
	Batches    []*batch            `json:"batches"`
	Movements  []*movement         `json:"bank_movements"`
	Deliveries map[int64]*delivery `json:"deliveries"`
	Faults     map[string]faults   `json:"faults"`

	// RequestDay and Requests are the vnp_RequestId values used today: they are
	// unique within a day.
	RequestDay calendar.Date `json:"request_day"`
	Requests   []string      `json:"requests"`
}

const stateVersion = 1

func newState() state {
	return state{
		Version: stateVersion, LastTransaction: 14271026,
		Deliveries: map[int64]*delivery{}, Faults: map[string]faults{},
	}
}

// load reads the state file, if there is one, and rebuilds the indexes.
func (s *Simulator) load() error {
	if s.options.StateFile == "" {
		return nil
	}
	raw, err := os.ReadFile(s.options.StateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read state: %w", err)
	}
	kept := newState()
	if err := json.Unmarshal(raw, &kept); err != nil {
		return fmt.Errorf("parse state: %w", err)
	}
	if kept.Version != stateVersion {
		return fmt.Errorf("state has version %d, this program reads %d", kept.Version, stateVersion)
	}
	s.state = kept
	for _, p := range kept.Payments {
		s.payments[paymentKey(p.Terminal, p.Reference)] = p
	}
	for _, m := range kept.Movements {
		s.totals[m.Account] += m.Amount
	}
	for _, id := range kept.Requests {
		s.requests[id] = true
	}
	return nil
}

// changed notes that the state differs from the file; the caller holds mu and
// calls save after it has let go of it.
func (s *Simulator) changed() { s.changes++ }

// save writes the state as it is now, whole, beside the old file and then over
// it: a kill at any moment leaves the old or the new file. Callers that come
// while one writes share the next write. It does not wait for the disk: the
// simulator survives a kill of the process, not a loss of power.
func (s *Simulator) save() error {
	if s.options.StateFile == "" {
		return nil
	}
	s.mu.Lock()
	want := s.changes
	s.mu.Unlock()

	s.saving.Lock()
	defer s.saving.Unlock()
	if s.saved >= want {
		return nil
	}
	s.mu.Lock()
	at := s.changes
	raw, err := json.Marshal(s.state)
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	next := s.options.StateFile + ".next"
	if err := os.WriteFile(next, raw, 0o600); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	if err := os.Rename(next, s.options.StateFile); err != nil {
		return fmt.Errorf("replace state: %w", err)
	}
	s.saved = at
	return nil
}
