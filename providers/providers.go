// Package providers is the contract between Doisoat and every provider of
// payments: small capabilities, neutral types and five outcomes. One folder per
// provider implements the capabilities of this provider; this package names no
// provider.
//
// Invariants: a provider package never touches the database; verifying a
// message and translating it are two steps; a message that the package does not
// understand is Unknown, and Unknown is never a failure.
package providers

import (
	"context"
	"net/http"
	"time"

	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/money"
)

// Outcome is a provider's word about a payment or a refund.
type Outcome string

// The outcomes. NotSent means that the request provably never left this system.
const (
	Succeeded Outcome = "succeeded"
	Declined  Outcome = "declined"
	Pending   Outcome = "pending"
	Unknown   Outcome = "unknown"
	NotSent   Outcome = "not_sent"
)

// Faults shared by all providers.
var (
	// ErrSignature: the message does not come from the provider, or was changed on its way.
	ErrSignature = fault.New(fault.Unauthenticated, "providers.signature", "signature is missing or wrong")
	// ErrMessage: the signature is right, but members are missing, repeated or malformed.
	ErrMessage = fault.New(fault.Invalid, "providers.message", "message is malformed")
	// ErrSettings: the merchant account's settings or secrets are incomplete.
	ErrSettings = fault.New(fault.Invalid, "providers.settings", "merchant account settings are incomplete")
	// ErrUnsupported: the provider has no such capability.
	ErrUnsupported = fault.New(fault.Precondition, "providers.unsupported", "the provider does not support this operation")
)

// Merchant is one merchant account as a provider sees it: settings in clear,
// and secrets that are decrypted only during a call. Secrets holds one or two
// live values per name, newest first, so that an agency can rotate a secret.
type Merchant struct {
	Settings map[string]string
	Secrets  map[string][]string
}

// Provider is the part that every provider implements. The other interfaces of
// this package are capabilities, and each provider implements some of them.
type Provider interface {
	// Name is the provider's word in paths, accounts and files, such as "vnpay".
	Name() string
	// CheckMerchant returns ErrSettings with one field per fault.
	CheckMerchant(Merchant) error
}

// CheckoutRequest asks for a way to pay. Reference is ours and unique for ever.
type CheckoutRequest struct {
	Reference   string
	Amount      money.Amount
	Description string // plain ASCII; providers forbid accents
	ReturnURL   string
	Locale      string // "vi" or "en"
	PayerIP     string
	CreatedAt   time.Time
	ExpiresAt   time.Time
}

// CheckoutKind says how the payer goes on.
type CheckoutKind string

// The kinds of checkout.
const (
	Redirect CheckoutKind = "redirect"
	QR       CheckoutKind = "qr"
	Transfer CheckoutKind = "transfer"
)

// Checkout tells the payer how to pay. It holds no secret.
type Checkout struct {
	Kind     CheckoutKind     `json:"kind"`
	URL      string           `json:"url,omitempty"`
	QR       *QRCode          `json:"qr,omitempty"`
	Transfer *TransferDetails `json:"transfer,omitempty"`
}

// QRCode is the text of a code and its picture.
type QRCode struct {
	Payload string `json:"payload"`
	PNG     []byte `json:"png"` // base64 in JSON
}

// TransferDetails holds the fields that a payer types into a banking app.
type TransferDetails struct {
	Bank    string `json:"bank"`
	Account string `json:"account"`
	Name    string `json:"name"`
	Content string `json:"content"`
}

// Checkouter starts a payment. A provider builds the checkout without a call (a
// signed URL, a QR) or with one. After a call without a clear answer the error
// is of kind OutcomeUnknown.
type Checkouter interface {
	Provider
	Checkout(ctx context.Context, m Merchant, r CheckoutRequest) (Checkout, error)
}

// RawCallback is a message as it arrived. Doisoat stores the message before it reads it.
type RawCallback struct {
	Method     string
	RawQuery   string
	Header     http.Header // only the headers a protocol signs or names
	Body       []byte
	ReceivedAt time.Time
}

// Event is a callback or an inquiry answer in neutral words.
type Event struct {
	// ID is unique per message content at this provider and merchant: the key of de-duplication.
	ID string
	// Reference is ours, and empty when the message names none (a bank notice without a code).
	// With Outcome Declined and no Reference the message is about no payment, such as money
	// that left the account: the caller keeps the message and does nothing.
	Reference string
	// TransactionID is the provider's id of the money movement; never empty when a payment Succeeded.
	TransactionID string
	BankReference string // the bank's reference, where the provider passes it on
	Outcome       Outcome
	Amount        money.Amount
	OccurredAt    time.Time // when the payer paid, by the provider's clock
	Reason        string    // the provider's own code, for people and logs
	Content       string    // transfer text, where there is one
	Account       string    // collecting account that got the money, where there is one
}

// ReplyKind is our answer to a callback in neutral words. Each provider package
// translates it into the words of its protocol.
type ReplyKind string

