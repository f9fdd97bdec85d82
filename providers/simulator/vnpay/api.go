package vnpay

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/providers/simulator"
)

// refund is one refund at VNPAY. An accepted refund reduces the refundable amount
// of its payment, and a refused one does not.
type refund struct {
	Terminal    string    `json:"terminal"`
	Reference   string    `json:"reference"` // of the payment
	RequestID   string    `json:"request_id"`
	Type        string    `json:"type"` // 02 full, 03 partial
	Amount      int64     `json:"amount"`
	Transaction int64     `json:"transaction"`
	Status      string    `json:"status"`
	AskedAt     time.Time `json:"asked_at"`
	DoneAt      time.Time `json:"done_at"`           // the time at which 05 ends
	Refused     bool      `json:"refused,omitempty"` // 05 ends in 09
}

// apiMessage is a request or an answer of the merchant API. The JSON leaves out
// empty members; the hash text keeps their separators.
type apiMessage struct {
	RequestID         string `json:"vnp_RequestId,omitempty"`
	ResponseID        string `json:"vnp_ResponseId,omitempty"`
	Version           string `json:"vnp_Version,omitempty"`
	Command           string `json:"vnp_Command,omitempty"`
	ResponseCode      string `json:"vnp_ResponseCode,omitempty"`
	Message           string `json:"vnp_Message,omitempty"`
	TmnCode           string `json:"vnp_TmnCode,omitempty"`
	TransactionType   string `json:"vnp_TransactionType,omitempty"`
	TxnRef            string `json:"vnp_TxnRef,omitempty"`
	Amount            string `json:"vnp_Amount,omitempty"`
	BankCode          string `json:"vnp_BankCode,omitempty"`
	PayDate           string `json:"vnp_PayDate,omitempty"`
	OrderInfo         string `json:"vnp_OrderInfo,omitempty"`
	TransactionNo     string `json:"vnp_TransactionNo,omitempty"`
	TransactionStatus string `json:"vnp_TransactionStatus,omitempty"`
	TransactionDate   string `json:"vnp_TransactionDate,omitempty"`
	CreateBy          string `json:"vnp_CreateBy,omitempty"`
	CreateDate        string `json:"vnp_CreateDate,omitempty"`
	IPAddr            string `json:"vnp_IpAddr,omitempty"`
	PromotionCode     string `json:"vnp_PromotionCode,omitempty"`
	PromotionAmount   string `json:"vnp_PromotionAmount,omitempty"`
	SecureHash        string `json:"vnp_SecureHash,omitempty"`
}

// requestText returns the text that a merchant hashes (fact sheet VNPAY, sections 4 and 5).
func (m *apiMessage) requestText() string {
	if m.Command == "refund" {
		return strings.Join([]string{
			m.RequestID, m.Version, m.Command, m.TmnCode, m.TransactionType, m.TxnRef, m.Amount,
			m.TransactionNo, m.TransactionDate, m.CreateBy, m.CreateDate, m.IPAddr, m.OrderInfo,
		}, "|")
	}
	return strings.Join([]string{
		m.RequestID, m.Version, m.Command, m.TmnCode, m.TxnRef, m.TransactionDate, m.CreateDate, m.IPAddr, m.OrderInfo,
	}, "|")
}

// responseText returns the text that VNPAY hashes. The text of a refund has no promotion.
func (m *apiMessage) responseText() string {
	parts := []string{
		m.ResponseID, m.Command, m.ResponseCode, m.Message, m.TmnCode, m.TxnRef, m.Amount, m.BankCode, m.PayDate,
		m.TransactionNo, m.TransactionType, m.TransactionStatus, m.OrderInfo,
	}
	if m.Command != "refund" {
		parts = append(parts, m.PromotionCode, m.PromotionAmount)
	}
	return strings.Join(parts, "|")
}

// apiMessages are the texts of the response codes.
var apiMessages = map[string]string{
	"00": "Success", "02": "Invalid TmnCode", "03": "Invalid data format", "91": "Transaction not found",
	"94": "Duplicate request", "95": "Request refused", "97": "Invalid checksum", "99": "Unknown error",
}

var requestIDShape = regexp.MustCompile(`^[0-9A-Za-z]{1,32}$`)

