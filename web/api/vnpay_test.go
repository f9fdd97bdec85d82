package api_test

import (
	"crypto/hmac"
	"crypto/sha512"
	"encoding/hex"
	"net/url"
	"strconv"
)

// vnpayQuery is the query of VNPAY's notice of a paid payment, signed by the
// published rule (gateway 2.1.0): amount ×100, form encoding, HMAC-SHA512.
func vnpayQuery(secret, reference string, dong int64) string {
	text := url.Values{
		"vnp_TmnCode": {"DVCTEST1"}, "vnp_Amount": {strconv.FormatInt(dong*100, 10)}, "vnp_BankCode": {"NCB"}, "vnp_CardType": {"ATM"},
		"vnp_PayDate": {"20240502100000"}, "vnp_OrderInfo": {"Nop phi"}, "vnp_TransactionNo": {"14271027"},
		"vnp_ResponseCode": {"00"}, "vnp_TransactionStatus": {"00"}, "vnp_TxnRef": {reference},
	}.Encode()
	mac := hmac.New(sha512.New, []byte(secret))
	mac.Write([]byte(text))
	return text + "&vnp_SecureHash=" + hex.EncodeToString(mac.Sum(nil))
}
