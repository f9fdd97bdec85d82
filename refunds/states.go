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
)

type edge struct {
	from, to Status
	name     string
}

// edges is the whole table of statuses; docs/states.md is printed from it.
var edges = []edge{
	{Requested, Approved, "approve"},  // a checker, who is another person
	{Requested, Rejected, "reject"},   // a checker; the reservation ends
	{Approved, Reserved, "reserve"},   // the book owes the money to the payer and the job is queued
	{Reserved, Sending, "send"},       // the job is about to call the provider
	{Sending, Reserved, "not_sent"},   // the request provably never left us; the next try carries the same reference
	{Sending, Sent, "accepted"},       // the provider took the request
	{Sending, Done, "done"},           // the answer confirms the refund
	{Sending, Declined, "decline"},    // the provider said no for good; the reservation ends
	{Sending, Unknown, "lose_sight"},  // no clear answer, or the program died while sending
	{Sent, Done, "done"},              // an inquiry or a settlement line confirms the refund
	{Sent, Declined, "decline"},       // the provider said no for good; the reservation ends
	{Sent, Unknown, "lose_sight"},     // an inquiry got no clear answer
	{Unknown, Sent, "found_accepted"}, // an inquiry says: on its way
	{Unknown, Done, "done"},           // an inquiry or a settlement line confirms the refund
	{Unknown, Declined, "decline"},    // an inquiry says no for good
	{Reserved, Done, "confirm"},       // an accountant records the document of the payment order
	{Done, Returned, "return"},        // the money bounced; the claim of the payer is open again
	{Returned, Done, "pay_again"},     // a payment order with its document pays again
}

// ErrStatus: the refund's status does not allow this.
var ErrStatus = fault.New(fault.Precondition, "refunds.status", "the status of the refund does not allow this")

func edgeName(from, to Status) (string, error) {
	for _, e := range edges {
		if e.from == from && e.to == to {
			return e.name, nil
		}
	}
	return "", ErrStatus.With("a %s refund cannot become %s", from, to)
}

// Decision is the decision about a refund that has one.
func (r Refund) Decision() Status {
	if r.Status == Rejected {
		return Rejected
	}
	return Approved
}

// UnderWay reports whether the provider may have the refund and the outcome is open.
func (s Status) UnderWay() bool { return s == Sending || s == Sent || s == Unknown }
