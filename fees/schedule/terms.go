package schedule

import (
	"regexp"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/money"
)

// Moment is when a fee is collected (HinhThucThu of the national system).
type Moment string

// The moments: with the submission, on acceptance, when papers are added, when
// the result is handed over.
const (
	OnSubmission Moment = "submission"
	OnAcceptance Moment = "acceptance"
	OnSupplement Moment = "supplement"
	OnResult     Moment = "result"
)

// BudgetKeys says where money goes in the budget (mục lục ngân sách). The
// budget year is that of the remittance and not written here. Empty keys come
// from the collecting agency's own settings.
type BudgetKeys struct {
	Chapter          string `json:"chapter,omitempty"`           // mã chương, 3 digits
	SubItem          string `json:"sub_item,omitempty"`          // mã NDKT, tiểu mục, 4 digits
	Treasury         string `json:"treasury,omitempty"`          // mã KBNN
	CollectingAgency string `json:"collecting_agency,omitempty"` // mã cơ quan thu
}

// Terms is how a fee is collected, kept and remitted during a window of whole
// days, both ends inclusive, an absent end being open. Retained is the agency's
// share of a phí; a lệ phí goes to the budget whole (Luật 97/2015/QH13).
type Terms struct {
	ValidFrom  calendar.Date `json:"valid_from,omitzero"`
	ValidTo    calendar.Date `json:"valid_to,omitzero"`
	Budget     BudgetKeys    `json:"budget"`
	Retained   *Share        `json:"retained,omitempty"`
	Collection Moment        `json:"collection,omitempty"` // absent means on acceptance, the commonest
	LegalBasis string        `json:"legal_basis,omitempty"`
	Note       string        `json:"note,omitempty"`
}

// TermsOn returns the terms in force on a day; the later start wins where
// windows overlap. Without any, nothing is retained and the fee is collected
// on acceptance; ok is false.
func (f FeeType) TermsOn(on calendar.Date) (terms Terms, ok bool) {
	for _, t := range f.Terms {
		if on.Within(t.ValidFrom, t.ValidTo) && (!ok || t.ValidFrom.After(terms.ValidFrom)) {
			terms, ok = t, true
		}
	}
	if terms.Collection == "" {
		terms.Collection = OnAcceptance
	}
	return terms, ok
}

// Split divides collected money between the agency and the budget. The agency
// retains its share rounded down; the budget takes the rest, exact to the đồng.
func (t Terms) Split(collected money.Amount) (retained, budget money.Amount, err error) {
	if t.Retained == nil {
		return money.Zero(collected.Currency), collected, nil
	}
	if retained, err = collected.Share(t.Retained.Numerator, t.Retained.Denominator, 1, money.Down); err != nil {
		return money.Amount{}, money.Amount{}, err
	}
	budget, err = collected.Sub(retained)
	return retained, budget, err
}

var (
	chapterCode = regexp.MustCompile(`^[0-9]{3}$`)
	subItemCode = regexp.MustCompile(`^[0-9]{4}$`)
	budgetCode  = regexp.MustCompile(`^[0-9A-Z.]{1,20}$`)
)

func (t Terms) validate(p *fault.Problems, at string, kind Kind) {
	p.Require(t.ValidTo.IsZero() || !t.ValidTo.Before(t.ValidFrom), at+"/valid_to", "must not come before valid_from")
	for _, key := range []struct {
		value, name, shape string
		form               *regexp.Regexp
	}{
		{t.Budget.Chapter, "chapter", "three digits", chapterCode},
		{t.Budget.SubItem, "sub_item", "four digits", subItemCode},
		{t.Budget.Treasury, "treasury", "a treasury code", budgetCode},
		{t.Budget.CollectingAgency, "collecting_agency", "an agency code", budgetCode},
	} {
		p.Require(key.value == "" || key.form.MatchString(key.value), at+"/budget/"+key.name, "must be %s", key.shape)
	}
	p.OneOf(string(t.Collection), at+"/collection", "", string(OnSubmission), string(OnAcceptance), string(OnSupplement), string(OnResult))
	if t.Retained == nil {
		return
	}
	t.Retained.validate(p, at+"/retained")
	p.Require(kind == Phi || t.Retained.Numerator == 0, at+"/retained", "a lệ phí goes to the budget whole: nothing is retained")
	p.Require(t.LegalBasis != "" || t.Retained.Numerator == 0, at+"/legal_basis", "a retained share needs its legal basis")
}
