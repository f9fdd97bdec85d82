package statements

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/postgres"
	parsed "github.com/doisoat/doisoat/providers/statements"
	"github.com/doisoat/doisoat/providers/statements/formats"
)

type (
	statementKind struct{}
	lineKind      struct{}
)

// Prefix implements ident.Kind.
func (statementKind) Prefix() string { return "stm" }

// Prefix implements ident.Kind.
func (lineKind) Prefix() string { return "sln" }

// StatementID names a statement, LineID one of its lines.
type (
	ID     = ident.ID[statementKind]
	LineID = ident.ID[lineKind]
)

// StatementState is how far a file came.
type Status string

// The states that Ingest answers. Received, parsed and balanced are passed
// within one transaction and never seen. Duplicate is an answer, not a row.
const (
	Accepted  Status = "accepted"
	Partial   Status = "partial" // accepted, but some rows were refused or need a person
	Rejected  Status = "rejected"
	Duplicate Status = "duplicate"
)

// Problem is a fault that the parser found in a file.
type Problem = parsed.Problem

// ControlTotal is what one account's part of a file says of itself, in minor units.
type ControlTotal struct {
	Account      string         `json:"account"`
	Currency     money.Currency `json:"currency"`
	From         calendar.Date  `json:"from"`
	To           calendar.Date  `json:"to"`
	Opening      *int64         `json:"opening"`
	Closing      *int64         `json:"closing"`
	Entries      int            `json:"entries"`
	SumCredit    int64          `json:"sum_credit"`
	SumDebit     int64          `json:"sum_debit"`
	BalanceCheck parsed.Check   `json:"balance_check"`
}

// Statement is one file of a source and what became of it.
type Statement struct {
	ID           ID // zero after a dry run
	Source       string
	Status       Status
	DuplicateOf  ID // the first statement with the same bytes; everything else is of that one
	FileName     string
	Format       parsed.Format
	Profile      string
	SHA256       [32]byte
	Size         int64
	RowsAccepted int // good rows of the file
	RowsKnown    int // of those, brought by an earlier file already
	RowsRefused  int
	PeriodFrom   calendar.Date
	PeriodTo     calendar.Date
	Totals       []ControlTotal
	Problems     []parsed.Problem
	ReceivedAt   time.Time
	opening      *int64
	closing      *int64
}

// Problems that this room finds; the others are of package statements.
const (
	ProblemWrongAccount  parsed.Code = "wrong_account"
	ProblemWrongFormat   parsed.Code = "wrong_format"
	ProblemWrongCurrency parsed.Code = "wrong_currency"
	ProblemForeignRow    parsed.Code = "foreign_row" // a row in another currency is not imported
	ProblemTooMuch       parsed.Code = "too_much"    // rows of more than maxFileSum together
)

// Ingest takes a file of a source: keeps the bytes, reads, checks the file
// against its own totals and stores the lines, in one transaction. What is
// wrong with a file is its state and problems, never an error. The same bytes
// again change nothing and answer the first statement with DuplicateOf. A dry
// run stores nothing. A file that overlaps others adds only lines not yet known.
func (s *Service) Ingest(ctx context.Context, actor auth.Actor, sourceCode, fileName string, content []byte, dryRun bool, idempotencyKey string) (st Statement, err error) {
	if err := auth.Require(actor, auth.PermStatementWrite); err != nil {
		return Statement{}, err
	}
	if len(content) > parsed.MaxBytes {
		return Statement{}, ErrTooLarge
	}
	var src Source
	err = postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) error {
		if src, err = FindSource(ctx, tx, sourceCode); err != nil {
			return err
		}
		st, err = s.known(ctx, tx, src, content, idempotencyKey)
		return err
	})
	if err == nil || !ErrNotFound.Is(err) {
		return st, err
	}
	select {
	case reading <- struct{}{}:
		defer func() { <-reading }()
	case <-ctx.Done():
		return Statement{}, ctx.Err()
	}
	// Reading a large file takes seconds: it is done with no transaction open.
	file, err := formats.Parse(bytes.NewReader(content), formats.Options{Profile: src.Profile})
	if err != nil {
		return Statement{}, err
	}
	st, lines := digest(src, file, s.DB.Instant())
	st.FileName, st.SHA256, st.Size = fileName, sha256.Sum256(content), int64(len(content))
	if dryRun {
		return st, nil
	}
	st.ID = ident.New[statementKind]()
	sealed, err := s.Secret.Encrypt(content, fileAt(st.ID))
	if err != nil {
		return Statement{}, err
	}
	if err := s.sealLines(lines); err != nil {
		return Statement{}, err
	}
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		return store(ctx, act, src, st, sealed, lines, idempotencyKey)
	})
	if c := postgres.Constraint(err); c == "statement_once" || c == "statement_idempotency_key" {
		// Another request with these bytes or this key was faster: answer from what it wrote.
		err = postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) error {
			st, err = s.known(ctx, tx, src, content, idempotencyKey)
			return err
		})
		return st, err
	}
	if err != nil {
		return Statement{}, err
	}
	return s.Find(ctx, auth.System(actor.Authority), st.ID)
}

