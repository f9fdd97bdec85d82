package ledger

import (
	"bytes"
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/calendar"
)

// storedEntry is what the book holds for a cause.
type storedEntry struct {
	ID     EntryID
	Before bool // it was there before this call
}

// write appends entries whose causes differ and are not in the book yet, and
// returns what the book then holds for each cause. The first try is one statement and finds everything in nearly every case; it
// writes nothing when an account is new. The second makes the accounts.
func write(ctx context.Context, tx pgx.Tx, entries []Entry, digests [][]byte) (map[Cause]storedEntry, error) {
	a := columns(entries)
	stored := make(map[Cause]storedEntry, len(entries))
	for try := range 2 {
		batch := &pgx.Batch{}
		if try > 0 {
			batch.Queue(insertAccounts, pgx.StrictNamedArgs{
				"authorities": a.accAuthority, "codes": a.accCode, "currencies": a.accCurrency, "classes": a.accClass, "normals": a.accNormal,
			})
		}
		batch.Queue(insertEntries, pgx.StrictNamedArgs{
			"ids": a.id, "authorities": a.authority, "dates": a.date, "recorded": a.recorded, "kinds": a.kind, "cause_ids": a.causeID,
			"events": a.event, "descriptions": a.description, "actors": a.actor, "reverses": a.reverses, "corrects": a.corrects,
			"reasons": a.reason,
			"lines":   a.lines, "digests": digests,
			"p_entries": a.pEntry, "p_lines": a.pLine, "p_authorities": a.pAuthority, "p_accounts": a.pAccount, "p_sides": a.pSide,
			"p_amounts": a.pAmount, "p_currencies": a.pCurrency, "p_dossiers": a.pDossier, "p_payments": a.pPayment,
			"p_refunds": a.pRefund, "p_charges": a.pCharge, "p_fee_types": a.pFeeType, "p_policies": a.pPolicy,
		}).Query(func(rows pgx.Rows) error {
			var (
				c Cause
				s storedEntry
			)
			_, err := pgx.ForEachRow(rows, []any{&c.Kind, &c.ID, &c.Event, &s.ID, &s.Before}, func() error {
				stored[c] = s
				return nil
			})
			return err
		})
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return nil, err
		}
		if len(stored) == len(entries) {
			break
		}
	}
	return stored, nil
}

// selectDigests returns the digests of entries in the book.
func selectDigests(ctx context.Context, tx pgx.Tx, ids []EntryID) (map[EntryID][]byte, error) {
	rows, err := tx.Query(ctx, `select e.id, e.digest from ledger.entry e where e.id = any($1)`, ids)
	if err != nil {
		return nil, err
	}
	var (
		found  = make(map[EntryID][]byte, len(ids))
		id     EntryID
		digest []byte
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &digest}, func() error {
		found[id] = bytes.Clone(digest)
		return nil
	})
	return found, err
}

const insertAccounts = `
	insert into ledger.account (authority, code, currency, class, normal)
	select n.authority, n.code, n.currency, n.class, n.normal
	from unnest(@authorities::text[], @codes::text[], @currencies::text[], @classes::text[], @normals::text[])
		as n (authority, code, currency, class, normal)
	where not exists (
		select from ledger.account a
		where a.authority = n.authority and a.code = n.code and a.currency = n.currency)
	order by n.authority, n.code, n.currency
	on conflict on constraint account_code do nothing`

