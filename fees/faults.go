package fees

import "github.com/doisoat/doisoat/internal/fault"

// Faults of this room.
var (
	// ErrNotFound: no such policy or fee type is recorded.
	ErrNotFound = fault.New(fault.NotFound, "fees.not_found", "no such policy or fee type")
	// ErrStatus: the policy's state does not allow this act.
	ErrStatus = fault.New(fault.Precondition, "fees.status", "the status of the policy does not allow this")
	// ErrCases: examples that the policy brings along do not come out as it says.
	ErrCases = fault.New(fault.Invalid, "fees.cases", "the policy's own cases fail")
	// ErrClash: the policy overlaps with or contradicts adopted ones that it does not replace.
	ErrClash = fault.New(fault.Conflict, "fees.overlap", "the policy overlaps with others in force")
	// ErrCentralFee: a council's policy names a fee that the centre sets.
	ErrCentralFee = fault.New(fault.Invalid, "fees.central_fee", "a fee set by the central government changes by a central text only")
	// ErrRepeal: the last day of a repealed policy is impossible.
	ErrRepeal = fault.New(fault.Invalid, "fees.repeal", "the repeal is not valid")
	// ErrOwner: documents are recorded by the authority that adopted them.
	ErrOwner = fault.New(fault.Forbidden, "fees.owner", "only the authority that adopted it may record this")
)
