package reports

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/postgres"
)

// PaymentRateRow is the counts of one procedure at one agency.
type PaymentRateRow struct {
	Procedure string
	Agency    string
	Counts
}

// PaymentRate is the online payment rate of a period, in all and by procedure
// and agency. Decimals and Rounding say how rates are shown; the zero Rounding
// is Truncate.
type PaymentRate struct {
	Period   Period
	Decimals int
	Rounding Rounding
	Total    Counts
	Rows     []PaymentRateRow
}

// PaymentRate counts dossiers on which work began in the period: the first
// report of a status from acceptance on (2, 4, 5, 6, 9, 10) lies in it. A
// dossier counts as paid online when a provider confirmed money for it, by
// gateway or by transfer with a VietQR code, also if the money was given back later. A
// transfer that people identified is no online payment. A dossier of which
// every item is 0 counts as zero only. Needs
// auth.PermReportRead. Faults: ErrPeriod, ErrTooMany.
func (s *Service) PaymentRate(ctx context.Context, actor auth.Actor, p Period, decimals int, r Rounding) (PaymentRate, error) {
	if err := auth.Require(actor, auth.PermReportRead); err != nil {
		return PaymentRate{}, err
	}
	if err := p.validate(); err != nil {
		return PaymentRate{}, err
	}
	report := PaymentRate{Period: p, Decimals: decimals, Rounding: r}
	err := postgres.ReadTx(ctx, s.DB, actor.Authority, func(tx pgx.Tx) (err error) {
		report.Rows, err = selectPaymentRate(ctx, tx, actor.Authority, p)
		return err
	})
	if err != nil {
		return PaymentRate{}, err
	}
	for _, row := range report.Rows {
		report.Total.add(row.Counts)
	}
	return report, nil
}

// PaymentRateOf computes the rate of counts that another office published, by
// the same code, so that figures can be compared. Fault: ErrCounts.
func (s *Service) PaymentRateOf(_ context.Context, actor auth.Actor, c Counts, decimals int, r Rounding) (PaymentRate, error) {
	if err := auth.Require(actor, auth.PermReportRead); err != nil {
		return PaymentRate{}, err
	}
	return PaymentRate{Decimals: decimals, Rounding: r, Total: c, Rows: []PaymentRateRow{}}, c.validate()
}

// The sub-query reads the earlier report as a value, dossier by dossier. With "not exists"
// PostgreSQL may read every report of all times.
func selectPaymentRate(ctx context.Context, tx pgx.Tx, authority string, p Period) ([]PaymentRateRow, error) {
	rows, err := tx.Query(ctx, `
		with began as (
			select distinct e.dossier_id
			from dossiers.status_event e
			where e.authority = @authority and e.status in (2, 4, 5, 6, 9, 10) and e.at >= @start and e.at < @finish
				and (
					select true from dossiers.status_event b
					where b.dossier_id = e.dossier_id and b.status in (2, 4, 5, 6, 9, 10) and b.at < @start
					limit 1) is null)
		select d.procedure, d.agency, count(*) as dossiers, count(*) filter (where c.zero) as zero,
			count(*) filter (where not c.zero and exists (
				select from payments.capture k where k.dossier_id = d.id and k.evidence <> 'identified')) as paid
		from began b
		join dossiers.dossier d on d.id = b.dossier_id
		cross join lateral (select coalesce(bool_and(due = 0), true) as zero from dossiers.charge where dossier_id = d.id) c
		group by d.procedure, d.agency
		order by d.procedure, d.agency
		limit @limit`,
		pgx.StrictNamedArgs{
			"authority": authority, "start": p.From.Start(), "finish": p.To.AddDays(1).Start(), "limit": MaxRows + 1,
		})
	if err != nil {
		return nil, fmt.Errorf("read payment rate: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r PaymentRateRow, err error) {
		err = row.Scan(&r.Procedure, &r.Agency, &r.Dossiers, &r.Zero, &r.Paid)
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("read payment rate: %w", err)
	}
	if len(list) > MaxRows {
		return nil, ErrTooMany
	}
	return list, nil
}

// Table is the report for people: one line per row and one for all.
func (r PaymentRate) Table() Table {
	t := Table{
		Title: "Tỷ lệ thanh toán trực tuyến (QĐ 766/QĐ-TTg)",
		Headings: []string{
			"Mã thủ tục", "Cơ quan", "Hồ sơ của thủ tục có phí, lệ phí (T)", "Hồ sơ có mọi khoản 0 đồng (Z)",
			"Hồ sơ thanh toán trực tuyến (N)", "Tỷ lệ thanh toán trực tuyến (%)",
		},
	}
	line := func(procedure, agency string, c Counts) {
		t.Rows = append(t.Rows, []Cell{
			Text(procedure), Text(agency), Number(c.Dossiers), Number(c.Zero), Number(c.Paid), Text(c.RateText(r.Decimals, r.Rounding)),
		})
	}
	for _, row := range r.Rows {
		line(row.Procedure, row.Agency, row.Counts)
	}
	line("Tổng cộng", "", r.Total)
	return t
}
