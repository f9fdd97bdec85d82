package statements

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/page"
	"github.com/doisoat/doisoat/internal/postgres"
	parsed "github.com/doisoat/doisoat/providers/statements"
)

type statementRow struct {
	ID           ID            `db:"id"`
	Source       string        `db:"source"`
	Status       Status        `db:"status"`
	FileName     string        `db:"file_name"`
	Format       parsed.Format `db:"format"`
	Profile      string        `db:"profile"`
	SHA256       []byte        `db:"sha256"`
	Size         int64         `db:"size"`
	PeriodFrom   calendar.Date `db:"period_from"`
	PeriodTo     calendar.Date `db:"period_to"`
	RowsAccepted int           `db:"rows_accepted"`
	RowsKnown    int           `db:"rows_known"`
	RowsRefused  int           `db:"rows_refused"`
	Totals       []byte        `db:"totals"`
	Problems     []byte        `db:"problems"`
	ReceivedAt   time.Time     `db:"received_at"`
}

func (r statementRow) statement() (Statement, error) {
	st := Statement{
		ID: r.ID, Source: r.Source, Status: r.Status, FileName: r.FileName, Format: r.Format, Profile: r.Profile,
		SHA256: [32]byte(r.SHA256), Size: r.Size, PeriodFrom: r.PeriodFrom, PeriodTo: r.PeriodTo, RowsAccepted: r.RowsAccepted,
		RowsKnown: r.RowsKnown, RowsRefused: r.RowsRefused, ReceivedAt: r.ReceivedAt,
	}
	if err := json.Unmarshal(r.Totals, &st.Totals); err != nil {
		return Statement{}, err
	}
	return st, json.Unmarshal(r.Problems, &st.Problems)
}

