package vnpay

import (
	"net/url"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/providers/simulator"
)

// vnpayTime is yyyyMMddHHmmss in GMT+7 (fact sheet VNPAY, section 2).
const vnpayTime = "20060102150405"

// Words of vnp_TransactionStatus.
const (
	statusDone       = "00"
	statusOpen       = "01"
	statusFailed     = "02"
	statusRefunding  = "05"
	statusRefunded   = "06"
	statusRefundLost = "09"
)

// payment is one order at VNPAY. Amounts are whole đồng.
type payment struct {
	Terminal     string    `json:"terminal"`
	Reference    string    `json:"reference"` // vnp_TxnRef
	CreateDate   string    `json:"create_date"`
	OrderInfo    string    `json:"order_info"`
	Amount       int64     `json:"amount"`
	Transaction  int64     `json:"transaction"`
	BankCode     string    `json:"bank_code"`
	CardType     string    `json:"card_type"`
	Status       string    `json:"status"`        // vnp_TransactionStatus of the payment itself
	ResponseCode string    `json:"response_code"` // empty while open
	PaidAt       time.Time `json:"paid_at"`       // time of the outcome, also of a failure
	Cancelled    bool      `json:"cancelled,omitempty"`
}

func paymentKey(terminal, reference string) string { return terminal + "|" + reference }

// payOrder is a pay URL that passed VNPAY's checks.
type payOrder struct {
	merchant   *merchant
	reference  string
	orderInfo  string
	createDate string
	returnURL  string
	bankCode   string
	amount     int64
	expires    time.Time
}

// pageError is the content of VNPAY's error page.
type pageError struct{ code, text string }

// Error codes of the pay page (public reports; medium certainty).
var (
	errExists    = &pageError{"01", "Giao dịch đã tồn tại hoặc đã kết thúc"}
	errFormat    = &pageError{"03", "Dữ liệu gửi sang không đúng định dạng"}
	errExpired   = &pageError{"15", "Giao dịch đã quá thời gian chờ thanh toán"}
	errSignature = &pageError{"70", "Sai chữ ký"}
	errTerminal  = &pageError{"72", "Không tìm thấy website"}
)

func (e *pageError) Error() string { return "vnpay " + e.code + ": " + e.text }

// payRules are the parameters of a pay request (fact sheet VNPAY, section 2):
// length in characters, digits only where digits is set.
var payRules = []struct {
	name     string
	min, max int
	digits   bool
	optional bool
}{
	{name: "vnp_Version", min: 1, max: 8},
	{name: "vnp_Command", min: 1, max: 16},
	{name: "vnp_TmnCode", min: 8, max: 8},
	{name: "vnp_Amount", min: 1, max: 12, digits: true},
	{name: "vnp_BankCode", min: 3, max: 20, optional: true},
	{name: "vnp_CreateDate", min: 14, max: 14, digits: true},
	{name: "vnp_CurrCode", min: 3, max: 3},
	{name: "vnp_IpAddr", min: 7, max: 45},
	{name: "vnp_Locale", min: 2, max: 5},
	{name: "vnp_OrderInfo", min: 1, max: 255},
	{name: "vnp_OrderType", min: 1, max: 100},
	{name: "vnp_ReturnUrl", min: 10, max: 255},
	{name: "vnp_ExpireDate", min: 14, max: 14, digits: true},
	{name: "vnp_TxnRef", min: 1, max: 100},
}

