package cases

import (
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/refunds/routes"
)

// Service holds the use cases of cases.
type Service struct {
	DB       postgres.DB
	Payments *payments.Service
	Routes   *routes.Service
}

// Faults of cases.
var (
	ErrMatchNotFound          = fault.New(fault.NotFound, "cases.match_not_found", "no such match")
	ErrLineNotFound           = fault.New(fault.NotFound, "cases.line_not_found", "no such line of the statement")
	ErrIdentificationNotFound = fault.New(fault.NotFound, "cases.identification_not_found", "no such identification")
	ErrInvalid                = fault.New(fault.Invalid, "cases.invalid", "the request is not valid")
	ErrNotSuspended           = fault.New(fault.Precondition, "cases.not_suspended", "the line is not a credit that waits in suspense")
	ErrIdentified             = fault.New(fault.Conflict, "cases.identified", "the line is identified, or waits for a decision on that")
	ErrRevoked                = fault.New(fault.Conflict, "cases.already_revoked", "the match is revoked already")
)
