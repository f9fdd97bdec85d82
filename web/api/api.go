// Package api is the HTTP surface for portals, finance systems and providers: /v1 as openapi.yaml describes it, the providers' callbacks,
// and the health and documentation pages.
//
// It owns no data and holds no rule: a handler decodes, calls one use case and encodes. openapi.yaml is the source; web/api/openapi is
// generated from it, requests are validated against it before a handler sees them, and a test compares it with the router.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/doisoat/doisoat/cases"
	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/ledger/balances"
	"github.com/doisoat/doisoat/ledger/seal"
	"github.com/doisoat/doisoat/merchants"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/payments/callbacks"
	"github.com/doisoat/doisoat/reconcile"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/refunds/routes"
	"github.com/doisoat/doisoat/remittance"
	"github.com/doisoat/doisoat/reports"
	"github.com/doisoat/doisoat/repricing"
	"github.com/doisoat/doisoat/statements"
	"github.com/doisoat/doisoat/web/api/openapi"
)

// Limits of bodies in bytes.
const (
	maxJSON      = 1 << 20
	maxStatement = 64 << 20
	maxUpload    = maxStatement + 1<<20 // with the multipart wrapping
)

// Rooms are the use cases that the surface offers.
type Rooms struct {
	Auth       registry.Service
	Fees       *fees.Service
	Dossiers   *dossiers.Service
	Merchants  *merchants.Service
	Payments   *payments.Service
	Callbacks  *callbacks.Service
	Refunds    *refunds.Service
	Routes     *routes.Service
	Repricing  *repricing.Service
	Remittance *remittance.Service
	Statements *statements.Service
	Reconcile  *reconcile.Service
	Cases      *cases.Service
	Ledger     *balances.Service
	Seal       *seal.Service
	Reports    *reports.Service
}

// Options of New. Without Console a page says that the console is missing; without Pay the surface has no pages for payers.
type Options struct {
	Log               *slog.Logger
	Metrics           *prometheus.Registry
	Now               func() time.Time
	Ready             func(ctx context.Context) error // nil means well
	Console           http.Handler                    // serves /console and below
	Pay               func(router *mux.Router)        // adds the pages for payers
	RequestsPerSecond int                             // per key or address; web.DefaultRequestsPerSecond when 0
}

// server implements the generated interface; each noun has its file.
type server struct {
	rooms Rooms
	log   *slog.Logger
	now   func() time.Time
}

var _ openapi.StrictServerInterface = (*server)(nil)
