package demo

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/doisoat/doisoat/internal/auth"
)

// Files of the data folder.
const (
	ManifestFile  = "dev.json"       // addresses and keys, for people and scripts
	KeysFile      = "keys.json"      // key file of ciphertexts
	SimulatorFile = "simulator.json" // the far side's state
)

// Manifest is <data folder>/dev.json: addresses, keys and accounts.
// It holds API keys, so only its user reads it.
type Manifest struct {
	API         string               `json:"api"`
	Console     string               `json:"console"`
	Simulator   string               `json:"simulator"`
	DatabaseURL string               `json:"database_url"`
	Keys        map[auth.Role]string `json:"keys"` // of the first authority
	Logins      []any                `json:"logins"`
	Authority   string               `json:"authority"` // whose keys are in Keys
	Authorities map[string]Authority `json:"authorities"`
}

// Authority holds the keys and accounts of one demo authority. It holds no provider secret.
type Authority struct {
	Name      string               `json:"name"`
	Keys      map[auth.Role]string `json:"keys"`
	Merchants map[string]Merchant  `json:"merchants"`
}

// Merchant names an account at a provider, as both sides know it.
type Merchant struct {
	ID      string `json:"id"`
	TmnCode string `json:"tmn_code,omitempty"`
	Account string `json:"account,omitempty"`
}

// ReadManifest reads the file that WriteManifest wrote; fs.ErrNotExist when there is none.
func ReadManifest(path string) (Manifest, error) {
	var m Manifest
	text, err := os.ReadFile(path)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("%s is no manifest of doisoat dev: start doisoat dev, or name another --data-dir", path)
	}
	return m, nil
}

// WriteManifest replaces the file in one step: a reader, and a start after a
// kill, find the old one or the new one, never half of one.
func WriteManifest(path string, m Manifest) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", ManifestFile, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".dev-*") // made with mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", ManifestFile, err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone already after the rename
	_, err = f.Write(append(text, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", ManifestFile, err)
	}
	return nil
}
