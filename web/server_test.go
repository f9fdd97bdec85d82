package web

import (
	"testing"

	"github.com/doisoat/doisoat/providers"
)

// TestProvidersFitIntoRequests: a request that asks a provider has time to write its answer, and a
// stop waits for the answer of a callback.
func TestProvidersFitIntoRequests(t *testing.T) {
	t.Parallel()
	if limit := providers.ClientTimeout + providers.RecordTimeout; limit >= writeTimeout {
		t.Errorf("got %s for an inquiry and its record, want less than the %s of a request", limit, writeTimeout)
	}
	if limit := providers.ReceiveTimeout + providers.GroupTimeout + providers.KeepTimeout; limit >= stopTimeout {
		t.Errorf("got %s for a callback, want less than the %s of a stop", limit, stopTimeout)
	}
}
