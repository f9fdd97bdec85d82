package fees

import (
	"fmt"
	"slices"
	"strings"

	"github.com/doisoat/doisoat/internal/fault"
)

// Faults of this room.
var (
	// ErrDocument: a document is no JSON of the expected shape; the message says where.
	ErrDocument = fault.New(fault.Invalid, "fees.document", "document is malformed")
	// ErrPolicy: a policy says something that cannot be applied.
	ErrPolicy = fault.New(fault.Invalid, "fees.policy", "policy is not valid")
	// ErrFeeType: a fee type contradicts itself.
	ErrFeeType = fault.New(fault.Invalid, "fees.fee_type", "fee type is not valid")
	// ErrRequest: a quote is asked for with missing or impossible values.
	ErrRequest = fault.New(fault.Invalid, "fees.request", "quote request is not valid")
	// ErrNoFeeType: the schedule of the authority has no such fee on that date.
	ErrNoFeeType = fault.New(fault.Invalid, "fees.unknown_fee_type", "fee type is not in the schedule")
	// ErrFixedBase: the schedule has an amount and the request names another one without a ground.
	ErrFixedBase = fault.New(fault.Invalid, "fees.fixed_base", "the schedule fixes the amount of this fee")
	// ErrNotFound: no such policy or fee type is recorded.
	ErrNotFound = fault.New(fault.NotFound, "fees.not_found", "no such policy or fee type")
	// ErrState: the policy's state does not allow this act.
	ErrState = fault.New(fault.Precondition, "fees.state", "the state of the policy does not allow this")
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

// maxProblems is the most faults told of one document; nobody reads more at once.
const maxProblems = 100

// problems collects the faults of a document, each with its JSON pointer.
type problems []fault.Field

func (p *problems) add(at, format string, args ...any) {
	if len(*p) == maxProblems {
		return
	}
	*p = append(*p, fault.Field{Pointer: at, Detail: fmt.Sprintf(format, args...)})
}

func (p *problems) require(ok bool, at, format string, args ...any) {
	if !ok {
		p.add(at, format, args...)
	}
}

func (p *problems) oneOf(value, at string, allowed ...string) {
	p.require(slices.Contains(allowed, value), at, "must be one of %s, not %q", strings.Join(allowed, ", "), value)
}

// fault returns sentinel with every problem, the first one in its message too; nil when there is none.
func (p problems) fault(sentinel *fault.Error) error {
	if len(p) == 0 {
		return nil
	}
	e := sentinel.With("%s: %s %s", sentinel.Message, p[0].Pointer, p[0].Detail)
	e.Fields = p
	return e
}

// pointer appends an array index to a JSON pointer.
func pointer(at string, index int) string { return fmt.Sprintf("%s/%d", at, index) }
