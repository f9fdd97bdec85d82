package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"pgregory.net/rapid"
)

const place = "merchants.account/secrets/1"

func create(t *testing.T) (*Keyring, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	ring, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	return ring, path
}

func TestCiphertextDecryptsAtItsPlaceOnly(t *testing.T) {
	t.Parallel()
	ring, path := create(t)
	rapid.Check(t, func(t *rapid.T) {
		plaintext := rapid.SliceOf(rapid.Byte()).Draw(t, "plaintext")
		ciphertext, err := ring.Encrypt(plaintext, place)
		if err != nil {
			t.Fatal(err)
		}
		if len(plaintext) > 8 && bytes.Contains(ciphertext, plaintext) {
			t.Fatal("the plaintext shows in the ciphertext")
		}
		again, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := again.Decrypt(ciphertext, place)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, plaintext) {
			t.Fatalf("got %x, want %x", got, plaintext)
		}
		if _, err := again.Decrypt(ciphertext, "merchants.account/secrets/2"); !errors.Is(err, ErrUnreadable) {
			t.Fatalf("at another place: got %v, want %v", err, ErrUnreadable)
		}
		ciphertext[rapid.IntRange(0, len(ciphertext)-1).Draw(t, "changed")] ^= 1
		if _, err := again.Decrypt(ciphertext, place); !errors.Is(err, ErrUnreadable) {
			t.Fatalf("changed: got %v, want %v", err, ErrUnreadable)
		}
	})
}

func TestAnotherRingDoesNotDecrypt(t *testing.T) {
	t.Parallel()
	one, _ := create(t)
	two, _ := create(t)
	ciphertext, err := one.Encrypt([]byte("hash secret"), place)
	if err != nil {
		t.Fatal(err)
	}
	_, err = two.Decrypt(ciphertext, place)
	if !errors.Is(err, ErrUnreadable) {
		t.Errorf("got %v, want %v", err, ErrUnreadable)
	}
	if strings.Contains(fmt.Sprint(err), "hash secret") {
		t.Errorf("the error tells the secret: %v", err)
	}
}

// A key file may hold several keys: the first one encrypts, every key decrypts.
func TestOlderKeysStillDecrypt(t *testing.T) {
	t.Parallel()
	before, path := create(t)
	old, err := before.Encrypt([]byte("old"), place)
	if err != nil {
		t.Fatal(err)
	}
	want := fingerprint(t, before, "040012345678", "dossiers.dossier/identifier")
	after := withFurtherKey(t, path)
	if got, err := after.Decrypt(old, place); err != nil || string(got) != "old" {
		t.Errorf("value of the older key: got %q, %v", got, err)
	}
	if diff := cmp.Diff(fingerprint(t, after, "040012345678", "dossiers.dossier/identifier"), want); diff != "" {
		t.Errorf("fingerprint with a further key (-got +want):\n%s", diff)
	}
	ciphertext, err := after.Encrypt([]byte("new"), place)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := before.Decrypt(ciphertext, place); !errors.Is(err, ErrUnreadable) {
		t.Errorf("a ring without the further key opens its value: got %v, want %v", err, ErrUnreadable)
	}
}

// withFurtherKey opens a copy of the key file that encrypts with a further key.
func withFurtherKey(t *testing.T, path string) *Keyring {
	t.Helper()
	encryption, fingerprints, err := read(path)
	if err != nil {
		t.Fatal(err)
	}
	manager := keyset.NewManagerFromHandle(encryption)
	id, err := manager.Add(aead.AES256GCMKeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	if err := manager.SetPrimary(id); err != nil {
		t.Fatal(err)
	}
	if encryption, err = manager.Handle(); err != nil {
		t.Fatal(err)
	}
	further := path + ".further"
	if err := write(further, encryption, fingerprints); err != nil {
		t.Fatal(err)
	}
	ring, err := Open(further)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func fingerprint(t *testing.T, ring *Keyring, value, where string) []byte {
	t.Helper()
	b, err := ring.Fingerprint(value, where)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFingerprintsTellValuesAndPlacesApart(t *testing.T) {
	t.Parallel()
	ring, path := create(t)
	again, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	one := fingerprint(t, ring, "c", "a/b")
	if len(one) != FingerprintSize {
		t.Errorf("got %d bytes, want %d", len(one), FingerprintSize)
	}
	if diff := cmp.Diff(fingerprint(t, again, "c", "a/b"), one); diff != "" {
		t.Errorf("same value, same place (-got +want):\n%s", diff)
	}
	other, _ := create(t)
	for name, got := range map[string][]byte{
		"value":         fingerprint(t, ring, "d", "a/b"),
		"place":         fingerprint(t, ring, "c", "a/c"),
		"moved a slash": fingerprint(t, ring, "bc", "a/"),
		"ring":          fingerprint(t, other, "c", "a/b"),
	} {
		if bytes.Equal(got, one) {
			t.Errorf("another %s: got the same fingerprint", name)
		}
	}
}

func TestCreateReplacesNothing(t *testing.T) {
	t.Parallel()
	_, path := create(t)
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v, want %v", err, fs.ErrExist)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Error("the file changed")
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 {
		t.Errorf("got %d files in the folder, want the key file alone", len(left))
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	_, good := create(t)
	content, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		content []byte
		mode    fs.FileMode
		want    error
	}{
		"a file of the group":    {content, 0o640, ErrExposed},
		"a file for everybody":   {content, 0o604, ErrExposed},
		"a file others write":    {content, 0o602, ErrExposed},
		"nothing":                {nil, 0o600, ErrFile},
		"half a file":            {content[:len(content)/2], 0o600, ErrFile},
		"another version":        {bytes.Replace(content, []byte(`"version": 1`), []byte(`"version": 2`), 1), 0o600, ErrFile},
		"a file without keys":    {[]byte(`{"version":1}`), 0o600, ErrFile},
		"a file with other keys": {[]byte(`{"version":1,"encryption":{"key":[]},"fingerprints":{}}`), 0o600, ErrFile},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "keys.json")
			if err := os.WriteFile(path, c.content, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(path); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: got %v, want %v", err, fs.ErrNotExist)
	}
	if _, err := Open(t.TempDir()); !errors.Is(err, ErrExposed) {
		t.Errorf("a folder: got %v, want %v", err, ErrExposed)
	}
}

func TestExposed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path string
		mode fs.FileMode
		want bool
	}{
		{"/etc/doisoat/keys", 0o600, false},
		{"/etc/doisoat/keys", 0o400, false},
		{"/etc/doisoat/keys", 0o440, true},
		{"/etc/doisoat/keys", 0o601, true},
		{"/etc/doisoat/keys", 0o600 | fs.ModeNamedPipe, true},
		{"/run/credentials/doisoat.service/keys", 0o440, false},
		{"/run/credentials/doisoat.service/keys", 0o444, true},
		{"/run/credentials/../../etc/doisoat/keys", 0o440, true},
	} {
		if got := exposed(c.path, c.mode); got != c.want {
			t.Errorf("exposed(%q, %v): got %t, want %t", c.path, c.mode, got, c.want)
		}
	}
}

func TestPrintedRingsTellNothing(t *testing.T) {
	t.Parallel()
	ring, _ := create(t)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("opened", "ring", ring)
	if !strings.Contains(log.String(), `"ring":"[secret]"`) {
		t.Errorf("log: got %s", log.String())
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, ring); got != hidden {
			t.Errorf("%s: got %s, want %s", format, got, hidden)
		}
	}
}
