package fees_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/approval"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
)

var (
	editor   = auth.Actor{Authority: "H41", Role: auth.RolePolicyEditor, ID: "key_editor"}
	approver = auth.Actor{Authority: "H41", Role: auth.RolePolicyApprover, ID: "key_approver"}
)

// draftOf makes a draft of H41 for building permits from the members that matter.
func draftOf(t *testing.T, id, members string) schedule.Policy {
	t.Helper()
	p, err := schedule.ParsePolicy([]byte(`{"id":"` + id + `","authority":{"code":"H41","level":"province"},"territory":["H41"],
		"legal_basis":{"number":"5/NQ-HĐND"},"condition":{"submission_channel":["online"]},` + members + `}`))
	if err != nil {
		t.Fatalf("ParsePolicy: %v", err)
	}
	return p
}

const (
	gpxd = `"scope":{"mode":"fee_type_list","fee_types":["LP_GPXD"]},"effect":{"kind":"share_of_base","numerator":1,"denominator":2},`
	good = `"cases":[{"submitted_on":"2026-01-10","channel":"online","fee_type":"LP_GPXD","base":80000,"expected_due":40000}]`
)

// repealCurrent ends the policy in force for building permits, so that another may follow.
func repealCurrent(t *testing.T, s fees.Service, last string) {
	t.Helper()
	repeal := fees.Repeal{LastDay: calendar.MustParse(last), LegalBasis: "4/NQ-HĐND"}
	if _, err := s.RepealPolicy(t.Context(), approver, "NA-2025-00", repeal); err != nil {
		t.Fatalf("RepealPolicy: %v", err)
	}
}

func drafted(t *testing.T, s fees.Service, p schedule.Policy) {
	t.Helper()
	if _, created, err := s.DraftPolicy(t.Context(), editor, p); err != nil || !created {
		t.Fatalf("DraftPolicy = %v, %v", created, err)
	}
}

// What two people decided about a policy, one who records adopted texts does not undo.
func TestLoadDoesNotUndoDecisions(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	seed(t, s)
	repealCurrent(t, s, "2025-12-31")
	again := func(id string) error {
		p, err := schedule.ParsePolicy(
			[]byte(`{"id":"` + id + `","status":"in_force","authority":{"code":"H41","level":"province"},"territory":["H41"],
			"legal_basis":{"number":"5/NQ-HĐND"},"scope":{"mode":"all_under_authority"},
			"effect":{"kind":"share_of_base","numerator":0,"denominator":1},
			"valid_from":"2025-07-21"}`),
		)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.LoadPolicies(t.Context(), auth.Operator("H41"), []schedule.Policy{p})
		return err
	}
	if err := again("NA-2025-00"); !errors.Is(err, fees.ErrStatus) {
		t.Errorf("a repealed policy is recorded anew: got %v, want %v", err, fees.ErrStatus)
	}
	drafted(t, s, draftOf(t, "NA-2026-50", gpxd+`"valid_from":"2026-01-01","valid_to":"2026-12-31",`+good))
	if _, err := s.SubmitPolicy(t.Context(), editor, "NA-2026-50", ""); err != nil {
		t.Fatal(err)
	}
	if err := again("NA-2026-50"); !errors.Is(err, fees.ErrStatus) {
		t.Errorf("a submitted policy is recorded as adopted: got %v, want %v", err, fees.ErrStatus)
	}
	if got, err := s.FindPolicy(t.Context(), editor, "NA-2025-00"); err != nil || got.Policy.Status != schedule.Repealed {
		t.Errorf("got %s (%v), want repealed", got.Policy.Status, err)
	}
}

