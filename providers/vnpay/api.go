package vnpay

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/doisoat/doisoat/providers"
)

const (
	commandQuery  = "querydr"
	commandRefund = "refund"
)

// build makes and signs a request. After an error of build nothing was sent.
func (p *Provider) build(ctx context.Context, m providers.Merchant, request map[string]string, order []string) (*http.Request, error) {
	text, err := joined(order, func(name string) string { return request[name] })
	if err != nil {
		return nil, err
	}
	request[hashName] = sign(liveSecrets(m)[0], text)
	body, err := json.Marshal(request)
	if err != nil {
		return nil, providers.ErrMessage.Because(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.Settings[settingAPIURL], bytes.NewReader(body))
	if err != nil {
		return nil, providers.ErrMessage.Because(err)
	}
	req.Header.Set("Content-Type", "application/json")
	return req, nil
}

// exchange sends a built request once and verifies the answer. It fails with
// ErrNotSent, ErrNoAnswer, or ErrSignature for an answer that cannot be trusted.
// An ErrSignature holds its cause as text only, so that errors.Is never takes a
// fault of the answer for a fault of the request.
func (p *Provider) exchange(
	m providers.Merchant,
	req *http.Request,
	request map[string]string,
	answerOrder []string,
) (providers.Members, error) {
	data, err := providers.Call(p.client, req)
	if err != nil {
		return nil, err
	}
	answer, err := providers.DecodeMembers(data)
	if err != nil {
		return nil, providers.ErrSignature.With("the answer is unreadable: %s", reasonOf(err))
	}
	if _, err := verifyAnswer(liveSecrets(m), answer, answerOrder); err != nil {
		return nil, err
	}
	for _, name := range []string{"vnp_Command", "vnp_TmnCode", "vnp_TxnRef"} {
		if answer.Text(name) != request[name] {
			return nil, providers.ErrSignature.With("the answer is about another request")
		}
	}
	return answer, nil
}

// verifyAnswer returns the signed text of an answer. It fails with ErrSignature
// when the signature is wrong or missing.
func verifyAnswer(secrets []string, answer providers.Members, order []string) (string, error) {
	text, err := joined(order, answer.Text)
	if err != nil {
		return text, providers.ErrSignature.With("the answer cannot be verified: %s", reasonOf(err))
	}
	if !signedBy(secrets, text, answer.Text(hashName)) {
		return text, providers.ErrSignature
	}
	return text, nil
}

// Inquire asks VNPAY with querydr. VNPAY finds refunds by their payment only and
// reports one movement of the payment. Therefore the outcome of a refund is
// Unknown when the answer may be about another refund or about the payment.
func (p *Provider) Inquire(ctx context.Context, m providers.Merchant, r providers.InquiryRequest) (providers.Event, error) {
	if err := p.CheckMerchant(m); err != nil {
		return providers.Event{}, err
	}
	request, err := inquiryOf(m, r)
	if err != nil {
		return providers.Event{}, err
	}
	event := providers.Event{Reference: r.Reference, Outcome: providers.Unknown, OccurredAt: r.Now}
	ctx, cancel := context.WithTimeout(ctx, providers.CallTimeout)
	defer cancel()
	req, err := p.build(ctx, m, request, queryRequest)
	if err != nil {
		return providers.Event{}, err
	}
	answer, err := p.exchange(m, req, request, queryResponse)
	if err != nil {
		event.Reason = whyUnclear(err)
		event.ID = eventID(commandQuery, r.Reference, r.RefundReference, request["vnp_RequestId"])
		return event, nil //nolint:nilerr // an unclear answer is an outcome, not a fault of ours
	}
	return readInquiry(event, r, answer), nil
}

func inquiryOf(m providers.Merchant, r providers.InquiryRequest) (map[string]string, error) {
	id, err := requestID(r.RequestID)
	if err != nil {
		return nil, err
	}
	if len(r.Reference) > maxReference || !isAlphanumeric(r.Reference) || r.CreatedAt.IsZero() || r.Now.IsZero() {
		return nil, providers.ErrMessage.With("inquiry names no payment or no time")
	}
	request := map[string]string{
		"vnp_RequestId":       id,
		"vnp_Version":         protocolVersion,
		"vnp_Command":         commandQuery,
		"vnp_TmnCode":         m.Settings[settingTerminal],
		"vnp_TxnRef":          r.Reference,
		"vnp_OrderInfo":       "Truy van GD " + r.Reference,
		"vnp_TransactionDate": wireTime(r.CreatedAt),
		"vnp_CreateDate":      wireTime(r.Now),
		"vnp_IpAddr":          serverIP(m),
	}
	if r.RefundReference == "" && r.TransactionID != "" {
		request["vnp_TransactionNo"] = r.TransactionID
	}
	return request, nil
}

// readInquiry fills event from a verified answer.
func readInquiry(event providers.Event, r providers.InquiryRequest, answer providers.Members) providers.Event {
	response, kind, status := answer.Text("vnp_ResponseCode"), answer.Text("vnp_TransactionType"), answer.Text("vnp_TransactionStatus")
	number, wire := answer.Text("vnp_TransactionNo"), answer.Text("vnp_Amount")
	subject := "payment"
	if r.RefundReference != "" {
		subject = "refund:" + r.RefundReference
	}
	event.ID = eventID(subject, r.Reference, number, response, status, wire)
	event.TransactionID = transactionID(number)
	event.Reason = strings.Join([]string{response, kind, status}, "/")
	if paid, err := readTime(answer.Text("vnp_PayDate")); err == nil {
		event.OccurredAt = paid
	}
	amount, err := readAmount(wire)
	if err == nil {
		event.Amount = amount
	}
	readable := err == nil && event.TransactionID != ""
	if r.RefundReference == "" {
		event.Outcome = paymentOutcome(response, kind, status)
		if event.Outcome == providers.Succeeded && !readable {
			event.Outcome = providers.Unknown
		}
		return event
	}
	event.Outcome = refundOutcome(response, kind, status)
	if !readable || !fitsRefund(r, event) {
		// The amount and the number belong to the payment or to another refund, so the event leaves them out.
		return providers.Event{
			ID: event.ID, Reference: event.Reference, Outcome: providers.Unknown, OccurredAt: r.Now, Reason: event.Reason,
		}
	}
	if event.TransactionID == r.TransactionID { // number and amount are the payment's
		event.TransactionID, event.Amount = r.RefundTransactionID, r.RefundAmount
	}
	return event
}

// fitsRefund reports whether an answer can only be about the requested refund.
// VNPAY does not specify whether the answer holds number and amount of the
// refund or still of the payment. The number of the payment does not tell two
// refunds apart. Therefore fitsRefund accepts this number only when no other
// refund was sent.
func fitsRefund(r providers.InquiryRequest, event providers.Event) bool {
	switch number := event.TransactionID; {
	case slices.Contains(r.OtherRefunds, number):
		return false
	case r.RefundTransactionID != "" && number == r.RefundTransactionID:
		return r.RefundAmount.IsZero() || r.RefundAmount == event.Amount
	case number == r.TransactionID:
		return len(r.OtherRefunds) == 0
	case r.RefundTransactionID != "":
		return false
	default: // a new number is the number of the refund
		return (r.RefundAmount.IsZero() || r.RefundAmount == event.Amount) && !slices.Contains(r.OtherRefunds, "")
	}
}

// requestID returns the id by which VNPAY recognises a repeat. It removes the
// dashes of a UUID, because VNPAY takes at most 32 letters and digits.
func requestID(id string) (string, error) {
	id = strings.ReplaceAll(id, "-", "")
	if len(id) > maxRequestID || !isAlphanumeric(id) {
		return "", providers.ErrMessage.With("request id is not 1 to 32 letters and digits")
	}
	return id, nil
}

func serverIP(m providers.Merchant) string {
	if ip := m.Settings[settingServerIP]; ip != "" {
		return ip
	}
	return defaultIPAddress
}
