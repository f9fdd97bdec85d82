package schedule

import (
	"encoding/json"
	"fmt"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/money"
)

// Status of a policy. Whether an approved one applies is decided by its window.
type Status string

// The statuses a document may carry.
const (
	Draft         Status = "draft"
	Submitted     Status = "submitted"
	Rejected      Status = "rejected"
	Approved      Status = "approved"
	InForce       Status = "in_force"
	InForceOrPast Status = "in_force_or_past"
	Expired       Status = "expired"
	Repealed      Status = "repealed"
	Superseded    Status = "superseded"
)

// Statuses lists every status that a document may carry, in the order of life.
func Statuses() []Status {
	return []Status{Draft, Submitted, Rejected, Approved, InForce, InForceOrPast, Expired, Repealed, Superseded}
}

// statusNames are the statuses as a document spells them.
func statusNames() []string {
	var names []string
	for _, s := range Statuses() {
		names = append(names, string(s))
	}
	return names
}

// Adopted reports whether the competent body adopted the policy.
func (s Status) Adopted() bool { return s != Draft && s != Submitted && s != Rejected }

// Level is the rank of the body that adopted a policy.
type Level string

// The levels: only law and central circulars reach fees set by the centre.
const (
	LevelLaw      Level = "law"
	LevelCentral  Level = "central"
	LevelProvince Level = "province"
)

// Mode says how a scope chooses fees.
type Mode string

// The modes. ProcedureList asks for the procedure code and, when it names fee types, for those too.
const (
	FeeTypeList    Mode = "fee_type_list"
	ProcedureList  Mode = "procedure_list"
	AllUnder       Mode = "all_under_authority"
	CentralFeesAll Mode = "fees_set_by_central_government"
)

// EffectKind is the effect of a policy on an item.
type EffectKind string

// The effects. A subsidy leaves the fee as it is: a budget pays in the payer's place.
const (
	ShareOfBase EffectKind = "share_of_base"
	ShareByFee  EffectKind = "share_by_fee"
	FixedAmount EffectKind = "fixed_amount"
	Exempt      EffectKind = "exempt"
	Subsidy     EffectKind = "subsidy"
)

// Basis says which day of a dossier a policy's window is held against.
type Basis string

// The bases: the day of submission, of acceptance by the agency, of the result.
const (
	BySubmission Basis = "submission"
	ByAcceptance Basis = "acceptance"
	ByIssue      Basis = "issue"
)

// Combination says how a policy stands beside others on the same item.
type Combination string

// The combinations. Multiply lowers the amount that the other policies leave; a policy multiplies only when its document says so.
const (
	ExclusiveBest      Combination = "exclusive_best"
	ExemptionGoesFirst Combination = "exemption_first"
	Multiply           Combination = "multiply"
)

// The rules of exempt_groups: either the policy is for these people only, or
// these people are exempt by law from the policy's fees and their companions.
const (
	OnlyThese      = "applies_only_to_these"
	ExemptionFirst = "legal_exemption_first"
)

// Policy is one dated rule with its legal basis, in the shape in which
// provinces exchange policies. Members named note or notes, certainty and
// related_support are free text for people; nothing is computed from them.
type Policy struct {
	ID                 string        `json:"id"`
	Status             Status        `json:"status"`
	Authority          Adopter       `json:"authority"`
	Territory          []string      `json:"territory"`
	LegalBasis         LegalBasis    `json:"legal_basis"`
	Scope              Scope         `json:"scope"`
	Condition          Condition     `json:"condition"`
	Effect             Effect        `json:"effect"`
	ValidFrom          calendar.Date `json:"valid_from"`
	ValidTo            calendar.Date `json:"valid_to"`
	DeclaredValidTo    calendar.Date `json:"declared_valid_to"` // the end first announced, when a repeal cut it short
	PricingDateBasis   Basis         `json:"pricing_date_basis"`
	Rounding           Rounding      `json:"rounding"`
	Combination        Combination   `json:"combination"`
	ExemptGroups       ExemptGroups  `json:"exempt_groups"`
	Replaces           []string      `json:"replaces"`
	ReplacedBy         []string      `json:"replaced_by"`
	SuccessorAuthority string        `json:"successor_authority"`
	Cases              []Case        `json:"cases"`

	Certainty      json.RawMessage `json:"certainty"`
	RelatedSupport json.RawMessage `json:"related_support"`
	Note           string          `json:"note"`

	Version  int             `json:"-"` // as recorded; 1 in a file
	Document json.RawMessage `json:"-"` // the document as it was given
}

