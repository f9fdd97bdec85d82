// Package world wires all rooms on one database. It is the only place that decides which room uses which. The program
// and the tests of rooms call it, and hand in providers, clock and random source. World also runs the checks of all
// rooms. It owns no schema and no rule.
package world

import (
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"github.com/doisoat/doisoat/cases"
	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/internal/auth/keys"
	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/secret"
	"github.com/doisoat/doisoat/jobs"
	"github.com/doisoat/doisoat/ledger/balances"
	"github.com/doisoat/doisoat/ledger/seal"
	"github.com/doisoat/doisoat/merchants"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/payments/callbacks"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/reconcile"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/refunds/routes"
	"github.com/doisoat/doisoat/remittance"
	"github.com/doisoat/doisoat/reports"
	"github.com/doisoat/doisoat/repricing"
	"github.com/doisoat/doisoat/repricing/replay"
	"github.com/doisoat/doisoat/statements"
)

// Ground holds the needs of the rooms. Every member is required.
type Ground struct {
	Pool      *pgxpool.Pool
	Secret    *secret.Keyring
	Providers providers.Registry
	PublicURL string // base of callback and return links
	Now       func() time.Time
	Random    io.Reader // cryptographically secure
}

// World is every use case of the program, wired once.
type World struct {
	Auth       registry.Service
	Keys       keys.Service
	Fees       *fees.Service
	Dossiers   *dossiers.Service
	Merchants  *merchants.Service
	Payments   *payments.Service
	Callbacks  *callbacks.Service
	Refunds    *refunds.Service
	Routes     *routes.Service
	Repricing  *repricing.Service
	Statements *statements.Service
	Reconcile  *reconcile.Service
	Cases      *cases.Service
	Ledger     *balances.Service
	Seal       *seal.Service
	Reports    *reports.Service
	Remittance *remittance.Service
	Inserts    *river.Client[pgx.Tx] // queues jobs and works none
}

// callbackLeaders bounds the connections that apply callbacks: one waits for the disk while another works.
const callbackLeaders = 2

// New wires the rooms. Call Close before the pool closes.
func New(g Ground) (World, error) {
	inserts, err := jobs.InsertOnly(g.Pool)
	if err != nil {
		return World{}, err
	}
	db := postgres.DB{Pool: g.Pool, Now: g.Now}
	w := World{
		Auth:    registry.Service{DB: g.Pool, Now: g.Now},
		Keys:    keys.Service{DB: db, Random: g.Random},
		Fees:    &fees.Service{DB: db},
		Ledger:  &balances.Service{DB: g.Pool},
		Seal:    &seal.Service{DB: g.Pool, Now: g.Now},
		Reports: &reports.Service{DB: g.Pool},
		Inserts: inserts,
	}
	w.Dossiers = &dossiers.Service{DB: db, Fees: w.Fees, Secret: g.Secret, Jobs: inserts}
	w.Remittance = &remittance.Service{DB: db, Fees: w.Fees}
	w.Merchants = &merchants.Service{DB: db, Providers: g.Providers, Secret: g.Secret}
	w.Payments = &payments.Service{
		DB: db, Merchants: w.Merchants, Providers: g.Providers, Jobs: inserts, Random: g.Random, PublicURL: g.PublicURL,
	}
	w.Callbacks = &callbacks.Service{
		DB: db, Group: callbacks.NewGroup(db, callbackLeaders), Payments: w.Payments, Merchants: w.Merchants,
		Providers: g.Providers, Secret: g.Secret, Jobs: inserts,
	}
	w.Refunds = &refunds.Service{
		DB: db, Payments: w.Payments, Fees: w.Fees, Providers: g.Providers, Jobs: inserts, Random: g.Random,
	}
	w.Routes = &routes.Service{DB: db, Merchants: w.Merchants, Providers: g.Providers, Jobs: inserts}
	again := &replay.Service{DB: db, Fees: w.Fees, Dossiers: w.Dossiers}
	w.Repricing = &repricing.Service{DB: db, Replay: again, Payments: w.Payments, Refunds: w.Refunds, Jobs: inserts}
	w.Statements = &statements.Service{DB: db, Secret: g.Secret}
	w.Reconcile = &reconcile.Service{DB: db, Payments: w.Payments, Routes: w.Routes, Statements: w.Statements}
	w.Cases = &cases.Service{DB: db, Payments: w.Payments, Routes: w.Routes}
	return w, nil
}

// Jobs is the part of the world that workers call.
func (w World) Jobs() jobs.Rooms {
	return jobs.Rooms{
		Payments: w.Payments, Callbacks: w.Callbacks, Refunds: w.Refunds, Routes: w.Routes, Repricing: w.Repricing,
		Ledger: w.Ledger, Seal: w.Seal,
	}
}

// Close answers the callbacks under way.
func (w World) Close() { w.Callbacks.Group.Stop() }
