package balances

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/ledger"
)

// The query looks entries and their postings up by key, one by one (offset 0). The planner does not know that each lies
// in one month. It would rather read the whole book than search every month for each key.
const selectDossier = ledger.PostedColumns + `
	from (select distinct d.entry_id from ledger.posting d where d.dossier_id = $1 offset 0) d
	cross join lateral (
		select n.recorded_at, n.cause_kind, n.cause_id, n.cause_event, n.description, n.actor, n.reverses, n.corrects, n.reason, n.authority
		from ledger.entry n where n.id = d.entry_id offset 0) e
	cross join lateral (
		select m.entry_id, m.business_date, m.line, m.account_id, m.side, m.amount, m.currency, m.dossier_id, m.payment_id, m.refund_id,
			m.charge_id, m.fee_type, m.policy
		from ledger.posting m where m.entry_id = d.entry_id offset 0) p
	join ledger.account a on a.id = p.account_id
	order by e.recorded_at, p.entry_id, p.line`

func selectDossierPostings(ctx context.Context, tx pgx.Tx, dossier uuid.UUID) ([]ledger.Posted, error) {
	rows, err := tx.Query(ctx, selectDossier, dossier)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[ledger.Posted])
}

// cursorPosition is the last posting of a page.
type cursorPosition struct {
	Date  calendar.Date
	Entry ledger.EntryID
	Line  int16
}

// A page starts after the last posting of the page before, per account (one account per currency). So a page of a hot
// account costs no more than a page of a quiet account.
const selectAccount = ledger.PostedColumns + `
	from ledger.account a
	cross join lateral (
		select q.entry_id, q.business_date, q.line, q.side, q.amount, q.currency, q.dossier_id, q.payment_id, q.refund_id,
			q.charge_id, q.fee_type, q.policy
		from ledger.posting q
		where q.account_id = a.id and (q.business_date, q.entry_id, q.line) >
			(coalesce(@after_date::date, '-infinity'), coalesce(@after_entry::uuid, '00000000-0000-0000-0000-000000000000'), @after_line::smallint)
			and q.business_date <= @until
		order by q.business_date, q.entry_id, q.line
		limit @limit) p
	join ledger.entry e on e.id = p.entry_id
	where a.authority = (select app.authority()) and a.code = @code
	order by p.business_date, p.entry_id, p.line
	limit @limit`

func selectAccountPostings(
	ctx context.Context,
	tx pgx.Tx,
	code string,
	after cursorPosition,
	until calendar.Date,
	limit int,
) ([]ledger.Posted, error) {
	rows, err := tx.Query(ctx, selectAccount, pgx.StrictNamedArgs{
		"code": code, "after_date": after.Date, "after_entry": after.Entry, "after_line": after.Line, "until": until, "limit": limit,
	})
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[ledger.Posted])
}
