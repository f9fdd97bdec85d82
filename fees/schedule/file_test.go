package schedule_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

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

func TestParseFileRefuses(t *testing.T) {
	t.Parallel()
	policy := func(file map[string]any) map[string]any { return file["policies"].([]any)[0].(map[string]any) }
	demo, _ := json.Marshal(json.RawMessage(edit(t, func(map[string]any) {})))
	tests := []struct {
		name, text, code, pointer, detail string
	}{
		{"empty", "", "fees.document", "", "document ends too early"},
		{"no object", "[]", "fees.document", "", "must be an object, not a list"},
		{"cut off", string(demo[:len(demo)/2]), "fees.document", "", ""},
		{"trailing text", string(demo) + "{}", "fees.document", "", "text after the end of the document"},
		{"syntax", "{\n \"policies\": [\n  {\"id\": }]}", "fees.document", "/policies/0/id", "line 3, column"},
		{"not UTF-8", "{\"currency\":\"\xff\"}", "fees.document", "", ""},
		{"repeated member", `{"currency":"VND","currency":"VND"}`, "fees.document", "/currency", "line 1, column 19: member appears twice"},
		{"no policies", `{}`, "fees.policy", "/policies", "at least one"},
		{"other currency", edit(t, func(f map[string]any) { f["currency"] = "USD" }), "fees.policy", "/currency", "must be one of"},
		{
			"unknown member",
			edit(t, func(f map[string]any) { policy(f)["colour"] = 1 }),
			"fees.document",
			"/policies/0/colour",
			"unknown member",
		},
		{
			"member in other case",
			edit(t, func(f map[string]any) { policy(f)["ID"] = "X" }),
			"fees.document",
			"/policies/0/ID",
			"unknown member",
		},
		{
			"fraction", edit(t, func(f map[string]any) { policy(f)["effect"].(map[string]any)["numerator"] = 60.5 }), "fees.document",
			"/policies/0/effect/numerator", "must be a whole number, not 60.5",
		},
		{
			"amount as text", edit(t, func(f map[string]any) { policy(f)["cases"].([]any)[0].(map[string]any)["base"] = "100000" }), "fees.document",
			"/policies/0/cases/0/base", "must be a whole number",
		},
		{
			"no such day", edit(t, func(f map[string]any) { policy(f)["valid_from"] = "2023-02-30" }), "fees.document", "/policies/0/valid_from",
			"date must have the form",
		},
		{
			"object for list", edit(t, func(f map[string]any) { policy(f)["territory"] = map[string]any{} }), "fees.document",
			"/policies/0/territory", "must be a list, not an object",
		},
		{
			"text for object", edit(t, func(f map[string]any) { policy(f)["scope"] = "all" }), "fees.document", "/policies/0/scope",
			"must be an object",
		},
		{
			"share above one", edit(t, func(f map[string]any) { policy(f)["effect"].(map[string]any)["numerator"] = 101 }), "fees.policy",
			"/policies/0/effect/numerator", "between 0 and the denominator",
		},
		{
			"division by zero", edit(t, func(f map[string]any) { policy(f)["effect"].(map[string]any)["denominator"] = 0 }), "fees.policy",
			"/policies/0/effect/denominator", "at least 1",
		},
		{
			"foreign member of effect", edit(t, func(f map[string]any) { policy(f)["effect"].(map[string]any)["amount"] = 1 }), "fees.policy",
			"/policies/0/effect/amount", "does not belong",
		},
		{
			"no legal basis", edit(t, func(f map[string]any) { policy(f)["legal_basis"].(map[string]any)["number"] = nil }), "fees.policy",
			"/policies/0/legal_basis/number", "needs a legal basis",
		},
		{
			"window upside down", edit(t, func(f map[string]any) { policy(f)["valid_to"] = "2020-01-01" }), "fees.policy", "/policies/0/valid_to",
			"must not come before",
		},
		{
			"other pricing basis", edit(t, func(f map[string]any) { policy(f)["pricing_date_basis"] = "payment" }), "fees.policy",
			"/policies/0/pricing_date_basis", "must be one of",
		},
		{
			"payment channel", edit(t, func(f map[string]any) { policy(f)["condition"].(map[string]any)["payment_channel"] = "vnpay" }),
			"fees.policy", "/policies/0/condition/payment_channel", "must be one of",
		},
		{
			"multiplication", edit(t, func(f map[string]any) { policy(f)["combination"] = "add" }), "fees.policy", "/policies/0/combination",
			"must be one of",
		},
		{
			"council for the country", edit(t, func(f map[string]any) { policy(f)["territory"] = []any{"*"} }), "fees.policy",
			"/policies/0/territory/0", "cannot rule the whole country",
		},
		{
			"same id twice", edit(t, func(f map[string]any) { policy(f)["id"] = "NA-2025-00" }), "fees.policy", "/policies/1/id",
			"is called NA-2025-00 too",
		},
		{
			"bad fee code", edit(t, func(f map[string]any) { policy(f)["scope"].(map[string]any)["fee_types"] = []any{"FEE"} }), "fees.policy",
			"/policies/0/scope/fee_types/0", "must look like",
		},
		{
			"case without expectation", edit(t, func(f map[string]any) { delete(policy(f)["cases"].([]any)[0].(map[string]any), "expected_due") }),
			"fees.policy", "/policies/0/cases/0/expected_due", "is needed",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := schedule.ParseFile(strings.NewReader(tt.text))
			var f *fault.Error
			if !errors.As(err, &f) || f.Code != tt.code {
				t.Fatalf("ParseFile = %v, want %s", err, tt.code)
			}
			if len(f.Fields) == 0 {
				if tt.pointer != "" {
					t.Fatalf("no field, want %s: %v", tt.pointer, err)
				}
				return
			}
			if tt.pointer != "" && f.Fields[0].Pointer != tt.pointer || !strings.Contains(f.Fields[0].Detail, tt.detail) ||
				!strings.Contains(f.Fields[0].Detail, "line ") {
				t.Errorf("field %+v, want pointer %q, detail with %q and a line", f.Fields[0], tt.pointer, tt.detail)
			}
		})
	}
}