// wellFormed checks the members that the command needs. It refuses a |, which
// would make the hash text ambiguous.
func (m *apiMessage) wellFormed() bool {
	need := []string{m.TxnRef, m.OrderInfo, m.IPAddr, m.TmnCode}
	dates := []string{m.TransactionDate, m.CreateDate}
	switch m.Command {
	case "querydr":
	case "refund":
		need = append(need, m.CreateBy, m.TransactionNo)
		if m.TransactionType != "02" && m.TransactionType != "03" || !simulator.OnlyDigits(m.Amount) || len(m.Amount) > 12 {
			return false
		}
	default:
		return false
	}
	for _, text := range append(need, dates...) {
		if text == "" || strings.Contains(text, "|") {
			return false
		}
	}
	for _, date := range dates {
		if _, err := time.ParseInLocation(vnpayTime, date, calendar.HoChiMinh); err != nil {
			return false
		}
	}
	return m.Version == "2.1.0" && requestIDShape.MatchString(m.RequestID)
}

// serveAPI answers querydr and refund. It signs the answer, also a refusal, when
// the terminal is known.
func (v *Side) serveAPI(w http.ResponseWriter, r *http.Request) {
	var request apiMessage
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		writeAPI(w, apiMessage{ResponseID: "sim0", ResponseCode: "03"}, "", false)
		return
	}
	v.core.Lock()
	v.finishRefunds()
	plan := v.core.Fault(Name)
	if request.Command == "querydr" && plan.Inquiry == faultTimeout ||
		request.Command == "refund" && plan.Refund == faultTimeoutNotDone {
		v.core.Unlock()
		v.core.Hang(r)
	}
	answer, secret := v.answer(&request, plan)
	v.state.LastResponse++
	answer.ResponseID = fmt.Sprintf("sim%017d", v.state.LastResponse)
	v.core.Changed()
	v.core.Unlock()
	if !v.core.Saved(w) {
		return
	}
	switch {
	case request.Command == "refund" && plan.Refund == faultTimeoutDone:
		v.core.Hang(r)
	case request.Command == "querydr" && plan.Inquiry == faultGarbage:
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html><body>Service temporarily unavailable</body></html>")
	default:
		writeAPI(w, answer, secret, request.Command == "querydr" && plan.Inquiry == faultBadSignature)
	}
}

// answer checks a request in VNPAY's order; the caller holds the lock.
func (v *Side) answer(request *apiMessage, plan simulator.Faults) (apiMessage, string) {
	refusal := apiMessage{
		Command: request.Command, TmnCode: request.TmnCode, TxnRef: request.TxnRef, OrderInfo: request.OrderInfo,
	}
	m, ok := v.merchants[request.TmnCode]
	if !ok {
		refusal.ResponseCode = "02"
		return refusal, ""
	}
	code := "00"
	switch {
	case !request.wellFormed():
		code = "03"
	case !sameHash(request.SecureHash, sha512MAC(m.secret, request.requestText())):
		code = "97"
	case !v.firstRequest(request):
		code = "94"
	}
	if code != "00" {
		refusal.ResponseCode = code
		return refusal, m.secret
	}
	p, ok := v.payments[paymentKey(request.TmnCode, request.TxnRef)]
	wrongNumber := request.TransactionNo != "" && request.TransactionNo != "0" && ok &&
		request.TransactionNo != strconv.FormatInt(p.Transaction, 10)
	if !ok || p.CreateDate != request.TransactionDate || wrongNumber {
		refusal.ResponseCode = "91"
		return refusal, m.secret
	}
	if request.Command == "querydr" {
		return v.inquire(p), m.secret
	}
	answer := v.acceptRefund(p, request, plan)
	if answer.ResponseCode != "00" {
		refusal.ResponseCode = answer.ResponseCode
		return refusal, m.secret
	}
	return answer, m.secret
}

// firstRequest reports whether the request id is new today, and stores it.
func (v *Side) firstRequest(request *apiMessage) bool {
	if today := calendar.On(v.core.Now()); v.state.RequestDay != today {
		v.state.RequestDay, v.state.Requests = today, nil
		clear(v.requests)
	}
	key := request.TmnCode + "|" + request.RequestID
	if v.requests[key] {
		return false
	}
	v.requests[key] = true
	v.state.Requests = append(v.state.Requests, key)
	v.core.Changed()
	return true
}