// selectStatements reads statements without their bytes; without problems the list stays small.
func selectStatements(ctx context.Context, tx pgx.Tx, withProblems bool, and string, args ...any) ([]Statement, error) {
	problems := `'[]'::jsonb as problems`
	if withProblems {
		problems = `st.problems`
	}
	rows, err := tx.Query(ctx, `
		select st.id, s.code as source, st.status, st.file_name, st.format, st.profile, st.sha256, st.size, st.period_from,
			st.period_to, st.rows_accepted, st.rows_known, st.rows_refused, st.totals, `+problems+`, st.received_at
		from reconcile.statement st join reconcile.source s on s.id = st.source_id
		where st.authority = (select app.authority())`+and, args...)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[statementRow])
	if err != nil {
		return nil, err
	}
	list := make([]Statement, len(found))
	for i, r := range found {
		if list[i], err = r.statement(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func insertStatement(ctx context.Context, act postgres.Act, src Source, st Statement, ciphertext []byte, key string) error {
	totals, err := json.Marshal(st.Totals)
	if err != nil {
		return err
	}
	problems, err := json.Marshal(st.Problems)
	if err != nil {
		return err
	}
	_, err = act.Exec(ctx, `
		insert into reconcile.statement (id, authority, source_id, status, file_name, format, profile, sha256, size, file, period_from,
			period_to, opening, closing, rows_accepted, rows_known, rows_refused, totals, problems, received_at, received_by, idempotency_key)
		values (@id, @authority, @source, @status, @file_name, @format, @profile, @sha256, @size, @file, @from,
			@to, @opening, @closing, @accepted, @known, @refused, @totals, @problems, @at, @by, nullif(@key, ''))`,
		pgx.StrictNamedArgs{
			"id": st.ID, "authority": src.Authority, "source": src.ID, "status": st.Status, "file_name": st.FileName,
			"format": st.Format, "profile": st.Profile, "sha256": st.SHA256[:], "size": st.Size, "file": ciphertext,
			"from": st.PeriodFrom, "to": st.PeriodTo, "opening": st.opening, "closing": st.closing, "accepted": st.RowsAccepted,
			"known": st.RowsKnown, "refused": st.RowsRefused, "totals": totals, "problems": problems, "at": st.ReceivedAt,
			"by": act.Actor.ID, "key": key,
		})
	return err
}

// countKnown counts the rows of a file that an earlier file of the source contains too.
func countKnown(ctx context.Context, tx pgx.Tx, src SourceID, lines []row) (n int, err error) {
	keys, ordinals := make([][]byte, len(lines)), make([]int, len(lines))
	for i := range lines {
		keys[i], ordinals[i] = lines[i].key[:], lines[i].ordinal
	}
	err = tx.QueryRow(ctx, `
		select count(*) from unnest($2::bytea[], $3::integer[]) as n (key, ordinal)
		join reconcile.statement_line l on l.source_id = $1 and l.line_key = n.key and l.ordinal = n.ordinal`, src, keys, ordinals).Scan(&n)
	return n, err
}

// chunk bounds the rows of one insert, so that a statement's parameters stay small in memory.
const chunk = 10_000

// insertLines inserts the new lines and leaves lines of earlier files as they are.
func insertLines(ctx context.Context, tx pgx.Tx, src Source, st ID, lines []row) error {
	for part := range slices.Chunk(lines, chunk) {
		args := pgx.StrictNamedArgs{"authority": src.Authority, "source": src.ID, "statement": st}
		args["amounts"] = postgres.Column(part, func(r *row) int64 { return r.amount })
		args["fees"] = postgres.Column(part, func(r *row) int64 { return r.fee })
		args["vats"] = postgres.Column(part, func(r *row) int64 { return r.vat })
		args["nets"] = postgres.Column(part, func(r *row) int64 { return r.net })
		args["ids"] = postgres.Column(part, func(r *row) LineID { return r.id })
		args["rows"] = postgres.Column(part, func(r *row) int { return r.row })
		args["keys"] = postgres.Column(part, func(r *row) []byte { return r.key[:] })
		args["ordinals"] = postgres.Column(part, func(r *row) int { return r.ordinal })
		args["accounts"] = postgres.Column(part, func(r *row) string { return r.account })
		args["business_dates"] = postgres.Column(part, func(r *row) calendar.Date { return r.businessDate })
		args["booking_dates"] = postgres.Column(part, func(r *row) calendar.Date { return r.bookingDate })
		args["value_dates"] = postgres.Column(part, func(r *row) calendar.Date { return r.valueDate })
		args["occurred"] = postgres.Column(part, func(r *row) *time.Time { return r.occurredAt })
		args["kinds"] = postgres.Column(part, func(r *row) string { return string(r.kind) })
		args["booked"] = postgres.Column(part, func(r *row) bool { return r.booked })
		args["currencies"] = postgres.Column(part, func(r *row) string { return string(r.currency) })
		args["references"] = postgres.Column(part, func(r *row) string { return r.reference })
		args["transactions"] = postgres.Column(part, func(r *row) string { return r.transactionID })
		args["originals"] = postgres.Column(part, func(r *row) string { return r.originalID })
		args["bank_refs"] = postgres.Column(part, func(r *row) string { return r.bankRef })
		args["batches"] = postgres.Column(part, func(r *row) string { return r.batchID })
		args["codes"] = postgres.Column(part, func(r *row) string { return strings.Join(r.codes, " ") })
		args["contents"] = postgres.Column(part, func(r *row) []byte { return r.ciphertext })
		if _, err := tx.Exec(ctx, insertNewLines, args); err != nil {
			return err
		}
	}
	return nil
}

// PostgreSQL's arrays of arrays are rectangles, so the codes of a line travel as one text; a
// reference holds no blank.
const insertNewLines = `
	insert into reconcile.statement_line (id, authority, source_id, statement_id, row, line_key, ordinal, account, business_date,
		booking_date, value_date, occurred_at, kind, booked, amount, fee, fee_vat, net, currency, reference, transaction_id,
		original_id, bank_ref, batch_id, codes, content)
	select n.id, @authority, @source, @statement, n.row, n.line_key, n.ordinal, n.account, n.business_date,
		n.booking_date, n.value_date, n.occurred_at, n.kind, n.booked, n.amount, n.fee, n.fee_vat, n.net, n.currency, n.reference,
		n.transaction_id, n.original_id, n.bank_ref, n.batch_id, string_to_array(n.codes, ' '), n.content
	from unnest(@ids::uuid[], @rows::integer[], @keys::bytea[], @ordinals::integer[], @accounts::text[], @business_dates::date[],
			@booking_dates::date[], @value_dates::date[], @occurred::timestamptz[], @kinds::text[], @booked::boolean[],
			@amounts::bigint[], @fees::bigint[], @vats::bigint[], @nets::bigint[], @currencies::text[], @references::text[],
			@transactions::text[], @originals::text[], @bank_refs::text[], @batches::text[], @codes::text[], @contents::bytea[])
		as n (id, row, line_key, ordinal, account, business_date, booking_date, value_date, occurred_at, kind, booked,
			amount, fee, fee_vat, net, currency, reference, transaction_id, original_id, bank_ref, batch_id, codes, content)
	on conflict on constraint statement_line_once do nothing`

// Find returns a statement of the actor's authority with its problems, or ErrNotFound.
func (s *Service) Find(ctx context.Context, actor auth.Actor, id ID) (st Statement, err error) {
	if err := auth.Require(actor, auth.PermStatementRead); err != nil {
		return Statement{}, err
	}
	err = postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) error {
		list, err := selectStatements(ctx, tx, true, ` and st.id = $1`, id)
		if err == nil && len(list) != 1 {
			return ErrNotFound
		}
		if err == nil {
			st = list[0]
		}
		return err
	})
	return st, err
}

