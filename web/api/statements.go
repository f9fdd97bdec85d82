package api

import (
	"context"
	"errors"
	"io"
	"mime/multipart"
	"regexp"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/jsondoc"
	"github.com/doisoat/doisoat/statements"
	"github.com/doisoat/doisoat/web"
	"github.com/doisoat/doisoat/web/api/openapi"
)

// maxField bounds a text part of an upload; maxFileName bounds the stored part of a file's name.
const (
	maxField    = 256
	maxFileName = 200
)

var sourceCode = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$`)

// upload is a statement file as it arrived.
type upload struct {
	source   string
	fileName string
	file     []byte
	dryRun   bool
}

// UploadStatement handles POST /v1/statements. It checks the role before it reads 64 MiB.
func (s *server) UploadStatement(
	ctx context.Context, r openapi.UploadStatementRequestObject,
) (openapi.UploadStatementResponseObject, error) {
	actor := web.Actor(ctx)
	if err := auth.Require(actor, auth.PermStatementWrite); err != nil {
		return nil, err
	}
	u, err := readUpload(r.Body)
	if err != nil {
		return nil, err
	}
	st, err := s.rooms.Statements.Ingest(ctx, actor, u.source, u.fileName, u.file, u.dryRun, r.Params.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	view := statementView(st)
	if u.dryRun || st.Status == statements.Duplicate {
		return openapi.UploadStatement200JSONResponse(view), nil
	}
	return openapi.UploadStatement201JSONResponse{
		Body: view, Headers: openapi.UploadStatement201ResponseHeaders{Location: "/v1/statements/" + view.ID},
	}, nil
}

// ListStatements handles GET /v1/statements.
func (s *server) ListStatements(ctx context.Context, r openapi.ListStatementsRequestObject) (openapi.ListStatementsResponseObject, error) {
	after, err := cursorID[statements.ID](r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	list, next, err := s.rooms.Statements.List(ctx, web.Actor(ctx), r.Params.Source, after, limitOf(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	return openapi.ListStatements200JSONResponse{Items: views(list, statementView), NextCursor: cursorTo(next)}, nil
}

// FindStatement handles GET /v1/statements/{id}.
func (s *server) FindStatement(ctx context.Context, r openapi.FindStatementRequestObject) (openapi.FindStatementResponseObject, error) {
	id, err := parseID[statements.ID](r.ID, statements.ErrNotFound)
	if err != nil {
		return nil, err
	}
	st, err := s.rooms.Statements.Find(ctx, web.Actor(ctx), id)
	if err != nil {
		return nil, err
	}
	return openapi.FindStatement200JSONResponse(statementView(st)), nil
}

// ListStatementLines handles GET /v1/statements/{id}/lines.
func (s *server) ListStatementLines(
	ctx context.Context, r openapi.ListStatementLinesRequestObject,
) (openapi.ListStatementLinesResponseObject, error) {
	id, err := parseID[statements.ID](r.ID, statements.ErrNotFound)
	if err != nil {
		return nil, err
	}
	after, err := cursorID[statements.LineID](r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	list, next, err := s.rooms.Statements.ListLines(ctx, web.Actor(ctx), id, after, limitOf(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	return openapi.ListStatementLines200JSONResponse{Items: views(list, lineView), NextCursor: cursorTo(next)}, nil
}

func lineView(l statements.Line) openapi.StatementLine {
	return openapi.StatementLine{
		ID: l.ID.String(), Row: int64(l.Row), BookingDate: dateView(l.BookingDate), ValueDate: dateView(l.ValueDate), Kind: string(l.Kind),
		Amount: l.Amount.Minor, Fee: l.Fee, Net: l.Net, Currency: string(l.Amount.Currency), Ref: l.Reference, TransactionID: l.TransactionID,
		BankReference: l.BankRef, Batch: l.BatchID, Content: l.Content, Status: openapi.StatementLineStatus(l.Status),
	}
}

func statementView(st statements.Statement) openapi.Statement {
	return openapi.Statement{
		ID: shownID(st.ID), DuplicateOf: shownID(st.DuplicateOf), Source: st.Source, Status: openapi.StatementStatus(st.Status),
		FileName: st.FileName, Format: string(st.Format), Profile: st.Profile,
		Sha256: hexText(st.SHA256[:]), Size: st.Size, RowsAccepted: int64(st.RowsAccepted), RowsKnown: int64(st.RowsKnown),
		RowsRefused: int64(st.RowsRefused), PeriodFrom: dateView(st.PeriodFrom), PeriodTo: dateView(st.PeriodTo), ReceivedAt: st.ReceivedAt,
		Totals: views(st.Totals, controlTotalsView), Problems: views(st.Problems, problemView),
	}
}

func controlTotalsView(t statements.ControlTotal) openapi.ControlTotals {
	return openapi.ControlTotals{
		Account: t.Account, Currency: string(t.Currency), From: dateView(t.From), To: dateView(t.To), Opening: t.Opening, Closing: t.Closing,
		Entries: int64(t.Entries), SumCredit: t.SumCredit, SumDebit: t.SumDebit, BalanceCheck: openapi.ControlTotalsBalanceCheck(t.BalanceCheck),
	}
}

func problemView(p statements.Problem) openapi.StatementProblem {
	return openapi.StatementProblem{Row: int64(p.Row), Code: string(p.Code), Detail: p.Detail}
}

// readUpload reads the parts in any order. Uploads are not validated against the description, so readUpload checks that each part comes
// once and that none is unknown.
func readUpload(parts *multipart.Reader) (upload, error) {
	var u upload
	seen := map[string]bool{}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return upload{}, uploadFault(err)
		}
		name := part.FormName()
		if seen[name] {
			return upload{}, web.ErrDuplicate.At(pointerTo(name), "appears twice")
		}
		seen[name] = true
		if err := u.readPart(name, part); err != nil {
			return upload{}, err
		}
	}
	wrong := web.ErrInvalid
	if !sourceCode.MatchString(u.source) {
		wrong = wrong.At("/source", "must be the code of a source")
	}
	if len(u.file) == 0 {
		wrong = wrong.At("/file", "is needed and must not be empty")
	}
	if len(wrong.Fields) > 0 {
		return upload{}, wrong
	}
	return u, nil
}

func (u *upload) readPart(name string, part *multipart.Part) error {
	if name == "file" {
		text, err := io.ReadAll(io.LimitReader(part, maxStatement+1))
		if err != nil {
			return uploadFault(err)
		}
		if len(text) > maxStatement {
			return web.ErrTooLarge.With("the file is larger than %d bytes", maxStatement)
		}
		u.file, u.fileName = text, cleanFileName(part.FileName())
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(part, maxField+1))
	switch {
	case err != nil:
		return uploadFault(err)
	case name == "source":
		u.source = string(text)
	case name == "dry_run" && (string(text) == "true" || string(text) == "false"):
		u.dryRun = string(text) == "true"
	case name == "dry_run":
		return web.ErrInvalid.At("/dry_run", "must be true or false")
	default:
		return web.ErrInvalid.At(pointerTo(name), "is not known here")
	}
	return nil
}

// pointerTo names a part; its name comes from the caller and is bounded before it is shown.
func pointerTo(name string) string {
	if len(name) > maxField || !storable(name) {
		return ""
	}
	return "/" + jsondoc.Escape(name)
}

// cleanFileName keeps a file's name for people; it is never used as a path.
func cleanFileName(name string) string {
	if !storable(name) {
		return ""
	}
	if runes := []rune(name); len(runes) > maxFileName {
		return string(runes[:maxFileName])
	}
	return name
}

// uploadFault: a body that ends early or is too large is the caller's fault; the error of net/http tells it.
func uploadFault(err error) error {
	if _, ok := fault.Of(err); ok || web.ProblemOf(err).Code == web.ErrTooLarge.Code {
		return err
	}
	return web.ErrMalformed.With("the multipart body could not be read").Because(err)
}
