package api

import (
	"context"

	"github.com/doisoat/doisoat/internal/fault"
)

var errPending = fault.New(fault.Unavailable, "http.pending", "not there yet")

func (s *server) ListBreaks(context.Context, ListBreaksRequestObject) (ListBreaksResponseObject, error) {
	return nil, errPending
}

func (s *server) ListMatches(context.Context, ListMatchesRequestObject) (ListMatchesResponseObject, error) {
	return nil, errPending
}

func (s *server) StartRun(context.Context, StartRunRequestObject) (StartRunResponseObject, error) {
	return nil, errPending
}

func (s *server) FindRun(context.Context, FindRunRequestObject) (FindRunResponseObject, error) {
	return nil, errPending
}

func (s *server) CloseRun(context.Context, CloseRunRequestObject) (CloseRunResponseObject, error) {
	return nil, errPending
}

func (s *server) ListSources(context.Context, ListSourcesRequestObject) (ListSourcesResponseObject, error) {
	return nil, errPending
}

func (s *server) RegisterSource(context.Context, RegisterSourceRequestObject) (RegisterSourceResponseObject, error) {
	return nil, errPending
}

func (s *server) ListStatements(context.Context, ListStatementsRequestObject) (ListStatementsResponseObject, error) {
	return nil, errPending
}

func (s *server) FindStatement(context.Context, FindStatementRequestObject) (FindStatementResponseObject, error) {
	return nil, errPending
}

func (s *server) ListStatementLines(context.Context, ListStatementLinesRequestObject) (ListStatementLinesResponseObject, error) {
	return nil, errPending
}