// A draft is examined, adopted by somebody else, comes into force by its date and ends early.
func TestLifeOfAPolicy(t *testing.T) {
	t.Parallel()
	s, db := newStore(t)
	seed(t, s)
	repealCurrent(t, s, "2025-12-31")
	p := draftOf(t, "NA-2026-50", gpxd+`"valid_from":"2026-01-01","valid_to":"2026-12-31",`+good)
	drafted(t, s, p)
	if _, created, err := s.DraftPolicy(t.Context(), editor, p); created || err != nil {
		t.Errorf("the same draft again: %v, %v", created, err)
	}
	due := func(day string) int64 {
		return quoted(t, s, day).Due.Minor
	}
	if got := due("2026-02-01"); got != 75000 {
		t.Errorf("a draft lowers: due %d", got)
	}
	if _, err := s.ApprovePolicy(t.Context(), approver, "NA-2026-50", ""); !errors.Is(err, fees.ErrStatus) {
		t.Errorf("approval of a draft: %v", err)
	}
	for range 2 { // again changes nothing
		if got, err := s.SubmitPolicy(t.Context(), editor, "NA-2026-50", ""); err != nil || got.Policy.Status != schedule.Submitted ||
			got.SubmittedBy != editor.ID {
			t.Fatalf("SubmitPolicy = %+v, %v", got, err)
		}
	}
	_, _, err := s.DraftPolicy(t.Context(), editor, draftOf(t, "NA-2026-50", gpxd+`"valid_from":"2026-02-01"`))
	if !errors.Is(err, fees.ErrStatus) {
		t.Errorf("a submitted policy changed: %v", err)
	}
	for range 2 {
		if got, err := s.ApprovePolicy(t.Context(), approver, "NA-2026-50", ""); err != nil || got.Policy.Status != schedule.Approved {
			t.Fatalf("ApprovePolicy = %+v, %v", got, err)
		}
	}
	_, _, err = s.DraftPolicy(t.Context(), editor, draftOf(t, "NA-2026-50", gpxd+`"valid_from":"2026-02-01"`))
	if !errors.Is(err, fees.ErrStatus) {
		t.Errorf("an adopted policy changed: %v", err)
	}
	got := map[string]int64{}
	for _, day := range []string{"2025-12-31", "2026-01-01", "2026-12-31", "2027-01-01"} {
		got[day] = due(day)
	}
	if diff := cmp.Diff(got, map[string]int64{"2025-12-31": 0, "2026-01-01": 37500, "2026-12-31": 37500, "2027-01-01": 75000}); diff != "" {
		t.Errorf("due by day (-got +want):\n%s", diff)
	}
	// Repealed early: the version stays, the declared end stays known.
	found, err := s.RepealPolicy(
		t.Context(), approver, "NA-2026-50",
		fees.Repeal{LastDay: calendar.MustParse("2026-06-30"), LegalBasis: "9/NQ-HĐND", Reason: "thay đổi"},
	)
	if err != nil || found.Policy.Version != 1 || found.Policy.ValidTo != calendar.MustParse("2026-06-30") ||
		found.Policy.DeclaredValidTo != calendar.MustParse("2026-12-31") {
		t.Fatalf("RepealPolicy = %+v, %v", found, err)
	}
	if a, b := due("2026-06-30"), due("2026-07-01"); a != 37500 || b != 75000 {
		t.Errorf("around the repeal: %d, %d", a, b)
	}
	var acts []string
	for _, a := range found.History {
		acts = append(acts, string(a.Act)+" by "+a.Actor+": "+string(a.FromStatus)+" → "+string(a.ToStatus))
	}
	if diff := cmp.Diff(acts, []string{
		"submit by key_editor: draft → submitted", "approve by key_approver: submitted → approved", "repeal by key_approver: approved → repealed",
	}); diff != "" {
		t.Errorf("history (-got +want):\n%s", diff)
	}
	var events string
	recorded := `select string_agg(act, ' ' order by at, id) from audit.event where object_id = 'NA-2026-50'`
	if err := db.Owner.QueryRow(t.Context(), recorded).Scan(&events); err != nil ||
		events != "policy.draft policy.submit policy.approve policy.repeal" {
		t.Errorf("audit events %q, %v", events, err)
	}
}

