package remittance

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/ledger"
)

// The lock of an authority's remittance. A split or a voucher holds the lock alone; refunds that take money
// share it. A transaction takes this lock after all its row locks.
const lockKey = `hashtextextended('remittance ' || $1, 20231107)`

func lockAlone(ctx context.Context, tx pgx.Tx, authority string) error {
	_, err := tx.Exec(ctx, `select pg_advisory_xact_lock(`+lockKey+`)`, authority)
	return err
}

func lockShared(ctx context.Context, tx pgx.Tx, authority string) error {
	_, err := tx.Exec(ctx, `select pg_advisory_xact_lock_shared(`+lockKey+`)`, authority)
	return err
}

// lateDays is how many days back a split looks for late postings: postings on a date of an earlier period
// that was still open. Days close long before this limit.
const lateDays = 92

// reading says which postings a split reads: all postings on dates after Since up to the end of the period,
// and the postings on dates after Late that were written since From.
type reading struct {
	Since   calendar.Date
	Late    calendar.Date
	From    *string // horizon of the split before; nil when Since is as far back as Late
	Horizon string  // of this split
}

// findReading decides which postings a split reads. last is the split before, nil when there is none. Every
// transaction below the new horizon is over, so the following statements see all its postings. The next split
// reads the postings of later transactions.
func findReading(ctx context.Context, tx pgx.Tx, last *Split) (reading, error) {
	var r reading
	if last == nil {
		r.Since = calendar.Date{Year: 1970, Month: time.January, Day: 1}
		r.Late = r.Since
		return r, tx.QueryRow(ctx, `select pg_snapshot_xmin(pg_current_snapshot())::text`).Scan(&r.Horizon)
	}
	r.Late = last.PeriodTo.AddDays(-lateDays)
	r.Since = r.Late
	err := tx.QueryRow(ctx, `
		select pg_snapshot_xmin(pg_current_snapshot())::text, case when s.home = ledger.home() then s.horizon::text end
		from remittance.split s where s.id = $1`, last.ID).Scan(&r.Horizon, &r.From)
	if r.From != nil {
		r.Since = last.PeriodTo
	}
	return r, err
}

// selectCollected finds the money to divide, per charge in order of dossiers: provisional collection that
// existed at the end of the period and still exists. A charge counts together with its corrections, because a
// correction may take back money of the charge.
//
// The query reads only dossiers with a posting in r, not the whole book. A split divides everything that it
// read up to the end of its period. So new money can only come from a posting on a later date, or from a
// posting that the split before did not see. The entries of splits are left out: they bring no new money.
//
// The number of moved dossiers is in no statistics, so a good plan cannot be left to the planner. Each step
// therefore looks rows up by key and asks for each dossier once; offset 0 keeps the planner from joining the
// steps.
func selectCollected(ctx context.Context, tx pgx.Tx, q SplitRequest, r reading) ([]share, error) {
	rows, err := tx.Query(ctx, `
		with account as materialized (
			select id, code from ledger.account
			where authority = (select app.authority()) and currency = @currency and code in (@phi, @le_phi)),
		moved as materialized (
			select p.dossier_id from account a cross join lateral (
				select q.dossier_id from ledger.posting q
				where q.account_id = a.id and q.business_date > @since and q.business_date <= @to offset 0) p
			union
			select p.dossier_id from (
				select e.id from ledger.entry e
				where e.authority = (select app.authority()) and e.tx >= @from::text::xid8 and e.cause_kind <> @split
					and e.business_date > @late and e.business_date <= @to offset 0) e
			cross join lateral (select q.dossier_id, q.account_id from ledger.posting q where q.entry_id = e.id offset 0) p
			where p.account_id in (select id from account)),
		held as materialized (
			select p.charge_id, min(p.fee_type) as fee_type, min(a.code) as code, sum(x.signed) as now,
				coalesce(sum(x.signed) filter (where case when p.business_date <= @to then true -- a split counts on any date
					else (select e.cause_kind from ledger.entry e where e.id = p.entry_id) = @split end), 0) as then
			from moved m
			cross join lateral (
				select q.entry_id, q.charge_id, q.account_id, q.business_date, q.fee_type, q.side, q.amount
				from ledger.posting q where q.dossier_id = m.dossier_id offset 0) p
			join account a on a.id = p.account_id
			cross join lateral (select case p.side when 'C' then p.amount else -p.amount end as signed) x
			group by p.charge_id)
		select c.charge_id, c.dossier_id, min(h.fee_type), case min(h.code) when @phi then 'phi' else 'le_phi' end,
			least(sum(h.now), sum(h.then))::bigint
		from held h
		cross join lateral (
			select coalesce(c.corrects, c.id) as charge_id, c.dossier_id from dossiers.charge c where c.id = h.charge_id offset 0) c
		group by c.dossier_id, c.charge_id having least(sum(h.now), sum(h.then)) > 0
		order by c.dossier_id, c.charge_id`,
		pgx.StrictNamedArgs{
			"currency": q.Currency, "phi": ledger.ProvisionalPhi, "le_phi": ledger.ProvisionalLePhi,
			"since": r.Since, "late": r.Late, "from": r.From, "to": q.PeriodTo, "split": splitCause,
		})
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (x share, err error) {
		return x, row.Scan(&x.Charge, &x.Dossier, &x.FeeType, &x.Kind, &x.Amount)
	})
}

