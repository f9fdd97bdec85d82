package api

import (
	"cmp"
	"context"
	"time"

	openapi_types "github.com/oapi-codegen/runtime/types"

	"github.com/doisoat/doisoat/cases"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/reconcile"
	"github.com/doisoat/doisoat/reconcile/matching"
	"github.com/doisoat/doisoat/reconcile/report"
	"github.com/doisoat/doisoat/web"
	"github.com/doisoat/doisoat/web/api/openapi"
)

// StartRun handles POST /v1/runs.
func (s *server) StartRun(ctx context.Context, r openapi.StartRunRequestObject) (openapi.StartRunResponseObject, error) {
	run, created, err := s.rooms.Reconcile.StartRun(ctx, web.Actor(ctx), r.Body.Source, dateOf(r.Body.BusinessDate))
	if err != nil {
		return nil, err
	}
	view := runView(run)
	if !created {
		return openapi.StartRun200JSONResponse(view), nil
	}
	return openapi.StartRun201JSONResponse{Body: view, Headers: openapi.StartRun201ResponseHeaders{Location: "/v1/runs/" + view.ID}}, nil
}

// FindRun handles GET /v1/runs/{id}.
func (s *server) FindRun(ctx context.Context, r openapi.FindRunRequestObject) (openapi.FindRunResponseObject, error) {
	id, err := parseID[reconcile.RunID](r.ID, reconcile.ErrRunNotFound)
	if err != nil {
		return nil, err
	}
	run, err := s.rooms.Reconcile.FindRun(ctx, web.Actor(ctx), id)
	if err != nil {
		return nil, err
	}
	return openapi.FindRun200JSONResponse(runView(run)), nil
}

// CloseRun handles POST /v1/runs/{id}/close.
func (s *server) CloseRun(ctx context.Context, r openapi.CloseRunRequestObject) (openapi.CloseRunResponseObject, error) {
	id, err := parseID[reconcile.RunID](r.ID, reconcile.ErrRunNotFound)
	if err != nil {
		return nil, err
	}
	run, err := s.rooms.Reconcile.CloseRun(ctx, web.Actor(ctx), id)
	if err != nil {
		return nil, err
	}
	return openapi.CloseRun200JSONResponse(runView(run)), nil
}

// ListRuns handles GET /v1/runs.
func (s *server) ListRuns(ctx context.Context, r openapi.ListRunsRequestObject) (openapi.ListRunsResponseObject, error) {
	after, err := cursorID[reconcile.RunID](r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	list, next, err := s.rooms.Reconcile.ListRuns(ctx, web.Actor(ctx), r.Params.Source, after, limitOf(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	return openapi.ListRuns200JSONResponse{Items: views(list, runSummary), NextCursor: cursorTo(next)}, nil
}

func runSummary(run reconcile.Run) openapi.RunSummary {
	return openapi.RunSummary{
		ID: run.ID.String(), Source: run.Source, BusinessDate: dateView(run.BusinessDate), Number: int64(run.Number),
		Status: openapi.RunStatus(run.Status), Currency: string(run.Currency), CreatedAt: run.CreatedAt,
		MatchedAt: orZeroTime(run.MatchedAt), ClosedAt: orZeroTime(run.ClosedAt),
	}
}

// ListBreaks handles GET /v1/breaks.
func (s *server) ListBreaks(ctx context.Context, r openapi.ListBreaksRequestObject) (openapi.ListBreaksResponseObject, error) {
	f := cases.BreakFilter{
		Source: r.Params.Source, Kind: matching.BreakKind(r.Params.Kind), Status: cases.BreakStatus(r.Params.Status),
		Limit: limitOf(r.Params.Limit),
	}
	var err error
	if f.Run, err = filterID[reconcile.RunID](r.Params.Run, reconcile.ErrRunNotFound); err != nil {
		return nil, err
	}
	if f.After, err = cursorID[reconcile.BreakID](r.Params.Cursor); err != nil {
		return nil, err
	}
	list, next, err := s.rooms.Cases.ListBreaks(ctx, web.Actor(ctx), f)
	if err != nil {
		return nil, err
	}
	return openapi.ListBreaks200JSONResponse{Items: views(list, breakView), NextCursor: cursorTo(next)}, nil
}

// dateOf reads a date that the caller sent; none is the zero date.
func dateOf(d openapi_types.Date) calendar.Date {
	if d.IsZero() {
		return calendar.Date{}
	}
	y, m, day := d.Date()
	return calendar.Date{Year: y, Month: m, Day: day}
}

func runView(run reconcile.Run) openapi.Run {
	return openapi.Run{
		ID: run.ID.String(), Source: run.Source, BusinessDate: dateView(run.BusinessDate), Number: int64(run.Number),
		Status: openapi.RunStatus(run.Status), Currency: string(run.Currency), CreatedAt: run.CreatedAt, MatchedAt: orZeroTime(run.MatchedAt),
		ClosedAt: orZeroTime(run.ClosedAt), ClosedBy: run.ClosedBy,
		Lanes: views(run.Lanes, totalView), Breaks: views(run.Report.Breaks, totalView),
		Identity: identityView(run.SourceSide), BookIdentity: identityView(run.BookSide), Lines: int64(run.Lines), Items: int64(run.Items),
		Unexplained: int64(run.Unexplained), Holds: run.Holds(),
	}
}

// totalView counts lines, or the book's items when the source shows no line.
func totalView(t report.Total) openapi.RunTotal {
	return openapi.RunTotal{
		Lane: t.Lane, Kind: string(t.Kind), Count: int64(cmp.Or(t.Lines, t.Items)), Lines: int64(t.Lines), Amount: t.Amount,
		Items: int64(t.Items), BookAmount: t.Book,
	}
}

func identityView(i report.Identity) openapi.MoneyIdentity {
	return openapi.MoneyIdentity{Total: i.Total, Matched: i.Matched, Breaks: i.Breaks, Difference: i.Difference(), Holds: i.Difference() == 0}
}

func breakView(b cases.Break) openapi.Break {
	return openapi.Break{
		ID: b.ID.String(), Run: b.Run.String(), Source: b.Source, Kind: openapi.BreakKind(b.Kind), Status: openapi.BreakStatus(b.Status),
		Holds: b.Holds, Amount: b.Amount.Minor, Currency: string(b.Amount.Currency), SourceAmount: b.SourceAmount, BookAmount: b.BookAmount,
		Dossier: b.DossierCode, Batch: b.Batch, Detail: b.Detail, CreatedAt: b.CreatedAt, ResolvedAt: orZeroTime(b.ResolvedAt),
		Resolution: b.Resolution, Line: shownID(b.Line), Capture: shownID(b.Capture), Refund: shownID(b.Refund),
		Transit: shownID(b.Transit), Payment: shownID(b.Payment), Statement: shownID(b.Statement),
	}
}

// shownAs is an id with its outside form.
type shownAs interface {
	IsZero() bool
	String() string
}

// shownID writes the outside form of an id; the zero id gives an empty text.
func shownID(id shownAs) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

func orZeroTime(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