// Rejected: the editor writes the next version, which is submitted and approved like any other.
func TestRejectionAndNextVersion(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	seed(t, s)
	repealCurrent(t, s, "2025-12-31")
	p := draftOf(t, "NA-2026-50", gpxd+`"valid_from":"2026-01-01",`+good)
	drafted(t, s, p)
	if _, err := s.SubmitPolicy(t.Context(), editor, p.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := s.RejectPolicy(t.Context(), approver, p.ID, ""); !errors.Is(err, schedule.ErrPolicy) {
		t.Errorf("a rejection without reason: %v", err)
	}
	if got, err := s.RejectPolicy(t.Context(), approver, p.ID, "chưa có nghị quyết"); err != nil || got.Policy.Status != schedule.Rejected {
		t.Fatalf("RejectPolicy = %+v, %v", got, err)
	}
	if _, err := s.SubmitPolicy(t.Context(), editor, p.ID, ""); !errors.Is(err, fees.ErrStatus) {
		t.Errorf("a rejected version submitted: %v", err)
	}
	drafted(t, s, p)
	if _, err := s.SubmitPolicy(t.Context(), editor, p.ID, ""); err != nil {
		t.Fatal(err)
	}
	got, err := s.ApprovePolicy(t.Context(), approver, p.ID, "")
	if err != nil || got.Policy.Version != 2 || got.Policy.Status != schedule.Approved || len(got.History) != 4 {
		t.Errorf("ApprovePolicy = version %d, %s, %d acts, %v", got.Policy.Version, got.Policy.Status, len(got.History), err)
	}
}

// What must not be adopted is refused on submission, with an explanation.
func TestSubmissionRefused(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	seed(t, s)
	from26 := `"valid_from":"2026-01-01",`
	tests := []struct {
		name, members, pointer, detail string
		want                           *fault.Error
	}{
		{"no first day", gpxd + good, "/valid_from", "an adopted policy needs a first day", schedule.ErrPolicy},
		{
			"the same again", `"scope":{"mode":"fee_type_list","fee_types":["LP_GPXD"]},` +
				`"effect":{"kind":"share_of_base","numerator":0,"denominator":100},` + from26 + `"cases":[]`,
			"/scope", "NA-2025-00 (09/2025/NQ-HĐND) does the same to LP_GPXD in H41 from 2026-01-01 without end", fees.ErrClash,
		},
		{"contradiction", gpxd + from26 + good, "/scope", "Hãy ghi NA-2025-00 vào mục thay thế", fees.ErrClash},
		{
			"all fees of the council",
			`"scope":{"mode":"all_under_authority"},"effect":{"kind":"exempt"},` + from26 + `"cases":[]`,
			"/scope",
			"quy định khác đối với",
			fees.ErrClash,
		},
		{
			"a fee of the centre", `"scope":{"mode":"fee_type_list","fee_types":["LP_GPXD","LP_HO_CHIEU"]},"effect":{"kind":"exempt"},` +
				`"replaces":["NA-2025-00"],` + from26 + `"cases":[]`,
			"/scope/fee_types/1", "a council may subsidise it", fees.ErrCentralFee,
		},
		{
			"its own case fails",
			gpxd + `"replaces":["NA-2025-00"],` + from26 + strings.Replace(good, "40000", "30000", 1),
			"/cases/0",
			"due is 40000, expected 30000",
			fees.ErrCases,
		},
		{
			"of another authority",
			gpxd + `"replaces":["TT64-2025"],"valid_from":"2026-01-01",` + good,
			"/replaces/0",
			"is a policy of another authority",
			fees.ErrOwner,
		},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := draftOf(t, "NA-BAD-"+string(rune('A'+i)), tt.members)
			drafted(t, s, p)
			_, err := s.SubmitPolicy(context.WithoutCancel(t.Context()), editor, p.ID, "")
			f, ok := fault.Of(err)
			if !ok || !errors.Is(err, tt.want) || len(f.Fields) == 0 || f.Fields[0].Pointer != tt.pointer ||
				!strings.Contains(f.Fields[0].Detail, tt.detail) {
				t.Errorf("SubmitPolicy = %v (%+v), want %s at %s with %q", err, f, tt.want.Code, tt.pointer, tt.detail)
			}
			if found, err := s.FindPolicy(t.Context(), editor, p.ID); err != nil || found.Policy.Status != schedule.Draft {
				t.Errorf("it is %s, %v, want a draft", found.Policy.Status, err)
			}
		})
	}
}