// List returns statements newest first, without problems, of one source or, with an empty source,
// of all. next is zero at the end.
func (s *Service) List(ctx context.Context, actor auth.Actor, source string, after ID, limit int) (list []Statement, next ID, err error) {
	if err := auth.Require(actor, auth.PermStatementRead); err != nil {
		return nil, next, err
	}
	limit = page.Limit(limit)
	err = postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) error {
		list, err = selectStatements(ctx, tx, false, `
			and (@source = '' or st.source_id = (`+SourceIDByCode+`)) and (@after::uuid is null or st.id < @after)
			order by st.id desc limit @limit`, pgx.StrictNamedArgs{"source": source, "after": after, "limit": limit + 1})
		return err
	})
	list, next = page.Cut(list, limit, func(x Statement) ID { return x.ID })
	return list, next, err
}

// LineStatus says whether a line is matched or stands in a break.
type LineStatus string

// The statuses of a line. The bank has not booked an ignored line, so it counts nowhere.
const (
	LineOpen    LineStatus = "open"
	LineMatched LineStatus = "matched"
	LineBreak   LineStatus = "break"
	LineIgnored LineStatus = "ignored"
)

// Line is one row of a statement, for people.
type Line struct {
	ID            LineID
	Row           int
	BookingDate   calendar.Date
	ValueDate     calendar.Date
	Kind          parsed.Kind
	Amount        money.Amount // credit +; of a settlement row the gross amount
	Fee           int64        // fee and its VAT, minor units
	Net           int64
	Reference     string
	TransactionID string
	BankRef       string
	BatchID       string
	Content       string // transfer text: may hold names
	Status        LineStatus
}

type lineRow struct {
	ID            LineID         `db:"id"`
	Row           int            `db:"row"`
	BookingDate   calendar.Date  `db:"booking_date"`
	ValueDate     calendar.Date  `db:"value_date"`
	Kind          parsed.Kind    `db:"kind"`
	Amount        int64          `db:"amount"`
	Currency      money.Currency `db:"currency"`
	Fee           int64          `db:"fee"`
	Net           int64          `db:"net"`
	Reference     string         `db:"reference"`
	TransactionID string         `db:"transaction_id"`
	BankRef       string         `db:"bank_ref"`
	BatchID       string         `db:"batch_id"`
	Content       []byte         `db:"content"`
	Status        LineStatus     `db:"status"`
}

const selectListedLine = `
	select l.id, l.row, l.booking_date, l.value_date, l.kind, l.amount, l.currency, l.fee + l.fee_vat as fee, l.net, l.reference,
		l.transaction_id, l.bank_ref, l.batch_id, l.content,
		case when exists (select from reconcile.match_item i where i.line_id = l.id and i.side = 'line' and i.live) then 'matched'
			when exists (select from reconcile.break b where b.line_id = l.id and b.status <> 'resolved') then 'break'
			when not l.booked then 'ignored' else 'open' end as status
	from reconcile.statement_line l`

// ListLines returns the lines of a statement in file order, or ErrNotFound. A line that an earlier
// file contains too belongs to the earlier statement.
func (s *Service) ListLines(ctx context.Context, actor auth.Actor, id ID, after LineID, limit int) (list []Line, next LineID, err error) {
	if err := auth.Require(actor, auth.PermStatementRead); err != nil {
		return nil, next, err
	}
	limit = page.Limit(limit)
	var found []lineRow
	err = postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) error {
		known, err := selectStatements(ctx, tx, false, ` and st.id = $1`, id)
		if err != nil {
			return err
		}
		if len(known) != 1 {
			return ErrNotFound
		}
		rows, err := tx.Query(ctx, selectListedLine+`
			where l.statement_id = $1
				and ($2::uuid is null or (l.row, l.id) > (select a.row, a.id from reconcile.statement_line a where a.id = $2))
			order by l.row, l.id limit $3`, id, after, limit+1)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, pgx.RowToStructByName[lineRow])
		return err
	})
	if err != nil {
		return nil, next, err
	}
	found, next = page.Cut(found, limit, func(x lineRow) LineID { return x.ID })
	for _, r := range found {
		t, err := s.OpenText(r.ID, r.Content)
		if err != nil {
			return nil, next, err
		}
		list = append(list, Line{
			ID: r.ID, Row: r.Row, BookingDate: r.BookingDate, ValueDate: r.ValueDate, Kind: r.Kind,
			Amount: money.Amount{Currency: r.Currency, Minor: r.Amount}, Fee: r.Fee, Net: r.Net, Reference: r.Reference,
			TransactionID: r.TransactionID, BankRef: r.BankRef, BatchID: r.BatchID, Content: t.Content, Status: r.Status,
		})
	}
	return list, next, nil
}