func insertSplit(ctx context.Context, tx pgx.Tx, s Split, horizon string, shares []share) error {
	_, err := tx.Exec(ctx, `
		insert into remittance.split (id, authority, currency, period_to, made_at, made_by, horizon, home)
		values ($1, $2, $3, $4, $5, $6, $7::text::xid8, ledger.home())`,
		s.ID, s.Authority, s.Currency, s.PeriodTo, s.MadeAt, s.MadeBy, horizon)
	if err != nil {
		return err
	}
	// COPY does not go through row-level security.
	_, err = tx.Exec(ctx, `
		insert into remittance.share (split_id, charge_id, authority, dossier_id, fee_type, kind, amount,
			retained, numerator, denominator, legal_basis)
		select @split, n.charge, @authority, n.dossier, n.fee_type, n.kind, n.amount, n.retained, n.numerator, n.denominator, n.legal_basis
		from unnest(@charges::uuid[], @dossiers::uuid[], @fee_types::text[], @kinds::text[], @amounts::bigint[], @retained::bigint[],
				@numerators::bigint[], @denominators::bigint[], @legal_bases::text[])
			as n (charge, dossier, fee_type, kind, amount,
			retained, numerator, denominator, legal_basis)`,
		pgx.StrictNamedArgs{
			"split": s.ID, "authority": s.Authority,
			"charges":      column(shares, func(x share) dossiers.ChargeID { return x.Charge }),
			"dossiers":     column(shares, func(x share) dossiers.ID { return x.Dossier }),
			"fee_types":    column(shares, func(x share) string { return x.FeeType }),
			"kinds":        column(shares, func(x share) string { return string(x.Kind) }),
			"amounts":      column(shares, func(x share) int64 { return x.Amount }),
			"retained":     column(shares, func(x share) int64 { return x.Retained }),
			"numerators":   column(shares, func(x share) int64 { return x.Retention.share.Numerator }),
			"denominators": column(shares, func(x share) int64 { return x.Retention.share.Denominator }),
			"legal_bases":  column(shares, func(x share) string { return x.Retention.legalBasis }),
		})
	return err
}

// column takes one member of each row, for unnest.
func column[R, V any](rows []R, member func(R) V) []V {
	values := make([]V, len(rows))
	for i, r := range rows {
		values[i] = member(r)
	}
	return values
}

// selectLast finds the newest divided period of a currency, without its parts; nil when there is none.
func selectLast(ctx context.Context, tx pgx.Tx, currency money.Currency) (*Split, error) {
	rows, err := tx.Query(ctx, selectSplitRow+`
		where s.authority = (select app.authority()) and s.currency = $1 order by s.period_to desc limit 1`, currency)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, scanSplit)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

const selectSplitRow = `
	select s.id, s.authority, s.currency, s.period_to, s.made_at, s.made_by from remittance.split s`

func scanSplit(row pgx.CollectableRow) (s Split, err error) {
	return s, row.Scan(&s.ID, &s.Authority, &s.Currency, &s.PeriodTo, &s.MadeAt, &s.MadeBy)
}

func selectSplit(ctx context.Context, tx pgx.Tx, id SplitID) (Split, error) {
	list, err := selectSplits(ctx, tx, ` where s.id = $1`, id)
	if err != nil {
		return Split{}, err
	}
	if len(list) != 1 {
		return Split{}, ErrNotFound
	}
	return list[0], nil
}

// selectSplits reads splits with their parts and vouchers, three statements for all of them.
func selectSplits(ctx context.Context, tx pgx.Tx, where string, args ...any) ([]Split, error) {
	rows, err := tx.Query(ctx, selectSplitRow+where, args...)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, scanSplit)
	if err != nil {
		return nil, err
	}
	ids, at := make([]SplitID, len(list)), make(map[SplitID]*Split, len(list))
	for i := range list {
		ids[i], at[list[i].ID] = list[i].ID, &list[i]
	}
	//nolint:rowserrcheck // ForEachRow checks
	rows, err = tx.Query(ctx, `
		select p.split_id, p.fee_type, p.kind, p.charges, p.amount, p.retained, p.taken_retained, p.taken_budget
		from remittance.part p
		where p.split_id = any($1::uuid[])
		order by p.split_id, p.fee_type`, ids)
	if err != nil {
		return nil, err
	}
	var (
		id SplitID
		p  Part
	)
	_, err = pgx.ForEachRow(
		rows,
		[]any{&id, &p.FeeType, &p.Kind, &p.Charges, &p.Amount, &p.Retained, &p.TakenRetained, &p.TakenBudget},
		func() error {
			p.Budget = p.Amount - p.Retained
			at[id].Parts = append(at[id].Parts, p)
			return nil
		},
	)
	if err != nil {
		return nil, err
	}
	vouchers, err := selectVouchers(ctx, tx, ` where v.split_id = any($1::uuid[]) order by v.id`, ids)
	for _, v := range vouchers {
		at[v.Split].Vouchers = append(at[v.Split].Vouchers, v)
	}
	return list, err
}