// What stands side by side without contradiction is adopted.
func TestSubmissionAccepted(t *testing.T) {
	t.Parallel()
	for name, members := range map[string]string{
		"another channel": `"condition":{"submission_channel":["postal"]},` +
			`"scope":{"mode":"fee_type_list","fee_types":["LP_GPXD"]},"effect":{"kind":"exempt"},"valid_from":"2026-01-01"`,
		"for some people": `"exempt_groups":{"rule":"applies_only_to_these","groups":["ho_ngheo"]},` +
			`"scope":{"mode":"fee_type_list","fee_types":["LP_GPXD"]},"effect":{"kind":"exempt"},"valid_from":"2026-01-01"`,
		"a subsidy": `"scope":{"mode":"fees_set_by_central_government"},` +
			`"effect":{"kind":"subsidy","payer_share":{"numerator":1,"denominator":2},"funder":"ngân sách tỉnh"},"valid_from":"2026-01-01"`,
		"before it began":    gpxd + `"valid_from":"2023-01-01","valid_to":"2023-11-06"`,
		"says it multiplies": `"combination":"multiply",` + gpxd + `"valid_from":"2026-01-01"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := newStore(t)
			seed(t, s)
			p, err := schedule.ParsePolicy(
				[]byte(
					`{"id":"NA-OK","authority":{"code":"H41","level":"province"},"territory":["H41"],` +
						`"legal_basis":{"number":"5/NQ-HĐND"},` + members + `}`,
				),
			)
			if err != nil {
				t.Fatal(err)
			}
			drafted(t, s, p)
			if _, err := s.SubmitPolicy(t.Context(), editor, p.ID, ""); err != nil {
				t.Errorf("SubmitPolicy = %v", err)
			}
			if _, err := s.ApprovePolicy(t.Context(), approver, p.ID, ""); err != nil {
				t.Errorf("ApprovePolicy = %v", err)
			}
		})
	}
}

// The world changed between submission and approval: it is examined again.
func TestExaminedAgainBeforeApproval(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	seed(t, s)
	repealCurrent(t, s, "2025-12-31")
	for _, id := range []string{"NA-FIRST", "NA-SECOND"} {
		drafted(t, s, draftOf(t, id, gpxd+`"valid_from":"2026-01-01",`+good))
		if _, err := s.SubmitPolicy(t.Context(), editor, id, ""); err != nil {
			t.Fatal(err)
		}
	}
	var group sync.WaitGroup
	errs := make([]error, 2)
	for i, id := range []string{"NA-FIRST", "NA-SECOND"} {
		group.Go(func() { _, errs[i] = s.ApprovePolicy(t.Context(), approver, id, "") })
	}
	group.Wait()
	if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), fees.ErrClash) {
		t.Errorf("two that contradict each other: %v and %v, want one adopted and one %v", errs[0], errs[1], fees.ErrClash)
	}
}

// A policy that replaces another ends it on the day before its first; both stay recorded.
func TestReplacement(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	seed(t, s)
	drafted(t, s, draftOf(t, "NA-2026-50", gpxd+`"replaces":["NA-2025-00"],"valid_from":"2026-01-01",`+good))
	if _, err := s.SubmitPolicy(t.Context(), editor, "NA-2026-50", ""); err != nil {
		t.Fatal(err)
	}
	if old, err := s.FindPolicy(t.Context(), editor, "NA-2025-00"); err != nil || !old.Policy.ValidTo.IsZero() {
		t.Errorf("submission ends the old one: %s, %v", old.Policy.ValidTo, err)
	}
	if _, err := s.ApprovePolicy(t.Context(), approver, "NA-2026-50", ""); err != nil {
		t.Fatal(err)
	}
	old, err := s.FindPolicy(t.Context(), editor, "NA-2025-00")
	if err != nil || old.Policy.Status != schedule.Superseded || old.ReplacedBy != "NA-2026-50" ||
		old.Policy.ValidTo != calendar.MustParse("2025-12-31") {
		t.Errorf("the old one is %s by %q to %s, %v", old.Policy.Status, old.ReplacedBy, old.Policy.ValidTo, err)
	}
	q := quoted(t, s, "2026-01-01")
	if it := q.Items[0]; it.Due.Minor != 37500 || it.Discount.Minor != 37500 || it.Reason != schedule.ReasonDiscounted ||
		len(it.Applied) != 1 || it.Applied[0].Policy != "NA-2026-50" {
		t.Errorf("first day: %+v, want half of the fee by NA-2026-50", it)
	}
	why := map[string]quote.Why{}
	for _, n := range q.Items[0].NotApplied {
		why[n.Policy] = n.Why
	}
	if why["NA-2025-00"] != quote.WhySuperseded || why["NA-2023-60"] != quote.WhyExpired {
		t.Errorf("first day, policies that did not apply: %v", why)
	}
	if due := quoted(t, s, "2025-12-31").Due.Minor; due != 0 {
		t.Errorf("last day of the old one: due %d", due)
	}
}

// A successor replaces and repeals what a merged province left; the merged one adopts nothing new, others nothing at all.
func TestMergedTerritories(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	seed(t, s)
	of := func(authority string, a auth.Actor) auth.Actor { a.Authority = authority; return a }
	city, err := schedule.ParsePolicy(
		[]byte(
			`{"id":"DN-2026","authority":{"code":"H17","level":"province"},"territory":["H17","H47"],"legal_basis":{"number":"1/NQ-HĐND"},
		"condition":{"submission_channel":["online"]},"scope":{"mode":"fee_type_list","fee_types":["LP_GPXD"]},"effect":{"kind":"exempt"},
		"valid_from":"2026-01-01",
		"cases":[{"submitted_on":"2026-01-10","channel":"online","territory":"H47","fee_type":"LP_GPXD","base":80000,"expected_due":0}]}`,
		),
	)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.DraftPolicy(t.Context(), of("H17", editor), city); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SubmitPolicy(t.Context(), of("H17", editor), "DN-2026", ""); !errors.Is(err, fees.ErrClash) {
		t.Errorf("beside the merged province's: %v, want %v", err, fees.ErrClash)
	}
	_, err = s.RepealPolicy(t.Context(), of("H26", approver), "QNA-2024-00", fees.Repeal{LastDay: calendar.MustParse("2025-12-31"), LegalBasis: "1/NQ"})
	if !errors.Is(err, fees.ErrOwner) {
		t.Errorf("repeal by a stranger: %v", err)
	}
	city.Document = []byte(strings.Replace(string(city.Document), `"valid_from"`, `"replaces":["QNA-2024-00"],"valid_from"`, 1))
	if city, err = schedule.ParsePolicy(city.Document); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.DraftPolicy(t.Context(), of("H17", editor), city); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SubmitPolicy(t.Context(), of("H17", editor), "DN-2026", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ApprovePolicy(t.Context(), of("H17", approver), "DN-2026", ""); err != nil {
		t.Fatal(err)
	}
	if old, err := s.FindPolicy(t.Context(), editor, "QNA-2024-00"); err != nil || old.Policy.Status != schedule.Superseded ||
		old.History[0].Authority != "H17" {
		t.Errorf("QNA-2024-00 is %s, %+v, %v", old.Policy.Status, old.History, err)
	}
	late, err := schedule.ParsePolicy(
		[]byte(`{"id":"QNA-LATE","authority":{"code":"H47","level":"province"},"territory":["H47"],"legal_basis":{"number":"1/NQ"},
		"scope":{"mode":"fee_type_list","fee_types":["LP_DKKD"]},"effect":{"kind":"exempt"},"valid_from":"2026-01-01"}`),
	)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.DraftPolicy(t.Context(), of("H47", editor), late); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SubmitPolicy(t.Context(), of("H47", editor), "QNA-LATE", ""); !errors.Is(err, fees.ErrOwner) ||
		!strings.Contains(err.Error(), "its successor H17") {
		t.Errorf("a merged province adopts: %v", err)
	}
}

func TestRightsOfMakerAndChecker(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	seed(t, s)
	repealCurrent(t, s, "2025-12-31")
	p := draftOf(t, "NA-2026-50", gpxd+`"valid_from":"2026-01-01",`+good)
	drafted(t, s, p)
	same := auth.Actor{Authority: "H41", Role: auth.RolePolicyApprover, ID: editor.ID}
	last := fees.Repeal{LastDay: calendar.MustParse("2026-03-31"), LegalBasis: "1/NQ"}
	inForce := draftOf(t, "X", `"status":"in_force","valid_from":"2025-01-01",`+gpxd+good)
	_, _, adopted := s.DraftPolicy(t.Context(), editor, inForce)
	_, _, approverDrafts := s.DraftPolicy(t.Context(), approver, p)
	_, _, otherDrafts := s.DraftPolicy(t.Context(), auth.Actor{Authority: "H26", Role: auth.RolePolicyEditor, ID: "x"}, p)
	_, approverSubmits := s.SubmitPolicy(t.Context(), approver, p.ID, "")
	_, otherSubmits := s.SubmitPolicy(t.Context(), auth.Actor{Authority: "H26", Role: auth.RolePolicyEditor, ID: "x"}, p.ID, "")
	_, none := s.SubmitPolicy(t.Context(), editor, "NONE", "")
	if _, err := s.SubmitPolicy(t.Context(), editor, p.ID, ""); err != nil {
		t.Fatal(err)
	}
	_, editorApproves := s.ApprovePolicy(t.Context(), editor, p.ID, "")
	_, makerApproves := s.ApprovePolicy(t.Context(), same, p.ID, "")
	_, makerRejects := s.RejectPolicy(t.Context(), same, p.ID, "x")
	if _, err := s.ApprovePolicy(t.Context(), approver, p.ID, ""); err != nil {
		t.Fatal(err)
	}
	_, makerRepeals := s.RepealPolicy(t.Context(), same, p.ID, last)
	_, noBasis := s.RepealPolicy(t.Context(), approver, p.ID, fees.Repeal{LastDay: last.LastDay})
	_, tooEarly := s.RepealPolicy(t.Context(), approver, p.ID, fees.Repeal{LastDay: calendar.MustParse("2025-12-30"), LegalBasis: "1/NQ"})
	_, tooLate := s.RepealPolicy(
		t.Context(), approver, "NA-2023-60", fees.Repeal{LastDay: calendar.MustParse("2025-07-20"), LegalBasis: "1/NQ"},
	)
	for name, tt := range map[string]struct{ got, want error }{
		"a draft that says it is adopted": {adopted, schedule.ErrPolicy},
		"approver drafts":                 {approverDrafts, auth.ErrForbidden},
		"another authority drafts":        {otherDrafts, fees.ErrOwner},
		"approver submits":                {approverSubmits, auth.ErrForbidden},
		"another authority submits":       {otherSubmits, fees.ErrOwner},
		"no such policy":                  {none, fees.ErrNotFound},
		"editor approves":                 {editorApproves, auth.ErrForbidden},
		"maker approves":                  {makerApproves, approval.ErrSamePerson},
		"maker rejects":                   {makerRejects, approval.ErrSamePerson},
		"maker repeals":                   {makerRepeals, approval.ErrSamePerson},
		"repeal without basis":            {noBasis, fees.ErrRepeal},
		"repeal before the first day":     {tooEarly, fees.ErrRepeal},
		"repeal that ends nothing early":  {tooLate, fees.ErrRepeal},
	} {
		if !errors.Is(tt.got, tt.want) {
			t.Errorf("%s: %v, want %v", name, tt.got, tt.want)
		}
	}
	never := fees.Repeal{LastDay: calendar.MustParse("2025-12-31"), LegalBasis: "1/NQ"}
	if _, err := s.RepealPolicy(t.Context(), approver, p.ID, never); err != nil {
		t.Errorf("repeal before it ever comes into force: %v", err)
	}
}
