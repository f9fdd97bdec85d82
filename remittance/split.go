package remittance

import (
	"time"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/money"
)

type (
	splitKind   struct{}
	voucherKind struct{}
)

// Prefix implements ident.Kind.
func (splitKind) Prefix() string { return "spl" }

// Prefix implements ident.Kind.
func (voucherKind) Prefix() string { return "vch" }

// SplitID names a split.
type SplitID = ident.ID[splitKind]

// VoucherID names a voucher.
type VoucherID = ident.ID[voucherKind]

// Faults of remittance.
var (
	ErrNotFound     = fault.New(fault.NotFound, "remittance.not_found", "no such split or voucher")
	ErrInvalid      = fault.New(fault.Invalid, "remittance.invalid", "the request is not valid")
	ErrNothing      = fault.New(fault.Precondition, "remittance.nothing", "there is nothing to divide or to move")
	ErrNoRatio      = fault.New(fault.Precondition, "remittance.no_ratio", "the terms of a phí that was collected name no retained share")
	ErrOtherContent = fault.New(fault.Conflict, "remittance.other_content", "a voucher with this number exists with other content")
	ErrPeriodOrder  = fault.New(fault.Precondition, "remittance.period_order", "a later period is divided already")
	ErrStatus       = fault.New(fault.Precondition, "remittance.status", "the money of this split is not where the voucher takes it from")
	ErrChanged      = fault.New(fault.Precondition, "remittance.changed", "refunds have taken from this money since the voucher was proposed")
	ErrNoAccount    = fault.New(fault.Invalid, "remittance.no_account", "no bank account has this code")
)

// retention is the part of a phí that the agency keeps, with its legal basis. Both come from the fee type's
// terms on the last day of the period.
type retention struct {
	share      schedule.Share
	legalBasis string
}

// SplitRequest asks to divide the money collected up to and including a date.
type SplitRequest struct {
	PeriodTo calendar.Date
	Currency money.Currency
}

// Split is one division. Parts sum it up by fee type, in order of their codes.
type Split struct {
	ID        SplitID
	Authority string
	Currency  money.Currency
	PeriodTo  calendar.Date
	MadeAt    time.Time
	MadeBy    string
	Parts     []Part
	Vouchers  []Voucher // oldest first
}

// Part is the sum of a split's shares of one fee type, in minor units. TakenRetained and TakenBudget are the
// sums that refunds took from these shares since the split.
type Part struct {
	FeeType       string
	Kind          schedule.Kind
	Charges       int64
	Amount        int64
	Retained      int64
	Budget        int64
	TakenRetained int64
	TakenBudget   int64
}

// share is the money of one charge in a split.
type share struct {
	Charge    dossiers.ChargeID
	Dossier   dossiers.ID
	FeeType   string
	Kind      schedule.Kind
	Amount    int64
	Retained  int64
	Retention retention
}

// divide cuts an amount: the agency keeps the floor of its ratio, the budget has the rest.
func (r retention) divide(amount money.Amount) (retained, budget money.Amount, err error) {
	return schedule.Terms{Retained: &r.share}.Split(amount)
}

// take returns the amounts to take from each side when a refund takes amount from the rest (left) of a share.
// It divides the new rest by the ratio again, so many small refunds take the same as one large refund.
func (r retention) take(left, amount money.Amount) (retained, budget money.Amount, err error) {
	had, _, err := r.divide(left)
	if err != nil {
		return money.Amount{}, money.Amount{}, err
	}
	stays, err := left.Sub(amount)
	if err != nil {
		return money.Amount{}, money.Amount{}, err
	}
	keeps, _, err := r.divide(stays)
	if err != nil {
		return money.Amount{}, money.Amount{}, err
	}
	if retained, err = had.Sub(keeps); err != nil {
		return money.Amount{}, money.Amount{}, err
	}
	budget, err = amount.Sub(retained)
	return retained, budget, err
}
