package api

import (
	"context"

	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/web"
	"github.com/doisoat/doisoat/web/api/openapi"
)

// CreatePolicy handles POST /v1/policies: an editor drafts a policy, an admin records an adopted policy.
func (s *server) CreatePolicy(ctx context.Context, r openapi.CreatePolicyRequestObject) (openapi.CreatePolicyResponseObject, error) {
	actor := web.Actor(ctx)
	p, err := schedule.ParsePolicy(*r.Body)
	if err != nil {
		return nil, err
	}
	var stored fees.RecordedPolicy
	var created bool
	if auth.Allowed(actor.Role, auth.PermPolicyDraft) {
		stored, created, err = s.rooms.Fees.DraftPolicy(ctx, actor, p)
	} else {
		stored, created, err = s.recordPolicy(ctx, actor, p)
	}
	if err != nil {
		return nil, err
	}
	if !created {
		return openapi.CreatePolicy200JSONResponse(s.policyView(stored)), nil
	}
	return openapi.CreatePolicy201JSONResponse{
		Body: s.policyView(stored), Headers: openapi.CreatePolicy201ResponseHeaders{Location: "/v1/policies/" + p.ID},
	}, nil
}

func (s *server) recordPolicy(ctx context.Context, actor auth.Actor, p schedule.Policy) (fees.RecordedPolicy, bool, error) {
	done, err := s.rooms.Fees.LoadPolicies(ctx, actor, []schedule.Policy{p})
	if err != nil {
		return fees.RecordedPolicy{}, false, err
	}
	stored, err := s.rooms.Fees.FindPolicy(ctx, actor, p.ID)
	return stored, done.Unchanged == 0, err
}

// SubmitPolicy handles POST /v1/policies/{id}/submit.
func (s *server) SubmitPolicy(ctx context.Context, r openapi.SubmitPolicyRequestObject) (openapi.SubmitPolicyResponseObject, error) {
	p, err := s.rooms.Fees.SubmitPolicy(ctx, web.Actor(ctx), r.ID, noteOf(r.Body))
	if err != nil {
		return nil, err
	}
	return openapi.SubmitPolicy200JSONResponse(s.policyView(p)), nil
}

// ApprovePolicy handles POST /v1/policies/{id}/approve.
func (s *server) ApprovePolicy(ctx context.Context, r openapi.ApprovePolicyRequestObject) (openapi.ApprovePolicyResponseObject, error) {
	p, err := s.rooms.Fees.ApprovePolicy(ctx, web.Actor(ctx), r.ID, noteOf(r.Body))
	if err != nil {
		return nil, err
	}
	return openapi.ApprovePolicy200JSONResponse(s.policyView(p)), nil
}

// noteOf is the note of an approval; the body may be left out.
func noteOf(body *openapi.ApprovalRequest) string {
	if body == nil {
		return ""
	}
	return body.Note
}

// RejectPolicy handles POST /v1/policies/{id}/reject.
func (s *server) RejectPolicy(ctx context.Context, r openapi.RejectPolicyRequestObject) (openapi.RejectPolicyResponseObject, error) {
	p, err := s.rooms.Fees.RejectPolicy(ctx, web.Actor(ctx), r.ID, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return openapi.RejectPolicy200JSONResponse(s.policyView(p)), nil
}

// RepealPolicy handles POST /v1/policies/{id}/repeal.
func (s *server) RepealPolicy(ctx context.Context, r openapi.RepealPolicyRequestObject) (openapi.RepealPolicyResponseObject, error) {
	last := r.Body.ValidTo.Time
	p, err := s.rooms.Fees.RepealPolicy(ctx, web.Actor(ctx), r.ID, fees.Repeal{
		LastDay: calendar.Date{Year: last.Year(), Month: last.Month(), Day: last.Day()}, LegalBasis: r.Body.LegalBasis, Reason: r.Body.Reason,
	})
	if err != nil {
		return nil, err
	}
	return openapi.RepealPolicy200JSONResponse(s.policyView(p)), nil
}

// ListPolicies handles GET /v1/policies.
func (s *server) ListPolicies(ctx context.Context, r openapi.ListPoliciesRequestObject) (openapi.ListPoliciesResponseObject, error) {
	after, err := cursorKey(r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	list, next, err := s.rooms.Fees.ListPolicies(ctx, web.Actor(ctx), r.Params.Authority, after, limitOf(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	return openapi.ListPolicies200JSONResponse{Items: views(list, s.policyView), NextCursor: cursorView(keyCursor(next))}, nil
}

// FindPolicy handles GET /v1/policies/{id}.
func (s *server) FindPolicy(ctx context.Context, r openapi.FindPolicyRequestObject) (openapi.FindPolicyResponseObject, error) {
	p, err := s.rooms.Fees.FindPolicy(ctx, web.Actor(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	return openapi.FindPolicy200JSONResponse(s.policyView(p)), nil
}

func (s *server) policyView(p fees.RecordedPolicy) openapi.Policy {
	today := calendar.On(s.now())
	view := openapi.Policy{
		ID: p.Policy.ID, Version: int64(p.Policy.Version), Status: openapi.PolicyStatus(p.Policy.Status),
		StatusToday: openapi.PolicyStatus(p.Policy.StatusOn(today)), ValidFrom: dateView(p.Policy.ValidFrom),
		ValidTo: dateView(p.Policy.ValidTo), DeclaredValidTo: dateView(p.Policy.DeclaredValidTo), Sha256: hexText(p.SHA256),
		RecordedAt: p.RecordedAt, DraftedBy: p.DraftedBy, SubmittedBy: p.SubmittedBy, ReplacedBy: p.ReplacedBy, Policy: p.Policy.Document,
	}
	for _, a := range p.History {
		view.History = append(view.History, openapi.PolicyAct{
			Version: int64(a.Version), Act: openapi.PolicyActAct(a.Act), From: openapi.PolicyStatus(a.FromStatus),
			To: openapi.PolicyStatus(a.ToStatus), Authority: a.Authority, Actor: a.Actor, At: a.At, Reason: a.Reason, LegalBasis: a.LegalBasis,
			ValidTo: dateView(a.EndsOn), ReplacedBy: a.ReplacedBy,
		})
	}
	return view
}
