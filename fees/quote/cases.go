package quote

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/fault"
)

// AnyProvince stands for a province where a national policy's case names none.
const AnyProvince = "H41"

// CheckReport is the answer of "policy check".
type CheckReport struct {
	Cases  []CheckedCase `json:"cases"`
	Passed int           `json:"passed"`
	Failed int           `json:"failed"`
}

// CheckedCase is one example of a policy, evaluated. Case is its index in the
// policy's list. Due is nil when the case could not be priced. Why explains the
// failure; for a case that passes it names the policy that decided.
type CheckedCase struct {
	Policy      string          `json:"policy"`
	Case        int             `json:"case"`
	Note        string          `json:"note,omitempty"`
	ExpectedDue int64           `json:"expected_due"`
	Due         *int64          `json:"due"`
	Reason      schedule.Reason `json:"reason,omitempty"`
	Subsidy     int64           `json:"subsidy"`
	OK          bool            `json:"ok"`
	Why         string          `json:"why"`
}

// CheckFile evaluates the cases of a policies file against all policies of that
// file, in the file's order. The authority of a case is its territory; without
// one, the first territory of the policy. Its service level is toan_trinh when
// absent. A file that cannot be read is an error. A case with another result than
// expected is not an error: it counts as failed.
func CheckFile(r io.Reader) (CheckReport, error) {
	file, err := schedule.ParseFile(r)
	if err != nil {
		return CheckReport{}, err
	}
	report := CheckReport{Cases: []CheckedCase{}}
	norms := Schedule{FeeTypes: file.AllFeeTypes(), Policies: file.Policies}
	for i := range file.Policies {
		for _, c := range CheckPolicy(&file.Policies[i], norms) {
			report.Cases = append(report.Cases, c)
			if c.OK {
				report.Passed++
			} else {
				report.Failed++
			}
		}
	}
	return report, nil
}

// CheckPolicy evaluates the cases of one policy within a schedule that must contain it.
func CheckPolicy(p *schedule.Policy, s Schedule) []CheckedCase {
	list := make([]CheckedCase, len(p.Cases))
	for i, c := range p.Cases {
		list[i] = checkCase(c, p, s)
		list[i].Case = i
	}
	return list
}

func requestOf(c schedule.Case, p *schedule.Policy) Request {
	r := Request{
		Authority: c.Territory, Procedure: c.Procedure, Channel: c.Channel, Level: c.ServiceLevel, Groups: c.Groups,
		SubmittedAt: c.SubmittedOn.Start().Add(12 * time.Hour), Items: []ItemRequest{{FeeType: c.FeeType, Base: c.Base}},
		Agency: c.Agency, PaymentChannel: c.PaymentChannel,
	}
	if !c.AcceptedOn.IsZero() {
		r.AcceptedAt = c.AcceptedOn.Start().Add(13 * time.Hour)
	}
	if !c.IssuedOn.IsZero() {
		r.IssuedAt = c.IssuedOn.Start().Add(14 * time.Hour)
	}
	if r.Authority == "" {
		r.Authority = p.Territory[0]
	}
	if r.Authority == schedule.Everywhere {
		r.Authority = AnyProvince
	}
	if r.Level == "" {
		r.Level = schedule.ToanTrinh
	}
	if c.Quantity != nil {
		r.Items[0].Quantity = *c.Quantity
	}
	return r
}

func checkCase(c schedule.Case, p *schedule.Policy, s Schedule) CheckedCase {
	result := CheckedCase{Policy: p.ID, Note: c.Note, ExpectedDue: *c.ExpectedDue}
	q, err := price(requestOf(c, p), s, override{policy: p.ID, listed: c.ProcedureListed, anyBase: true})
	if err != nil {
		result.Why = err.Error()
		if f, ok := fault.Of(err); ok {
			result.Why = f.Message
		}
		return result
	}
	item := q.Items[0]
	result.Due, result.Reason, result.Subsidy = &item.Due.Minor, item.Reason, item.Subsidy.Minor
	var wrong []string
	if item.Due.Minor != *c.ExpectedDue {
		wrong = append(wrong, fmt.Sprintf("due is %d, expected %d", item.Due.Minor, *c.ExpectedDue))
	}
	if c.ExpectedReason != "" && item.Reason != c.ExpectedReason {
		wrong = append(wrong, fmt.Sprintf("reason is %s, expected %s", item.Reason, c.ExpectedReason))
	}
	if c.ExpectedSubsidy != nil && item.Subsidy.Minor != *c.ExpectedSubsidy {
		wrong = append(wrong, fmt.Sprintf("subsidy is %d, expected %d", item.Subsidy.Minor, *c.ExpectedSubsidy))
	}
	decides := func(a Applied) bool { return a.Policy == c.OtherPolicy }
	if c.OtherPolicy != "" && !slices.ContainsFunc(item.Applied, decides) {
		wrong = append(wrong, fmt.Sprintf("%s was expected to decide, but did not apply", c.OtherPolicy))
	}
	result.OK = len(wrong) == 0
	result.Why = strings.Join(append(wrong, item.explain(p.ID)), "; ")
	return result
}

// explain names the policies that decided the item, and the reason for which one policy did not apply.
func (it Item) explain(policy string) string {
	var parts []string
	mine := false
	for _, a := range it.Applied {
		parts = append(parts, fmt.Sprintf("%s applied (%s, %s)", a.Policy, a.Effect, a.LegalBasis))
		mine = mine || a.Policy == policy
	}
	if len(parts) == 0 {
		parts = append(parts, "no policy applied")
	}
	for _, n := range it.NotApplied {
		if n.Policy == policy && !mine {
			parts = append(parts, fmt.Sprintf("%s not applied: %s (%s)", n.Policy, n.Why, n.Detail))
		}
	}
	return strings.Join(parts, "; ")
}
