package vnpay

import "github.com/doisoat/doisoat/providers"

// declinedCodes are the response codes after which VNPAY certainly took no
// money: card not enabled 09, wrong data 10, expired 11, card locked 12, wrong
// OTP 13, cancelled 24, not enough money 51, over the limit 65, bank in
// maintenance 75, wrong password 79, other 99. Code 07 is not in the list: VNPAY
// took the money and suspects fraud.
var declinedCodes = map[string]bool{
	"09": true, "10": true, "11": true, "12": true, "13": true, "24": true,
	"51": true, "65": true, "75": true, "79": true, "99": true,
}

// Transaction types of an inquiry answer.
const (
	typePayment       = "01"
	typeFullRefund    = "02"
	typePartialRefund = "03"
)

// pushedOutcome reads the two codes of an IPN or a return address.
//
//	response  status  outcome
//	00        00      succeeded
//	any       01      pending
//	declined  02      declined
//	other             unknown (07 fraud, 04 reversed at the gateway, new codes)
func pushedOutcome(response, status string) providers.Outcome {
	switch {
	case response == "00" && status == "00":
		return providers.Succeeded
	case status == "01":
		return providers.Pending
	case status == "02" && declinedCodes[response]:
		return providers.Declined
	default:
		return providers.Unknown
	}
}

// paymentOutcome reads an inquiry answer about a payment. Response code 00 only
// means that VNPAY understood the inquiry. Code 91 means that the payer has not
// reached VNPAY yet, and may still come until the pay address expires.
//
//	response  type  status  outcome
//	91                      pending
//	00        01    00      succeeded
//	00        01    01      pending
//	00        01    02      declined
//	other                   unknown
func paymentOutcome(response, kind, status string) providers.Outcome {
	switch {
	case response == "91":
		return providers.Pending
	case response != "00" || kind != typePayment:
		return providers.Unknown
	case status == "00":
		return providers.Succeeded
	case status == "01":
		return providers.Pending
	case status == "02":
		return providers.Declined
	default:
		return providers.Unknown
	}
}

// refundOutcome reads an inquiry answer about a refund. An answer about the
// payment (type 01) does not prove that there is no refund: VNPAY may not have
// booked the refund yet. Therefore the outcome is unknown.
//
//	response  type   status  outcome
//	00        02,03  05      pending
//	00        02,03  06      succeeded
//	00        02,03  09      declined
//	other                    unknown
func refundOutcome(response, kind, status string) providers.Outcome {
	if response != "00" || kind != typeFullRefund && kind != typePartialRefund {
		return providers.Unknown
	}
	switch status {
	case "05":
		return providers.Pending
	case "06":
		return providers.Succeeded
	case "09":
		return providers.Declined
	default:
		return providers.Unknown
	}
}

// refusedRefunds are the response codes to a refund request after which VNPAY
// moves no money: bad terminal 02, bad format 03, payment not found 91, refused
// 95, bad signature 97. Two codes are not in the list: 94, the repeat of a
// request that may be running, and 99.
var refusedRefunds = map[string]bool{"02": true, "03": true, "91": true, "95": true, "97": true}

// answeredRefund reads the answer to a refund request. Code 00 means accepted,
// not done: the outcome is Pending until the status reports success.
//
//	response            status      outcome
//	02 03 91 95 97                  declined
//	00                  05, 00, 01  pending
//	00                  06          succeeded
//	00                  09          declined
//	other (94, 99, …)               unknown
func answeredRefund(response, status string) providers.Outcome {
	if refusedRefunds[response] {
		return providers.Declined
	}
	if response != "00" {
		return providers.Unknown
	}
	switch status {
	case "05", "00", "01":
		return providers.Pending
	case "06":
		return providers.Succeeded
	case "09":
		return providers.Declined
	default:
		return providers.Unknown
	}
}
