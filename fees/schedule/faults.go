package schedule

import "github.com/doisoat/doisoat/internal/fault"

// Faults of this room.
var (
	// ErrDocument: a document is no JSON of the expected shape; the message says where.
	ErrDocument = fault.New(fault.Invalid, "fees.document", "document is malformed")
	// ErrPolicy: a policy says something that cannot be applied.
	ErrPolicy = fault.New(fault.Invalid, "fees.policy", "policy is not valid")
	// ErrFeeType: a fee type contradicts itself.
	ErrFeeType = fault.New(fault.Invalid, "fees.fee_type", "fee type is not valid")
)
