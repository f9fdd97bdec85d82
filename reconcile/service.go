package reconcile

import (
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/refunds/routes"
	"github.com/doisoat/doisoat/statements"
)

// Daily caps of automatic repairs per authority, when the Service names none.
const (
	defaultRepairsPerDay   = 1000
	defaultRepairSumPerDay = 1_000_000_000 // minor units: đồng
)

// Service holds the use cases of reconcile.
type Service struct {
	DB         postgres.DB
	Payments   *payments.Service
	Routes     *routes.Service
	Statements *statements.Service

	// Caps of automatic repairs per authority and day, by number and by sum in
	// minor units; zero means the defaults, below zero switches repairs off.
	RepairsPerDay   int
	RepairSumPerDay int64
}

// Faults of reconcile.
var (
	ErrRunNotFound = fault.New(fault.NotFound, "reconcile.run_not_found", "no such run")
	ErrInvalid     = fault.New(fault.Invalid, "reconcile.invalid", "the request is not valid")
	ErrUnexplained = fault.New(fault.Precondition, "reconcile.unexplained", "total in is not matched plus listed breaks")
	ErrNotMatched  = fault.New(fault.Precondition, "reconcile.not_matched", "lines have arrived since: run again before closing")
	ErrDayOpen     = fault.New(fault.Precondition, "reconcile.day_open", "the day cannot be closed yet")
)

// chunk bounds the rows of one insert, so that a statement's parameters stay small in memory.
const chunk = 10_000
