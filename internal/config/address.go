package config

import (
	"log/slog"
	"net/url"
	"strings"
)

// Address is the address of a database, which may carry a password: it shows
// its host, user and database only. Convert it to string to use it.
type Address string

func (a Address) valid() bool {
	if u, ok := a.url(); ok {
		return u.Path != "" || u.Host != "" || u.RawQuery != ""
	}
	// The keyword form, host=… dbname=…, is as good.
	return !strings.Contains(string(a), "://") && strings.Contains(string(a), "=")
}

func (a Address) url() (*url.URL, bool) {
	u, err := url.Parse(string(a))
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return nil, false
	}
	return u, true
}

// String returns the address without password and parameters, or [secret] when it cannot be taken apart.
func (a Address) String() string {
	if a == "" {
		return ""
	}
	u, ok := a.url()
	if !ok {
		return "[secret]"
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if u.User != nil {
		shown.User = url.User(u.User.Username())
	}
	if host := u.Query().Get("host"); host != "" { // a socket's folder
		shown.RawQuery = "host=" + host
	}
	return shown.String()
}

// GoString masks like String, for %#v.
func (a Address) GoString() string { return a.String() }

// LogValue masks like String.
func (a Address) LogValue() slog.Value { return slog.StringValue(a.String()) }

// MarshalText masks like String: an Address in JSON is for people too.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }
