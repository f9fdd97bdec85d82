package ledger

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/ledger/proof"
)

// write appends entries of one authority. Their ids and causes differ, and their causes are nearly always new. It
// returns, by the id of an entry that was not written, the id of the entry in the book with the same cause. The first
// try is one statement, which writes nothing when an account is new. The second try makes the accounts first.
func write(ctx context.Context, tx pgx.Tx, entries []Entry) (map[EntryID]EntryID, error) {
	query, args := insertStatement(entries)
	for try := range 2 {
		batch := &pgx.Batch{}
		if try > 0 {
			batch.Queue(insertAccounts, accountsOf(entries))
		}
		var (
			answered int
			before   = map[EntryID]EntryID{}
		)
		batch.Queue(query, args...).Query(func(rows pgx.Rows) error {
			var asked, known EntryID
			tag, err := pgx.ForEachRow(rows, []any{&asked, &known}, func() error {
				if !known.IsZero() {
					before[asked] = known
				}
				return nil
			})
			answered = int(tag.RowsAffected())
			return err
		})
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return nil, err
		}
		if answered == len(entries) {
			return before, nil
		}
	}
	c := entries[0].Cause
	return nil, ErrMalformed.With("entry for %s %s was not written", c.Kind, c.ID)
}

const insertAccounts = `
	insert into ledger.account (authority, code, currency, class, normal)
	select @authority, n.code, n.currency, n.class, n.normal
	from unnest(@codes::text[], @currencies::text[], @classes::text[], @normals::text[]) as n (code, currency, class, normal)
	where not exists (
		select from ledger.account a
		where a.authority = @authority and a.code = n.code and a.currency = n.currency)
	order by n.code, n.currency
	on conflict on constraint account_code do nothing`

// The statement leaves out entries whose cause is known before it inserts. So the repeat of an entry of a closed day
// gets its answer and no refusal. It writes nothing when an account is missing, because an entry without one of its
// postings would not balance. It looks each cause and each account up by key, independent of the planner's statistics.
const insertTemplate = `
	with n as materialized (
		select u.*, (
			select c.entry_id from ledger.cause c
			where c.authority = $1 and c.kind = u.cause_kind and c.id = u.cause_id and c.event = u.cause_event) as known
		from {entries} as u (id, business_date, recorded_at, cause_kind, cause_id, cause_event, description, actor, reverses, corrects, reason,
			postings, content, marks)
	), p as materialized (
		select u.*, a.id as account_id, a.memo
		from {postings} as u ({of_entry}line, account, side, amount, currency, dossier_id, payment_id, refund_id, charge_id, fee_type, policy)
		left join lateral (
			select a.id, a.memo from ledger.account a
			where a.authority = $1 and a.code = u.account and a.currency = u.currency limit 1) a on true
	), e as (
		insert into ledger.entry (id, authority, business_date, recorded_at, cause_kind, cause_id, cause_event,
			description, actor, reverses, corrects, reason, postings, content, marks)
		select n.id, $1, n.business_date, n.recorded_at, n.cause_kind, n.cause_id, n.cause_event,
			n.description, n.actor, n.reverses, n.corrects, n.reason, n.postings, n.content, n.marks
		from n
		where n.known is null and not exists (select from p where p.account_id is null)
		returning id, postings, business_date
	), written as (
		insert into ledger.posting (entry_id, line, postings, authority, business_date, account_id, side, amount, currency, memo,
			dossier_id, payment_id, refund_id, charge_id, fee_type, policy)
		select e.id, p.line, e.postings, $1, e.business_date, p.account_id, p.side, p.amount, p.currency, p.memo,
			p.dossier_id, p.payment_id, p.refund_id, p.charge_id, p.fee_type, p.policy
		from p join e on {own}
	)
	select e.id, null::uuid from e
	union all
	select n.id, n.known from n where n.known is not null`

