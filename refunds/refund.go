package refunds

import (
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

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
	ErrExceeds     = fault.New(fault.Precondition, "refunds.exceeds", "the refund exceeds the paid money that no refund has reserved")
	ErrChanged     = fault.New(fault.Precondition, "refunds.changed", "the refundable amount differs from the expected amount")
	ErrSeveral     = fault.New(fault.Precondition, "refunds.several_captures", "the money came in several captures:"+
		" ask for items of one of them")
	ErrKeyReused = fault.New(fault.Conflict, "refunds.idempotency_key", "the idempotency key was used for another request")
)

// Origin tells who opened a refund.
type Origin string

// The origins.
const (
	Automatic Origin = "automatic"
	Manual    Origin = "manual"
	Repriced  Origin = "repricing" // a policy was wrong: see Repricing
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

// UnlessQueued are the options that insert a job of a refund unless a job with
// the same arguments waits or runs. A job that ended, by success or failure,
// does not stop the next one.
func UnlessQueued() *river.InsertOpts {
	return &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
		rivertype.JobStateRetryable, rivertype.JobStateScheduled,
	}}}
}

// UnsentAfter is when the sweep queues a reserved refund again: its job was given up, because nothing could be sent for
// long, or is lost.
const UnsentAfter = time.Hour