// Adopter is the body that adopted a policy; its code owns the policy.
type Adopter struct {
	Code  string `json:"code"`
	Name  string `json:"name"`
	Level Level  `json:"level"`
}

// LegalBasis cites the text. A draft has no number yet.
type LegalBasis struct {
	Number          string        `json:"number"`
	Issued          calendar.Date `json:"issued"`
	Kind            string        `json:"kind"`
	Article         string        `json:"article"`
	Amends          string        `json:"amends"`
	Extends         string        `json:"extends"`
	BaseResolutions []string      `json:"base_resolutions"`
	Implementing    []string      `json:"implementing"`
	Note            string        `json:"note"`
}

// String returns the citation shown to payers, for example "60/2014/QH13, Điều 11".
func (l LegalBasis) String() string {
	if l.Article != "" {
		return l.Number + ", Điều " + l.Article
	}
	return l.Number
}

// Scope chooses fees. ListComplete false says that the real list is longer than the one written here.
type Scope struct {
	Mode         Mode     `json:"mode"`
	FeeTypes     []string `json:"fee_types"`
	Procedures   []string `json:"procedures"`
	Agencies     []string `json:"agencies"` // part of the territory: only these agencies and those below them
	ListComplete bool     `json:"list_complete"`
	Note         string   `json:"note"`
}

// Condition restricts how a dossier was submitted; an empty part means any.
type Condition struct {
	SubmissionChannel []Channel      `json:"submission_channel"`
	ServiceLevel      []ServiceLevel `json:"service_level"`
	PaymentChannel    PaymentChannel `json:"payment_channel"`
	Note              string         `json:"note"`
}

// Share is a fraction between 0 and 1.
type Share struct {
	Numerator   int64 `json:"numerator"`
	Denominator int64 `json:"denominator"`
}

// Effect is the change that the policy makes; which members are needed depends on Kind.
type Effect struct {
	Kind                EffectKind       `json:"kind"`
	Numerator           *int64           `json:"numerator"`
	Denominator         *int64           `json:"denominator"`
	Shares              map[string]Share `json:"shares"` // share_by_fee: fee type → share collected
	Amount              *int64           `json:"amount"` // fixed_amount: for one unit, in minor units
	PayerShare          *Share           `json:"payer_share"`
	Funder              string           `json:"funder"`
	FeeAmountUnchanged  *bool            `json:"fee_amount_unchanged"`
	Ceiling             *int64           `json:"ceiling"` // subsidy: the maximum for one item, in minor units
	CompanionsStillDue  []string         `json:"companions_still_due"`
	ZeroReceiptRequired bool             `json:"zero_receipt_required"`
	Note                string           `json:"note"`
}

// Rounding is the unit in minor units and the mode; absent means half-up to 1.
type Rounding struct {
	Unit int64      `json:"unit"`
	Mode money.Mode `json:"mode"`
}

// ExemptGroups names people, and cases such as a birth registered on time. A
// quote's applicant groups may contain codes of both.
type ExemptGroups struct {
	Rule   string   `json:"rule"`
	Groups []string `json:"groups"`
	Cases  []string `json:"cases"`
	Note   string   `json:"note"`
}