// inquire reports a payment. querydr has no key for a refund. After a refund the
// answer holds type and status of the newest refund of the payment, and amount,
// number and pay date of the payment itself.
func (v *Side) inquire(p *payment) apiMessage {
	answer := apiMessage{
		Command: "querydr", ResponseCode: "00", Message: "QueryDR Success", TmnCode: p.Terminal, TxnRef: p.Reference,
		Amount: hundredfold(p.Amount), OrderInfo: p.OrderInfo, BankCode: p.BankCode,
		TransactionNo: strconv.FormatInt(p.Transaction, 10), TransactionType: "01", TransactionStatus: p.Status,
	}
	if !p.PaidAt.IsZero() {
		answer.PayDate = vnpayDate(p.PaidAt)
	}
	if list := v.refundsOf(p); len(list) > 0 {
		newest := list[len(list)-1]
		answer.TransactionType, answer.TransactionStatus = newest.Type, newest.Status
	}
	return answer
}

// refundsOf returns a payment's refunds in order of request; the caller holds the lock.
func (v *Side) refundsOf(p *payment) []*refund {
	var list []*refund
	for _, f := range v.state.Refunds {
		if f.Terminal == p.Terminal && f.Reference == p.Reference {
			list = append(list, f)
		}
	}
	return list
}

// acceptRefund accepts a refund or answers with a refusal. It answers 95 for a
// payment that is not paid, for more than the refundable amount and for a "full"
// refund of another amount. It answers 94 when earlier refunds take the full amount.
func (v *Side) acceptRefund(p *payment, request *apiMessage, plan simulator.Faults) apiMessage {
	hundredfold, err := strconv.ParseInt(request.Amount, 10, 64)
	if err != nil || hundredfold <= 0 || hundredfold%100 != 0 {
		return apiMessage{ResponseCode: "03"}
	}
	amount, left := hundredfold/100, p.Amount
	for _, f := range v.refundsOf(p) {
		if f.Status != statusRefundLost {
			left -= f.Amount
		}
	}
	switch {
	case p.Status != statusDone, plan.Refund == faultRefused:
		return apiMessage{ResponseCode: "95"}
	case left == 0:
		return apiMessage{ResponseCode: "94"}
	case amount > left, request.TransactionType == "02" && amount != p.Amount:
		return apiMessage{ResponseCode: "95"}
	}
	v.state.LastTransaction++
	f := &refund{
		Terminal: p.Terminal, Reference: p.Reference, RequestID: request.RequestID, Type: request.TransactionType,
		Amount: amount, Transaction: v.state.LastTransaction, Status: statusRefunding,
		AskedAt: v.core.Now(), DoneAt: v.core.Now().Add(v.options.RefundDelay), Refused: plan.Refund == faultRefusedLater,
	}
	if plan.Refund == faultProcessing {
		f.DoneAt = v.core.Now().Add(24 * time.Hour)
	}
	v.state.Refunds = append(v.state.Refunds, f)
	v.core.Changed()
	return apiMessage{
		Command: "refund", ResponseCode: "00", Message: "Refund success", TmnCode: p.Terminal, TxnRef: p.Reference,
		Amount: request.Amount, OrderInfo: request.OrderInfo, BankCode: p.BankCode, PayDate: vnpayDate(f.AskedAt),
		TransactionNo: strconv.FormatInt(f.Transaction, 10), TransactionType: f.Type, TransactionStatus: f.Status,
	}
}

// writeAPI signs and sends an answer. Without a secret there is no signature.
func writeAPI(w http.ResponseWriter, answer apiMessage, secret string, spoil bool) {
	if answer.Message == "" {
		answer.Message = apiMessages[answer.ResponseCode]
	}
	if secret != "" {
		answer.SecureHash = sha512MAC(secret, answer.responseText())
		if spoil {
			answer.SecureHash = simulator.Spoiled(answer.SecureHash)
		}
	}
	simulator.WriteJSON(w, http.StatusOK, answer)
}
