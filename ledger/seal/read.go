package seal

import (
	"bytes"
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/doisoat/doisoat/ledger"
)

// visitor is handed entries in order; at counts from 0. An entry that is not in
// the book is handed on as nil. Postings repeat lines and tx of their entry,
// which are hashed with the entry alone: strange is the first posting that
// repeats them wrongly, or 0. It must not keep r, nor use the transaction.
type visitor func(at int, r *Record, strange int16) error

// walk reads the entries with their postings and hands them to visit in the order of ids.
func walk(ctx context.Context, tx pgx.Tx, ids []ledger.EntryID, visit visitor) error {
	next := 0
	absent := func(until int) error {
		for ; next < until; next++ {
			if err := visit(next, nil, 0); err != nil {
				return err
			}
		}
		return nil
	}
	err := readRecords(ctx, tx, `
		select n.place, e.*
		from unnest(@ids::uuid[]) with ordinality as n (id, place)
		join ledger.entry e on e.id = n.id`, `e.place, p.line`, pgx.StrictNamedArgs{"ids": ids}, func(place int, r *Record, strange int16) error {
		if err := absent(place - 1); err != nil {
			return err
		}
		next = place
		return visit(place-1, r, strange)
	})
	if err != nil {
		return err
	}
	return absent(len(ids))
}

// readRecords reads the entries that a query names, with their postings, in
// one pass; one entry is in memory at a time. Postings are looked up by key.
func readRecords(ctx context.Context, tx pgx.Tx, entries, order string, args pgx.StrictNamedArgs, visit visitor) error {
	rows, err := tx.Query(ctx, `
		select e.id, e.place, e.authority, e.business_date, e.recorded_at, e.cause_kind, e.cause_id, e.cause_event, e.description,
			e.actor, e.reverses, e.corrects, e.reason, e.lines, e.digest, e.tx::text::bigint,
			coalesce(p.line, 0), coalesce(p.lines, 0), coalesce(p.tx::text::bigint, 0), coalesce(p.authority, ''), p.business_date,
			coalesce(a.code, ''), coalesce(a.class, ''), coalesce(a.normal, ''), coalesce(p.side, ''), coalesce(p.amount, 0),
			coalesce(p.currency, ''), coalesce(p.memo, false), p.dossier_id, p.payment_id, p.refund_id, p.charge_id, p.fee_type, p.policy
		from (`+entries+`) e
		left join lateral (select q.* from ledger.posting q where q.entry_id = e.id offset 0) p on true
		left join ledger.account a on a.id = p.account_id
		order by `+order, args)
	if err != nil {
		return err
	}
	defer rows.Close()
	var (
		f       = fields{record: Record{Postings: []Line{}}}
		whole   = append(f.ofEntry(), f.ofPosting()...)
		posting = append(make([]any, len(f.ofEntry())), f.ofPosting()...)
		current []byte // the id as it was sent
		strange int16
	)
	hand := func() error {
		if current == nil {
			return nil
		}
		return visit(int(f.place), &f.record, strange)
	}
	for rows.Next() {
		id := rows.RawValues()[0]
		if bytes.Equal(id, current) {
			err = rows.Scan(posting...)
		} else {
			if err := hand(); err != nil {
				return err
			}
			current, strange = append(current[:0], id...), 0
			err = rows.Scan(whole...)
			f.begin()
		}
		if err != nil {
			return err
		}
		if f.line.Line == 0 {
			continue
		}
		f.add()
		if strange == 0 && (f.lines != f.record.Lines || f.tx != f.record.Tx) {
			strange = f.line.Line
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return hand()
}

// fields are what a row is read into, without reflection, and the record that rows make.
type fields struct {
	record                           Record
	place                            int64
	reverses, corrects               pgtype.UUID
	line                             Line
	lines                            int16
	tx                               int64
	dossier, payment, refund, charge pgtype.UUID
	feeType, policy                  pgtype.Text
}

func (f *fields) ofEntry() []any {
	r := &f.record
	return []any{
		&r.ID, &f.place, &r.Authority, &r.BusinessDate, &r.RecordedAt, &r.CauseKind, &r.CauseID, &r.CauseEvent, &r.Description,
		&r.Actor, &f.reverses, &f.corrects, &r.Reason, &r.Lines, (*[]byte)(&r.Digest), &r.Tx,
	}
}

func (f *fields) ofPosting() []any {
	l := &f.line
	return []any{
		&l.Line, &f.lines, &f.tx, &l.Authority, &l.BusinessDate, &l.Account, (*string)(&l.Class), (*string)(&l.Normal), (*string)(&l.Side),
		&l.Amount, &l.Currency, &l.Memo, &f.dossier, &f.payment, &f.refund, &f.charge, &f.feeType, &f.policy,
	}
}

// begin completes an entry whose columns were read.
func (f *fields) begin() {
	r := &f.record
	r.RecordedAt = r.RecordedAt.UTC()
	r.Reverses, r.Corrects = (*ledger.EntryID)(idOf(f.reverses)), (*ledger.EntryID)(idOf(f.corrects))
	r.Postings = r.Postings[:0]
}

// add appends the posting that was read.
func (f *fields) add() {
	l := f.line
	l.Dossier, l.Payment, l.Refund, l.Charge = idOf(f.dossier), idOf(f.payment), idOf(f.refund), idOf(f.charge)
	l.FeeType, l.Policy = textOf(f.feeType), textOf(f.policy)
	f.record.Postings = append(f.record.Postings, l)
}

func idOf(id pgtype.UUID) *uuid.UUID {
	if !id.Valid {
		return nil
	}
	u := uuid.UUID(id.Bytes)
	return &u
}

func textOf(t pgtype.Text) *string {
	if !t.Valid {
		return nil
	}
	return &t.String
}