// readOrder checks the query of a pay URL as VNPAY does: terminal, signature, then
// each parameter. It does not check the expiry. The caller holds the lock.
func (v *Side) readOrder(rawQuery string) (payOrder, *pageError) {
	values, ok := simulator.SingleValues(rawQuery)
	if !ok {
		return payOrder{}, errFormat
	}
	m, ok := v.merchants[values["vnp_TmnCode"]]
	if !ok {
		return payOrder{}, errTerminal
	}
	if !sameHash(values["vnp_SecureHash"], QueryHash(m.secret, values)) {
		return payOrder{}, errSignature
	}
	for _, rule := range payRules {
		v := values[rule.name]
		n := utf8.RuneCountInString(v)
		if n == 0 && rule.optional {
			continue
		}
		if n < rule.min || n > rule.max || rule.digits && !simulator.OnlyDigits(v) {
			return payOrder{}, errFormat
		}
	}
	hundredfold, err := strconv.ParseInt(values["vnp_Amount"], 10, 64)
	if err != nil || hundredfold <= 0 || hundredfold%100 != 0 {
		return payOrder{}, errFormat
	}
	_, err = time.ParseInLocation(vnpayTime, values["vnp_CreateDate"], calendar.HoChiMinh)
	expires, expiryErr := time.ParseInLocation(vnpayTime, values["vnp_ExpireDate"], calendar.HoChiMinh)
	back, urlErr := url.Parse(values["vnp_ReturnUrl"])
	if err != nil || expiryErr != nil || urlErr != nil || back.Host == "" ||
		back.Scheme != "http" && back.Scheme != "https" ||
		values["vnp_Version"] != "2.1.0" || values["vnp_Command"] != "pay" || values["vnp_CurrCode"] != "VND" ||
		values["vnp_Locale"] != "vn" && values["vnp_Locale"] != "en" {
		return payOrder{}, errFormat
	}
	return payOrder{
		merchant: m, reference: values["vnp_TxnRef"], orderInfo: values["vnp_OrderInfo"],
		createDate: values["vnp_CreateDate"], returnURL: values["vnp_ReturnUrl"],
		bankCode: values["vnp_BankCode"], amount: hundredfold / 100, expires: expires,
	}, nil
}

// openPayment finds the payment of the order, or makes it at the first visit of
// the pay page. It refuses the reference of another order for ever; VNPAY promises
// this only for a day. The caller holds the lock.
func (v *Side) openPayment(o payOrder) (*payment, *pageError) {
	key := paymentKey(o.merchant.terminal, o.reference)
	if p, ok := v.payments[key]; ok {
		if p.CreateDate != o.createDate || p.OrderInfo != o.orderInfo || p.Status == statusOpen && p.Amount != o.amount {
			return nil, errExists
		}
		return p, nil
	}
	v.state.LastTransaction++
	p := &payment{
		Terminal: o.merchant.terminal, Reference: o.reference, CreateDate: o.createDate, OrderInfo: o.orderInfo,
		Amount: o.amount, Transaction: v.state.LastTransaction, BankCode: "NCB", CardType: "ATM", Status: statusOpen,
	}
	switch o.bankCode {
	case "", "VNBANK", "INTCARD":
	case "VNPAYQR":
		p.CardType = "QRCODE"
	default:
		p.BankCode = o.bankCode
	}
	v.payments[key] = p
	v.state.Payments = append(v.state.Payments, p)
	v.core.Changed()
	return p, nil
}

// finish ends an open payment. Only a paid payment enters the settlement. The
// caller holds the lock.
func (v *Side) finish(p *payment, result simulator.Outcome, amount int64) {
	p.PaidAt = v.core.Now()
	p.Cancelled = result == simulator.Cancelled
	switch result {
	case simulator.Paid:
		p.Status, p.ResponseCode, p.Amount = statusDone, "00", amount
		v.settlePayment(p)
	case simulator.Cancelled:
		p.Status, p.ResponseCode = statusFailed, "24"
	default:
		p.Status, p.ResponseCode = statusFailed, "51"
	}
	v.core.Changed()
}

// resultValues returns the parameters of the return address and of the IPN,
// without the signature. A payer who cancels never reaches a bank: VNPAY then
// sends 0 as its number and no bank number.
func resultValues(p *payment) map[string]string {
	values := map[string]string{
		"vnp_TmnCode":           p.Terminal,
		"vnp_Amount":            hundredfold(p.Amount),
		"vnp_BankCode":          p.BankCode,
		"vnp_CardType":          p.CardType,
		"vnp_PayDate":           vnpayDate(p.PaidAt),
		"vnp_OrderInfo":         p.OrderInfo,
		"vnp_TransactionNo":     strconv.FormatInt(p.Transaction, 10),
		"vnp_ResponseCode":      p.ResponseCode,
		"vnp_TransactionStatus": p.Status,
		"vnp_TxnRef":            p.Reference,
	}
	switch {
	case p.Cancelled:
		values["vnp_TransactionNo"] = "0"
	case p.Status == statusDone:
		values["vnp_BankTranNo"] = bankTransaction(p)
	}
	return values
}

func bankTransaction(p *payment) string { return "VNP" + strconv.FormatInt(p.Transaction, 10) }

func hundredfold(amount int64) string { return strconv.FormatInt(amount, 10) + "00" }

func vnpayDate(t time.Time) string { return t.In(calendar.HoChiMinh).Format(vnpayTime) }
