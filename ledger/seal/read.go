package seal

import (
	"cmp"
	"context"
	"slices"

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
		from unnest((select @ids::uuid[])) with ordinality as n (id, place)
		join ledger.entry e on e.id = n.id`, `e.place`, pgx.StrictNamedArgs{"ids": ids}, len(ids), func(place int, r *Record, strange int16) error {
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

// readRecords reads the entries that a query names, at most so many, then their
// postings, so that no column of an entry is sent once per posting. The entries
// are in memory together, the postings those of one entry at a time. They are
// looked up by key, in the order of the entries, so that nothing is sorted.
func readRecords(ctx context.Context, tx pgx.Tx, query, order string, args pgx.StrictNamedArgs, most int, visit visitor) error {
	entries, err := readEntries(ctx, tx, query, order, args, most)
	if err != nil || len(entries) == 0 {
		return err
	}
	accounts, err := readAccounts(ctx, tx)
	if err != nil {
		return err
	}
	ids := make(pgtype.FlatArray[ledger.EntryID], len(entries))
	for i := range entries {
		ids[i] = entries[i].record.ID
	}
	rows, err := tx.Query(ctx, `
		select n.place, p.line, p.lines, p.tx, p.authority, p.business_date, p.account_id,
			p.side, p.amount, p.currency, p.memo, p.dossier_id, p.payment_id, p.refund_id, p.charge_id, p.fee_type, p.policy
		from unnest((select @ids::uuid[])) with ordinality as n (id, place)
		cross join lateral (select q.* from ledger.posting q where q.entry_id = n.id offset 0) p
		order by n.place`, pgx.StrictNamedArgs{"ids": ids})
	if err != nil {
		return err
	}
	defer rows.Close()
	var (
		at      = 0        // of the entry whose postings are read
		lines   = []Line{} // of that entry; its memory serves the next one too
		strange int16
		f       postingFields
		columns = f.columns()
	)
	hand := func(until int) error {
		for ; at < until; at++ {
			e := &entries[at]
			slices.SortFunc(lines, func(a, b Line) int { return cmp.Compare(a.Line, b.Line) }) // they nearly always are
			e.record.Postings = lines
			if err := visit(e.place, &e.record, strange); err != nil {
				return err
			}
			e.record.Postings, lines, strange = nil, lines[:0], 0
		}
		return nil
	}
	for rows.Next() {
		if err := rows.Scan(columns...); err != nil {
			return err
		}
		if err := hand(int(f.place) - 1); err != nil {
			return err
		}
		lines = append(lines, f.get(accounts))
		if e := &entries[at]; (f.lines != e.record.Lines || f.tx != e.tx) && (strange == 0 || f.line.Line < strange) {
			strange = f.line.Line
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return hand(len(entries))
}

// account is what an account says of itself; nothing when there is none.
type account struct {
	code   string
	class  ledger.Class
	normal ledger.Side
}

// readAccounts reads all accounts of the transaction's authority, by number:
// there are few, and most are needed. Read after the entries they include all
// that those name.
func readAccounts(ctx context.Context, tx pgx.Tx) (map[int64]account, error) {
	rows, err := tx.Query(ctx, `select a.id, a.code, a.class, a.normal from ledger.account a`)
	if err != nil {
		return nil, err
	}
	var (
		list = map[int64]account{}
		id   int64
		a    account
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &a.code, &a.class, &a.normal}, func() error {
		list[id] = a
		return nil
	})
	return list, err
}

// header is an entry before its postings are read.
type header struct {
	record Record
	place  int    // in the query
	tx     uint64 // as PostgreSQL counts
}

func readEntries(ctx context.Context, tx pgx.Tx, query, order string, args pgx.StrictNamedArgs, most int) ([]header, error) {
	rows, err := tx.Query(ctx, `
		select e.id, e.place, e.authority, e.business_date, e.recorded_at, e.cause_kind, e.cause_id, e.cause_event, e.description,
			e.actor, e.reverses, e.corrects, e.reason, e.lines, e.digest, e.tx
		from (`+query+`) e
		order by `+order, args)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var (
		r                  Record
		place              int64
		number             uint64
		reverses, corrects pgtype.UUID
		columns            = []any{
			&r.ID, &place, (*kept)(&r.Authority), &r.BusinessDate, &r.RecordedAt, (*kept)(&r.CauseKind), &r.CauseID, (*kept)(&r.CauseEvent),
			(*kept)(&r.Description), (*kept)(&r.Actor), &reverses, &corrects, (*kept)(&r.Reason), &r.Lines, (*[]byte)(&r.Digest), &number,
		}
		list []header
	)
	for rows.Next() {
		if list == nil {
			list = make([]header, 0, most) // growing it would cost more than all the hashing
		}
		r.Digest = nil // not the bytes of the one before
		if err := rows.Scan(columns...); err != nil {
			return nil, err
		}
		r.RecordedAt, r.Tx = r.RecordedAt.UTC(), int64(number)
		r.Reverses, r.Corrects = (*ledger.EntryID)(idOf(reverses)), (*ledger.EntryID)(idOf(corrects))
		list = append(list, header{r, int(place), number})
	}
	return list, rows.Err()
}

// kept is a text column that often says the same again: then it stays as it is, in the memory that it has.
type kept string

// ScanBytes implements pgtype.BytesScanner; the bytes are not ours to keep.
func (k *kept) ScanBytes(v []byte) error {
	if string(*k) != string(v) {
		*k = kept(v)
	}
	return nil
}

// postingFields are what a posting is read into, without reflection.
type postingFields struct {
	place, account                   int64
	line                             Line
	lines                            int16
	tx                               uint64
	dossier, payment, refund, charge pgtype.UUID
	feeType, policy                  pgtype.Text
}

func (f *postingFields) columns() []any {
	l := &f.line
	return []any{
		&f.place, &l.Line, &f.lines, &f.tx, (*kept)(&l.Authority), &l.BusinessDate, &f.account,
		(*kept)(&l.Side), &l.Amount, (*kept)(&l.Currency), &l.Memo, &f.dossier, &f.payment, &f.refund, &f.charge, &f.feeType, &f.policy,
	}
}

// get returns the posting that was read.
func (f *postingFields) get(accounts map[int64]account) Line {
	l := f.line
	a := accounts[f.account]
	l.Account, l.Class, l.Normal = a.code, a.class, a.normal
	l.Dossier, l.Payment, l.Refund, l.Charge = idOf(f.dossier), idOf(f.payment), idOf(f.refund), idOf(f.charge)
	l.FeeType, l.Policy = textOf(f.feeType), textOf(f.policy)
	return l
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