// reading bounds how many files the process reads at a time; others wait. A
// file of 64 MiB takes more than a gigabyte while it is read, so a few clerks at
// once could end the process. What waits has only its bytes in memory.
var reading = make(chan struct{}, 2)

// known answers a file that was seen before, or ErrFileNotFound.
func (s *Service) known(ctx context.Context, tx pgx.Tx, src Source, content []byte, key string) (Statement, error) {
	sum := sha256.Sum256(content)
	if key != "" {
		list, err := selectStatements(ctx, tx, true, ` and st.idempotency_key = $1`, key)
		if err != nil {
			return Statement{}, err
		}
		if len(list) == 1 && (list[0].SHA256 != sum || list[0].Source != src.Code) {
			return Statement{}, ErrKeyReused
		}
	}
	list, err := selectStatements(ctx, tx, true, ` and st.source_id = $1 and st.sha256 = $2`, src.ID, sum[:])
	if err != nil {
		return Statement{}, err
	}
	if len(list) != 1 {
		return Statement{}, ErrNotFound
	}
	st := list[0]
	st.DuplicateOf, st.Status = st.ID, Duplicate
	return st, nil
}

func store(ctx context.Context, act postgres.Act, src Source, st Statement, sealed []byte, lines []row, key string) error {
	if gap, err := chainGap(ctx, act, src, st); err != nil {
		return err
	} else if gap {
		st.Problems = append(st.Problems, parsed.Problem{
			Code: parsed.ChainGap, Detail: "the statement does not open with the closing balance of the one before it",
		})
	}
	// The statement goes first, so that lines can refer to it; what is known
	// already is counted before, under a lock that keeps other files out.
	if _, err := act.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended($1, 20240502))`, src.ID.String()); err != nil {
		return err
	}
	known, err := countKnown(ctx, act, src.ID, lines)
	if err != nil {
		return err
	}
	st.RowsKnown = known
	if err := insertStatement(ctx, act, src, st, sealed, key); err != nil {
		return err
	}
	if err := insertLines(ctx, act, src, st.ID, lines); err != nil {
		return err
	}
	return audit.Record(ctx, act, audit.Event{
		Actor: act.Actor, At: st.ReceivedAt, Act: "statement.ingest", ObjectKind: "statement", ObjectID: st.ID.String(),
		After: map[string]any{
			"source": src.Code, "state": st.Status, "rows_accepted": st.RowsAccepted, "rows_known": st.RowsKnown,
			"rows_refused": st.RowsRefused, "problems": len(st.Problems),
		},
	})
}

// chainGap reports whether a statement opens with another balance than the one before it closed with.
func chainGap(ctx context.Context, tx pgx.Tx, src Source, st Statement) (bool, error) {
	if src.Kind != BankSource || st.Status == Rejected || st.opening == nil {
		return false, nil
	}
	var before *int64
	err := tx.QueryRow(ctx, `
		select closing from reconcile.statement
		where source_id = $1 and state in ('accepted', 'partial') and closing is not null and period_to < $2
		order by period_to desc, id desc limit 1`, src.ID, st.PeriodFrom).Scan(&before)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return err == nil && *before != *st.opening, err
}

func fileAt(id ID) string     { return "reconcile.statement/file/" + id.String() }
func textAt(id LineID) string { return "reconcile.statement_line/content/" + id.String() }

// text is the sealed part of a line: what people wrote and who they are.
type text struct {
	Content string `json:"content"`
	Joined  string `json:"joined,omitempty"` // when it differs from Content
	Name    string `json:"name,omitempty"`
	Account string `json:"account,omitempty"`
	Bank    string `json:"bank,omitempty"`
}

func (s *Service) sealLines(lines []row) error {
	for i := range lines {
		if lines[i].text == (text{}) {
			continue
		}
		plain, err := json.Marshal(lines[i].text)
		if err != nil {
			return err
		}
		if lines[i].sealed, err = s.Secret.Encrypt(plain, textAt(lines[i].id)); err != nil {
			return err
		}
	}
	return nil
}

// OpenText decrypts the personal part of a line's content; empty text for an empty ciphertext.
func (s *Service) OpenText(id LineID, sealed []byte) (t text, err error) {
	if len(sealed) == 0 {
		return text{}, nil
	}
	plain, err := s.Secret.Decrypt(sealed, textAt(id))
	if err != nil {
		return text{}, err
	}
	return t, json.Unmarshal(plain, &t)
}
