package balances

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
)

// Query selects the postings that a balance sums; a zero member selects all.
type Query struct {
	AsOf    calendar.Date // business date, up to and including it
	Account string
	Dossier uuid.UUID
	FeeType string
	Policy  string
}

// endOfTime is the date of a balance without a bound.
var endOfTime = calendar.Date{Year: 9999, Month: 12, Day: 31}

// byDimension reports whether the query selects postings by dossier, fee type or policy.
func (q Query) byDimension() bool {
	return q.Dossier != uuid.Nil || q.FeeType != "" || q.Policy != ""
}

// ListBalances returns debits and credits per account of the actor's authority, in order of code and currency. At any
// moment they equal the sum of the selected postings, no matter how far the roll-up is. With a dossier, fee type or
// policy in the query, accounts without such postings are left out.
func (s *Service) ListBalances(ctx context.Context, actor auth.Actor, q Query) ([]AccountBalance, error) {
	return read(ctx, s.DB, actor, func(tx pgx.Tx) ([]AccountBalance, error) { return selectBalances(ctx, tx, q) })
}

// TrialBalance returns every account of the actor's authority with its debits
// and credits up to and including asOf.
func (s *Service) TrialBalance(ctx context.Context, actor auth.Actor, asOf calendar.Date) ([]AccountBalance, error) {
	return s.ListBalances(ctx, actor, Query{AsOf: asOf})
}

const sides = `coalesce(sum(p.amount) filter (where p.side = 'D'), 0) as debits,
		coalesce(sum(p.amount) filter (where p.side = 'C'), 0) as credits`

// The tail are the entries that the day rows do not hold yet: entries of transactions from the horizon on. No
// statistics tell that the tail is short. The query reads it entry by entry, so its cost depends on the tail and not on
// the book.
const selectTail = `
	select p.account_id, ` + sides + `
	from (
		select e.id, e.business_date from ledger.entry e
		where e.authority = (select app.authority()) and e.tx >= @horizon::text::xid8 and e.business_date <= @as_of
		offset 0) e
	cross join lateral (
		select q.account_id, q.side, q.amount, q.fee_type, q.policy from ledger.posting q
		where q.entry_id = e.id and q.business_date = e.business_date
		offset 0) p`

const selectSums = `
	select a.code, a.currency, a.class, a.normal,
		coalesce(sum(s.debits), 0)::bigint as debits, coalesce(sum(s.credits), 0)::bigint as credits
	from ledger.account a`

// For a dossier selectBalances sums the postings, because they are few. All other queries sum the day rows and the
// tail.
func selectBalances(ctx context.Context, tx pgx.Tx, q Query) ([]AccountBalance, error) {
	if q.AsOf.IsZero() {
		q.AsOf = endOfTime
	}
	horizon := "0"
	if q.Dossier == uuid.Nil {
		var err error
		if horizon, err = findHorizon(ctx, tx); err != nil {
			return nil, err
		}
	}
	query, args := balanceStatement(q, horizon)
	rows, err := tx.Query(ctx, query, args)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[AccountBalance])
}

func balanceStatement(q Query, horizon string) (string, pgx.StrictNamedArgs) {
	args := pgx.StrictNamedArgs{"as_of": q.AsOf}
	days, tail, account := ``, ``, ``
	if q.FeeType != "" {
		args["fee_type"] = q.FeeType
		days += ` and d.fee_type = @fee_type`
		tail += ` and p.fee_type = @fee_type`
	}
	if q.Policy != "" {
		args["policy"] = q.Policy
		days += ` and d.policy = @policy`
		tail += ` and p.policy = @policy`
	}
	if q.Account != "" {
		args["account"] = q.Account
		account = ` and a.code = @account`
		const same = ` (select a.id from ledger.account a where a.authority = (select app.authority()) and a.code = @account)`
		days += ` and d.account_id in` + same
		tail += ` and p.account_id in` + same
	}
	var sums string
	if q.Dossier != uuid.Nil {
		args["dossier"] = q.Dossier
		sums = `select p.account_id, ` + sides + ` from ledger.posting p
			where p.dossier_id = @dossier and p.business_date <= @as_of` + tail + ` group by p.account_id`
	} else {
		args["horizon"] = horizon
		table := `ledger.account_day`
		if q.byDimension() {
			table = `ledger.dimension_day`
		}
		sums = `select d.account_id, sum(d.debits) as debits, sum(d.credits) as credits from ` + table + ` d
			where d.authority = (select app.authority()) and d.business_date <= @as_of and @horizon::text <> '0'` + days + `
			group by d.account_id
			union all ` + selectTail + ` where true` + tail + ` group by p.account_id`
	}
	join := ` left join `
	if q.byDimension() {
		join = ` join `
	}
	return `with s as (` + sums + `)` + selectSums + join + `s on s.account_id = a.id
		where a.authority = (select app.authority())` + account + `
		group by a.id order by a.code, a.currency`, args
}

// selectOpening sums the postings before a page of an account's ledger. Whole days come from the day rows and the tail;
// of the page's first day it sums the postings before the page.
const selectOpening = `
	with s as (
		select d.account_id, sum(d.debits) as debits, sum(d.credits) as credits from ledger.account_day d
		where d.authority = (select app.authority()) and d.business_date <= @as_of and @horizon::text <> '0'
			and d.account_id in (select a.id from ledger.account a where a.authority = (select app.authority()) and a.code = @code)
		group by d.account_id
		union all ` + selectTail + `
		where p.account_id in (select a.id from ledger.account a where a.authority = (select app.authority()) and a.code = @code)
		group by p.account_id
		union all
		select p.account_id, ` + sides + ` from ledger.posting p
		where p.account_id in (select a.id from ledger.account a where a.authority = (select app.authority()) and a.code = @code)
			and p.business_date = @date and (p.business_date, p.entry_id, p.line) <= (@date::date, @entry::uuid, @line::smallint)
		group by p.account_id)
	select a.code, a.currency, a.class, a.normal,
		coalesce(sum(s.debits), 0)::bigint as debits, coalesce(sum(s.credits), 0)::bigint as credits
	from ledger.account a join s on s.account_id = a.id
	where a.authority = (select app.authority()) and a.code = @code
	group by a.id`

// findOpening returns the balance of an account before a page, per currency, on its normal side.
func findOpening(ctx context.Context, tx pgx.Tx, code string, before cursorPosition) (map[string]int64, error) {
	opening := map[string]int64{}
	if before.Date.IsZero() {
		return opening, nil
	}
	horizon, err := findHorizon(ctx, tx)
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, selectOpening, pgx.StrictNamedArgs{
		"code": code, "horizon": horizon, "as_of": before.Date.AddDays(-1), "date": before.Date,
		"entry": uuid.UUID(before.Entry), "line": before.Line,
	})
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[AccountBalance])
	for _, b := range list {
		opening[b.Currency] = b.Balance()
	}
	return opening, err
}
