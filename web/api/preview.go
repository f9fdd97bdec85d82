package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/repricing/replay"
	"github.com/doisoat/doisoat/web"
	"github.com/doisoat/doisoat/web/api/openapi"
)

// PreviewPolicy handles POST /v1/policies/{id}/preview.
func (s *server) PreviewPolicy(ctx context.Context, r openapi.PreviewPolicyRequestObject) (openapi.PreviewPolicyResponseObject, error) {
	actor := web.Actor(ctx)
	q := replay.PreviewRequest{Period: periodOf(r.Body.Period), AsWritten: r.Body.Dates == openapi.PreviewRequestDatesAsWritten}
	if len(r.Body.Policy) > 0 {
		p, err := schedule.ParsePolicy(r.Body.Policy)
		if err != nil {
			return nil, err
		}
		if p.ID != r.ID {
			return nil, schedule.ErrPolicy.At("/policy/id", "is not the policy of the address")
		}
		q.Policy = p
	} else {
		stored, err := s.rooms.Fees.FindPolicy(ctx, actor, r.ID)
		if err != nil {
			return nil, err
		}
		q.Policy = stored.Policy
	}
	return previewAnswer{ctx: ctx, replay: s.rooms.Repricing.Replay, actor: actor, request: q, lines: r.Params.Progress}, nil
}

// previewAnswer works while it answers: a line of progress must leave before the work is done.
type previewAnswer struct {
	ctx     context.Context //nolint:containedctx // the generated interface gives the answer no context
	replay  *replay.Service
	actor   auth.Actor
	request replay.PreviewRequest
	lines   bool
}

// VisitPreviewPolicyResponse implements PreviewPolicyResponseObject. An error before the first line is answered with a problem document;
// after the first line the status is sent already.
func (p previewAnswer) VisitPreviewPolicyResponse(w http.ResponseWriter) error {
	if err := web.ExtendDeadlines(w); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if !p.lines {
		found, err := p.replay.Preview(p.ctx, p.actor, p.request, nil)
		if err != nil {
			return err
		}
		return openapi.PreviewPolicy200JSONResponse(previewView(p.request.Policy.ID, found)).VisitPreviewPolicyResponse(w)
	}
	begun := false
	line := func(v any) error {
		if !begun {
			begun = true
			w.Header().Set("Content-Type", "application/x-ndjson")
			w.WriteHeader(http.StatusOK)
		}
		if err := json.NewEncoder(w).Encode(v); err != nil {
			return err
		}
		return http.NewResponseController(w).Flush()
	}
	found, err := p.replay.Preview(p.ctx, p.actor, p.request, func(done, total int64) {
		_ = line(map[string]int64{"done": done, "total": total}) // a caller that is gone ends the request's context, and so the work
	})
	switch {
	case err == nil:
		return line(map[string]any{"result": previewView(p.request.Policy.ID, found)})
	case !begun:
		return err
	default:
		return line(map[string]any{"problem": web.ProblemOf(err)})
	}
}

func previewView(policy string, p replay.Preview) openapi.Preview {
	return openapi.Preview{
		Policy: policy, Total: previewRow(p.Total), Procedures: views(p.Procedures, previewRow), Agencies: views(p.Agencies, previewRow),
		Unpriced: p.Unpriced,
	}
}

func previewRow(r replay.PreviewRow) openapi.PreviewRow {
	return openapi.PreviewRow{
		Key: r.Key, Dossiers: r.Dossiers, Changed: r.Changed,
		Recorded: sumsView(r.Recorded), Before: sumsView(r.Before), After: sumsView(r.After),
	}
}

func sumsView(s dossiers.Sums) openapi.PreviewSums {
	return openapi.PreviewSums{Gross: s.Gross, Discount: s.Discount, Subsidy: s.Subsidy, Due: s.Due}
}

func periodOf(p openapi.PricingPeriod) replay.Period {
	return replay.Period{From: dateOf(p.From), To: dateOf(p.To)}
}
