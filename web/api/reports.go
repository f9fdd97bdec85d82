package api

import (
	"bytes"
	"context"
	"io"

	"github.com/doisoat/doisoat/reports"
	"github.com/doisoat/doisoat/web"
	"github.com/doisoat/doisoat/web/api/openapi"
)

// ReportPaymentRate handles GET /v1/reports/payment-rate.
func (s *server) ReportPaymentRate(
	ctx context.Context, r openapi.ReportPaymentRateRequestObject,
) (openapi.ReportPaymentRateResponseObject, error) {
	decimals, rounding := reports.MaxDecimals, reports.Rounding(r.Params.Rounding)
	if r.Params.Decimals != nil {
		decimals = int(*r.Params.Decimals)
	}
	if rounding == "" {
		rounding = reports.Truncate
	}
	var (
		report reports.PaymentRate
		err    error
	)
	if r.Params.Dossiers != nil {
		counts := reports.Counts{Dossiers: *r.Params.Dossiers, Zero: r.Params.Zero, Paid: r.Params.Paid}
		report, err = s.rooms.Reports.PaymentRateOf(ctx, web.Actor(ctx), counts, decimals, rounding)
	} else {
		period := reports.Period{From: dateOf(r.Params.From), To: dateOf(r.Params.To)}
		report, err = s.rooms.Reports.PaymentRate(ctx, web.Actor(ctx), period, decimals, rounding)
	}
	if err != nil {
		return nil, err
	}
	headers := openapi.ReportPaymentRate200ResponseHeaders{ContentDisposition: fileName("payment-rate", r.Params.Format)}
	switch r.Params.Format {
	case openapi.ReportFormatCsv:
		body, length, err := written(report.Table().CSV)
		return openapi.ReportPaymentRate200TextCsvResponse{Body: body, ContentLength: length, Headers: headers}, err
	case openapi.ReportFormatXlsx:
		body, length, err := written(report.Table().XLSX)
		return openapi.ReportPaymentRate200ApplicationVndOpenxmlformatsOfficedocumentSpreadsheetmlSheetResponse{
			Body: body, ContentLength: length, Headers: headers,
		}, err
	default:
		return openapi.ReportPaymentRate200JSONResponse{Body: paymentRateView(report), Headers: headers}, nil
	}
}

func paymentRateView(r reports.PaymentRate) openapi.PaymentRate {
	return openapi.PaymentRate{
		From: dateView(r.Period.From), To: dateView(r.Period.To), Rounding: openapi.Rounding(r.Rounding),
		Decimals: int32(r.Decimals), //nolint:gosec // at most reports.MaxDecimals
		Total:    countsView(r.Total, r), Rows: views(r.Rows, func(row reports.PaymentRateRow) openapi.PaymentRateRow {
			return openapi.PaymentRateRow{Procedure: row.Procedure, Agency: row.Agency, Counts: countsView(row.Counts, r)}
		}),
	}
}

func countsView(c reports.Counts, r reports.PaymentRate) openapi.PaymentRateCounts {
	view := openapi.PaymentRateCounts{
		Dossiers: c.Dossiers, Zero: c.Zero, Paid: c.Paid, Denominator: c.Denominator(), Rate: c.RateText(r.Decimals, r.Rounding),
	}
	if units, ok := c.Rate(r.Decimals, r.Rounding); ok {
		view.RateUnits = &units
	}
	return view
}

// ReportPolicyCost handles GET /v1/reports/policy-cost.
func (s *server) ReportPolicyCost(
	ctx context.Context, r openapi.ReportPolicyCostRequestObject,
) (openapi.ReportPolicyCostResponseObject, error) {
	report, err := s.rooms.Reports.PolicyCost(ctx, web.Actor(ctx), reports.Period{From: dateOf(r.Params.From), To: dateOf(r.Params.To)})
	if err != nil {
		return nil, err
	}
	headers := openapi.ReportPolicyCost200ResponseHeaders{ContentDisposition: fileName("policy-cost", r.Params.Format)}
	switch r.Params.Format {
	case openapi.ReportFormatCsv:
		body, length, err := written(report.Table().CSV)
		return openapi.ReportPolicyCost200TextCsvResponse{Body: body, ContentLength: length, Headers: headers}, err
	case openapi.ReportFormatXlsx:
		body, length, err := written(report.Table().XLSX)
		return openapi.ReportPolicyCost200ApplicationVndOpenxmlformatsOfficedocumentSpreadsheetmlSheetResponse{
			Body: body, ContentLength: length, Headers: headers,
		}, err
	default:
		return openapi.ReportPolicyCost200JSONResponse{Body: policyCostView(report), Headers: headers}, nil
	}
}

func policyCostView(r reports.PolicyCost) openapi.PolicyCost {
	return openapi.PolicyCost{
		From: dateView(r.Period.From), To: dateView(r.Period.To),
		Totals: views(r.Totals, policyCostTotal), Rows: views(r.Rows, policyCostRow),
	}
}

func policyCostTotal(t reports.PolicyCostTotal) openapi.PolicyCostTotal {
	return openapi.PolicyCostTotal{Currency: t.Currency, Discount: t.Discount, Exempt: t.Exempt, Subsidy: t.Subsidy}
}

func policyCostRow(row reports.PolicyCostRow) openapi.PolicyCostRow {
	return openapi.PolicyCostRow{
		Policy: row.Policy, Procedure: row.Procedure, Agency: row.Agency, Month: row.Month, Currency: row.Currency,
		Dossiers: row.Dossiers, Discount: row.Discount, Exempt: row.Exempt, Subsidy: row.Subsidy,
	}
}

// written fills a file before anything is sent: half a report must not look like a whole one.
func written(write func(io.Writer) error) (io.Reader, int64, error) {
	var file bytes.Buffer
	if err := write(&file); err != nil {
		return nil, 0, err
	}
	return &file, int64(file.Len()), nil
}

func fileName(report string, format openapi.ReportFormat) string {
	if format == "" {
		format = openapi.ReportFormatJSON
	}
	return `attachment; filename="` + report + "." + string(format) + `"`
}
