package pay_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/doisoat/doisoat/payments/paytest"
	"github.com/doisoat/doisoat/web"
	"github.com/doisoat/doisoat/web/pay"
)

func TestMain(m *testing.M) { paytest.Main(m) }

// The return page shows a success only when the whole amount came in: a transfer
// of one đồng is a part, and the page says how much is still missing.
func TestReturnPageOfPart(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	p := d.Begin(d.Dossier(1, 60_000).Code, "vietqr")
	router := web.NewRouter()
	(&pay.Pages{Payments: d.Service, Log: slog.New(slog.DiscardHandler)}).Routes(router)
	shown := func() string {
		answer := httptest.NewRecorder()
		path := "/callbacks/vietqr/" + d.Bank.ID.String() + "/return?r=" + p.Reference
		router.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		if answer.Code != http.StatusOK {
			t.Fatalf("answered %d", answer.Code)
		}
		return answer.Body.String()
	}
	d.PayAt(p, map[string]any{"amount": 1})
	if page := shown(); !strings.Contains(page, "Mới nhận được một phần") || !strings.Contains(page, "1 đ trên tổng số 60.000 đ") ||
		strings.Contains(page, "Thanh toán thành công") {
		t.Errorf("page after one đồng:\n%s", page)
	}
	d.PayAt(p, map[string]any{"amount": 59_999})
	if page := shown(); !strings.Contains(page, "Thanh toán thành công") {
		t.Errorf("page after the rest:\n%s", page)
	}
}
