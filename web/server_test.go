package web

import (
	"testing"

	"github.com/doisoat/doisoat/providers"
)

// TestInquiryIsAnsweredInTime: a request that asks a provider has time to write its answer.
func TestInquiryIsAnsweredInTime(t *testing.T) {
	t.Parallel()
	if limit := providers.ClientTimeout + providers.RecordTimeout; limit >= writeTimeout {
		t.Errorf("got %s for an inquiry and its record, want less than the %s of a request", limit, writeTimeout)
	}
}
