package api

import (
	"context"
	"time"

	openapi_types "github.com/oapi-codegen/runtime/types"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/reconcile"
	"github.com/doisoat/doisoat/reconcile/matching"
	"github.com/doisoat/doisoat/web"
)

// StartRun handles POST /v1/runs.
func (s *server) StartRun(ctx context.Context, r StartRunRequestObject) (StartRunResponseObject, error) {
	run, created, err := s.rooms.Reconcile.StartRun(ctx, web.Actor(ctx), r.Body.Source, dateOf(r.Body.BusinessDate))
	if err != nil {
		return nil, err
	}
	view := runView(run)
	if !created {
		return StartRun200JSONResponse(view), nil
	}
	return StartRun201JSONResponse{Body: view, Headers: StartRun201ResponseHeaders{Location: "/v1/runs/" + view.ID}}, nil
}

// FindRun handles GET /v1/runs/{id}.
func (s *server) FindRun(ctx context.Context, r FindRunRequestObject) (FindRunResponseObject, error) {
	id, err := parseRunID(r.ID)
	if err != nil {
		return nil, err
	}
	run, err := s.rooms.Reconcile.FindRun(ctx, web.Actor(ctx), id)
	if err != nil {
		return nil, err
	}
	return FindRun200JSONResponse(runView(run)), nil
}

// CloseRun handles POST /v1/runs/{id}/close.
func (s *server) CloseRun(ctx context.Context, r CloseRunRequestObject) (CloseRunResponseObject, error) {
	id, err := parseRunID(r.ID)
	if err != nil {
		return nil, err
	}
	run, err := s.rooms.Reconcile.CloseRun(ctx, web.Actor(ctx), id)
	if err != nil {
		return nil, err
	}
	return CloseRun200JSONResponse(runView(run)), nil
}

// ListRuns handles GET /v1/runs.
func (s *server) ListRuns(ctx context.Context, r ListRunsRequestObject) (ListRunsResponseObject, error) {
	var after reconcile.RunID
	if r.Params.Cursor != "" {
		var err error
		if after, err = reconcile.ParseRunID(r.Params.Cursor); err != nil {
			return nil, errCursor
		}
	}
	list, next, err := s.rooms.Reconcile.ListRuns(ctx, web.Actor(ctx), r.Params.Source, after, limitOf(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	page := RunList{Items: make([]RunSummary, 0, len(list))}
	for _, run := range list {
		page.Items = append(page.Items, RunSummary{
			ID: run.ID.String(), Source: run.Source, BusinessDate: dateView(run.BusinessDate), Number: int64(run.Number),
			Status: RunStatus(run.State), Currency: string(run.Currency), CreatedAt: run.CreatedAt,
			MatchedAt: orZeroTime(run.MatchedAt), ClosedAt: orZeroTime(run.ClosedAt),
		})
	}
	if !next.IsZero() {
		page.NextCursor = cursorView(next.String())
	}
	return ListRuns200JSONResponse(page), nil
}

// ListBreaks handles GET /v1/breaks.
func (s *server) ListBreaks(ctx context.Context, r ListBreaksRequestObject) (ListBreaksResponseObject, error) {
	f := reconcile.BreakFilter{
		Source: r.Params.Source, Kind: matching.BreakKind(r.Params.Kind), State: reconcile.BreakState(r.Params.Status), Limit: limitOf(r.Params.Limit),
	}
	if r.Params.Run != "" {
		var err error
		if f.Run, err = parseRunID(r.Params.Run); err != nil {
			return nil, err
		}
	}
	if r.Params.Cursor != "" {
		var err error
		if f.After, err = reconcile.ParseBreakID(r.Params.Cursor); err != nil {
			return nil, errCursor
		}
	}
	list, next, err := s.rooms.Reconcile.ListBreaks(ctx, web.Actor(ctx), f)
	if err != nil {
		return nil, err
	}
	page := BreakList{Items: make([]Break, 0, len(list))}
	for _, b := range list {
		page.Items = append(page.Items, breakView(b))
	}
	if !next.IsZero() {
		page.NextCursor = cursorView(next.String())
	}
	return ListBreaks200JSONResponse(page), nil
}

// parseRunID: a text that is no id is a run that does not exist.
func parseRunID(text string) (reconcile.RunID, error) {
	id, err := reconcile.ParseRunID(text)
	if err != nil {
		return reconcile.RunID{}, reconcile.ErrUnknownRun
	}
	return id, nil
}

// dateOf reads a date that the caller sent; none is the zero date.
func dateOf(d openapi_types.Date) calendar.Date {
	if d.IsZero() {
		return calendar.Date{}
	}
	y, m, day := d.Date()
	return calendar.Date{Year: y, Month: m, Day: day}
}

func runView(run reconcile.Run) Run {
	return Run{
		ID: run.ID.String(), Source: run.Source, BusinessDate: dateView(run.BusinessDate), Number: int64(run.Number),
		Status: RunStatus(run.State), Currency: string(run.Currency), CreatedAt: run.CreatedAt, MatchedAt: orZeroTime(run.MatchedAt),
		ClosedAt: orZeroTime(run.ClosedAt), ClosedBy: run.ClosedBy, Lanes: totalViews(run.Lanes), Breaks: totalViews(run.Report.Breaks),
		Identity: identityView(run.SourceSide), BookIdentity: identityView(run.BookSide), Lines: int64(run.Lines), Items: int64(run.Items),
		Unexplained: int64(run.Unexplained), Holds: run.Holds(),
	}
}

func totalViews(list []reconcile.Total) []RunTotal {
	views := make([]RunTotal, 0, len(list))
	for _, t := range list {
		count := t.Lines
		if count == 0 { // nothing of the source: count what is missing there
			count = t.Items
		}
		views = append(views, RunTotal{
			Lane: t.Lane, Kind: string(t.Kind), Count: int64(count), Lines: int64(t.Lines), Amount: t.Amount, Items: int64(t.Items), BookAmount: t.Book,
		})
	}
	return views
}

func identityView(i reconcile.Identity) MoneyIdentity {
	return MoneyIdentity{Total: i.Total, Matched: i.Matched, Breaks: i.Breaks, Difference: i.Difference(), Holds: i.Difference() == 0}
}

func breakView(b reconcile.Break) Break {
	view := Break{
		ID: b.ID.String(), Run: b.Run.String(), Source: b.Source, Kind: BreakKind(b.Kind), Status: BreakStatus(b.State), Holds: b.Holds,
		Amount: b.Amount.Minor, Currency: string(b.Amount.Currency), SourceAmount: b.SourceAmount, BookAmount: b.BookAmount,
		Dossier: b.DossierCode, Batch: b.Batch, Detail: b.Detail, CreatedAt: b.CreatedAt, ResolvedAt: orZeroTime(b.ResolvedAt),
		Resolution: b.Resolution,
	}
	view.Line, view.Capture, view.Refund = shownID(b.Line), shownID(b.Capture), shownID(b.Refund)
	view.Transit = shownID(b.Transit)
	view.Payment, view.Statement = shownID(b.Payment), shownID(b.Statement)
	return view
}

// shownID writes an id as it is shown outside; none is nothing.
func shownID(id interface {
	IsZero() bool
	String() string
},
) string {
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
