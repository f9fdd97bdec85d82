package simulator

import (
	"context"
	"net/http"
	"time"

	"github.com/doisoat/doisoat/internal/calendar"
)

// FarSide plays one provider or bank. Deliveries, faults and statements hold its
// name. A side implements the capabilities below that its provider has. The core
// holds the lock while it calls a side.
type FarSide interface {
	Name() string
}

// Keeper is a side whose state survives a restart.
type Keeper interface {
	FarSide
	// State returns a pointer to a struct. The core stores the members of all
	// sides in one JSON object, so each member needs a name of its own.
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
	// Retries returns the waits after refused deliveries. After the last retry the
	// sender gives up.
	Retries() []time.Duration
	// Knows reports whether the receiver is registered. A callback to an
	// unregistered receiver waits.
	Knows(owner string) bool
	// Request signs a delivery. With spoil set the signature is wrong.
	Request(ctx context.Context, d *Delivery, spoil bool) (*http.Request, error)
	// Accepted reports whether the receiver's answer accepts the callback.
	Accepted(status int, body []byte) bool
}

// Payable is a side at which a payer pays.
type Payable interface {
	FarSide
	// Takes reports whether the URL or the QR code of the command belongs to this side.
	Takes(c PayCommand) bool
	// Pay plays the payer. The delivery is nil when no callback follows.
	Pay(c PayCommand) (PayResult, *Delivery, error)
}

// Source is a side that issues statements.
type Source interface {
	FarSide
	Accounts() Accounts
	// Format returns the script's word for the format of the file.
	Format() string
	// Statement prints an account's day. Equal rows give equal bytes.
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

// Faulty is a side that misbehaves when a script asks for a fault.
type Faulty interface {
	FarSide
	FaultWords() FaultWords
}

// FaultWords are the faults that a side knows. A side without words for a kind of
// call does not serve this kind.
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
