package quote

import "github.com/doisoat/doisoat/internal/fault"

// Faults of this room.
var (
	// ErrRequest: a quote is asked for with missing or impossible values.
	ErrRequest = fault.New(fault.Invalid, "fees.request", "quote request is not valid")
	// ErrNoFeeType: the schedule of the authority has no such fee on that date.
	ErrNoFeeType = fault.New(fault.Invalid, "fees.unknown_fee_type", "fee type is not in the schedule")
	// ErrFixedBase: the schedule has an amount and the request names another one without a ground.
	ErrFixedBase = fault.New(fault.Invalid, "fees.fixed_base", "the schedule fixes the amount of this fee")
)
