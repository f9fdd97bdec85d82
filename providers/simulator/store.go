package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"time"
)

// state is the core's part of the stored state. It holds no secrets and no
// addresses of callbacks, because callers register both at each start.
type state struct {
	Version      int                 `json:"version"`
	Offset       time.Duration       `json:"clock_offset_ns"`
	LastDelivery int64               `json:"last_delivery"`
	Deliveries   map[int64]*Delivery `json:"deliveries"`
	Faults       map[string]Faults   `json:"faults"`
}

const stateVersion = 1

func newState() state {
	return state{Version: stateVersion, Deliveries: map[int64]*Delivery{}, Faults: map[string]Faults{}}
}

// encode prints the members of the core and of all sides as one JSON object;
// the caller holds mu.
func (s *Core) encode() ([]byte, error) {
	parts := []any{&s.state}
	for _, side := range capable[Keeper](s) {
		parts = append(parts, side.State())
	}
	var b bytes.Buffer
	for i, part := range parts {
		raw, err := json.Marshal(part)
		if err != nil {
			return nil, fmt.Errorf("encode state: %w", err)
		}
		b.WriteByte("{,"[min(i, 1)])
		b.Write(raw[1 : len(raw)-1])
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// load reads the state file, if there is one.
func (s *Core) load() error {
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
	for _, side := range capable[Keeper](s) {
		if err := json.Unmarshal(raw, side.State()); err != nil {
			return fmt.Errorf("parse state of %s: %w", side.Name(), err)
		}
		side.Restored()
	}
	return nil
}

// Changed notes that the state differs from the file; the caller holds the lock
// and calls [Core.Saved] after Unlock.
func (s *Core) Changed() { s.changes++ }

// save writes the whole state to a new file and renames it over the old one: a
// kill at any moment leaves the old or the new file. Callers that come during a
// write share the next write. save does not sync the file: the state survives a
// kill of the process, but perhaps not a loss of power.
func (s *Core) save() error {
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
	raw, err := s.encode()
	s.mu.Unlock()
	if err != nil {
		return err
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

// Saved stores the state. When this fails it answers 500 and returns false.
func (s *Core) Saved(w http.ResponseWriter) bool {
	if err := s.save(); err != nil {
		s.log.Error("simulator state not saved", "error", err)
		http.Error(w, "state not saved", http.StatusInternalServerError)
		return false
	}
	return true
}
