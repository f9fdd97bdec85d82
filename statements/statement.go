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

// ID names a statement, LineID one of its lines.
type (
	ID     = ident.ID[statementKind]
	LineID = ident.ID[lineKind]
)

// Status says whether a file was imported.
type Status string

// The statuses that Ingest answers. Ingest stores a file and its lines in one transaction, so no
// status in between exists. Duplicate is only an answer: no row has it.
const (
	Accepted  Status = "accepted"
	Partial   Status = "partial" // accepted, but some rows were refused or need a person
	Rejected  Status = "rejected"
	Duplicate Status = "duplicate"
)

// Problem is a fault that the parser found in a file.
type Problem = parsed.Problem

// ControlTotal holds the totals that a file states for one account, in minor units.
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

// Statement is one file of a source, with the outcome of its import.
type Statement struct {
	ID           ID // zero after a dry run
	Source       string
	Status       Status
	DuplicateOf  ID // the first statement with the same bytes; all other members are of the first statement
	FileName     string
	Format       parsed.Format
	Profile      string
	SHA256       [32]byte
	Size         int64
	RowsAccepted int // good rows of the file
	RowsKnown    int // rows of RowsAccepted that an earlier file contains too
	RowsRefused  int
	PeriodFrom   calendar.Date
	PeriodTo     calendar.Date
	Totals       []ControlTotal
	Problems     []parsed.Problem
	ReceivedAt   time.Time
	opening      *int64
	closing      *int64
}

// Problems that this room finds; providers/statements names the problems that parsers find.
const (
	ProblemWrongAccount  parsed.Code = "wrong_account"
	ProblemWrongFormat   parsed.Code = "wrong_format"
	ProblemWrongCurrency parsed.Code = "wrong_currency"
	ProblemForeignRow    parsed.Code = "foreign_row" // a row in another currency is not imported
	ProblemTooMuch       parsed.Code = "too_much"    // rows of more than maxFileSum together
)

// Ingest takes a file of a source. It reads the file, checks it against its own totals, and stores
// the bytes and the lines in one transaction. A bad file is no error: the answer is a statement
// with status and problems. The same bytes again store nothing and answer the first statement with
// DuplicateOf. A dry run stores nothing. When a file overlaps earlier files, only its new lines are
// added.
func (s *Service) Ingest(
	ctx context.Context,
	actor auth.Actor,
	sourceCode, fileName string,
	content []byte,
	dryRun bool,
	idempotencyKey string,
) (st Statement, err error) {
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
	st, lines := read(src, file, s.DB.Instant())
	st.FileName, st.SHA256, st.Size = fileName, sha256.Sum256(content), int64(len(content))
	if dryRun {
		return st, nil
	}
	st.ID = ident.New[statementKind]()
	ciphertext, err := s.Secret.Encrypt(content, fileAt(st.ID))
	if err != nil {
		return Statement{}, err
	}
	if err := s.encryptLines(lines); err != nil {
		return Statement{}, err
	}
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		return store(ctx, act, src, st, ciphertext, lines, idempotencyKey)
	})
	if c := postgres.Constraint(err); c == "statement_once" || c == "statement_idempotency_key" {
		// Another request with these bytes or this key was faster: answer from the row that it
		// wrote.
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

// reading bounds how many files the process reads at a time; other files wait with only their bytes
// in memory. Reading a file of 64 MiB takes more than a gigabyte, so without a bound a few large
// files at once could end the process.
var reading = make(chan struct{}, 2)

// known answers a file that was ingested before, or ErrNotFound.
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

func store(ctx context.Context, act postgres.Act, src Source, st Statement, ciphertext []byte, lines []row, key string) error {
	if gap, err := chainGap(ctx, act, src, st); err != nil {
		return err
	} else if gap {
		st.Problems = append(st.Problems, parsed.Problem{
			Code: parsed.ChainGap, Detail: "the statement does not open with the closing balance of the one before it",
		})
	}
	// Known rows are counted before the insert, under a lock that keeps other files of the source
	// out. The statement goes first, because its lines refer to it.
	if _, err := act.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended($1, 20240502))`, src.ID.String()); err != nil {
		return err
	}
	known, err := countKnown(ctx, act, src.ID, lines)
	if err != nil {
		return err
	}
	st.RowsKnown = known
	if err := insertStatement(ctx, act, src, st, ciphertext, key); err != nil {
		return err
	}
	if err := insertLines(ctx, act, src, st.ID, lines); err != nil {
		return err
	}
	return audit.Record(ctx, act, audit.Event{
		Actor: act.Actor, At: st.ReceivedAt, Act: "statement.ingest", ObjectKind: "statement", ObjectID: st.ID.String(),
		After: map[string]any{
			"source": src.Code, "status": st.Status, "rows_accepted": st.RowsAccepted, "rows_known": st.RowsKnown,
			"rows_refused": st.RowsRefused, "problems": len(st.Problems),
		},
	})
}

// chainGap reports whether the opening balance of a statement differs from the closing balance of
// the statement before.
func chainGap(ctx context.Context, tx pgx.Tx, src Source, st Statement) (bool, error) {
	if src.Kind != BankSource || st.Status == Rejected || st.opening == nil {
		return false, nil
	}
	var before *int64
	err := tx.QueryRow(ctx, `
		select closing from reconcile.statement
		where source_id = $1 and status in ('accepted', 'partial') and closing is not null and period_to < $2
		order by period_to desc, id desc limit 1`, src.ID, st.PeriodFrom).Scan(&before)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return err == nil && *before != *st.opening, err
}

func fileAt(id ID) string     { return "reconcile.statement/file/" + id.String() }
func textAt(id LineID) string { return "reconcile.statement_line/content/" + id.String() }

// Text is the encrypted part of a line: the transfer text and the counterparty.
type Text struct {
	Content string `json:"content"`
	Joined  string `json:"joined,omitempty"` // when it differs from Content
	Name    string `json:"name,omitempty"`
	Account string `json:"account,omitempty"`
	Bank    string `json:"bank,omitempty"`
}

func (s *Service) encryptLines(lines []row) error {
	for i := range lines {
		if lines[i].text == (Text{}) {
			continue
		}
		plain, err := json.Marshal(lines[i].text)
		if err != nil {
			return err
		}
		if lines[i].ciphertext, err = s.Secret.Encrypt(plain, textAt(lines[i].id)); err != nil {
			return err
		}
	}
	return nil
}

// OpenText decrypts the personal part of a line's content; empty text for an empty ciphertext.
func (s *Service) OpenText(id LineID, ciphertext []byte) (t Text, err error) {
	if len(ciphertext) == 0 {
		return Text{}, nil
	}
	plain, err := s.Secret.Decrypt(ciphertext, textAt(id))
	if err != nil {
		return Text{}, err
	}
	return t, json.Unmarshal(plain, &t)
}
