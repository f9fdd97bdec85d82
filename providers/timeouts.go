package providers

import "time"

// Time limits around a call to a provider, from the shortest to the longest. All
// rooms take them from here, because each limit is safe only when it is longer
// than the limits inside it; TestTimeoutsFit proves this. A call that its limit
// ends is Unknown, and only an inquiry or a statement ends Unknown.
const (
	// ConnectTimeout bounds the TCP connection, and the TLS handshake after it. A
	// provider that is down then shows early as NotSent, and not as Unknown.
	ConnectTimeout = 5 * time.Second
	// RecordTimeout bounds the transaction that records a provider's answer to a
	// refund. It does not end with its caller: a lost answer would cost an inquiry.
	RecordTimeout = 15 * time.Second
	// CallTimeout bounds one call of a provider package, with its connection. VNPAY
	// answers within a few seconds or not at all.
	CallTimeout = 20 * time.Second
	// ClientTimeout bounds one call in the HTTP client, for a provider package
	// without a limit of its own.
	ClientTimeout = 30 * time.Second
	// IdleTimeout closes an unused connection before the provider does: a request on
	// a closed connection would be Unknown.
	IdleTimeout = time.Minute
	// SendTimeout bounds the first two steps of a refund: the transaction that moves
	// it to sending, and the call.
	SendTimeout = time.Minute
	// JobTimeout bounds one try of a job that calls a provider. River then cancels
	// the try, so the call and the record of its answer must have ended before.
	JobTimeout = 90 * time.Second
	// InterruptedAfter is the age at which a refund in sending counts as interrupted
	// and becomes unknown. It leaves room for clocks that differ: a process must not
	// send a refund that another process has declared interrupted.
	InterruptedAfter = 2 * time.Minute
	// RescueAfter is the age at which River takes a running job for lost with its
	// process and runs it again. The second try then finds its refund interrupted.
	// It is short, because no job asks about the payment or refund until then.
	RescueAfter = 3 * time.Minute
)

// Time limits of a callback. A message may wait for its group, go on in it, and
// be kept at last: a program that stops waits longer than the sum of the three
// for running requests, so every message is answered or kept in time.
const (
	// ReceiveTimeout bounds the work on one message, counted from the end of its
	// body. Only the transaction of a group that has begun may take longer.
	ReceiveTimeout = 9 * time.Second
	// GroupTimeout ends the transaction of a group, for example when one of its
	// callers waits for a lock. Its callers then go on alone.
	GroupTimeout = 5 * time.Second
	// KeepTimeout bounds the transaction that keeps a message that could not be applied.
	KeepTimeout = 5 * time.Second
)
