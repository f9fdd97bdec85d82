package repricing

import (
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/repricing/replay"
)

// Service holds the use cases of repricing.
type Service struct {
	DB       postgres.DB
	Replay   *replay.Service
	Payments *payments.Service
	Refunds  *refunds.Service
	Jobs     *river.Client[pgx.Tx]
}
