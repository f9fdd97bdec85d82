package payments

import (
	"strconv"
	"time"

	"github.com/doisoat/doisoat/providers"
)

// defaultLifetime is how long a payer has, unless the merchant account's setting expires_minutes says otherwise.
const defaultLifetime = 15 * time.Minute

// lifetime is how long the payer of a merchant account has.
func lifetime(m providers.Merchant) time.Duration {
	if minutes, err := strconv.Atoi(m.Settings["expires_minutes"]); err == nil && minutes > 0 && minutes <= 7*24*60 {
		return time.Duration(minutes) * time.Minute
	}
	return defaultLifetime
}

// expires reports whether a live payment ends now. Two things are needed: its time is over, and an
// inquiry after this time found no money. A provider without a clear answer ends no payment.
func expires(p Payment, answer providers.Outcome, now time.Time) bool {
	return p.Status.live() && (answer == providers.Pending || answer == providers.NotSent) && now.After(p.ExpiresAt)
}
