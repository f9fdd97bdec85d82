package quote_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/fault"
)

func demoFile(t *testing.T) schedule.File {
	t.Helper()
	file, err := schedule.ParseFile(schedule.DemoPolicies())
	if err != nil {
		t.Fatalf("ParseFile(demo): %v", err)
	}
	return file
}

// Every example that the provinces' policies bring along comes out as written.
func TestCheckFileDemo(t *testing.T) {
	t.Parallel()
	report, err := quote.CheckFile(schedule.DemoPolicies())
	if err != nil {
		t.Fatalf("CheckFile: %v", err)
	}
	for _, c := range report.Cases {
		if !c.OK {
			t.Errorf("%s case %d (%s): %s", c.Policy, c.Case, c.Note, c.Why)
		}
	}
	var want int
	for _, p := range demoFile(t).Policies {
		want += len(p.Cases)
	}
	if report.Passed != want || report.Failed != 0 || want < 40 {
		t.Errorf("passed %d, failed %d, want %d passed", report.Passed, report.Failed, want)
	}
}

func TestCheckFileExplains(t *testing.T) {
	t.Parallel()
	report, err := quote.CheckFile(schedule.DemoPolicies())
	if err != nil {
		t.Fatalf("CheckFile: %v", err)
	}
	got := map[string]string{}
	for _, c := range report.Cases {
		got[c.Policy+"/"+c.Note] = c.Why
	}
	for key, want := range map[string]string{
		"NA-2023-60/day before the start": "no policy applied; " +
			"NA-2023-60 not applied: not_yet_in_force (it starts on 2023-11-07, priced on 2023-11-06)",
		"NA-2023-60/postal is not online": "no policy applied; " +
			"NA-2023-60 not applied: channel (submitted postal; it asks for online)",
		"HCM-2024-00/already exempt by law: reason must be the exemption": "HT-2014-EX applied (exempt, " +
			"60/2014/QH13, Điều 11); HCM-2024-00 not applied: nothing_left (HT-2014-EX leaves nothing to pay)",
		"HN-2023-00/central fee is outside the council's authority; the central policy applies": "TT63-PP applied (share_of_base 90/100, " +
			"63/2023/TT-BTC); HN-2023-00 not applied: central_fee_outside_council (the central government sets this fee; " +
			"a council cannot change it)",
		"HN-2026-SUB/already exempt by the central rule: nothing left to subsidise": "TT47-DKDN applied (exempt, " +
			"47/2019/TT-BTC); HN-2026-SUB not applied: nothing_left (TT47-DKDN leaves nothing to pay)",
		"DN-2025-DRAFT/drafts never apply": "no policy applied; " +
			"DN-2025-DRAFT not applied: draft (it is not adopted yet; drafts never apply)",
		"TT47-DKDN/companion fee of the same dossier": "no policy applied; " +
			"TT47-DKDN not applied: companion_still_due (it names this fee as still due beside the one it lowers)",
		"QNA-2024-00/procedure not in the approved list": `no policy applied; ` +
			`QNA-2024-00 not applied: procedure_not_listed (procedure "" is not in its list)`,
	} {
		if got[key] != want {
			t.Errorf("%s:\n got %q\nwant %q", key, got[key], want)
		}
	}
}

// A wrong expectation is a failed case that says what was wrong, not an error.
func TestCheckFileReportsFailures(t *testing.T) {
	t.Parallel()
	text := edit(t, func(file map[string]any) {
		policies := file["policies"].([]any)
		first := policies[0].(map[string]any)["cases"].([]any)[1].(map[string]any)
		first["expected_due"] = 40000
		first["expected_reason"] = "exempt_by_law"
		first["expected_subsidy"] = 1
		first["other_policy"] = "TT63-PP"
		delete(policies[1].(map[string]any)["cases"].([]any)[0].(map[string]any), "base")
		policies[1].(map[string]any)["cases"].([]any)[1].(map[string]any)["fee_type"] = "P_DTM"
		delete(policies[1].(map[string]any)["cases"].([]any)[1].(map[string]any), "base")
	})
	report, err := quote.CheckFile(strings.NewReader(text))
	if err != nil {
		t.Fatalf("CheckFile: %v", err)
	}
	var got []quote.CheckedCase
	for _, c := range report.Cases {
		if !c.OK {
			got = append(got, c)
		}
	}
	due := int64(60000)
	want := []quote.CheckedCase{
		{
			Policy: "NA-2023-60", Case: 1, Note: "first day", ExpectedDue: 40000, Due: &due, Reason: "discounted",
			Why: "due is 60000, expected 40000; reason is discounted, expected exempt_by_law; subsidy is 0, expected 1; " +
				"TT63-PP was expected to decide, but did not apply; NA-2023-60 applied (share_of_base 60/100, 14/2023/NQ-HĐND)",
		},
		{Policy: "NA-2025-00", Case: 1, ExpectedDue: 100000, Why: "the amount of P_DTM is fixed case by case: give its base"},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("failed cases (-got +want):\n%s", diff)
	}
	if report.Failed != 2 {
		t.Errorf("failed = %d, want 2", report.Failed)
	}
}

// edit changes the demo file and returns its text.
func edit(t *testing.T, change func(map[string]any)) string {
	t.Helper()
	var file map[string]any
	if err := json.NewDecoder(schedule.DemoPolicies()).Decode(&file); err != nil {
		t.Fatal(err)
	}
	change(file)
	text, err := json.MarshalIndent(file, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestCheckFileUnknownFees(t *testing.T) {
	t.Parallel()
	text := edit(t, func(file map[string]any) {
		policies := file["policies"].([]any)
		hanoi, circular := policies[4].(map[string]any), policies[13].(map[string]any)
		circular["scope"].(map[string]any)["fee_types"] = append(circular["scope"].(map[string]any)["fee_types"].([]any), "P_MOI")
		hanoi["cases"] = []any{
			map[string]any{
				"submitted_on": "2024-01-01", "channel": "online", "fee_type": "P_MOI", "base": 1000, "expected_due": 1000,
				"note": "a circular names it: central",
			},
			map[string]any{
				"submitted_on": "2024-01-01", "channel": "online", "fee_type": "LP_MOI", "base": 1000, "expected_due": 0,
				"note": "nobody names it: council",
			},
		}
	})
	report, err := quote.CheckFile(strings.NewReader(text))
	if err != nil || report.Failed != 0 {
		t.Errorf("CheckFile = %+v, %v, want no failure", report, err)
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add(
		`{"policies":[{"id":"X","status":"draft","authority":{"code":"H41","level":"province"},"territory":["H41"],` +
			`"scope":{"mode":"all_under_authority"},"effect":{"kind":"exempt"}}]}`,
	)
	f.Add(`{"policies":[{"effect":{"kind":"share_by_fee","shares":{"P_X":{"numerator":1,"denominator":2}}}}]}`)
	f.Add(`{"policies":[null,{},{"cases":[{"expected_due":1}]}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		report, err := quote.CheckFile(strings.NewReader(text))
		if err != nil {
			if _, ok := fault.Of(err); !ok {
				t.Errorf("CheckFile(%q) = %v, want a fault", text, err)
			}
			return
		}
		if report.Passed+report.Failed != len(report.Cases) {
			t.Errorf("%d passed, %d failed of %d", report.Passed, report.Failed, len(report.Cases))
		}
	})
}
