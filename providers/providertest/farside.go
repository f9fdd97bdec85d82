package providertest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/doisoat/doisoat/providers"
)

// Inbox serves the callback address of a test. It keeps every message as it
// arrived, verifies and translates the message, and answers in the provider's
// words. It answers "already stored" to a message with a known event id.
type Inbox struct {
	Receiver providers.CallbackReceiver
	Merchant providers.Merchant
	Now      func() time.Time

	mu       sync.Mutex
	messages []providers.RawCallback
	seen     map[string]bool
}

// ServeHTTP receives one callback.
func (b *Inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	c := providers.RawCallback{Method: r.Method, RawQuery: r.URL.RawQuery, Header: http.Header{}, Body: body, ReceivedAt: b.Now()}
	for _, name := range b.Receiver.CallbackHeaders() {
		if values := r.Header.Values(name); len(values) > 0 {
			c.Header[name] = values
		}
	}
	kind := providers.ReplyOurError
	if err == nil {
		kind = b.keep(c)
	}
	reply := b.Receiver.Reply(kind)
	w.Header().Set("Content-Type", reply.ContentType)
	w.WriteHeader(reply.Status)
	w.Write(reply.Body) //nolint:errcheck // after an error the far side has closed the connection
}

func (b *Inbox) keep(c providers.RawCallback) providers.ReplyKind {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages = append(b.messages, c)
	if b.Receiver.Verify(b.Merchant, c) != nil {
		return providers.ReplyBadSignature
	}
	event, err := b.Receiver.Translate(b.Merchant, c)
	if err != nil {
		return providers.ReplyBadMessage
	}
	if b.seen[event.ID] {
		return providers.ReplyAlreadyStored
	}
	if b.seen == nil {
		b.seen = map[string]bool{}
	}
	b.seen[event.ID] = true
	return providers.ReplyStored
}

// Messages returns the messages that have arrived so far.
func (b *Inbox) Messages() []providers.RawCallback {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]providers.RawCallback(nil), b.messages...)
}

// Script drives the far side over its control address. Address has no slash at
// its end. A refused call ends the test.
type Script struct{ Address string }

// Reply is our answer to a callback as the far side judged it.
type Reply struct {
	Status   int    `json:"status"`
	Body     string `json:"body"`
	Accepted bool   `json:"accepted"`
}

// Pay plays the payer and returns our answers to the callbacks sent at once.
// outcome: paid, failed, cancelled; callback: deliver, lose, twice, late.
func (s Script) Pay(t *testing.T, c providers.Checkout, outcome, callback string) []Reply {
	t.Helper()
	command := map[string]any{"outcome": outcome, "callback": callback}
	if c.QR != nil {
		command["qr"] = c.QR.Payload
	} else {
		command["url"] = c.URL
	}
	var answer struct {
		Callback struct {
			Replies []Reply `json:"replies"`
		} `json:"callback"`
	}
	s.post(t, "/control/pay", command, &answer)
	return answer.Callback.Replies
}

// Fault makes the far side of provider misbehave in the way that word names.
// The member is inquiry, refund or callback.
func (s Script) Fault(t *testing.T, provider, member, word string) {
	t.Helper()
	s.post(t, "/control/faults", map[string]any{"provider": provider, member: word}, nil)
}

// Advance moves the far side's clock forward.
func (s Script) Advance(t *testing.T, by time.Duration) {
	t.Helper()
	s.post(t, "/control/clock", map[string]any{"advance": by.String()}, nil)
}

func (s Script) post(t *testing.T, path string, command, answer any) {
	t.Helper()
	body, err := json.Marshal(command)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Address+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("POST %s %s: got status %d: %s", path, body, response.StatusCode, data)
	}
	if answer == nil {
		return
	}
	if err := json.Unmarshal(data, answer); err != nil {
		t.Fatalf("POST %s: %v", path, err)
	}
}
