package vnpay

import (
	"context"
	"errors"

	"github.com/doisoat/doisoat/internal/text"
	"github.com/doisoat/doisoat/providers"
)

// maxCreateBy limits the length of the user name in a refund request.
const maxCreateBy = 245

// Refund sends one refund request. Reference becomes vnp_RequestId, by which
// VNPAY recognises a repeat. The outcome is NotSent when Refund could not build
// the request or make a connection, Declined only after a signed refusal, and
// Unknown when money may have moved.
func (p *Provider) Refund(ctx context.Context, m providers.Merchant, r providers.RefundRequest) (providers.RefundResult, error) {
	request, err := p.refundOf(m, r)
	if err != nil {
		return providers.RefundResult{Outcome: providers.NotSent, Reason: "not_built"}, err
	}
	ctx, cancel := context.WithTimeout(ctx, providers.CallTimeout)
	defer cancel()
	req, err := p.build(ctx, m, request, refundRequest)
	if err != nil {
		return providers.RefundResult{Outcome: providers.NotSent, Reason: "not_built"}, err
	}
	answer, err := p.exchange(m, req, request, refundResponse)
	switch {
	case errors.Is(err, providers.ErrNotSent):
		return providers.RefundResult{Outcome: providers.NotSent, Reason: whyUnclear(err)}, nil
	case err != nil:
		return providers.RefundResult{Outcome: providers.Unknown, Reason: whyUnclear(err)}, nil //nolint:nilerr // see Refund
	}
	response, status := answer.Text("vnp_ResponseCode"), answer.Text("vnp_TransactionStatus")
	result := providers.RefundResult{
		Outcome:       answeredRefund(response, status),
		TransactionID: transactionID(answer.Text("vnp_TransactionNo")),
		Reason:        response + "/" + status,
	}
	if response == "00" &&
		(answer.Text("vnp_Amount") != request["vnp_Amount"] || answer.Text("vnp_TransactionType") != request["vnp_TransactionType"]) {
		return providers.RefundResult{Outcome: providers.Unknown, Reason: "other_refund"}, nil
	}
	if response != "00" || result.TransactionID == r.TransactionID {
		result.TransactionID = "" // a refusal repeats the number of the payment
	}
	return result, nil
}

func (p *Provider) refundOf(m providers.Merchant, r providers.RefundRequest) (map[string]string, error) {
	if err := p.CheckMerchant(m); err != nil {
		return nil, err
	}
	amount, err := wireAmount(r.Amount)
	if err != nil {
		return nil, err
	}
	if len(r.Reference) > maxRequestID || !isAlphanumeric(r.Reference) {
		return nil, providers.ErrMessage.With("refund reference is not 1 to 32 letters and digits")
	}
	if len(r.Payment) > maxReference || !isAlphanumeric(r.Payment) {
		return nil, providers.ErrMessage.With("payment reference is not letters and digits")
	}
	if r.PaidCreatedAt.IsZero() || r.Now.IsZero() {
		return nil, providers.ErrMessage.With("refund names no time of the payment or of the request")
	}
	if r.Captured.Currency != r.Amount.Currency || r.Amount.Minor > r.Captured.Minor {
		return nil, providers.ErrMessage.With("refund is larger than the capture")
	}
	by := text.Plain(r.RequestedBy, maxCreateBy)
	if by == "" {
		return nil, providers.ErrMessage.With("refund names no requesting person")
	}
	kind := typePartialRefund
	if r.Amount == r.Captured {
		kind = typeFullRefund
	}
	number := r.TransactionID
	if number == "" {
		number = "0" // VNPAY's word for an unknown number; it is sent and signed
	}
	return map[string]string{
		"vnp_RequestId":       r.Reference,
		"vnp_Version":         protocolVersion,
		"vnp_Command":         commandRefund,
		"vnp_TmnCode":         m.Settings[settingTerminal],
		"vnp_TransactionType": kind,
		"vnp_TxnRef":          r.Payment,
		"vnp_Amount":          amount,
		"vnp_OrderInfo":       orderInfo(r.Description, "Hoan tra "+r.Payment),
		"vnp_TransactionNo":   number,
		"vnp_TransactionDate": wireTime(r.PaidCreatedAt),
		"vnp_CreateBy":        by,
		"vnp_CreateDate":      wireTime(r.Now),
		"vnp_IpAddr":          serverIP(m),
	}, nil
}

// whyUnclear returns the Reason of a call without a clear answer, for people and logs.
func whyUnclear(err error) string {
	switch {
	case errors.Is(err, providers.ErrNotSent):
		return "not_sent"
	case errors.Is(err, providers.ErrSignature):
		return "unverified_answer"
	default:
		return "no_answer"
	}
}