// insertMany passes each column of all entries, or of all postings, as one array.
//
// The arrays are in sub-selects, which hide their lengths from the planner. A planner that knew the lengths would plan
// every call again, and planning takes longer than running the statement.
var insertMany = strings.NewReplacer(
	"{entries}", `unnest((select $2::uuid[]), (select $3::date[]), (select $4::timestamptz[]),
			(select $5::text[]), (select $6::text[]), (select $7::text[]), (select $8::text[]), (select $9::text[]),
			(select $10::uuid[]), (select $11::uuid[]), (select $12::text[]), (select $13::smallint[]),
			(select $14::bytea[]), (select $15::bytea[]))`,
	"{postings}", `unnest((select $16::uuid[]), (select $17::smallint[]), (select $18::text[]), (select $19::text[]),
			(select $20::bigint[]), (select $21::text[]), (select $22::uuid[]), (select $23::uuid[]), (select $24::uuid[]),
			(select $25::uuid[]), (select $26::text[]), (select $27::text[]))`,
	"{of_entry}", "entry_id, ", "{own}", "e.id = p.entry_id",
).Replace(insertTemplate)

// mostPlain is the largest number of postings of an entry that insertOne writes: nearly all entries have fewer.
const mostPlain = 8

// insertOne holds, by number of postings, the statement that writes a single entry. It passes every column as a plain
// parameter. Nearly every call is of this kind, and it costs the server a third less than insertMany.
var insertOne = func() (statements [mostPlain + 1]string) {
	for count := 2; count < len(statements); count++ {
		at := entryParameters
		postings := make([]string, count)
		for i := range postings {
			columns := make([]string, len(postingTypes))
			for c, kind := range postingTypes {
				at++
				columns[c] = fmt.Sprintf("$%d::%s", at, kind)
			}
			postings[i] = fmt.Sprintf("(%d::smallint, %s)", i+1, strings.Join(columns, ", "))
		}
		statements[count] = strings.NewReplacer(
			"{entries}", `(values ($2::uuid, $3::date, $4::timestamptz,
			$5::text, $6::text, $7::text, $8::text, $9::text, $10::uuid, $11::uuid, $12::text, $13::smallint,
			$14::bytea, $15::bytea))`,
			"{postings}", "(values "+strings.Join(postings, ", ")+")",
			"{of_entry}", "", "{own}", "true",
		).Replace(insertTemplate)
	}
	return statements
}()

// postingTypes are the types of a posting's columns in order, without its line.
var postingTypes = [...]string{"text", "text", "bigint", "text", "uuid", "uuid", "uuid", "uuid", "text", "text"}

// entryParameters is the number of parameters before the parameters of the postings.
const entryParameters = 15

// insertStatement returns the statement that writes entries, with its parameters in their order.
func insertStatement(entries []Entry) (string, []any) {
	args := make([]any, 0, entryParameters+mostPlain*len(postingTypes))
	var hash proof.Hasher
	args = append(args, entries[0].Authority)
	if e := &entries[0]; len(entries) == 1 && len(e.Postings) <= mostPlain {
		r := e.record()
		content, marks := hash.Content(&r)
		args = append(args, e.ID, e.BusinessDate, e.RecordedAt, e.Cause.Kind, e.Cause.ID, e.Cause.Event, e.Description,
			e.Actor, e.Reverses, e.Corrects, e.Reason, countOf(e), content[:], marks)
		for i := range e.Postings {
			p := &e.Postings[i]
			args = append(
				args,
				p.Account,
				string(p.Side),
				p.Amount.Minor,
				string(p.Amount.Currency),
				idOrNull(
					p.Dossier,
				),
				idOrNull(p.Payment),
				idOrNull(p.Refund),
				idOrNull(p.Charge),
				textOrNull(p.FeeType),
				textOrNull(p.Policy),
			)
		}
		return insertOne[len(e.Postings)], args
	}
	contents, marks := make([][]byte, len(entries)), make([][]byte, len(entries))
	for i := range entries {
		r := entries[i].record()
		content, marked := hash.Content(&r)
		contents[i], marks[i] = content[:], marked
	}
	return insertMany, append(append(append(args, entryColumns(entries)...), contents, marks), postingColumns(entries)...)
}