// Case is an example the policy brings along; it is evaluated before approval and by "policy check".
type Case struct {
	SubmittedOn     calendar.Date  `json:"submitted_on"`
	AcceptedOn      calendar.Date  `json:"accepted_on"` // absent means not yet
	IssuedOn        calendar.Date  `json:"issued_on"`   // absent means not yet
	Channel         Channel        `json:"channel"`
	ServiceLevel    ServiceLevel   `json:"service_level"` // absent means toan_trinh
	Territory       string         `json:"territory"`     // absent means the policy's first
	Procedure       string         `json:"procedure"`
	Agency          string         `json:"agency"`
	PaymentChannel  PaymentChannel `json:"payment_channel"`
	ProcedureListed *bool          `json:"procedure_listed"`
	FeeType         string         `json:"fee_type"`
	Base            *int64         `json:"base"`
	Quantity        *int64         `json:"quantity"`
	Groups          []string       `json:"groups"`
	ExpectedDue     *int64         `json:"expected_due"`
	ExpectedReason  Reason         `json:"expected_reason"`
	ExpectedSubsidy *int64         `json:"expected_subsidy"`
	OtherPolicy     string         `json:"other_policy"` // the policy that decides the result instead
	Note            string         `json:"note"`
}

// ParsePolicy reads one policy document and validates it. Faults: ErrDocument
// and ErrPolicy, with JSON pointers. The policy keeps a copy of the document.
func ParsePolicy(document []byte) (Policy, error) {
	var p Policy
	where, err := decodeStrict(document, &p)
	if err != nil {
		return Policy{}, err
	}
	var found fault.Problems
	p.fillDefaults()
	p.ValidateAt(&found, "")
	if err := where.locate(found).As(ErrPolicy); err != nil {
		return Policy{}, err
	}
	p.Version = 1
	p.Document = append(json.RawMessage(nil), document...)
	return p, nil
}

// DecodeRecorded reads a document that was validated before it was recorded.
func DecodeRecorded(document []byte, version int) (Policy, error) {
	p := Policy{}
	if err := json.Unmarshal(document, &p); err != nil {
		return Policy{}, fmt.Errorf("read recorded policy: %w", err)
	}
	p.fillDefaults()
	p.Version, p.Document = version, document
	return p, nil
}

// MarshalJSON gives back the document that the policy was read from.
func (p Policy) MarshalJSON() ([]byte, error) {
	if p.Document == nil {
		return nil, fmt.Errorf("policy %s has no document", p.ID)
	}
	return p.Document, nil
}

// fillDefaults writes the meaning of absent members into the policy.
func (p *Policy) fillDefaults() {
	if p.Status == "" {
		p.Status = Draft // the least that a document can mean
	}
	if p.PricingDateBasis == "" {
		p.PricingDateBasis = BySubmission
	}
	if p.Combination == "" {
		p.Combination = ExclusiveBest
	}
	if p.Rounding == (Rounding{}) {
		p.Rounding = Rounding{Unit: 1, Mode: money.HalfUp}
	}
	if p.ExemptGroups.Rule == "" {
		p.ExemptGroups.Rule = ExemptionFirst
	}
	if p.Condition.PaymentChannel == "" {
		p.Condition.PaymentChannel = PaidAnyhow
	}
}

// ShareOf returns the collected share of a fee for share_of_base and share_by_fee.
func (e Effect) ShareOf(fee string) (Share, bool) {
	if e.Kind == ShareByFee {
		s, ok := e.Shares[fee]
		return s, ok
	}
	if e.Numerator == nil || e.Denominator == nil {
		return Share{}, false
	}
	return Share{*e.Numerator, *e.Denominator}, true
}

// EndOn cuts the window; the end first announced stays known.
func (p *Policy) EndOn(last calendar.Date) {
	if p.DeclaredValidTo.IsZero() {
		p.DeclaredValidTo = p.ValidTo
	}
	p.ValidTo = last
}
