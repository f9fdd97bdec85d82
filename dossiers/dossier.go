package dossiers

import (
	"slices"
	"time"

	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/money"
)

type (
	dossierKind struct{}
	chargeKind  struct{}
)

// Prefix implements ident.Kind.
func (dossierKind) Prefix() string { return "dos" }

// Prefix implements ident.Kind.
func (chargeKind) Prefix() string { return "chg" }

// ID names a dossier inside Doisoat; portals use its code.
type ID = ident.ID[dossierKind]

// ChargeID names a charge.
type ChargeID = ident.ID[chargeKind]

// Faults of dossiers.
var (
	ErrNotFound      = fault.New(fault.NotFound, "dossiers.not_found", "no such dossier")
	ErrOtherContent  = fault.New(fault.Conflict, "dossiers.other_content", "a dossier with this code was registered with other content")
	ErrAuthority     = fault.New(fault.Invalid, "dossiers.authority", "the authority is unknown or not yours")
	ErrInvalid       = fault.New(fault.Invalid, "dossiers.invalid", "the dossier is not valid")
	ErrUndeliverable = fault.New(fault.Precondition, "dossiers.undeliverable", "the service of this dossier will not be delivered")
	ErrKeyReused     = fault.New(fault.Conflict, "dossiers.idempotency_key", "the idempotency key was used for another request")
)

// Status is a national status code, 1 to 10 (domain: Mới đăng ký … Đã trả kết quả).
type Status int16

// The status codes that mean something for money.
const (
	Registered  Status = 1
	Accepted    Status = 2
	NotAccepted Status = 3
	Processing  Status = 4
	MoreAsked   Status = 5 // further papers
	FeeAsked    Status = 6 // a financial obligation
	Withdrawn   Status = 7
	Stopped     Status = 8
	Finished    Status = 9
	Returned    Status = 10
)

// ServiceImpossible is the reason that makes a dossier undeliverable at any
// status: the agency could not perform the service.
const ServiceImpossible = "SERVICE_IMPOSSIBLE"

// Applicant is personal data: it is encrypted in the database and never logged.
type Applicant struct {
	Name       string   `json:"name"`
	Identifier string   `json:"identifier,omitempty"`
	Groups     []string `json:"groups,omitempty"`
}

// Registration is a portal's request to record a new dossier.
type Registration struct {
	Authority      string              `json:"authority"`
	Code           string              `json:"code"`
	Agency         string              `json:"agency"`
	Procedure      string              `json:"procedure,omitempty"`
	Channel        string              `json:"channel"`
	ServiceLevel   string              `json:"service_level,omitempty"`
	PaymentChannel string              `json:"payment_channel,omitempty"` // how it will be paid; empty: not stated
	SubmittedAt    time.Time           `json:"submitted_at"`
	Applicant      Applicant           `json:"applicant"`
	Items          []quote.ItemRequest `json:"items"`
	IdempotencyKey string              `json:"-"`
}

// Dossier is a case with its charges.
type Dossier struct {
	ID             ID
	Authority      string
	Code           string
	Agency         string
	Procedure      string
	Channel        string
	ServiceLevel   string
	PaymentChannel string
	SubmittedAt    time.Time
	PricingDate    calendar.Date
	Currency       money.Currency
	Status         Status
	StatusAt       time.Time
	Stage          schedule.Stage // how far the service came, for the refund rules
	Undeliverable  string         // refund reason, or nothing
	CreatedAt      time.Time
	Charges        []Charge
	Receipts       []Receipt
}

// Charge is the amount that a dossier owes for one fee item; amounts are minor units of the dossier's currency.
type Charge struct {
	ID          ChargeID
	DossierID   ID
	Line        int16
	FeeType     string
	Kind        schedule.Kind
	Quantity    int32
	Ground      string // of an amount that the agency assessed itself, or nothing
	Base        int64
	Discount    int64
	Subsidy     int64
	Due         int64
	Paid        int64
	Refunded    int64
	Waived      int64
	Currency    money.Currency
	Policy      string   // gave the discount; see SubsidyPolicy
	Corrects    ChargeID // the charge whose difference this one carries; zero for an assessed charge
	Explanation Explanation
	CreatedAt   time.Time
}

