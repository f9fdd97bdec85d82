package routes

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/merchants"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/refunds"
)

// Service holds the use cases of routes. Jobs only inserts.
type Service struct {
	DB        postgres.DB
	Merchants *merchants.Service
	Providers providers.Registry
	Jobs      *river.Client[pgx.Tx]
}

// Faults of routes.
var (
	ErrCannotSend = fault.New(fault.Unavailable, "refunds.cannot_send", "the provider cannot be reached, nothing was sent")
	ErrDocument   = fault.New(fault.Invalid, "refunds.document", "the document is not valid for this refund")
)

// InquireRefund is the job that asks a provider about a refund.
type InquireRefund struct {
	Authority string     `json:"authority" river:"unique"`
	Refund    refunds.ID `json:"refund" river:"unique"`
}

// Kind implements river.JobArgs.
func (InquireRefund) Kind() string { return "inquire_refund" }

// move takes one edge of a refund that is under way and says when the provider is asked next.
func move(ctx context.Context, act postgres.Act, r *refunds.Locked, to refunds.Status, reason string) error {
	r.NextInquiry = nextInquiry(to, r.Inquiries, act.Now)
	return r.Move(ctx, act, to, reason)
}
