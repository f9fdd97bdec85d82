package seal

import (
	"cmp"
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/proof"
)

// entry is an entry as the sealer or a check reads it from the book.
type entry struct {
	proof.Entry
	content, marks []byte // as the row has them; nil when the row has none
	strange        int16  // line of the first posting whose count of postings or tx differs from the entry (only the entry is hashed); or 0
	place          int    // its position in the list of ids, from 1
	tx             uint64 // PostgreSQL's number of the entry's transaction
}

// visitor receives the entries in order; at counts from 0. When the book lacks an entry, e is nil. A visitor must not
// keep e, and must not use the transaction.
type visitor func(at int, e *entry) error

// walk reads entries and their postings and calls visit for each entry, in the order of ids. Two queries read entries
// and postings, because a join would send the columns of an entry once per posting. All entries are in memory together,
// postings of one entry at a time. The queries look rows up by key in the order of ids, so the server need not sort.
func walk(ctx context.Context, tx pgx.Tx, ids []ledger.EntryID, visit visitor) error {
	if len(ids) == 0 {
		return nil
	}
	entries, err := readEntries(ctx, tx, ids)
	if err != nil {
		return err
	}
	accounts, err := readAccounts(ctx, tx)
	if err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `
		select n.place, p.line, p.postings, p.tx, p.authority, p.business_date, p.account_id,
			p.side, p.amount, p.currency, p.memo, p.dossier_id, p.payment_id, p.refund_id, p.charge_id, p.fee_type, p.policy
		from unnest((select @ids::uuid[])) with ordinality as n (id, place)
		cross join lateral (select q.* from ledger.posting q where q.entry_id = n.id offset 0) p
		order by n.place`, pgx.StrictNamedArgs{"ids": pgtype.FlatArray[ledger.EntryID](ids)})
	if err != nil {
		return err
	}
	defer rows.Close()
	var (
		at      = 0                 // index in ids of the entry whose postings are being read
		lines   = []proof.Posting{} // postings of this entry; the next entry uses the same memory
		f       postingFields
		columns = f.columns()
	)
	hand := func(until int) error {
		for ; at < until; at++ {
			var e *entry
			if len(entries) > 0 && entries[0].place == at+1 {
				e, entries = &entries[0], entries[1:]
				slices.SortFunc(lines, func(a, b proof.Posting) int { return cmp.Compare(a.Line, b.Line) }) // nearly always sorted already
				e.Postings = lines
			}
			if err := visit(at, e); err != nil {
				return err
			}
			lines = lines[:0]
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
		if len(entries) == 0 || entries[0].place != at+1 {
			continue // a posting without its entry: visit reports the entry as missing
		}
		lines = append(lines, f.get(accounts))
		if e := &entries[0]; (f.count != e.Count || f.tx != e.tx) && (e.strange == 0 || f.line.Line < e.strange) {
			e.strange = f.line.Line
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return hand(len(ids))
}

// account holds the hashed columns of an account; empty when the account is missing.
type account struct {
	code   string
	class  string
	normal string
}

// readAccounts reads all accounts of the transaction's authority, by number: they are few, and a block needs most of
// them. The caller reads the entries first, so the list includes every account that these entries name.
func readAccounts(ctx context.Context, tx pgx.Tx) (map[int64]account, error) {
	rows, err := tx.Query(ctx, `select a.id, a.code, a.class, a.normal from ledger.account a`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := map[int64]account{}
	for rows.Next() {
		var (
			id int64
			a  account
		)
		if err := rows.Scan(&id, &a.code, &a.class, &a.normal); err != nil {
			return nil, err
		}
		list[id] = a
	}
	return list, rows.Err()
}

func readEntries(ctx context.Context, tx pgx.Tx, ids []ledger.EntryID) ([]entry, error) {
	rows, err := tx.Query(ctx, `
		select e.id, n.place, e.authority, e.business_date, e.recorded_at, e.cause_kind, e.cause_id, e.cause_event, e.description,
			e.actor, e.reverses, e.corrects, e.reason, e.postings, e.tx, e.content, e.marks
		from unnest((select @ids::uuid[])) with ordinality as n (id, place)
		join ledger.entry e on e.id = n.id
		order by n.place`, pgx.StrictNamedArgs{"ids": pgtype.FlatArray[ledger.EntryID](ids)})
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var (
		e                  entry
		place              int64
		number             uint64
		reverses, corrects pgtype.UUID
		columns            = []any{
			&e.ID, &place, (*kept)(&e.Authority), &e.BusinessDate, &e.RecordedAt, (*kept)(&e.CauseKind), &e.CauseID, (*kept)(&e.CauseEvent),
			(*kept)(&e.Description), (*kept)(&e.Actor), &reverses, &corrects, (*kept)(&e.Reason), &e.Count, &number,
			&e.content, &e.marks,
		}
		list = make([]entry, 0, len(ids)) // growing the slice would cost more than all the hashing
	)
	for rows.Next() {
		e.content, e.marks = nil, nil // Scan must not write into the bytes of the row before
		if err := rows.Scan(columns...); err != nil {
			return nil, err
		}
		e.RecordedAt, e.tx, e.Tx, e.place = e.RecordedAt.UTC(), number, int64(number), int(place)
		e.Reverses, e.Corrects = (*ledger.EntryID)(idOf(reverses)), (*ledger.EntryID)(idOf(corrects))
		list = append(list, e)
	}
	return list, rows.Err()
}

// kept is a text column whose value often repeats from row to row. An equal value keeps its memory: no new allocation.
type kept string

// ScanBytes implements pgtype.BytesScanner. The driver owns the bytes, so ScanBytes copies them.
func (k *kept) ScanBytes(v []byte) error {
	if string(*k) != string(v) {
		*k = kept(v)
	}
	return nil
}

// postingFields is the target of a scan of one posting, without reflection.
type postingFields struct {
	place, account                   int64
	line                             proof.Posting
	count                            int16
	tx                               uint64
	dossier, payment, refund, charge pgtype.UUID
	feeType, policy                  pgtype.Text
}

func (f *postingFields) columns() []any {
	l := &f.line
	return []any{
		&f.place, &l.Line, &f.count, &f.tx, (*kept)(&l.Authority), &l.BusinessDate, &f.account,
		(*kept)(&l.Side), &l.Amount, (*kept)(&l.Currency), &l.Memo, &f.dossier, &f.payment, &f.refund, &f.charge, &f.feeType, &f.policy,
	}
}

// get returns the posting of the last scan.
func (f *postingFields) get(accounts map[int64]account) proof.Posting {
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
