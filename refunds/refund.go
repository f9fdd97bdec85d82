package refunds

import (
	"time"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/merchants"
	"github.com/doisoat/doisoat/payments"
)

type refundKind struct{}

// Prefix implements ident.Kind.
func (refundKind) Prefix() string { return "ref" }

// ID names a refund.
type ID = ident.ID[refundKind]

// Faults of refunds.
var (
	ErrNotFound    = fault.New(fault.NotFound, "refunds.not_found", "no such refund")
	ErrInvalid     = fault.New(fault.Invalid, "refunds.invalid", "the refund request is not valid")
	ErrNothingLeft = fault.New(fault.Precondition, "refunds.nothing_left", "nothing that was paid is left to refund")
	ErrExceeds     = fault.New(fault.Precondition, "refunds.exceeds", "more than what was paid and not yet given back")
	ErrChanged     = fault.New(fault.Precondition, "refunds.changed", "the refundable amount is not what was expected")
	ErrSeveral     = fault.New(fault.Precondition, "refunds.several_captures", "the money came in several captures: ask for items of one of them")
	ErrKeyReused   = fault.New(fault.Conflict, "refunds.idempotency_key", "the idempotency key was used for another request")
	ErrCannotSend  = fault.New(fault.Unavailable, "refunds.cannot_send", "the provider cannot be reached, nothing was sent")
)

// Origin tells who opened a refund.
type Origin string

// The origins.
const (
	Automatic Origin = "automatic"
	Manual    Origin = "manual"
	Repriced  Origin = "repricing" // a policy was wrong: see Repricing
)

// Route is the way back, by where the money is.
type Route string

// The routes. PaymentOrder is for money that reached the agency's account.
const (
	ByProvider    Route = "provider"
	PaymentOrder  Route = "payment_order"
	TreasuryOrder Route = "treasury_order"
)

// Request asks for money back. Without items everything refundable of one capture is meant.
type Request struct {
	Reason             string
	Items              []Item
	Note               string
	ExpectedRefundable *int64 // guard: the refundable sum of the dossier the caller has seen
	IdempotencyKey     string
}

// Item is money of one charge, or of the excess when Charge is zero; minor units.
type Item struct {
	Charge dossiers.ChargeID
	Amount int64
}

// Refund is money on its way back for one capture.
type Refund struct {
	ID             ID
	Authority      string
	DossierID      dossiers.ID
	DossierCode    string
	PaymentID      payments.ID
	CaptureID      payments.CaptureID
	MerchantID     merchants.ID
	Provider       string
	Reference      string
	Reason         string
	Origin         Origin
	Route          Route // until it is decided, where it would go if it were now
	Stage          Stage // empty until it is decided
	Status         Status
	Amount         money.Amount
	Items          []Item
	Note           string
	Deadline       calendar.Date
	RequestedAt    time.Time
	RequestedBy    string
	DecidedAt      *time.Time
	DecidedBy      string
	DecisionReason string
	SentAt         *time.Time
	DoneAt         *time.Time
	SettledAt      *time.Time
	StatusAt       time.Time
	Transaction    string // the provider's id of the refund
	ProviderReason string
	NextInquiry    *time.Time
	Inquiries      int
	requestHash    []byte
}

// SendRefund is the job that sends an approved refund to its provider.
type SendRefund struct {
	Authority string `json:"authority" river:"unique"`
	Refund    ID     `json:"refund" river:"unique"`
}

// Kind implements river.JobArgs.
func (SendRefund) Kind() string { return "send_refund" }

// InquireRefund is the job that asks a provider what became of a refund.
type InquireRefund struct {
	Authority string `json:"authority" river:"unique"`
	Refund    ID     `json:"refund" river:"unique"`
}

// Kind implements river.JobArgs.
func (InquireRefund) Kind() string { return "inquire_refund" }
