package callbacks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/doisoat/doisoat/merchants"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/providers"
)

// message is the row of a kept message.
type message struct {
	id         payments.CallbackID
	merchant   merchants.ID
	provider   string
	received   time.Time
	ciphertext []byte
	event      string
	payment    payments.ID
	reply      providers.ReplyKind
	known      bool // the same event has a row with this answer: nothing was inserted
}

// message encrypts the raw message of a notice into a new row with an answer.
func (n *notice) message(reply providers.ReplyKind) (message, error) {
	m := message{
		id: payments.NewCallbackID(), merchant: n.merchant, provider: n.receiver.Name(), received: n.raw.ReceivedAt,
		event: n.eventID(), payment: n.payment.ID, reply: reply,
	}
	text, err := json.Marshal(withoutCredentials(n.raw))
	if err != nil {
		return m, err
	}
	m.ciphertext, err = n.s.Secret.Encrypt(text, messageAt(m.id))
	return m, err
}

// eventID returns the provider's id of the event, or a hash of the content when the
// message was not understood: the repeats of both are bounded.
func (n *notice) eventID() string {
	if n.event.ID != "" {
		return n.event.ID
	}
	h := sha256.New()
	h.Write([]byte(n.raw.RawQuery + "\n"))
	h.Write(n.raw.Body)
	return "content-" + hex.EncodeToString(h.Sum(nil)[:16])
}

func (s *Service) decrypt(m message) (raw providers.RawCallback, err error) {
	text, err := s.Secret.Decrypt(m.ciphertext, messageAt(m.id))
	if err != nil {
		return raw, err
	}
	err = json.Unmarshal(text, &raw)
	return raw, err
}

func messageAt(id payments.CallbackID) string { return "payments.callback/message/" + id.String() }

// onlySigned keeps the headers that the provider's check reads. The sender chooses
// all others, and a message is kept for years.
func onlySigned(all http.Header, names []string) http.Header {
	kept := http.Header{}
	for _, name := range names {
		if values := all.Values(name); len(values) > 0 {
			kept[http.CanonicalHeaderKey(name)] = values
		}
	}
	return kept
}

// withoutCredentials drops the header that carries a provider's key. After the
// check the key is no evidence, and a kept key could be stolen.
func withoutCredentials(raw providers.RawCallback) providers.RawCallback {
	raw.Header = raw.Header.Clone()
	raw.Header.Del("Authorization")
	return raw
}

// insertMessage keeps a message with our answer. When another delivery of the
// same event was faster, nothing is kept and "stored" becomes "already stored".
func insertMessage(b *pgx.Batch, authority string, m *message) {
	b.Queue(`
		insert into payments.callback (id, authority, merchant_account_id, provider, received_at, message, event_id, payment_id, reply)
		values ($1, $2, $3, $4, $5, $6, nullif($7, ''), $8, $9)
		on conflict do nothing`,
		m.id, authority, m.merchant, m.provider, m.received, m.ciphertext, m.event, m.payment, m.reply).Exec(func(tag pgconn.CommandTag) error {
		m.known = tag.RowsAffected() == 0
		if m.known && m.reply == providers.ReplyStored {
			m.reply = providers.ReplyAlreadyStored
		}
		return nil
	})
}

// keptRepeats bounds the rows of one event with one answer. A payer can send
// again a message that the provider signed for the payer's browser, and a kept
// message is never deleted. The first row of every event and answer is kept.
const keptRepeats = 20

// enoughKept reports whether a message only repeats and enough repeats are kept.
// The answer to the sender is the same either way.
func enoughKept(ctx context.Context, tx pgx.Tx, m message) (enough bool, err error) {
	if m.reply == providers.ReplyStored {
		return false, nil
	}
	err = tx.QueryRow(ctx, `
		select count(*) >= $4 from (
			select from payments.callback where merchant_account_id = $1 and event_id = $2 and reply = $3 limit $4) n`,
		m.merchant, m.event, m.reply, keptRepeats).Scan(&enough)
	return enough, err
}

// storedEvent asks whether a message of the merchant account with this event was stored before.
const storedEvent = `
	select exists (select from payments.callback where merchant_account_id = $1 and event_id = $2 and reply = 'stored')`

// keptEvent finds the kept message of an event that waits for its job.
const keptEvent = `
	select id from payments.callback where merchant_account_id = $1 and event_id = $2 and reply = 'our_error'`

// selectMessage returns a kept message, or payments.ErrNotFound.
func selectMessage(ctx context.Context, tx pgx.Tx, id payments.CallbackID) (message, error) {
	m := message{id: id}
	err := tx.QueryRow(ctx, `
		select merchant_account_id, provider, received_at, message from payments.callback where id = $1`, id).
		Scan(&m.merchant, &m.provider, &m.received, &m.ciphertext)
	if errors.Is(err, pgx.ErrNoRows) {
		return m, payments.ErrNotFound
	}
	return m, err
}
