// Package providers is the contract between Doisoat and everyone who moves
// money: small capabilities, neutral types and four outcomes. One folder per
// provider implements what that provider can do; nothing here names one.
//
// Invariants: a provider package never touches the database; verifying a
// message and translating it are two steps; anything not understood is
// Unknown, and Unknown is never a failure.
package providers

import (
	"context"
	"net/http"
	"time"

	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/money"
)

// Outcome is what a provider says of a payment or a refund.
type Outcome string

// The outcomes. NotSent means that we know the request never left us.
const (
	Succeeded Outcome = "succeeded"
	Declined  Outcome = "declined"
	Pending   Outcome = "pending"
	Unknown   Outcome = "unknown"
	NotSent   Outcome = "not_sent"
)

// Faults shared by all providers.
var (
	// ErrSignature: the message does not come from the provider, or somebody changed it.
	ErrSignature = fault.New(fault.Unauthenticated, "providers.signature", "signature is missing or wrong")
	// ErrMessage: signed rightly, but members are missing, repeated or malformed.
	ErrMessage = fault.New(fault.Invalid, "providers.message", "message is malformed")
	// ErrSettings: the merchant account's settings or secrets are incomplete.
	ErrSettings = fault.New(fault.Invalid, "providers.settings", "merchant account settings are incomplete")
	// ErrUnsupported: the provider has no such capability.
	ErrUnsupported = fault.New(fault.Precondition, "providers.unsupported", "the provider cannot do this")
)

// Merchant is one merchant account as a provider sees it: settings in clear,
// secrets decrypted for the length of a call. Secrets holds one or two live
// values per name, newest first, so that a secret can be rotated.
type Merchant struct {
	Settings map[string]string
	Secrets  map[string][]string
}

// Provider is what every provider declares. The other interfaces of this
// package are capabilities; a provider has those that it implements.
type Provider interface {
	// Name is the word used in paths, accounts and files: "vnpay".
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

// Checkout is what the payer needs. It holds no secret.
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

// TransferDetails is what a payer types into a banking app.
type TransferDetails struct {
	Bank    string `json:"bank"`
	Account string `json:"account"`
	Name    string `json:"name"`
	Content string `json:"content"`
}

// Checkouter starts a payment. Building may be local (a signed URL, a QR) or a
// call; after a call that got no clear answer the error is OutcomeUnknown.
type Checkouter interface {
	Provider
	Checkout(ctx context.Context, m Merchant, r CheckoutRequest) (Checkout, error)
}

// RawCallback is a message as it arrived. It is stored before anything reads it.
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
	// Reference is ours; empty when the message names none (a bank notice without a code).
	// With Outcome Declined and no Reference the message is about no payment (money
	// that left the account): keep it and do nothing.
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

// ReplyKind is our answer to a callback, in neutral words; each provider says it in its own.
type ReplyKind string

// The replies. See each provider's Reply for the words on the wire.
const (
	ReplyStored        ReplyKind = "stored"         // recorded now (paid or failed)
	ReplyAlreadyStored ReplyKind = "already_stored" // the same was recorded before
	ReplyBadSignature  ReplyKind = "bad_signature"
	ReplyUnknownOrder  ReplyKind = "unknown_order"
	ReplyWrongAmount   ReplyKind = "wrong_amount"
	ReplyBadMessage    ReplyKind = "bad_message"
	ReplyOurError      ReplyKind = "our_error" // nothing recorded: the provider should call again
)

// Reply is what goes back over HTTP.
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

// CallbackReceiver verifies and translates what a provider pushes to us.
type CallbackReceiver interface {
	Provider
	// Verify checks the signature in constant time against every live secret; ErrSignature otherwise.
	Verify(m Merchant, c RawCallback) error
	// Translate reads a verified message; ErrMessage when it is malformed.
	Translate(m Merchant, c RawCallback) (Event, error)
	// Reply words our answer.
	Reply(kind ReplyKind) Reply
	// CallbackHeaders names the request headers that Verify reads; no others need to be kept.
	// Authorization among them is a credential: it is for Verify only and is not stored.
	CallbackHeaders() []string
	// CallbackBounds is how large a message may be. A larger one is refused unread.
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

	// Where a provider knows refunds by their payment only, these tell the
	// refunds of one payment apart. An answer that may be about another is Unknown.
	RefundAmount        money.Amount // what was asked back; the zero value is not compared
	RefundTransactionID string       // provider's id of this refund, where known
	// OtherRefunds holds the provider's id of every other refund sent for the payment, "" where it is not known.
	OtherRefunds []string
}

// Inquirer asks a provider for the state of one item. A time-out or an answer
// that fails verification gives Outcome Unknown and no error: the error is for
// faults of ours only.
type Inquirer interface {
	Provider
	Inquire(ctx context.Context, m Merchant, r InquiryRequest) (Event, error)
}

// RefundRequest gives money back for one capture. Reference was fixed when the
// money was reserved and never changes for this refund.
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

// Refunder sends a refund. It is called at most once per reference: an unclear
// answer is Unknown, and only an inquiry or a statement ends that. An error is
// a fault of ours (settings, a request that cannot be built) and always comes
// with NotSent.
type Refunder interface {
	Provider
	Refund(ctx context.Context, m Merchant, r RefundRequest) (RefundResult, error)
}

// Registry finds providers by name. It is filled once, in cmd.
type Registry map[string]Provider

// ErrUnknownProvider: no provider of that name is built in.
var ErrUnknownProvider = fault.New(fault.Invalid, "providers.unknown", "no such provider")

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

// Find returns the provider called name as capability C: ErrUnknownProvider or ErrUnsupported.
func Find[C Provider](r Registry, name string) (C, error) {
	var none C
	p, ok := r[name]
	if !ok {
		return none, ErrUnknownProvider
	}
	c, ok := p.(C)
	if !ok {
		return none, ErrUnsupported
	}
	return c, nil
}
