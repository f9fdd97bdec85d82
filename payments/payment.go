package payments

import (
	"time"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/merchants"
	"github.com/doisoat/doisoat/providers"
)

type (
	paymentKind  struct{}
	captureKind  struct{}
	attemptKind  struct{}
	callbackKind struct{}
)

// Prefix implements ident.Kind.
func (paymentKind) Prefix() string { return "pay" }

// Prefix implements ident.Kind.
func (captureKind) Prefix() string { return "cap" }

// Prefix implements ident.Kind.
func (attemptKind) Prefix() string { return "att" }

// Prefix implements ident.Kind.
func (callbackKind) Prefix() string { return "cbk" }

// ID names a payment, CaptureID a capture, CallbackID a kept message.
type (
	ID         = ident.ID[paymentKind]
	CaptureID  = ident.ID[captureKind]
	AttemptID  = ident.ID[attemptKind]
	CallbackID = ident.ID[callbackKind]
)

// NewCallbackID makes the id of a message.
func NewCallbackID() CallbackID { return ident.New[callbackKind]() }

// Faults of payments.
var (
	ErrNotFound   = fault.New(fault.NotFound, "payments.not_found", "no such payment")
	ErrNothingDue = fault.New(fault.Precondition, "payments.nothing_due", "nothing is left to pay for this dossier")
	ErrOtherLive  = fault.New(
		fault.Conflict,
		"payments.other_live",
		"the dossier has a live payment with another provider: cancel it first",
	)
	ErrKeyReused       = fault.New(fault.Conflict, "payments.idempotency_key", "the idempotency key was used for another request")
	ErrInvalid         = fault.New(fault.Invalid, "payments.invalid", "the payment request is not valid")
	ErrCaptureNotFound = fault.New(fault.NotFound, "payments.capture_not_found", "no such capture")
	ErrRefundCap       = fault.New(fault.Precondition, "payments.refund_cap", "the refund is more than the captured money left to refund")
	ErrStatement       = fault.New(fault.Precondition, "payments.statement", "the statement line cannot be recorded as a capture")
)

// Request asks for a payment of a dossier's open charges.
type Request struct {
	Provider       string
	ReturnURL      string
	Locale         string // "vi" (default) or "en"
	PayerIP        string
	IdempotencyKey string
}

// Payment is a request to pay a dossier's open charges, with its status and the money taken.
type Payment struct {
	ID          ID
	Authority   string
	DossierID   dossiers.ID
	MerchantID  merchants.ID // zero for a payment FromBank
	Provider    string
	Reference   string
	Amount      money.Amount
	Status      Status
	Captured    int64 // minor units taken, all captures
	Reserved    int64 // minor units promised or given back
	Checkout    *providers.Checkout
	ReturnURL   string
	Locale      string
	CreatedAt   time.Time
	ExpiresAt   time.Time
	StatusAt    time.Time
	Reason      string // the provider's code behind the status
	NextInquiry *time.Time
	Inquiries   int
	requestHash []byte
}

// Attempt is one try of a payment at its provider.
type Attempt struct {
	ID        AttemptID
	Number    int16
	Status    AttemptStatus
	CreatedAt time.Time
	StatusAt  time.Time
}

// FromBank is the provider of a payment that no portal requested: the money came straight into a
// bank account, without a merchant account.
const FromBank = "bank"

// CallbackSeen is one message of a provider, for the timeline of a payment.
type CallbackSeen struct {
	ID         CallbackID
	Provider   string
	ReceivedAt time.Time
	Reply      providers.ReplyKind
}

// Details is a payment with its attempts, captures and messages.
type Details struct {
	Payment
	DossierCode string
	Attempts    []Attempt
	Captures    []Capture
	Callbacks   []CallbackSeen
}

// InquirePayment is the job that asks a provider about a payment.
type InquirePayment struct {
	Authority string `json:"authority" river:"unique"`
	Payment   ID     `json:"payment" river:"unique"`
}

// Kind implements river.JobArgs.
func (InquirePayment) Kind() string { return "inquire_payment" }

// ProposeExcessRefund is the job that asks the refunds room to propose a refund of a capture's
// excess.
type ProposeExcessRefund struct {
	Authority string    `json:"authority" river:"unique"`
	Capture   CaptureID `json:"capture" river:"unique"`
}

// Kind implements river.JobArgs.
func (ProposeExcessRefund) Kind() string { return "propose_excess_refund" }