// Explanation is the reasoning of the quote, in the words that the payer read.
type Explanation struct {
	Reason     schedule.Reason    `json:"reason"`
	Applied    []quote.Applied    `json:"applied"`
	NotApplied []quote.NotApplied `json:"not_applied"`
	Texts      quote.Texts        `json:"texts"`
}

// Outstanding is the amount of the charge that is still to be paid.
func (c Charge) Outstanding() int64 { return c.Due - c.Waived - (c.Paid - c.Refunded) }

// Receipt confirms that a kind of fee was paid; its amount is 0 for a fee of 0. A refund issues a receipt
// with a negative amount.
type Receipt struct {
	ID       ident.ID[receiptKind]
	Kind     schedule.Kind
	Amount   int64
	Currency money.Currency
	IssuedAt time.Time
}

type receiptKind struct{}

// Prefix implements ident.Kind.
func (receiptKind) Prefix() string { return "rcp" }

// Totals are the sums of a dossier's charges in minor units.
type Totals struct {
	Gross, Discount, Subsidy, Due, Paid, Refunded, Waived, Outstanding int64
}

// Totals sums the charges. Amounts of single charges are bounded far below overflow.
func (d Dossier) Totals() Totals {
	var t Totals
	for _, c := range d.Charges {
		t.Gross += c.Base
		t.Discount += c.Discount
		t.Subsidy += c.Subsidy
		t.Due += c.Due
		t.Paid += c.Paid
		t.Refunded += c.Refunded
		t.Waived += c.Waived
		t.Outstanding += c.Outstanding()
	}
	return t
}

// stageAfter returns the stage after a reported status. The stage never goes back. A status that ends the service (3,
// 7, 8) does not move the stage: a dossier that was withdrawn before its acceptance counts as not accepted.
func stageAfter(stage schedule.Stage, s Status) schedule.Stage {
	switch s {
	case Finished, Returned:
		return schedule.Delivered
	case Accepted, Processing, MoreAsked, FeeAsked:
		if stage == schedule.BeforeAcceptance {
			return schedule.Processing
		}
	case Registered, NotAccepted, Withdrawn, Stopped:
	}
	return stage
}

// ReportsOf lists the statuses whose report sets the day of acceptance, or the day of the result. Some
// policies count from such a day.
func ReportsOf(day schedule.Basis) []Status {
	switch day {
	case schedule.ByAcceptance:
		return []Status{Accepted}
	case schedule.ByIssue:
		return []Status{Finished, Returned}
	default:
		return nil
	}
}

// dayBy returns the day that a report of the status sets, if any.
func dayBy(s Status) (schedule.Basis, bool) {
	for _, day := range []schedule.Basis{schedule.ByAcceptance, schedule.ByIssue} {
		if slices.Contains(ReportsOf(day), s) {
			return day, true
		}
	}
	return "", false
}

// undeliverableReason returns the refund reason of a reported status, or nothing.
func undeliverableReason(s Status, reason string) string {
	if reason == ServiceImpossible {
		return ServiceImpossible
	}
	switch s {
	case NotAccepted:
		return "NOT_ACCEPTED"
	case Withdrawn:
		return "WITHDRAWN"
	case Stopped:
		if reason == "STOPPED" {
			return "STOPPED"
		}
		return "REFUSED"
	default:
		return ""
	}
}

// ProposeRefunds asks the refunds room to open proposals for a dossier that will not be delivered.
type ProposeRefunds struct {
	Authority string `json:"authority" river:"unique"`
	Dossier   ID     `json:"dossier" river:"unique"`
	Reason    string `json:"reason" river:"unique"`
}

// Kind implements river.JobArgs.
func (ProposeRefunds) Kind() string { return "propose_dossier_refunds" }

// PriceAgain asks the refunds room to price the charges of a dossier again, because a portal reported
// acceptance or the result for the first time.
type PriceAgain struct {
	Authority string         `json:"authority" river:"unique"`
	Dossier   ID             `json:"dossier" river:"unique"`
	Day       schedule.Basis `json:"day" river:"unique"`
}

// Kind implements river.JobArgs.
func (PriceAgain) Kind() string { return "price_dossier_again" }
