package vnpay

import (
	"html/template"
	"net/http"
	"strconv"

	"github.com/doisoat/doisoat/providers/simulator"
)

// The page loads no other file, so that it works on a machine without internet.
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

func writePage(w http.ResponseWriter, status int, data payPageData) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	payPage.Execute(w, data) //nolint:errcheck // the reader has gone
}

func refusePage(w http.ResponseWriter, e *pageError) {
	writePage(w, http.StatusBadRequest, payPageData{Code: e.code, Text: e.text})
}

// showPayPage serves the pay page, to which a merchant sends the payer's browser.
func (v *Side) showPayPage(w http.ResponseWriter, r *http.Request) {
	v.core.Lock()
	o, p, refused := v.visit(r.URL.RawQuery)
	v.core.Unlock()
	if refused != nil {
		refusePage(w, refused)
		return
	}
	if !v.core.Saved(w) {
		return
	}
	writePage(w, http.StatusOK, payPageData{
		Amount: grouped(o.amount), OrderInfo: o.orderInfo, Reference: o.reference, Terminal: p.Terminal,
	})
}

// visit checks a pay URL and its expiry, and opens the payment; the caller holds the lock.
func (v *Side) visit(rawQuery string) (payOrder, *payment, *pageError) {
	o, refused := v.readOrder(rawQuery)
	if refused != nil {
		return payOrder{}, nil, refused
	}
	if v.core.Now().After(o.expires) {
		return payOrder{}, nil, errExpired
	}
	p, refused := v.openPayment(o)
	if refused != nil {
		return payOrder{}, nil, refused
	}
	if p.Status != statusOpen {
		return payOrder{}, nil, errExists
	}
	return o, p, nil
}

// submitPayPage serves the payer's button. It ends the payment, queues the IPN
// and sends the browser back with signed parameters.
func (v *Side) submitPayPage(w http.ResponseWriter, r *http.Request) {
	result := simulator.Outcome(r.PostFormValue("outcome"))
	if !result.Known() {
		refusePage(w, errFormat)
		return
	}
	v.core.Lock()
	o, p, refused := v.visit(r.URL.RawQuery)
	if refused != nil {
		v.core.Unlock()
		refusePage(w, refused)
		return
	}
	v.finish(p, result, o.amount)
	values := resultValues(p)
	v.core.Queue(simulator.Delivery{Sender: Name, Owner: p.Terminal, Reference: p.Reference, Values: values})
	back, err := signedURL(o.returnURL, o.merchant.secret, values, false)
	v.core.Unlock()
	if err != nil {
		refusePage(w, errFormat)
		return
	}
	if !v.core.Saved(w) {
		return
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}

// grouped prints whole đồng with dots: 1.250.000.
func grouped(amount int64) string {
	digits := strconv.FormatInt(amount, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "." + digits[i:]
	}
	return digits
}