func selectVoucher(ctx context.Context, tx pgx.Tx, id VoucherID) (Voucher, error) {
	list, err := selectVouchers(ctx, tx, ` where v.id = $1`, id)
	if err != nil {
		return Voucher{}, err
	}
	if len(list) != 1 {
		return Voucher{}, ErrNotFound
	}
	return list[0], nil
}

func selectVouchers(ctx context.Context, tx pgx.Tx, where string, args ...any) ([]Voucher, error) {
	rows, err := tx.Query(ctx, `
		select v.id, v.authority, v.split_id, v.kind, v.amount, v.account, v.number, v.document_date, v.treasury, v.proposed_at, v.proposed_by,
			case d.approved when true then 'approved' when false then 'rejected' else 'proposed' end,
			coalesce(d.reason, ''), d.decided_at, coalesce(d.decided_by, '')
		from remittance.voucher v left join remittance.decision d on d.voucher_id = v.id`+where, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (v Voucher, err error) {
		return v, row.Scan(&v.ID, &v.Authority, &v.Split, &v.Kind, &v.Amount, &v.Account, &v.Number, &v.DocumentDate, &v.Treasury,
			&v.ProposedAt, &v.ProposedBy, &v.Status, &v.Reason, &v.DecidedAt, &v.DecidedBy)
	})
}

func insertVoucher(ctx context.Context, tx pgx.Tx, v Voucher) error {
	_, err := tx.Exec(ctx, `
		insert into remittance.voucher (id, authority, split_id, kind, amount, account, number, document_date, treasury, proposed_at, proposed_by)
		values (@id, @authority, @split, @kind, @amount, @account, @number, @document_date, @treasury, @proposed_at, @proposed_by)`,
		pgx.StrictNamedArgs{
			"id":            v.ID,
			"authority":     v.Authority,
			"split":         v.Split,
			"kind":          v.Kind,
			"amount":        v.Amount,
			"account":       v.Account,
			"number":        v.Number,
			"document_date": v.DocumentDate,
			"treasury":      v.Treasury,
			"proposed_at":   v.ProposedAt,
			"proposed_by":   v.ProposedBy,
		})
	return err
}

func insertDecision(ctx context.Context, tx pgx.Tx, v Voucher) error {
	_, err := tx.Exec(ctx, `
		insert into remittance.decision (voucher_id, authority, split_id, kind, proposed_by, approved, reason, decided_at, decided_by)
		values (@voucher, @authority, @split, @kind, @proposed_by, @approved, @reason, @decided_at, @decided_by)`,
		pgx.StrictNamedArgs{
			"voucher": v.ID, "authority": v.Authority, "split": v.Split, "kind": v.Kind, "proposed_by": v.ProposedBy,
			"approved": v.Status == Approved, "reason": v.Reason, "decided_at": v.DecidedAt, "decided_by": v.DecidedBy,
		})
	return err
}

// BankAccount refuses a code that is no bank account of the authority in this currency.
func BankAccount(ctx context.Context, tx pgx.Tx, code string, currency money.Currency) error {
	var known bool
	err := tx.QueryRow(ctx, `
		select exists (
			select from reconcile.source
			where authority = (select app.authority()) and code = $1 and kind = 'bank' and currency = $2)`, code, currency).Scan(&known)
	if err == nil && !known {
		return ErrNoAccount.At("/account", "is no bank account of this authority")
	}
	return err
}

// selectHeld sums the money that is provisional collection now, per charge of a dossier together with its
// corrections.
func selectHeld(ctx context.Context, tx pgx.Tx, d dossiers.Dossier) (map[dossiers.ChargeID]int64, error) {
	//nolint:rowserrcheck // ForEachRow checks
	rows, err := tx.Query(ctx, `
		select coalesce(c.corrects, c.id), sum(case p.side when 'C' then p.amount else -p.amount end)::bigint
		from ledger.posting p join ledger.account a on a.id = p.account_id join dossiers.charge c on c.id = p.charge_id
		where p.dossier_id = $1 and a.code in ($2, $3)
		group by coalesce(c.corrects, c.id)`, d.ID, dossiers.TamThu(schedule.Phi), dossiers.TamThu(schedule.LePhi))
	if err != nil {
		return nil, err
	}
	held := map[dossiers.ChargeID]int64{}
	var (
		id     dossiers.ChargeID
		amount int64
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &amount}, func() error {
		held[id] = amount
		return nil
	})
	return held, err
}