// countOf counts the postings of an entry; maxPostings bounds them.
func countOf(e *Entry) int16 { return int16(len(e.Postings)) } //nolint:gosec // see above

func entryColumns(entries []Entry) []any {
	var (
		n                                              = len(entries)
		ids, reverses, corrects                        = make(flat[EntryID], n), make(flat[EntryID], n), make(flat[EntryID], n)
		kind, cause, event, description, actor, reason = make(
			[]string,
			n,
		), make(
			[]string,
			n,
		), make(
			[]string,
			n,
		), make(
			[]string,
			n,
		), make(
			[]string,
			n,
		), make(
			[]string,
			n,
		)
		date     = make(flat[calendar.Date], n)
		recorded = make([]time.Time, n)
		count    = make([]int16, n)
	)
	for i := range entries {
		e := &entries[i]
		ids[i], reverses[i], corrects[i] = e.ID, e.Reverses, e.Corrects
		kind[i], cause[i], event[i] = e.Cause.Kind, e.Cause.ID, e.Cause.Event
		description[i], actor[i], reason[i] = e.Description, e.Actor, e.Reason
		date[i], recorded[i], count[i] = e.BusinessDate, e.RecordedAt, countOf(e)
	}
	return []any{ids, date, recorded, kind, cause, event, description, actor, reverses, corrects, reason, count}
}

func postingColumns(entries []Entry) []any {
	n := 0
	for i := range entries {
		n += len(entries[i].Postings)
	}
	var (
		entry                            = make(flat[EntryID], 0, n)
		line                             = make([]int16, 0, n)
		account, side, currency          = make([]string, 0, n), make([]string, 0, n), make([]string, 0, n)
		amount                           = make([]int64, 0, n)
		dossier, payment, refund, charge = make(
			flat[pgtype.UUID],
			0,
			n,
		), make(
			flat[pgtype.UUID],
			0,
			n,
		), make(
			flat[pgtype.UUID],
			0,
			n,
		), make(
			flat[pgtype.UUID],
			0,
			n,
		)
		feeType, policy = make(flat[pgtype.Text], 0, n), make(flat[pgtype.Text], 0, n)
	)
	for i := range entries {
		for at := range entries[i].Postings {
			p := &entries[i].Postings[at]
			entry, line = append(entry, entries[i].ID), append(line, int16(at+1))
			account, side, currency = append(account, p.Account), append(side, string(p.Side)), append(currency, string(p.Amount.Currency))
			amount = append(amount, p.Amount.Minor)
			dossier, payment = append(dossier, idOrNull(p.Dossier)), append(payment, idOrNull(p.Payment))
			refund, charge = append(refund, idOrNull(p.Refund)), append(charge, idOrNull(p.Charge))
			feeType, policy = append(feeType, textOrNull(p.FeeType)), append(policy, textOrNull(p.Policy))
		}
	}
	return []any{entry, line, account, side, amount, currency, dossier, payment, refund, charge, feeType, policy}
}

// flat is an array that is sent without reflection.
type flat[T any] = pgtype.FlatArray[T]

func idOrNull(id uuid.UUID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: id != uuid.Nil} }

func textOrNull(s string) pgtype.Text { return pgtype.Text{String: s, Valid: s != ""} }

// accountsOf lists the accounts that the entries need, each once.
func accountsOf(entries []Entry) pgx.StrictNamedArgs {
	type key struct{ code, currency string }
	var (
		seen                              = map[key]bool{}
		codes, currencies, classes, sides []string
	)
	for i := range entries {
		for _, p := range entries[i].Postings {
			k := key{p.Account, string(p.Amount.Currency)}
			if seen[k] {
				continue
			}
			seen[k] = true
			n, _ := natureOf(p.Account) // Validate has seen it
			codes, currencies = append(codes, k.code), append(currencies, k.currency)
			classes, sides = append(classes, string(n.class)), append(sides, string(n.normal))
		}
	}
	return pgx.StrictNamedArgs{
		"authority":  entries[0].Authority,
		"codes":      codes,
		"currencies": currencies,
		"classes":    classes,
		"normals":    sides,
	}
}
