package quote_test

import (
	"encoding/json"

	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
)

// itemAnswer and quoteAnswer are a quote in the words of the API: amounts are
// integers in minor units.
type itemAnswer struct {
	FeeType    string             `json:"fee_type"`
	Kind       schedule.Kind      `json:"kind"`
	Quantity   int64              `json:"quantity"`
	Base       int64              `json:"base"`
	Discount   int64              `json:"discount"`
	Subsidy    int64              `json:"subsidy"`
	Due        int64              `json:"due"`
	Reason     schedule.Reason    `json:"reason"`
	Applied    []quote.Applied    `json:"applied"`
	NotApplied []quote.NotApplied `json:"not_applied"`
	Texts      quote.Texts        `json:"texts"`
}

type quoteAnswer struct {
	Currency    money.Currency `json:"currency"`
	PricingDate calendar.Date  `json:"pricing_date"`
	Gross       int64          `json:"gross"`
	Discount    int64          `json:"discount"`
	Subsidy     int64          `json:"subsidy"`
	Due         int64          `json:"due"`
	Items       []itemAnswer   `json:"items"`
}

func answerOf(q quote.Quote) ([]byte, error) {
	a := quoteAnswer{q.Currency, q.PricingDate, q.Gross.Minor, q.Discount.Minor, q.Subsidy.Minor, q.Due.Minor, []itemAnswer{}}
	for _, it := range q.Items {
		a.Items = append(a.Items, itemAnswer{
			it.FeeType, it.Kind, it.Quantity, it.Base.Minor, it.Discount.Minor, it.Subsidy.Minor, it.Due.Minor, it.Reason,
			append([]quote.Applied{}, it.Applied...), append([]quote.NotApplied{}, it.NotApplied...), it.Texts,
		})
	}
	return json.MarshalIndent(a, "", " ")
}
