package vnpay

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/doisoat/doisoat/providers"
)

// Verify checks the signature of an IPN. It also returns ErrSignature for a
// query whose signed text is ambiguous: repeated names, bad escapes.
func (*Provider) Verify(m providers.Merchant, c providers.RawCallback) error {
	received, err := parseQuery(c.RawQuery)
	if err != nil {
		return err
	}
	if _, ok := received.verify(liveSecrets(m)); !ok {
		return providers.ErrSignature
	}
	return nil
}

// Translate reads a verified IPN. It fails with ErrMessage when the IPN is for
// another terminal, has no reference or no readable amount, reports no result, or
// reports a success without a transaction number. The address to which a payer is
// sent carries our signature, too, but reports no result. OccurredAt is the pay time, or the time of
// receipt when VNPAY gives no pay time.
func (*Provider) Translate(m providers.Merchant, c providers.RawCallback) (providers.Event, error) {
	received, err := parseQuery(c.RawQuery)
	if err != nil {
		return providers.Event{}, err
	}
	return translate(m, received, c.ReceivedAt)
}

// VerifyReturn checks and reads the query of the browser's return. The event is
// for display only, because the payer can replay the query. Only an IPN or an
// inquiry may change a status.
func (p *Provider) VerifyReturn(m providers.Merchant, rawQuery string) (providers.Event, error) {
	c := providers.RawCallback{Method: http.MethodGet, RawQuery: rawQuery}
	if err := p.Verify(m, c); err != nil {
		return providers.Event{}, err
	}
	return p.Translate(m, c)
}

func translate(m providers.Merchant, received message, receivedAt time.Time) (providers.Event, error) {
	v := received.values
	// Equal signed content has one id, so the caller can bound the repeats of a message that says nothing.
	refused := providers.Event{ID: eventID("refused", received.canonical(encoders[0]))}
	for _, name := range []string{"vnp_TxnRef", "vnp_TransactionNo", "vnp_ResponseCode", "vnp_TransactionStatus"} {
		if !readable(v[name]) {
			return refused, providers.ErrMessage.With("message holds text that is not readable")
		}
	}
	if !readable(v["vnp_BankTranNo"]) {
		v["vnp_BankTranNo"] = "" // the money counts without the bank's number
	}
	if v["vnp_ResponseCode"] == "" && v["vnp_TransactionStatus"] == "" {
		return refused, providers.ErrMessage.With("message reports no result")
	}
	if v["vnp_TmnCode"] != m.Settings[settingTerminal] {
		return refused, providers.ErrMessage.With("message is for another terminal")
	}
	if v["vnp_TxnRef"] == "" {
		return refused, providers.ErrMessage.With("message names no reference")
	}
	amount, err := readAmount(v["vnp_Amount"])
	if err != nil {
		return refused, err
	}
	event := providers.Event{
		ID: eventID("payment", v["vnp_TxnRef"], v["vnp_TransactionNo"], v["vnp_ResponseCode"], v["vnp_TransactionStatus"],
			v["vnp_Amount"]),
		Reference:     v["vnp_TxnRef"],
		TransactionID: transactionID(v["vnp_TransactionNo"]),
		BankReference: v["vnp_BankTranNo"],
		Outcome:       pushedOutcome(v["vnp_ResponseCode"], v["vnp_TransactionStatus"]),
		Amount:        amount,
		OccurredAt:    receivedAt,
		Reason:        v["vnp_ResponseCode"] + "/" + v["vnp_TransactionStatus"],
	}
	if paid := v["vnp_PayDate"]; paid != "" {
		if event.OccurredAt, err = readTime(paid); err != nil {
			return refused, err
		}
	}
	if event.Outcome == providers.Succeeded && event.TransactionID == "" {
		return refused, providers.ErrMessage.With("message reports a success without a transaction number")
	}
	return event, nil
}

// readable reports whether the database can keep a value as text.
func readable(value string) bool { return utf8.ValidString(value) && !strings.ContainsRune(value, 0) }

// transactionID returns the number of a transaction, "" for VNPAY's word "0" (no transaction).
func transactionID(number string) string {
	if number == "0" {
		return ""
	}
	return number
}

// eventID returns equal ids for equal content. By the id the caller recognises
// the second delivery of a notification, or an inquiry with the same answer.
func eventID(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		h.Write([]byte(strconv.Itoa(len(part)) + ":" + part)) // never fails
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// replies are the words of the integration guide. VNPAY stops calling after 00 and 02.
var replies = map[providers.ReplyKind]string{
	providers.ReplyStored:        `{"RspCode":"00","Message":"Confirm Success"}`,
	providers.ReplyAlreadyStored: `{"RspCode":"02","Message":"Order already confirmed"}`,
	providers.ReplyBadSignature:  `{"RspCode":"97","Message":"Invalid signature"}`,
	providers.ReplyUnknownOrder:  `{"RspCode":"01","Message":"Order not found"}`,
	providers.ReplyWrongAmount:   `{"RspCode":"04","Message":"Invalid amount"}`,
	providers.ReplyBadMessage:    `{"RspCode":"99","Message":"Unknown error"}`,
	providers.ReplyOurError:      `{"RspCode":"99","Message":"Unknown error"}`,
}

// Reply returns our answer: always HTTP 200, with the code in the body.
func (*Provider) Reply(kind providers.ReplyKind) providers.Reply {
	body, ok := replies[kind]
	if !ok {
		body = replies[providers.ReplyOurError]
	}
	return providers.Reply{Status: http.StatusOK, ContentType: "application/json", Body: []byte(body)}
}

// CallbackHeaders is empty: everything that VNPAY signs is in the query.
func (*Provider) CallbackHeaders() []string { return nil }

// CallbackBounds: an IPN is a query of about 600 bytes and has no body.
func (*Provider) CallbackBounds() providers.CallbackBounds {
	return providers.CallbackBounds{Query: 8 << 10}
}
