package api

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/gorilla/mux"

	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/merchants"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/web"
)

// receiveCallback hands a provider's message over as it arrived and answers in
// the provider's words after the commit. A message larger than its provider
// sends is refused before anything reads it.
func (s *server) receiveCallback(w http.ResponseWriter, r *http.Request) {
	bounds, _ := s.rooms.Callbacks.Bounds(mux.Vars(r)["provider"]) // zero for a stranger: Receive answers
	if bounds.Query > 0 && len(r.URL.RawQuery) > bounds.Query {
		web.WriteError(w, r, web.ErrTooLarge.With("the query is longer than %d bytes", bounds.Query))
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bounds.Body))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if !errors.As(err, &tooLarge) {
			err = web.ErrMalformed.With("the body could not be read").Because(err)
		}
		web.WriteError(w, r, err)
		return
	}
	reply := s.rooms.Callbacks.Receive(r.Context(), mux.Vars(r)["provider"], mux.Vars(r)["merchant_account"], providers.RawCallback{
		Method: r.Method, RawQuery: r.URL.RawQuery, Header: protocolHeaders(r.Header), Body: body, ReceivedAt: s.now(),
	})
	w.Header().Set("Content-Type", reply.ContentType)
	w.WriteHeader(reply.Status)
	_, _ = w.Write(reply.Body) // a provider that is gone calls again
}

// protocolHeaders keeps what protocols sign or name. What proxies add is
// nobody's signature, and a message is kept for years.
func protocolHeaders(all http.Header) http.Header {
	kept := http.Header{}
	for name, values := range all {
		own := name == "Authorization" || name == "Content-Type" || strings.HasPrefix(name, "X-") || strings.Contains(name, "Signature")
		proxy := strings.HasPrefix(name, "X-Forwarded") || name == "X-Real-Ip" || name == "X-Request-Id"
		if own && !proxy {
			kept[name] = values
		}
	}
	return kept
}

// returnPage is what a payer sees. It holds nothing personal.
type returnPage struct {
	Title     string
	Text      string
	Class     string // good, bad, wait
	Reference string
	Amount    string
	Back      string // the portal, or nothing
	Wait      bool   // look again in a few seconds
}

// showReturnPage tells the payer what our own book says. The browser's query
// only names the payment: it is not evidence of anything.
func (s *server) showReturnPage(w http.ResponseWriter, r *http.Request) {
	unknown := returnPage{
		Title: "Không tìm thấy khoản thanh toán", Class: "bad",
		Text: "Đường dẫn này không ứng với khoản thanh toán nào. Vui lòng quay lại cổng dịch vụ công để kiểm tra hồ sơ của bạn.",
	}
	var merchant merchants.ID
	reference := referenceIn(r.URL.Query())
	if merchant.UnmarshalText([]byte(mux.Vars(r)["merchant_account"])) != nil || reference == "" {
		renderPage(w, r, http.StatusNotFound, "return.html", unknown)
		return
	}
	p, err := s.rooms.Payments.FindByReference(r.Context(), merchant, reference)
	switch {
	case errors.Is(err, payments.ErrNotFound), errors.Is(err, merchants.ErrNotFound):
		renderPage(w, r, http.StatusNotFound, "return.html", unknown)
	case err != nil:
		s.log.ErrorContext(r.Context(), "return page not shown", "err", err)
		renderPage(w, r, http.StatusServiceUnavailable, "return.html", returnPage{
			Title: "Hệ thống đang bận", Class: "wait", Wait: true,
			Text: "Kết quả thanh toán của bạn vẫn được ghi nhận. Trang này sẽ tự tải lại sau ít giây.",
		})
	default:
		renderPage(w, r, http.StatusOK, "return.html", returnPageOf(p))
	}
}

// referenceIn finds our reference among the values that a provider sends back
// with the browser. It is recognised by its check character, whatever the
// provider calls it.
func referenceIn(query url.Values) string {
	found := ""
	for _, values := range query {
		for _, v := range values {
			switch {
			case !ident.IsReference(v) || v == found:
			case found != "":
				return "" // two different ones: nobody honest sends that
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
		page.Title, page.Class = "Thanh toán thành công", "good"
		page.Text = "Khoản nộp của bạn đã được ghi nhận. Bạn có thể quay lại cổng dịch vụ công để theo dõi hồ sơ."
	case payments.Pending, payments.Unknown:
		page.Title, page.Class, page.Wait = "Đang chờ xác nhận", "wait", true
		page.Text = "Chúng tôi đang chờ xác nhận từ đơn vị thanh toán. Nếu tài khoản của bạn đã bị trừ tiền, xin đừng nộp lại: khoản tiền sẽ được ghi nhận hoặc hoàn trả."
	case payments.Expired:
		page.Title, page.Class = "Đã hết thời gian thanh toán", "bad"
		page.Text = "Khoản thanh toán này đã hết hạn. Nếu bạn đã bị trừ tiền, khoản tiền vẫn được ghi nhận hoặc hoàn trả."
	default: // failed, cancelled
		page.Title, page.Class = "Thanh toán không thành công", "bad"
		page.Text = "Khoản nộp chưa được ghi nhận. Bạn có thể quay lại cổng dịch vụ công để thực hiện lại."
	}
	return page
}

// backTo is the portal's address with the payment's id, by which the portal can ask us.
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

// pagePolicy lets a page load our own style sheet and nothing else.
const pagePolicy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// renderPage renders to memory first, so that a broken page is an error and not half a page.
func renderPage(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	var page bytes.Buffer
	if err := pages.ExecuteTemplate(&page, name, data); err != nil {
		web.WriteError(w, r, err)
		return
	}
	w.Header().Set("Content-Security-Policy", pagePolicy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // the reader is gone when this fails
}
