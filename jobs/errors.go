package jobs

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/doisoat/doisoat/internal/fault"
)

// hopeless reports whether another try cannot help. Wrong input, or a status that does not allow
// the work, stays wrong; a new event makes a new job. An unavailable service and an unknown outcome
// are tried again, and a use case that must not be repeated guards itself. Internal faults are
// tried again too, because the next release may mend them.
func hopeless(err error) bool {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.Unauthenticated, fault.Forbidden, fault.NotFound, fault.Conflict, fault.Precondition:
		return true
	case fault.Unavailable, fault.OutcomeUnknown, fault.Internal:
		return false
	}
	return false
}

// errorHandler writes the one log line of a failed job, and decides whether the job is tried again.
// It never logs arguments.
type errorHandler struct{ log *slog.Logger }

// HandleError implements river.ErrorHandler.
func (h errorHandler) HandleError(ctx context.Context, job *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	dead := hopeless(err)
	level, fate := slog.LevelWarn, "retried"
	switch {
	case dead:
		fate = "cancelled"
	case job.Attempt >= job.MaxAttempts:
		level, fate = slog.LevelError, "discarded"
	case fault.KindOf(err) == fault.Internal:
		level = slog.LevelError
	}
	h.log.LogAttrs(ctx, level, "job failed", append(describe(job), slog.String("fate", fate), slog.String("err", err.Error()))...)
	return &river.ErrorHandlerResult{SetCancelled: dead}
}

// HandlePanic implements river.ErrorHandler. The transaction of the panicking
// use case was rolled back on the way up.
func (h errorHandler) HandlePanic(ctx context.Context, job *rivertype.JobRow, cause any, trace string) *river.ErrorHandlerResult {
	h.log.LogAttrs(ctx, slog.LevelError, "job panicked",
		append(describe(job), slog.String("err", fmt.Sprint(cause)), slog.String("trace", trace))...)
	return nil
}

func describe(job *rivertype.JobRow) []slog.Attr {
	return []slog.Attr{
		slog.Int64("job_id", job.ID), slog.String("kind", job.Kind), slog.String("queue", job.Queue), slog.Int("attempt", job.Attempt),
	}
}
