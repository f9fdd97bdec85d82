package auth

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
)

var shape = regexp.MustCompile(`^ds_[0-9a-z]{12}_[0-9A-Za-z]{43}$`)

func drawn(t *testing.T) Credential {
	t.Helper()
	c, err := DrawCredential(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDrawnCredentialsParse(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		c := drawn(t)
		if !shape.MatchString(c.Text()) {
			t.Fatalf("got %q, want the shape %s", c.Text(), shape)
		}
		if got, err := ParseCredential(c.Text()); err != nil || got != c {
			t.Fatalf("got %q, %v; want %q", got.Text(), err, c.Text())
		}
		if seen[c.KeyID()] || seen[c.secret] {
			t.Fatalf("drawn twice: %s", c.Text())
		}
		seen[c.KeyID()], seen[c.secret] = true, true
	}
}

func TestDrawFailsWithItsSource(t *testing.T) {
	t.Parallel()
	for name, random := range map[string]io.Reader{
		"at once": iotest.ErrReader(io.ErrUnexpectedEOF), "in the id": bytes.NewReader(make([]byte, 5)),
		"in the secret": bytes.NewReader(make([]byte, 20)),
	} {
		if _, err := DrawCredential(random); err == nil {
			t.Errorf("%s: got a credential, want an error", name)
		}
	}
}

func FuzzParseCredential(f *testing.F) {
	f.Add("ds_0123456789ab_" + strings.Repeat("a", secretLength))
	f.Add("ds_0123456789AB_" + strings.Repeat("a", secretLength))
	f.Add("ds_0123456789ab_" + strings.Repeat("-", secretLength))
	f.Add("ds_0123456789ab." + strings.Repeat("a", secretLength))
	f.Add("dS_0123456789ab_" + strings.Repeat("a", secretLength))
	f.Add("ds_0123456789ab_" + strings.Repeat("a", secretLength+1))
	f.Add("ds_")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCredential(text)
		if want := shape.MatchString(text); (err == nil) != want {
			t.Fatalf("%q: got %v, want accepted %t", text, err, want)
		}
		if err == nil && c.Text() != text {
			t.Fatalf("got %q, want %q", c.Text(), text)
		}
		if err != nil && !errors.Is(err, ErrUnauthenticated) {
			t.Fatalf("got %v, want %v", err, ErrUnauthenticated)
		}
	})
}

func TestPrintedCredentialsHideTheirSecret(t *testing.T) {
	t.Parallel()
	c := drawn(t)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("made", "key", c, "pointer", &c, "in", struct{ C Credential }{c})
	printed := log.String() + fmt.Sprintf("%v %+v %#v %s %q", c, c, c, c, &c) + fmt.Sprintf("%+v", struct{ C Credential }{c})
	if strings.Contains(printed, c.secret) {
		t.Errorf("the secret shows: %s", printed)
	}
	if !strings.Contains(log.String(), `"key":"ds_`+c.KeyID()+`_[secret]"`) {
		t.Errorf("got %s, want the public part in it", log.String())
	}
}
