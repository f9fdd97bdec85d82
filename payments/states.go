package payments

import "github.com/doisoat/doisoat/internal/fault"

// Status of a payment.
type Status string

// The statuses. Pending and Unknown are live: a dossier has at most one live payment.
const (
	Pending   Status = "pending"
	Unknown   Status = "unknown" // a provider was asked and gave no clear answer
	Captured  Status = "captured"
	Settled   Status = "settled" // every capture is matched with a line of the bank or of the provider's settlement
	Failed    Status = "failed"
	Expired   Status = "expired"
	Cancelled Status = "cancelled"
)

// AttemptStatus is how far one try at a provider came.
type AttemptStatus string

// The statuses of an attempt.
const (
	AttemptCreated  AttemptStatus = "created"
	AttemptSent     AttemptStatus = "sent"
	AttemptCaptured AttemptStatus = "captured"
	AttemptDeclined AttemptStatus = "declined"
	AttemptExpired  AttemptStatus = "expired"
	AttemptUnknown  AttemptStatus = "unknown"
)

// edge is one allowed move of a payment, with the name the audit trail gives it.
type edge struct {
	from, to Status
	name     string
}

// edges is the whole state machine; docs/states.md is printed from it. A late capture is a named
// correction: money that arrives after the payment ended is still recorded.
var edges = []edge{
	{Pending, Captured, "capture"},        // a callback, an inquiry or a statement line confirms the money
	{Pending, Failed, "decline"},          // the provider declined for good
	{Pending, Expired, "expire"},          // the time to pay is over and the provider knows of no money
	{Pending, Cancelled, "cancel"},        // the portal cancels before money came
	{Pending, Unknown, "lose_sight"},      // the answer of the provider is missing or not understood
	{Unknown, Pending, "found_pending"},   // the answer to an inquiry: still open
	{Unknown, Captured, "capture"},        // an inquiry or a statement line confirms the money
	{Unknown, Failed, "decline"},          // the answer to an inquiry declines for good
	{Unknown, Expired, "expire"},          // the provider knows of no money
	{Captured, Settled, "settle"},         // every capture is matched with a statement line; an identified credit at once
	{Settled, Captured, "unsettle"},       // a further capture arrived, or a match was revoked
	{Failed, Captured, "capture_late"},    // correction: money after the provider declined
	{Expired, Captured, "capture_late"},   // correction: money after the time to pay
	{Cancelled, Captured, "capture_late"}, // correction: money after the portal cancelled
}

// ErrStatus: the payment's status does not allow this change.
var ErrStatus = fault.New(fault.Precondition, "payments.status", "the status of the payment does not allow this change")

// EdgeName returns the name of an edge. A change that the table does not hold is ErrStatus.
func EdgeName(from, to Status) (string, error) {
	for _, e := range edges {
		if e.from == from && e.to == to {
			return e.name, nil
		}
	}
	return "", ErrStatus.With("a %s payment cannot become %s", from, to)
}

// live reports whether the payer may still pay.
func (s Status) live() bool { return s == Pending || s == Unknown }

// taken reports whether money was captured.
func (s Status) taken() bool { return s == Captured || s == Settled }

// attemptAfter is the status of the attempt that belongs to a status of the payment.
func attemptAfter(s Status) AttemptStatus {
	switch s {
	case Captured, Settled:
		return AttemptCaptured
	case Failed:
		return AttemptDeclined
	case Expired, Cancelled:
		return AttemptExpired
	case Unknown:
		return AttemptUnknown
	default:
		return AttemptSent
	}
}
