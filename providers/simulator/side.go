package simulator

import (
	"context"
	"net/http"
	"time"

	"github.com/doisoat/doisoat/internal/calendar"
)

// FarSide is one provider or bank. The name stands in deliveries, faults and
// statements. A side implements those of the capabilities below that its
// provider has. The core holds the lock while it calls a side.
type FarSide interface {
	Name() string
}

// Keeper is a side whose state survives a restart.
type Keeper interface {
	FarSide
	// State returns a pointer to a struct. The core stores its members in one
	// JSON object with the members of all sides, so each member has its own name.
	State() any
	// Restored rebuilds the indexes after the core has filled State.
	Restored()
}

// Server is a side that answers HTTP requests.
type Server interface {
	FarSide
	Serve(routes *http.ServeMux)
}

// Sender is a side that sends callbacks.
type Sender interface {
	FarSide
	// Retries is the wait after each refused delivery; after the last one the
	// sender gives up.
	Retries() []time.Duration
	// Knows tells whether the receiver is registered; a callback to another
	// receiver waits.
	Knows(owner string) bool
	// Request signs a delivery; spoil makes the proof of origin wrong.
	Request(ctx context.Context, d *Delivery, spoil bool) (*http.Request, error)
	// Accepted judges the receiver's answer.
	Accepted(status int, body []byte) bool
}

// Payable is a side at which a payer pays.
type Payable interface {
	FarSide
	// Takes tells whether the URL or the QR code of the command is this side's.
	Takes(c PayCommand) bool
	// Pay does the payer's part. The delivery is nil when no callback follows.
	Pay(c PayCommand) (PayResult, *Delivery, error)
}

// Source is a side that issues statements.
type Source interface {
	FarSide
	Accounts() Accounts
	// Format is the script's word for the form of the file.
	Format() string
	// Statement prints an account's day. The same rows give the same bytes.
	Statement(account string, day calendar.Date) (File, error)
}

// Accounts are the registered accounts of a source.
type Accounts struct {
	Query  string // the parameter of /control/statement that names one account
	Member string // the member of /control/state that lists them
	Known  []string
}

// File is a statement as a source issues it.
type File struct {
	Type      string // the media type
	Extension string
	Content   []byte
}

// Faulty is a side that misbehaves on order.
type Faulty interface {
	FarSide
	FaultWords() FaultWords
}

// FaultWords are the faults that a side knows. A kind of call without words
// does not exist at that side.
type FaultWords struct {
	Alias   string // another name of the side in scripts
	Inquiry []string
	Refund  []string
}

// Ticker is a side with work that becomes due by the clock.
type Ticker interface {
	FarSide
	Tick()
}
