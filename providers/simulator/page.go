package simulator

import (
	"html/template"
	"net/http"
	"strconv"
)

// The page loads nothing, so that it works on a machine without internet.
var payPage = template.Must(template.New("pay").Parse(`<!doctype html>
<html lang="vi"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Cổng thanh toán VNPAY (mô phỏng)</title>
<style>body{font-family:sans-serif;max-width:32rem;margin:3rem auto;padding:0 1rem}dt{color:#555}dd{margin:0 0 1rem;font-size:1.1rem}
button{font-size:1rem;padding:.6rem 1.2rem;margin-right:.5rem}</style></head><body>
<h1>Cổng thanh toán VNPAY</h1><p>Trang mô phỏng, không có tiền thật.</p>
{{if .Code}}<p role="alert">Không thể thanh toán. Mã lỗi: <strong>{{.Code}}</strong>. {{.Text}}.</p>
{{else}}<dl><dt>Số tiền</dt><dd>{{.Amount}} VND</dd><dt>Nội dung thanh toán</dt><dd>{{.OrderInfo}}</dd>
<dt>Mã tham chiếu</dt><dd>{{.Reference}}</dd><dt>Đơn vị chấp nhận thanh toán</dt><dd>{{.Terminal}}</dd></dl>
<form method="post"><button name="outcome" value="paid">Thanh toán</button>
<button name="outcome" value="cancelled">Hủy</button>
<button name="outcome" value="failed">Thất bại</button></form>{{end}}
</body></html>
`))

type payPageData struct{ Code, Text, Amount, OrderInfo, Reference, Terminal string }

func (s *Simulator) writePage(w http.ResponseWriter, status int, data payPageData) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if err := payPage.Execute(w, data); err != nil {
		s.log.Debug("pay page not written", "error", err)
	}
}

func (s *Simulator) refusePage(w http.ResponseWriter, e *pageError) {
	s.writePage(w, http.StatusBadRequest, payPageData{Code: e.code, Text: e.text})
}

// showPayPage is where a merchant sends the payer's browser.
func (s *Simulator) showPayPage(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	o, p, refused := s.visit(r.URL.RawQuery)
	s.mu.Unlock()
	if refused != nil {
		s.refusePage(w, refused)
		return
	}
	if !s.saved500(w) {
		return
	}
	s.writePage(w, http.StatusOK, payPageData{
		Amount: grouped(o.amount), OrderInfo: o.orderInfo, Reference: o.reference, Terminal: p.Terminal,
	})
}

// visit checks a pay URL and the clock, and opens the payment; the caller holds mu.
func (s *Simulator) visit(rawQuery string) (payOrder, *payment, *pageError) {
	o, refused := s.readOrder(rawQuery)
	if refused != nil {
		return payOrder{}, nil, refused
	}
	if s.now().After(o.expires) {
		return payOrder{}, nil, errExpired
	}
	p, refused := s.openPayment(o)
	if refused != nil {
		return payOrder{}, nil, refused
	}
	if p.Status != statusOpen {
		return payOrder{}, nil, errExists
	}
	return o, p, nil
}

// submitPayPage is the payer's button: it ends the payment, lets the IPN go out
// in the background and sends the browser back with signed parameters.
func (s *Simulator) submitPayPage(w http.ResponseWriter, r *http.Request) {
	result := outcome(r.PostFormValue("outcome"))
	if !result.known() {
		s.refusePage(w, errFormat)
		return
	}
	s.mu.Lock()
	o, p, refused := s.visit(r.URL.RawQuery)
	if refused != nil {
		s.mu.Unlock()
		s.refusePage(w, refused)
		return
	}
	s.finish(p, result, o.amount)
	values := resultValues(p)
	s.queue(delivery{Sender: VNPAY, Owner: p.Terminal, Reference: p.Reference, Values: values},
		s.callbackMode(VNPAY, ""), 0, true)
	back, err := signedURL(o.returnURL, o.merchant.secret, values, false)
	s.mu.Unlock()
	if err != nil {
		s.refusePage(w, errFormat)
		return
	}
	if !s.saved500(w) {
		return
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}

// saved500 saves the state and answers 500 when that fails.
func (s *Simulator) saved500(w http.ResponseWriter) bool {
	if err := s.save(); err != nil {
		s.log.Error("simulator state not saved", "error", err)
		http.Error(w, "state not saved", http.StatusInternalServerError)
		return false
	}
	return true
}

// grouped prints whole đồng with dots: 1.250.000.
func grouped(amount int64) string {
	digits := strconv.FormatInt(amount, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "." + digits[i:]
	}
	return digits
}
