package secret

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"

	"github.com/doisoat/doisoat/internal/fault"
)

// Faults of the key file.
var (
	ErrExposed = fault.New(fault.Precondition, "secret.exposed", "the key file can be read by other users: chmod 600 it")
	ErrFile    = fault.New(fault.Precondition, "secret.file", "the key file is no key file of this program")
)

const (
	fileVersion = 1
	maxFileSize = 1 << 20
	// systemd guards this folder itself and shows the files in it as readable by the group.
	systemdCredentials = "/run/credentials/"
)

// file is the key file: two Tink keysets in clear, guarded by the file's mode.
// They are apart because the encryption keys change and the fingerprint key must not.
type file struct {
	Version      int             `json:"version"`
	Encryption   json.RawMessage `json:"encryption"`
	Fingerprints json.RawMessage `json:"fingerprints"`
}

// Open reads the keyring at path. It fails with fs.ErrNotExist when there is no file, with ErrExposed when other users
// than the owner have any right on the file, and with ErrFile when the file holds no keyring.
func Open(path string) (*Keyring, error) {
	encryption, fingerprints, err := read(path)
	if err != nil {
		return nil, err
	}
	return newKeyring(encryption, fingerprints)
}

// Create writes a new keyring at path, readable by its user alone, and returns the keyring. It never replaces a file:
// when one exists it fails with fs.ErrExist. Without the key file every ciphertext made with it is unreadable, so keep
// a copy.
func Create(path string) (*Keyring, error) {
	encryption, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("make encryption key: %w", err)
	}
	fingerprints, err := keyset.NewHandle(prf.HMACSHA256PRFKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("make fingerprint key: %w", err)
	}
	if err := write(path, encryption, fingerprints); err != nil {
		return nil, err
	}
	return newKeyring(encryption, fingerprints)
}

func read(path string) (encryption, fingerprints *keyset.Handle, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("open key file: %w", err)
	}
	defer f.Close()       //nolint:errcheck // it was only read
	info, err := f.Stat() // of the open file: the path may be exchanged meanwhile
	if err != nil {
		return nil, nil, fmt.Errorf("open key file: %w", err)
	}
	if exposed(path, info.Mode()) {
		return nil, nil, ErrExposed
	}
	content, err := io.ReadAll(io.LimitReader(f, maxFileSize))
	if err != nil {
		return nil, nil, fmt.Errorf("read key file: %w", err)
	}
	var parsed file
	if err := json.Unmarshal(content, &parsed); err != nil {
		// The text of a JSON error may quote the file, so the fault leaves the text out.
		return nil, nil, ErrFile.Because(errors.New("no JSON of the right shape"))
	}
	if parsed.Version != fileVersion {
		return nil, nil, ErrFile.With("the key file has version %d, this program reads %d", parsed.Version, fileVersion)
	}
	if encryption, err = readKeys(parsed.Encryption); err != nil {
		return nil, nil, err
	}
	if fingerprints, err = readKeys(parsed.Fingerprints); err != nil {
		return nil, nil, err
	}
	return encryption, fingerprints, nil
}

func readKeys(raw []byte) (*keyset.Handle, error) {
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(raw)))
	if err != nil {
		return nil, ErrFile.Because(errors.New("a keyset in it cannot be read"))
	}
	return handle, nil
}

// exposed reports whether other users than the owner have a right on the file.
func exposed(path string, mode fs.FileMode) bool {
	if !mode.IsRegular() {
		return true
	}
	others := fs.FileMode(0o077)
	if strings.HasPrefix(filepath.Clean(path), systemdCredentials) {
		others = 0o037
	}
	return mode.Perm()&others != 0
}

// write puts the whole file beside path and then links it to path. So after a crash there is either no file or the
// whole file, and an existing file is never replaced.
func write(path string, encryption, fingerprints *keyset.Handle) error {
	content, err := encode(encryption, fingerprints)
	if err != nil {
		return err
	}
	folder := filepath.Dir(path)
	f, err := os.CreateTemp(folder, ".keys-*") // made with mode 0600
	if err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // the file lives on under its other name
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	if err := os.Link(f.Name(), path); err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	return syncFolder(folder)
}

func encode(encryption, fingerprints *keyset.Handle) ([]byte, error) {
	var keys [2]bytes.Buffer
	for i, handle := range []*keyset.Handle{encryption, fingerprints} {
		if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&keys[i])); err != nil {
			return nil, fmt.Errorf("encode keys: %w", err)
		}
	}
	content, err := json.MarshalIndent(file{fileVersion, keys[0].Bytes(), keys[1].Bytes()}, "", "\t")
	if err != nil {
		return nil, fmt.Errorf("encode keys: %w", err)
	}
	return append(content, '\n'), nil
}

// syncFolder makes the new name survive a power cut.
func syncFolder(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	return nil
}
