package refunds

import "github.com/doisoat/doisoat/internal/fault"

// Status of a refund.
type Status string

// The statuses.
const (
	Requested Status = "requested"
	Approved  Status = "approved"
	Rejected  Status = "rejected"
	Reserved  Status = "reserved" // decided and posted: owed to the payer in the book
	Sending   Status = "sending"  // about to be sent, or interrupted while sending
	Sent      Status = "sent"     // accepted by the provider, not yet done
	Unknown   Status = "unknown"
	Done      Status = "done"
	Declined  Status = "declined"
	Returned  Status = "returned" // bounced back to us
	Cancelled Status = "cancelled"
)

type edge struct {
	from, to Status
	name     string
}

// edges is the whole state machine.
var edges = []edge{
	{Requested, Approved, "approve"},
	{Requested, Rejected, "reject"},
	{Requested, Cancelled, "cancel"},
	{Approved, Reserved, "reserve"},
	{Reserved, Sending, "send"},
	{Sending, Reserved, "not_sent"}, // the request provably never left us
	{Sending, Sent, "accepted"},
	{Sending, Done, "done"},
	{Sending, Declined, "decline"},
	{Sending, Unknown, "lose_sight"},
	{Sent, Done, "done"},
	{Sent, Declined, "decline"},
	{Sent, Unknown, "lose_sight"},
	{Unknown, Sent, "found_accepted"},
	{Unknown, Done, "done"},
	{Unknown, Declined, "decline"},
	{Reserved, Done, "confirm"}, // by order: a document says so
	{Done, Returned, "return"},
	{Returned, Done, "pay_again"},
}

// ErrState: the refund's state does not allow this.
var ErrState = fault.New(fault.Precondition, "refunds.state", "the state of the refund does not allow this")

func edgeName(from, to Status) (string, error) {
	for _, e := range edges {
		if e.from == from && e.to == to {
			return e.name, nil
		}
	}
	return "", ErrState.With("a %s refund cannot become %s", from, to)
}

// underWay reports whether the provider may have the refund and the outcome is open.
func (s Status) underWay() bool { return s == Sending || s == Sent || s == Unknown }
