package providers_test

import (
	"testing"
	"time"

	"github.com/doisoat/doisoat/providers"
)

// TestTimeoutsFit proves that each limit leaves room for the limits inside it.
func TestTimeoutsFit(t *testing.T) {
	t.Parallel()
	const clocks = 30 * time.Second // difference of two clocks that InterruptedAfter must bear
	sent := providers.SendTimeout + providers.RecordTimeout
	for _, x := range []struct {
		short, long time.Duration
		reason      string
	}{
		{2 * providers.ConnectTimeout, providers.CallTimeout, "after TCP and TLS a call has time for its answer"},
		{providers.CallTimeout, providers.ClientTimeout, "the provider package ends its call, not the client"},
		{providers.ClientTimeout, providers.SendTimeout, "the client ends the call, not the step around it"},
		{sent, providers.JobTimeout, "a refund is sent and recorded within one try of its job"},
		{providers.ClientTimeout + providers.RecordTimeout, providers.JobTimeout, "an inquiry is answered and recorded within one try"},
		{sent + clocks, providers.InterruptedAfter, "a refund counts as interrupted only after its sender has stopped"},
		{providers.JobTimeout, providers.InterruptedAfter, "a try has ended before its refund counts as interrupted"},
		{providers.InterruptedAfter, providers.RescueAfter, "a rescued job finds its refund interrupted"},
		{providers.JobTimeout, providers.RescueAfter, "River rescues only a job whose try has ended"},
	} {
		if x.short >= x.long {
			t.Errorf("got %s and %s, want the first to be shorter: %s", x.short, x.long, x.reason)
		}
	}
}
