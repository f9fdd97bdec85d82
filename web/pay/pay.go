// Package pay serves the pages that a payer sees in the browser: today the page
// to which a provider sends the browser back after a payment. cmd wires it into
// the routes of web/api.
//
// It owns no data. Invariants: a page shows the status that our own book holds;
// the browser's query only names the payment and is no evidence; a page holds
// nothing personal and loads only our style sheet. Its texts are Vietnamese.
package pay

import (
	_ "embed" // the template
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/gorilla/mux"

	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/merchants"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/web"
)

//go:embed return.html
var returnText string

var returnTemplate = template.Must(template.New("return").Parse(returnText))

// Pages serves the pages for payers.
type Pages struct {
	Payments *payments.Service
	Log      *slog.Logger
}

// Routes adds the pages to a router. The router's own middleware bounds the requests of one address.
func (p *Pages) Routes(router *mux.Router) {
	router.HandleFunc("/callbacks/{provider}/{merchant_account}/return", p.showReturn).Methods(http.MethodGet)
}

// returnPage is the data of return.html.
type returnPage struct {
	Title     string
	Text      string
	Class     string // good, bad, wait
	Reference string
	Amount    string
	Back      string // address of the portal; empty without one
	Wait      bool   // the page reloads after a few seconds
}

var (
	notFoundPage = returnPage{
		Title: "Không tìm thấy khoản thanh toán", Class: "bad",
		Text: "Đường dẫn này không ứng với khoản thanh toán nào. Vui lòng quay lại cổng dịch vụ công để kiểm tra hồ sơ của bạn.",
	}
	busyPage = returnPage{
		Title: "Hệ thống đang bận", Class: "wait", Wait: true,
		Text: "Kết quả thanh toán của bạn vẫn được ghi nhận. Trang này sẽ tự tải lại sau ít giây.",
	}
)

func (p *Pages) showReturn(w http.ResponseWriter, r *http.Request) {
	var merchant merchants.ID
	reference := referenceIn(r.URL.Query())
	if merchant.UnmarshalText([]byte(mux.Vars(r)["merchant_account"])) != nil || reference == "" {
		web.RenderPage(w, r, http.StatusNotFound, returnTemplate, notFoundPage)
		return
	}
	pay, err := p.Payments.FindByReference(r.Context(), merchant, reference)
	switch {
	case errors.Is(err, payments.ErrNotFound), errors.Is(err, merchants.ErrNotFound):
		web.RenderPage(w, r, http.StatusNotFound, returnTemplate, notFoundPage)
	case err != nil:
		p.Log.ErrorContext(r.Context(), "return page not shown", "err", err)
		web.RenderPage(w, r, http.StatusServiceUnavailable, returnTemplate, busyPage)
	default:
		web.RenderPage(w, r, http.StatusOK, returnTemplate, returnPageOf(pay))
	}
}

// referenceIn finds our reference among the values that a provider sends back
// with the browser. The check character identifies the reference, since each
// provider names the parameter differently. Two different references give none.
func referenceIn(query url.Values) string {
	found := ""
	for _, values := range query {
		for _, v := range values {
			switch {
			case !ident.IsReference(v) || v == found:
			case found != "":
				return ""
			default:
				found = v
			}
		}
	}
	return found
}

func returnPageOf(p payments.Payment) returnPage {
	page := returnPage{Reference: p.Reference, Amount: amountText(p.Amount), Back: backTo(p)}
	switch p.Status {
	case payments.Captured, payments.Settled:
		if p.Captured < p.Amount.Minor {
			received := money.Amount{Currency: p.Amount.Currency, Minor: p.Captured}
			page.Title, page.Class = "Mới nhận được một phần", "wait"
			page.Text = "Chúng tôi đã nhận " + amountText(received) + " trên tổng số " + page.Amount +
				". Vui lòng quay lại cổng dịch vụ công để nộp phần còn thiếu."
			return page
		}
		page.Title, page.Class = "Thanh toán thành công", "good"
		page.Text = "Khoản nộp của bạn đã được ghi nhận. Bạn có thể quay lại cổng dịch vụ công để theo dõi hồ sơ."
	case payments.Pending, payments.Unknown:
		page.Title, page.Class, page.Wait = "Đang chờ xác nhận", "wait", true
		page.Text = "Chúng tôi đang chờ xác nhận từ đơn vị thanh toán. Nếu tài khoản của bạn đã bị trừ tiền, xin đừng nộp lại: " +
			"khoản tiền sẽ được ghi nhận hoặc hoàn trả."
	case payments.Expired:
		page.Title, page.Class = "Đã hết thời gian thanh toán", "bad"
		page.Text = "Khoản thanh toán này đã hết hạn. Nếu bạn đã bị trừ tiền, khoản tiền vẫn được ghi nhận hoặc hoàn trả."
	default: // failed, cancelled
		page.Title, page.Class = "Thanh toán không thành công", "bad"
		page.Text = "Khoản nộp chưa được ghi nhận. Bạn có thể quay lại cổng dịch vụ công để thực hiện lại."
	}
	return page
}

// backTo is the portal's address with the payment's id, so that the portal can query the payment.
// It is empty when the address is no web address.
func backTo(p payments.Payment) string {
	u, err := url.Parse(p.ReturnURL)
	if err != nil || p.ReturnURL == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return ""
	}
	q := u.Query()
	q.Set("payment", p.ID.String())
	u.RawQuery = q.Encode()
	return u.String()
}

// amountText writes an amount as Vietnamese readers expect it: 1.234.567 đ.
func amountText(a money.Amount) string {
	unit := string(a.Currency)
	if a.Currency == money.VND {
		unit = "đ"
	}
	whole, fraction, _ := strings.Cut(a.Decimal().StringFixed(a.Currency.Exponent()), ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "." + whole[i:]
	}
	if fraction != "" {
		whole += "," + fraction
	}
	return whole + " " + unit
}