// Entries known by cause are left out before the insert, so that repeating an
// entry of a closed day is answered and not refused. Nothing is written when an account is missing: an entry
// without one of its postings would not balance.
//
// The arrays stand in sub-selects to hide their lengths from the planner. If it
// saw them it would plan every call anew, which takes longer than running it.
const insertEntries = `
	with n as materialized (
		select u.*, c.entry_id as known
		from unnest((select @ids::uuid[]), (select @authorities::text[]), (select @dates::date[]),
				(select @recorded::timestamptz[]), (select @kinds::text[]), (select @cause_ids::text[]), (select @events::text[]),
				(select @descriptions::text[]), (select @actors::text[]), (select @reverses::uuid[]), (select @corrects::uuid[]),
				(select @reasons::text[]), (select @lines::smallint[]), (select @digests::bytea[]))
			as u (id, authority, business_date, recorded_at, cause_kind, cause_id, cause_event,
				description, actor, reverses, corrects, reason, lines, digest)
		left join ledger.cause c on c.authority = u.authority and c.kind = u.cause_kind and c.id = u.cause_id and c.event = u.cause_event
	), p as materialized (
		select u.*, a.id as account_id, a.memo
		from unnest((select @p_entries::uuid[]), (select @p_lines::smallint[]), (select @p_authorities::text[]),
				(select @p_accounts::text[]), (select @p_sides::text[]), (select @p_amounts::bigint[]), (select @p_currencies::text[]),
				(select @p_dossiers::uuid[]), (select @p_payments::uuid[]), (select @p_refunds::uuid[]), (select @p_charges::uuid[]),
				(select @p_fee_types::text[]), (select @p_policies::text[]))
			as u (entry_id, line, authority, account, side, amount, currency, dossier_id, payment_id, refund_id,
				charge_id, fee_type, policy)
		left join ledger.account a on a.authority = u.authority and a.code = u.account and a.currency = u.currency
	), e as (
		insert into ledger.entry (id, authority, business_date, recorded_at, cause_kind, cause_id, cause_event,
			description, actor, reverses, corrects, reason, lines, digest)
		select n.id, n.authority, n.business_date, n.recorded_at, n.cause_kind, n.cause_id, n.cause_event,
			n.description, n.actor, n.reverses, n.corrects, n.reason, n.lines, n.digest
		from n
		where n.known is null and not exists (select from p where p.account_id is null)
		returning id, lines, authority, business_date, cause_kind, cause_id, cause_event
	), written as (
		insert into ledger.posting (entry_id, line, lines, authority, business_date, account_id, side, amount, currency, memo,
			dossier_id, payment_id, refund_id, charge_id, fee_type, policy)
		select e.id, p.line, e.lines, e.authority, e.business_date, p.account_id, p.side, p.amount, p.currency, p.memo,
			p.dossier_id, p.payment_id, p.refund_id, p.charge_id, p.fee_type, p.policy
		from p join e on e.id = p.entry_id
	)
	select e.cause_kind, e.cause_id, e.cause_event, e.id, false from e
	union all
	select n.cause_kind, n.cause_id, n.cause_event, n.known, true from n where n.known is not null`

// columnar holds entries and postings as columns for unnest.
type columnar struct {
	accAuthority, accCode, accCurrency, accClass, accNormal []string

	id                                                          []uuid.UUID
	authority, kind, causeID, event, description, actor, reason []string
	date                                                        []calendar.Date
	recorded                                                    []time.Time
	reverses, corrects                                          []*uuid.UUID
	lines                                                       []int16
	pEntry                                                      []uuid.UUID
	pLine                                                       []int16
	pAuthority, pAccount, pSide, pCurrency                      []string
	pAmount                                                     []int64
	pDossier, pPayment, pRefund, pCharge                        []*uuid.UUID
	pFeeType, pPolicy                                           []*string
}

func columns(entries []Entry) *columnar {
	a := &columnar{}
	type accountKey struct{ authority, code, currency string }
	seen := map[accountKey]bool{}
	for i := range entries {
		e := &entries[i]
		a.id = append(a.id, e.ID.UUID())
		a.authority = append(a.authority, e.Authority)
		a.date = append(a.date, e.BusinessDate)
		a.recorded = append(a.recorded, e.RecordedAt)
		a.kind = append(a.kind, e.Cause.Kind)
		a.causeID = append(a.causeID, e.Cause.ID)
		a.event = append(a.event, e.Cause.Event)
		a.description = append(a.description, e.Description)
		a.actor = append(a.actor, e.Actor)
		a.reverses = append(a.reverses, orNull(e.Reverses.UUID()))
		a.corrects = append(a.corrects, orNull(e.Corrects.UUID()))
		a.reason = append(a.reason, e.Reason)
		a.lines = append(a.lines, int16(len(e.Postings))) //nolint:gosec // maxPostings bounds it
		for line, p := range e.Postings {
			currency := string(p.Amount.Currency)
			if key := (accountKey{e.Authority, p.Account, currency}); !seen[key] {
				seen[key] = true
				n, _ := natureOf(p.Account) // Validate has seen it
				a.accAuthority = append(a.accAuthority, e.Authority)
				a.accCode = append(a.accCode, p.Account)
				a.accCurrency = append(a.accCurrency, currency)
				a.accClass = append(a.accClass, string(n.class))
				a.accNormal = append(a.accNormal, string(n.normal))
			}
			a.pEntry = append(a.pEntry, e.ID.UUID())
			a.pAuthority = append(a.pAuthority, e.Authority)
			a.pLine = append(a.pLine, int16(line+1))
			a.pAccount = append(a.pAccount, p.Account)
			a.pSide = append(a.pSide, string(p.Side))
			a.pAmount = append(a.pAmount, p.Amount.Minor)
			a.pCurrency = append(a.pCurrency, currency)
			a.pDossier = append(a.pDossier, orNull(p.Dossier))
			a.pPayment = append(a.pPayment, orNull(p.Payment))
			a.pRefund = append(a.pRefund, orNull(p.Refund))
			a.pCharge = append(a.pCharge, orNull(p.Charge))
			a.pFeeType = append(a.pFeeType, orNull(p.FeeType))
			a.pPolicy = append(a.pPolicy, orNull(p.Policy))
		}
	}
	return a
}

func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