// The replies. See each provider's Reply for the words on the wire.
const (
	ReplyStored        ReplyKind = "stored"         // recorded now (paid or failed)
	ReplyAlreadyStored ReplyKind = "already_stored" // the same message was recorded before
	ReplyBadSignature  ReplyKind = "bad_signature"
	ReplyUnknownOrder  ReplyKind = "unknown_order"
	ReplyWrongAmount   ReplyKind = "wrong_amount"
	ReplyBadMessage    ReplyKind = "bad_message"
	ReplyOurError      ReplyKind = "our_error" // nothing recorded: the provider should call again
)

// Reply is the HTTP answer to a callback.
type Reply struct {
	Status      int
	ContentType string
	Body        []byte
}

// CallbackBounds limits the parts of a message, in bytes; Body is 0 for a
// provider that puts everything into the query.
type CallbackBounds struct {
	Query int
	Body  int64
}

// CallbackReceiver verifies and translates the callbacks of a provider.
type CallbackReceiver interface {
	Provider
	// Verify checks the signature in constant time against every live secret; ErrSignature otherwise.
	Verify(m Merchant, c RawCallback) error
	// Translate reads a verified message; ErrMessage when it is malformed.
	Translate(m Merchant, c RawCallback) (Event, error)
	// Reply returns our answer in the words of the provider's protocol.
	Reply(kind ReplyKind) Reply
	// CallbackHeaders names the request headers that Verify reads; the caller keeps no others.
	// Authorization among them is a credential: only Verify gets it, and the caller never stores it.
	CallbackHeaders() []string
	// CallbackBounds limits the size of a message. The caller refuses a larger message unread.
	CallbackBounds() CallbackBounds
}

// ReturnReader reads the query with which a payer's browser comes back. The
// event is for display only: a payer can replay it, so it changes no state.
type ReturnReader interface {
	Provider
	// VerifyReturn checks the signature and translates: ErrSignature or ErrMessage otherwise.
	VerifyReturn(m Merchant, rawQuery string) (Event, error)
}

// InquiryRequest asks about one payment, or about one refund when RefundReference is set.
type InquiryRequest struct {
	Reference       string
	TransactionID   string    // provider's id of the payment, where known
	CreatedAt       time.Time // of the payment, as sent at checkout
	RefundReference string    // reference fixed when the refund was reserved
	RequestID       string    // unique per call: letters and digits, at most 32; a UUID may keep its dashes
	Now             time.Time

	// Some providers find refunds by their payment only. The next members tell the refunds
	// of one payment apart. An answer that may be about another refund is Unknown.
	RefundAmount        money.Amount // amount of this refund; the zero value is not compared
	RefundTransactionID string       // provider's id of this refund, where known
	// OtherRefunds holds the provider's id of every other refund sent for the payment, "" where it is not known.
	OtherRefunds []string
}

// Inquirer asks a provider for the outcome of one payment or refund. A time-out
// or an answer that fails verification gives Outcome Unknown and no error. An
// error is always a fault of this system.
type Inquirer interface {
	Provider
	Inquire(ctx context.Context, m Merchant, r InquiryRequest) (Event, error)
}

// RefundRequest gives money back for one capture. Reference is fixed when the
// money is reserved, and never changes for this refund.
type RefundRequest struct {
	Reference     string // ours, of this refund; the provider must de-duplicate by it
	Payment       string // our reference of the payment
	TransactionID string // provider's id of the capture
	PaidCreatedAt time.Time
	Amount        money.Amount
	Captured      money.Amount // full capture, to tell a full refund from a partial one
	Description   string       // plain ASCII
	RequestedBy   string       // id of the checker, no personal name
	Now           time.Time
}

// RefundResult is the provider's answer to a refund request.
type RefundResult struct {
	Outcome       Outcome
	TransactionID string // provider's id of the refund, where given
	Reason        string // provider's code
}

// Refunder sends a refund. The caller calls it at most once per reference. An
// unclear answer is Unknown, and only an inquiry or a statement ends Unknown. An
// error is a fault of this system (settings, a request that cannot be built) and
// always comes with NotSent.
type Refunder interface {
	Provider
	Refund(ctx context.Context, m Merchant, r RefundRequest) (RefundResult, error)
}

// Registry finds providers by name. Package cmd/doisoat fills it once.
type Registry map[string]Provider

// ErrProviderNotFound: no provider of this name is built in.
var ErrProviderNotFound = fault.New(fault.Invalid, "providers.unknown", "no such provider")

// NewRegistry registers providers by name; a name used twice panics.
func NewRegistry(list ...Provider) Registry {
	r := Registry{}
	for _, p := range list {
		if _, twice := r[p.Name()]; twice {
			panic("provider registered twice: " + p.Name())
		}
		r[p.Name()] = p
	}
	return r
}

// Find returns the provider called name as capability C. It fails with
// ErrProviderNotFound or ErrUnsupported.
func Find[C Provider](r Registry, name string) (C, error) {
	var none C
	p, ok := r[name]
	if !ok {
		return none, ErrProviderNotFound
	}
	c, ok := p.(C)
	if !ok {
		return none, ErrUnsupported
	}
	return c, nil
}
