package providers

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"

	"github.com/doisoat/doisoat/internal/fault"
)

// MaxAnswer limits the bytes that Call reads of a provider's answer.
const MaxAnswer = 256 << 10

// Faults of a call. The difference decides about money. After ErrNotSent the
// caller may send the request again. After ErrNoAnswer only an inquiry is allowed.
var (
	ErrNotSent  = fault.New(fault.Unavailable, "providers.not_sent", "the provider could not be reached; nothing was sent")
	ErrNoAnswer = fault.New(fault.OutcomeUnknown, "providers.no_answer", "the provider gave no clear answer")
)

// Client returns a copy of c that follows no redirect: a signed request goes
// only to the address that the merchant account names.
func Client(c *http.Client) *http.Client {
	own := *c
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}

// Call sends req once and returns the body of a 200 answer. ErrNotSent means
// that provably no connection was made. Every other failure, another status
// and an answer longer than MaxAnswer give ErrNoAnswer.
func Call(client *http.Client, req *http.Request) ([]byte, error) {
	var connected atomic.Bool // set by the transport
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }}
	answer, err := client.Do(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if err != nil {
		if !connected.Load() && failedBeforeSending(err) {
			return nil, ErrNotSent.Because(err)
		}
		return nil, ErrNoAnswer.Because(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, MaxAnswer+1))
	if err != nil {
		return nil, ErrNoAnswer.Because(err)
	}
	if answer.StatusCode != http.StatusOK || len(body) > MaxAnswer {
		return nil, ErrNoAnswer.With("the provider answered with status %d and %d bytes", answer.StatusCode, len(body))
	}
	return body, nil
}

// failedBeforeSending accepts only errors that come from making a connection.
// A plain time-out proves nothing.
func failedBeforeSending(err error) bool {
	var network *net.OpError
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &network) && network.Op == "dial" || errors.As(err, &name) || errors.As(err, &certificate)
}
